"""The list of runs, and the cache."""

import json
import os
import sys
import time

import pytest
from helpers.made_runs import make_run

from resgan.base.cache import entries_of, prune
from resgan.base.files import try_lock
from resgan.runs import __main__ as command
from resgan.runs.listing import ago, list_runs, size, table


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "runs" / "study" / "residual-G" / "0", g=True, d=False, tv=0.25)
    make_run(tmp_path / "runs" / "study" / "plain" / "0", g=False, d=False, tv=None)
    make_run(tmp_path / "runs" / "alone", g=False, d=True, finished=False)
    return tmp_path / "runs"


def test_each_run_has_a_line(runs):
    found = {str(one.path.relative_to(runs)): one for one in list_runs(runs)}
    assert list(found) == ["alone", "study/plain/0", "study/residual-G/0"]
    assert [one.status for one in found.values()] == ["stopped", "diverged", "finished"]
    assert [one.arm for one in found.values()] == ["residual-D", "plain", "residual-G"]
    assert found["study/residual-G/0"].score == "tv 0.25"
    assert found["study/plain/0"].score == ""
    assert found["alone"].kimg.startswith("1/")
    files = [path for path in (runs / "alone").rglob("*") if path.is_file()]
    assert found["alone"].size == sum(path.stat().st_size for path in files)
    *lines, last = table(list(found.values()), runs)
    assert len(lines) == 4
    assert lines[3].split()[:2] == ["study/residual-G/0", "finished"]
    assert last.startswith("3 runs (1 diverged, 1 finished, 1 stopped), ")


def test_a_run_that_another_process_trains_is_running(runs):
    with try_lock(runs / "alone" / ".lock"):
        assert next(one.status for one in list_runs(runs)) == "running"
    assert next(one.status for one in list_runs(runs)) == "stopped"


def test_a_damaged_run_is_listed_as_such(runs):
    (runs / "study" / "plain" / "0" / "result.json").write_text("{")
    assert [one.status for one in list_runs(runs)] == ["stopped", "damaged", "finished"]


def call(monkeypatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["resgan.runs", *arguments])
    command.main()


def test_the_command(runs, monkeypatch, capsys):
    call(monkeypatch, str(runs), "--status", "finished", "--json")
    [line] = capsys.readouterr().out.splitlines()
    assert json.loads(line)["score"] == "tv 0.25"
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, str(runs / "nowhere"))
    assert caught.value.code == 2
    assert capsys.readouterr().err == f"resgan: {runs / 'nowhere'}: there is no such directory; give one with runs\n"


def test_what_was_not_used_for_long_is_pruned(tmp_path, monkeypatch, capsys):
    for name, days in (
        ("pictures/new.npy", 1),
        ("pictures/old.npy", 40),
        ("a.features.npz", 20),
        ("weights/w.pth", 50),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x" * 1500)
        os.utime(path, (time.time() - 86400 * days,) * 2)
    (tmp_path / "weights" / "w.pth.lock").touch()
    assert [(one.path.name, one.kind) for one in entries_of(tmp_path)] == [
        ("w.pth", "weights"),
        ("old.npy", "pictures"),
        ("a.features.npz", "statistics"),
        ("new.npy", "pictures"),
    ]
    monkeypatch.setenv("RESGAN_CACHE", str(tmp_path))
    call(monkeypatch, "--cache")
    assert capsys.readouterr().out.splitlines()[-1] == f"6 kB in {tmp_path} (RESGAN_CACHE)"
    call(monkeypatch, "--prune", "30")
    shown = capsys.readouterr()
    assert shown.err == "resgan: removed 2 files, 3 kB\n"
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [
        "a.features.npz",
        "new.npy",
        "w.pth.lock",
    ]
    assert len(prune(tmp_path, days=0)) == 2


def test_words_for_ages_and_sizes():
    assert [ago(seconds) for seconds in (-5, 59, 3600, 7200, 2 * 86400)] == [
        "0 min ago",
        "0 min ago",
        "60 min ago",
        "2 h ago",
        "2 d ago",
    ]
    assert [size(count) for count in (0, 999, 1000, 123456, 9.99e9)] == ["0 B", "999 B", "1 kB", "123 kB", "9.99 GB"]
