"""Full disks: one line, nothing half written, and an equal end once there is room. scripts/full_disk.py has more."""

import json
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.options import TINY
from helpers.processes import run

from resgan import configure, fit
from resgan.base.files import WriteError
from resgan.training import checkpoints

SCRIPT = SimpleNamespace(**runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "full_disk.py")))
OPTIONS = [*TINY, "sample_kimg=1", "total_kimg=2", "wandb=disabled", "csv=true", "trainer.progress=false"]


def trained(path: Path, *more: str) -> dict[str, object]:
    fit(configure(*OPTIONS, *more, f"run_dir={path}"))
    return SCRIPT.content_of(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Run that always had room."""
    return trained(tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("name", ["metrics.jsonl", "best.ckpt", "final.ckpt", "result.json"])
def test_what_the_result_needs_ends_the_run_and_the_same_command_continues(tmp_path, whole, name):
    path = tmp_path / "run"
    with SCRIPT.full_for(name, tmp_path), pytest.raises(WriteError) as raised:
        trained(path)
    said = str(raised.value)
    folder = path / "checkpoints" if name.endswith(".ckpt") else path
    assert said.startswith(f"{folder / name}: cannot be written (No space left on device); once it can be, continue ")
    assert said.endswith(f" run_dir={path}")
    assert "\n" not in said
    assert not list(path.rglob("*unfinished*"))
    assert (path / "metrics.jsonl").read_bytes()[-1:] in (b"", b"\n")
    assert SCRIPT.differences(trained(path), whole) == []


def test_what_can_be_spared_is_done_without_and_said_once(tmp_path, whole, capsys):
    path = tmp_path / "run"
    with SCRIPT.full_for("*.png", tmp_path):
        trained(path)
    said = capsys.readouterr().err
    assert said.count("goes on without grids of samples") == 1
    assert said.count("goes on without the grid of real samples") == 1
    assert not list(path.rglob("*.png"))  # not even empty ones
    assert SCRIPT.differences(SCRIPT.content_of(path), whole) == []


def test_a_checkpoint_at_an_interval_is_spared_and_the_log_too(tmp_path, whole, capsys, monkeypatch):
    path = tmp_path / "run"
    real, failing = checkpoints.save_last, iter([True, False])

    def once(directory, state):
        with SCRIPT.full_for("next.ckpt" if next(failing) else "none", tmp_path):
            real(directory, state)

    monkeypatch.setattr(checkpoints, "save_last", once)
    with SCRIPT.full_for("log.txt", tmp_path):
        trained(path)
    said = capsys.readouterr().err
    assert said.count("goes on without this checkpoint; the one before it stays") == 1
    assert said.count("log.txt: cannot be written (No space left on device); the run goes on") == 1
    assert SCRIPT.differences(SCRIPT.content_of(path), whole) == []


def test_lines_that_were_lost_are_said_and_counted(tmp_path, capsys):
    """Two of the lines before the checkpoint that the run goes on from, as after a power cut of a worse file system."""
    path = tmp_path / "run"
    trained(path)
    for name in ("result.json", "checkpoints/final.ckpt"):
        (path / name).unlink()
    lines = (path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (path / "metrics.jsonl").write_text("5\n" + "".join(lines[1:]))
    trained(path)
    said = capsys.readouterr().err
    assert f"{path / 'metrics.jsonl'}: line 1 of {len(lines)} cannot be read and is left out" in said
    before = sum(json.loads(line)["images_seen"] < 2000 for line in lines)
    assert f"1 of {before} measurements before this checkpoint are missing" in said
    result = json.loads((path / "result.json").read_text())
    assert result["lines_lost"] == 1
    assert result["lines"] == len(lines) - 1


def test_the_exit_status_is_1(tmp_path):
    """A directory in the place of the file is refused by the system as a full disk is."""
    (tmp_path / "run").mkdir()
    stopped = run("train", *OPTIONS, "trainer.max_hours=0.0001", "run_dir=run", cwd=tmp_path)
    assert stopped.returncode == 142
    (tmp_path / "run" / "checkpoints" / "best.ckpt" / "in the way").mkdir(parents=True)
    failed = run("train", *OPTIONS, "trainer.max_hours=null", "run_dir=run", cwd=tmp_path)
    assert failed.returncode == 1
    assert "best.ckpt: cannot be written (Is a directory); once it can be, continue with" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.slow
def test_the_script(tmp_path):
    """Run all cases, and those on small file systems where this user may mount them."""
    import subprocess
    import sys

    done = subprocess.run([sys.executable, SCRIPT.__file__, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
