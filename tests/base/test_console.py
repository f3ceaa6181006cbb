"""Messages, and the log of a run."""

from pathlib import Path

import pytest

from resgan.base.console import logged, say
from resgan.base.errors import OptionsError


def begin_and_end(log: Path, error: Exception) -> None:
    with logged(log):
        say("begins")
        raise error


def test_a_refusal_is_a_line_of_the_log_and_a_mistake_a_traceback(tmp_path, capsys):
    for error in (OptionsError("seed=x:\n expected a number"), KeyError("x")):
        log = tmp_path / f"{type(error).__name__}.txt"
        with pytest.raises(type(error)):
            begin_and_end(log, error)
        say("not inside")
        text = log.read_text()
        assert text.splitlines()[0].endswith("  begins")
        assert ("Traceback" in text) == isinstance(error, KeyError) == (len(text.splitlines()) > 2)
        assert "not inside" not in text
    assert (tmp_path / "OptionsError.txt").read_text().endswith("resgan: seed=x: expected a number\n")
    assert capsys.readouterr().err.count("resgan: begins") == 2
