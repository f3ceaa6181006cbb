"""The script that kills commands, for a few kills; hundreds by hand."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
import torture


def test_a_few_kills():
    """A run alone; what differs from an undisturbed command is listed."""
    trials = torture.torture(["points"], kills=2, seed=1, jobs=1)
    assert sum(len(trial.kills) for trial in trials) >= 2
    assert [wrong for trial in trials for wrong in trial.wrong] == []


@pytest.mark.slow
def test_kills_of_all_kinds():
    trials = torture.torture(list(torture.KINDS), kills=40, seed=2, jobs=2)
    assert {trial.kind for trial in trials} == set(torture.KINDS)
    assert [wrong for trial in trials for wrong in trial.wrong] == []


def test_a_difference_is_seen(tmp_path):
    """A bit of a file, a file that is missing, and not the time of a run."""
    for name, seconds, tv in (("whole", 1.0, 0.5), ("same", 2.0, 0.5), ("other", 1.0, 0.25)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text(f'{{"images_seen": 0, "seconds": {seconds}, "tv": {tv}}}\n')
    assert torture.differences(tmp_path / "whole", tmp_path / "same") == []
    [line] = torture.differences(tmp_path / "whole", tmp_path / "other")
    assert line.startswith("metrics.jsonl")
    (tmp_path / "same" / "final.ckpt").touch()
    assert len(torture.differences(tmp_path / "whole", tmp_path / "same")) == 1
