"""Checkpoints: never half written, never trusted."""

import hashlib
import io
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path
from random import Random

import pytest
import torch

from resgan.base import console
from resgan.training import checkpoints
from resgan.training.checkpoints import CheckpointError

STATE: dict = {"images_seen": 5, "weights": torch.arange(10.0)}


def newest(directory: Path) -> checkpoints.Found:
    return checkpoints.newest_valid(directory, lambda state: None)


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
    found = newest(tmp_path)
    assert (found.state["images_seen"], found.name) == (1, "previous.ckpt")
    assert found.damaged == {"last.ckpt": checkpoints.DAMAGED}
    (tmp_path / "last.ckpt").unlink()  # the moment between the two renames
    assert newest(tmp_path).state["images_seen"] == 1
    assert newest(tmp_path).damaged == {}
    (tmp_path / "previous.ckpt").write_bytes(b"")
    assert newest(tmp_path) == checkpoints.Found({}, "", {"previous.ckpt": checkpoints.DAMAGED})
    assert newest(tmp_path / "nowhere") == checkpoints.Found({}, "", {})


def test_a_run_goes_on_from_the_newest_checkpoint_that_can_be_used(tmp_path):
    """The order: last, previous, final, and the earlier ends of a run that was made longer, the latest first."""
    names = ("last.ckpt", "previous.ckpt", "final.ckpt", "final-200kimg.ckpt", "final-25.5kimg.ckpt")
    for name in names:
        checkpoints.save(tmp_path / name, STATE | {"name": name})
    for name in ("best.ckpt", "next.ckpt", "final-kimg.ckpt", "final-1.2.3kimg.ckpt"):
        checkpoints.save(tmp_path / name, STATE | {"name": name})
    for place, name in enumerate(names):
        found = newest(tmp_path)
        assert found.name == found.state["name"] == name
        assert list(found.damaged) == list(names[:place])
        (tmp_path / name).write_bytes(b"")
    assert newest(tmp_path).state == {}

    def refuse_all_but_the_last(state: dict) -> None:
        if state["name"] != names[-1]:
            raise CheckpointError("is of another run")

    for name in names:
        checkpoints.save(tmp_path / name, STATE | {"name": name})
    found = checkpoints.newest_valid(tmp_path, refuse_all_but_the_last)
    assert found.name == names[-1]
    assert found.damaged == dict.fromkeys(names[:-1], "is of another run")


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    checkpoints.save(path, STATE)

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
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
    os.mkfifo(folder / "pipe")
    (folder / "dead link").symlink_to(folder / "nowhere")
    (folder / "endless").symlink_to("/dev/zero")
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
        "pipe": "is no regular file",
        "dead link": "is a dead link",
        "endless": "is no regular file",
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


# Digests.


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def aimed_places(content: bytes) -> dict[str, range]:
    """Name the parts of a file, and give the bytes of each."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        entries = {entry.filename.partition("/")[2]: entry for entry in file.infolist()}
        directory = file.start_dir
    places = {"directory": range(directory, len(content) - checkpoints.HEX - len(checkpoints.MARK))}
    for name, entry in entries.items():
        name_length, extra_length = struct.unpack_from("<HH", content, entry.header_offset + 26)
        begins = entry.header_offset + 30 + name_length + extra_length  # torch aligns the content by padding in `extra`
        places[f"header of {name}"] = range(entry.header_offset, entry.header_offset + 30 + name_length)
        places[f"padding of {name}"] = range(begins - extra_length, begins)
        places[name] = range(begins, begins + entry.file_size)
    places["mark"] = range(len(content) - checkpoints.HEX - len(checkpoints.MARK), len(content) - checkpoints.HEX)
    places["digest"] = range(len(content) - checkpoints.HEX, len(content))
    return {name: place for name, place in places.items() if place}


def test_a_flipped_bit_is_refused_wherever_it_is(tmp_path):
    path, random = tmp_path / "a.ckpt", Random(0)
    checkpoints.save(path, STATE | {"more": torch.ones(3, dtype=torch.int64)})
    content, tried = path.read_bytes(), 0
    places = aimed_places(content)
    assert {"directory", "data.pkl", "header of data/0", "padding of data/1", "data/0", "data/1", "digest"} <= set(
        places
    )
    for name, place in places.items():
        for _ in range(3):
            path.write_bytes(flipped(content, bit := random.randrange(8 * place.start, 8 * place.stop)))
            with pytest.raises(CheckpointError, match="is damaged or cut short"):
                pytest.fail(f"bit {bit} in {name}: {checkpoints.load(path)}")
            tried += 1
    assert tried >= 60
    for length in range(0, len(content), 100):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="is damaged or cut short"):
            checkpoints.load(path)
    path.write_bytes(content[: -checkpoints.HEX - len(checkpoints.MARK)])  # the zip is whole, and its digest is gone
    with pytest.raises(CheckpointError, match="is damaged or cut short"):
        checkpoints.load(path)
    path.write_bytes(content)
    assert torch.equal(checkpoints.load(path)["weights"], STATE["weights"])


def test_torch_alone_opens_a_file_and_the_digest_is_in_it(tmp_path):
    path = tmp_path / "a.ckpt"
    checkpoints.save(path, STATE)
    assert torch.equal(torch.load(path, weights_only=True)["weights"], STATE["weights"])
    content = path.read_bytes()
    assert content[-64:].decode() == hashlib.sha256(content[:-64]).hexdigest()
    with zipfile.ZipFile(path) as file:
        assert file.comment == b"resgan sha256 " + content[-64:]
        assert file.testzip() is None


def test_a_file_without_a_digest_opens_by_the_checksums_of_its_zip(tmp_path, capsys):
    """One line says so, whichever and however many files are opened."""
    console.say_once.cache_clear()
    for name in ("a.ckpt", "b.ckpt"):
        torch.save({"format": checkpoints.FORMAT, **STATE}, tmp_path / name)
        assert torch.equal(checkpoints.load(tmp_path / name)["weights"], STATE["weights"])
    said = "resgan: a checkpoint has no digest, as earlier versions saved it; the checksums of its zip are right\n"
    assert capsys.readouterr().err == said
    content = (tmp_path / "a.ckpt").read_bytes()
    at = content.index(STATE["weights"].numpy().tobytes())
    (tmp_path / "a.ckpt").write_bytes(flipped(content, 8 * at + 77))
    assert not torch.equal(torch.load(tmp_path / "a.ckpt", weights_only=True)["weights"], STATE["weights"])
    with pytest.raises(CheckpointError, match="is damaged or cut short"):
        checkpoints.load(tmp_path / "a.ckpt")
    name = content.rindex(b"a/data/0")  # in the zip's directory, 8 bytes after the attributes, here of a directory:
    assert content[name - 8 : name - 4] == bytes(4)
    (tmp_path / "a.ckpt").write_bytes(flipped(content, 8 * (name - 8) + 4))  # then torch reads no content
    with pytest.raises(CheckpointError, match="is damaged or cut short"):
        checkpoints.load(tmp_path / "a.ckpt")
    checkpoints.save(tmp_path / "a.ckpt", STATE)
    checkpoints.load(tmp_path / "a.ckpt")
    assert capsys.readouterr().err == ""


# Contents that no run writes.


def test_a_zip_that_expands_is_not_opened(tmp_path):
    """torch stores tensors as they are; 100 MB of zeros fit into 100 KB otherwise."""
    torch.save({"format": checkpoints.FORMAT, "x": torch.zeros(25_000)}, tmp_path / "stored")
    with (
        zipfile.ZipFile(tmp_path / "stored") as stored,
        zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for entry in stored.infolist():
            small.writestr(entry.filename, stored.read(entry))
    assert torch.load(tmp_path / "a.ckpt", weights_only=True)["x"].shape == (25_000,)
    with pytest.raises(CheckpointError, match="is damaged or cut short, or is no checkpoint"):
        checkpoints.load(tmp_path / "a.ckpt")


def nested_list(depth: int) -> list:
    return [nested_list(depth - 1)] if depth else []


def lists_of_lists(depth: int) -> list:
    """Return a list of ten lists of ten lists ... which are the same objects: 10^depth values to walk."""
    found: list = []
    for _ in range(depth):
        found = [found] * 10
    return found


@pytest.mark.parametrize(
    ("strange", "says"),
    [
        (nested_list(40), "is nested more than 32 levels deep"),
        (lists_of_lists(20), "holds more than 1,000,000 values"),
        (10**400, "holds what is no plain data of ordinary size: int"),
        ("x" * 20_000, "holds what is no plain data of ordinary size: str"),
        (1j, "holds what is no plain data of ordinary size: complex"),
        (b"x", "holds what is no plain data of ordinary size: bytes"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_data_that_is_not_plain_or_has_no_end_is_refused(tmp_path, strange, says):
    checkpoints.save(tmp_path / "a.ckpt", STATE | {"strange": strange})
    with pytest.raises(CheckpointError, match=re.escape(f"ckpt={tmp_path / 'a.ckpt'}: {says}")):
        checkpoints.load(tmp_path / "a.ckpt")
