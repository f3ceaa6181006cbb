"""Checkpoints: never half written, never trusted."""

import os
import pickle
import re
from pathlib import Path

import pytest
import torch

from resgan.training import checkpoints
from resgan.training.checkpoints import CheckpointError

STATE = {"images_seen": 5, "weights": torch.arange(10.0)}


def test_round_trip(tmp_path):
    path = tmp_path / "new" / "a.ckpt"
    checkpoints.save(path, STATE)
    found = checkpoints.load(path)
    assert found["images_seen"] == 5
    assert torch.equal(found["weights"], STATE["weights"])
    assert [p.name for p in path.parent.iterdir()] == ["a.ckpt"]


def test_two_generations(tmp_path):
    for k in range(3):
        checkpoints.save_last(tmp_path, STATE | {"images_seen": k})
    assert checkpoints.load(tmp_path / "last.ckpt")["images_seen"] == 2
    assert checkpoints.load(tmp_path / "previous.ckpt")["images_seen"] == 1
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "last.ckpt").read_bytes()[:-100])
    assert checkpoints.newest_valid(tmp_path)["images_seen"] == 1
    (tmp_path / "last.ckpt").unlink()  # the moment between the two renames
    assert checkpoints.newest_valid(tmp_path)["images_seen"] == 1
    (tmp_path / "previous.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"previous\.ckpt"):
        checkpoints.newest_valid(tmp_path)
    assert checkpoints.newest_valid(tmp_path / "nowhere") is None


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    checkpoints.save(path, STATE)

    def full(state, file):
        file.write(b"x" * 100)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space"):
        checkpoints.save(path, STATE)
    assert checkpoints.load(path)["images_seen"] == 5
    assert [p.name for p in tmp_path.iterdir()] == ["a.ckpt"]


class Trap:
    """An object whose unpickling would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_run_directory_stands_for_its_final_checkpoint_else_the_newest(tmp_path):
    """The order is final, last, previous, best; a study has none of its own, and the message names one of its runs."""
    folder = tmp_path / "study" / "arm" / "0"
    (folder / "checkpoints").mkdir(parents=True)
    with pytest.raises(CheckpointError, match=re.escape(f"ckpt={folder}: is a directory without checkpoints")):
        checkpoints.find(folder)
    for name in ("best.ckpt", "previous.ckpt", "last.ckpt", "final.ckpt"):
        (folder / "checkpoints" / name).write_bytes(b"")
        assert checkpoints.find(folder) == checkpoints.find(folder / "checkpoints") == folder / "checkpoints" / name
    best = folder / "checkpoints" / "best.ckpt"
    assert checkpoints.find(best) == best
    assert checkpoints.find(tmp_path / "nowhere.ckpt") == tmp_path / "nowhere.ckpt"  # `load` refuses it
    for above in (tmp_path / "study", tmp_path / "study" / "arm"):
        with pytest.raises(CheckpointError, match=re.escape(f"such as {folder}")):
            checkpoints.find(above)


def wrong_files(folder: Path) -> dict[str, str]:
    """Make faulty files; returns for each what the message must say."""
    checkpoints.save(folder / "truncated", STATE)
    whole = (folder / "truncated").read_bytes()
    (folder / "truncated").write_bytes(whole[: len(whole) // 2])
    torch.save({"something": 1}, folder / "foreign")
    torch.save({"format": checkpoints.FORMAT, "x": Trap(folder / "sprung")}, folder / "code")
    (folder / "plain pickle").write_bytes(pickle.dumps(Trap(folder / "sprung")))
    (folder / "text").write_text("root:x:0:0:root:/root:/bin/bash\n" * 20)
    (folder / "flipped").write_bytes(whole[:200] + bytes(50) + whole[250:])
    (folder / "empty").write_bytes(b"")
    (folder / "directory").mkdir()
    return {
        "truncated": "damaged",
        "foreign": "not a checkpoint of resgan",
        "code": "could run code",
        "plain pickle": "no checkpoint",
        "text": "no checkpoint",
        "flipped": "damaged",
        "empty": "damaged",
        "directory": "is a directory",
        "missing": "does not exist",
    }


def test_wrong_files_are_refused_in_one_line_and_run_nothing(tmp_path):
    for name, reason in wrong_files(tmp_path).items():
        with pytest.raises(CheckpointError) as caught:
            checkpoints.load(tmp_path / name)
        message = str(caught.value)
        assert f"ckpt={tmp_path / name}" in message
        assert reason in message
        assert "\n" not in message
    assert not (tmp_path / "sprung").exists()
