"""Checkpoints: files that describe themselves in plain data, are never half written, and prove themselves.

A file is the zip that torch.save writes. The comment at its end is the SHA-256 of all bytes before it, so that whatever
has changed since it was written, in a weight or anywhere else, is seen before anything of it is used.
"""

import contextlib
import hashlib
import io
import itertools
import os
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from resgan.base.console import one_line, say_once
from resgan.base.errors import UserError
from resgan.base.files import atomic_writer, flush_directory, rename
from resgan.base.signals import unbroken

State = dict[str, Any]  # nested dictionaries and lists of tensors and plain data

FORMAT = "resgan checkpoint 1"
LAST, PREVIOUS, BEST, FINAL = "last.ckpt", "previous.ckpt", "best.ckpt", "final.ckpt"
EARLIER_END = re.compile(r"final-([0-9.]+)kimg\.ckpt")  # of a run that was made longer

MARK, HEX = b"resgan sha256 ", 64  # the comment of the zip: the mark, and a digest of as many digits
DIRECTORY = 0x10  # an attribute of an entry of a zip
ZIP_END, ZIP_END_SIZE = b"PK\x05\x06", 22  # the last record of a zip; the length of the comment ends it

MOST, DEEPEST = 1_000_000, 32  # values in a state, and levels of nesting
LONGEST, LONGEST_INT = 10_000, 1024  # letters of a text, and bits of a whole number: a seed may have many
SHOWN = 300  # letters of a message
DAMAGED = "is damaged or cut short, or is no checkpoint"


class CheckpointError(UserError):
    """A file that cannot be used as a checkpoint; the message is one line that names it and says why."""


# Writing.


def save(path: Path, state: State) -> None:
    """Write beside the target, flush to disk, then rename over it: a crash leaves the old file or the new one.

    Raises WriteError.
    """
    with unbroken():
        content = pack(state)
    with atomic_writer(path) as file:
        file.write(content.getbuffer())


def save_last(directory: Path, state: State) -> None:
    """Save as last.ckpt, and keep the one before it as previous.ckpt. Raises WriteError."""
    last = directory / LAST
    unfinished = directory / "next.ckpt"
    save(unfinished, state)
    if os.path.lexists(last):
        rename(last, directory / PREVIOUS)
    rename(unfinished, last)


def pack(state: State) -> io.BytesIO:
    """Return the content of a file: torch's zip, with the digest of all bytes before it as its comment."""
    content = io.BytesIO()
    torch.save({"format": FORMAT, **state}, content)
    content.seek(-2, os.SEEK_END)  # the length of the comment, 0 so far
    content.write(struct.pack("<H", len(MARK) + HEX) + MARK)
    content.write(hashlib.sha256(content.getbuffer()).hexdigest().encode())
    return content


# Finding.


def find(path: Path) -> Path:
    """Return the path of a file; of a run directory, or its checkpoints/, the final checkpoint, else the newest.

    Raises CheckpointError for a directory that has none.
    """
    if not path.is_dir():
        return path
    for folder, name in itertools.product((path / "checkpoints", path), (FINAL, LAST, PREVIOUS, BEST)):
        if os.path.lexists(folder / name):
            return folder / name
    # A study has its runs one or two levels below.
    below = next((found for depth in ("*", "*/*") for found in sorted(path.glob(f"{depth}/checkpoints/{FINAL}"))), None)
    raise CheckpointError(
        f"ckpt={path}: is a directory without checkpoints; expected a .ckpt file or the directory of a run"
        + (f", such as {below.parent.parent}" if below else "")
    )


def to_continue_from(directory: Path) -> list[Path]:
    """List the checkpoints that a run may go on from, valid or not: the newest first."""
    ends = {path: float(found[1].rstrip(".") or 0) for path in directory.glob("final-*kimg.ckpt")
            if (found := EARLIER_END.fullmatch(path.name)) and found[1].count(".") < 2}  # fmt: skip
    paths = [*(directory / name for name in (LAST, PREVIOUS, FINAL)), *sorted(ends, key=lambda path: -ends[path])]
    return [path for path in paths if os.path.lexists(path)]


# Reading.


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file in the CheckpointErrors raised inside, which say what is wrong with it."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"ckpt={path}: {short(error)}") from error


def short(error: CheckpointError) -> str:
    """Format what is wrong with a file as a short line, since it may hold values from the file."""
    text = "".join(letter if letter.isprintable() else "?" for letter in one_line(error))
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def load(path: Path) -> State:
    """Load the state from a file without executing anything in it, if it is as it was written.

    Raises CheckpointError.
    """
    with named(path):
        return unpack(read(path))


def read(path: Path) -> bytes:
    """Read a regular file; others, such as a pipe, may have no end. Raises CheckpointError."""
    expected = "expected a .ckpt file, as in <run directory>/checkpoints/final.ckpt"
    try:
        if path.is_symlink() and not path.exists():
            raise CheckpointError("is a dead link")
        if not path.exists():
            raise CheckpointError(f"does not exist; {expected}")
        if path.is_dir():
            raise CheckpointError(f"is a directory; {expected}")
        if not path.is_file():
            raise CheckpointError("is no regular file")
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"cannot be read ({error.strerror})") from error


def unpack(content: bytes) -> State:
    """Return the state in the content of a file. Raises CheckpointError."""
    has_digest = check_digest(content)
    check_zip(content, compare=not has_digest)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds of tensors that no checkpoint has
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "holds more than tensors and plain data, which could run code; it was not opened"
        ) from error
    except Exception as error:  # what is no checkpoint raises almost anything
        raise CheckpointError(DAMAGED) from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"is not a checkpoint of resgan (expected the format '{FORMAT}')")
    check_plain(state)
    if not has_digest:
        say_once("a checkpoint has no digest, as earlier versions saved it; the checksums of its zip are right")
    return state


def check_digest(content: bytes) -> bool:
    """Compare a file with the digest at its end. Returns False if it has none; raises CheckpointError."""
    end = content[-ZIP_END_SIZE:]
    if end.startswith(ZIP_END) and end.endswith(b"\0\0"):
        return False
    covered, digest = memoryview(content)[:-HEX], content[-HEX:]
    if content[-HEX - len(MARK) : -HEX] != MARK or hashlib.sha256(covered).hexdigest().encode() != digest:
        raise CheckpointError(DAMAGED)
    return True


def check_zip(content: bytes, *, compare: bool) -> None:
    """Refuse a zip that torch.save has not written; compare: also its checksums, which torch does not.

    Raises CheckpointError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            entries = file.infolist()
            expands = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
            expands = expands or sum(entry.file_size for entry in entries) > len(content)
            # torch takes the content of an entry that is marked as a directory from memory which nobody has filled.
            hollow = any(entry.external_attr & DIRECTORY or entry.is_dir() for entry in entries)
            if expands or hollow or (compare and file.testzip()):
                raise CheckpointError(DAMAGED)
    except CheckpointError:
        raise
    except Exception as error:  # damaged zips raise almost anything
        raise CheckpointError(DAMAGED) from error


def check_plain(state: object, *, tensors: bool = True) -> None:
    """Refuse what is not plain data (with tensors, if allowed) of a bounded size. Raises CheckpointError.

    A list that holds another one many times, which holds a third many times, is small in a file and endless to walk.
    """
    seen, level = 0, [state]
    for _ in range(DEEPEST):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below += [*value.keys(), *value.values()]
            elif isinstance(value, list | tuple):
                below += value
            elif not is_plain(value) and not (tensors and isinstance(value, Tensor)):
                raise CheckpointError(f"holds what is no plain data of ordinary size: {type(value).__name__}")
            if seen + len(below) > MOST:  # here, since lists may hold one another
                raise CheckpointError(f"holds more than {MOST:,} values")
        seen, level = seen + len(below), below
        if not level:
            return
    raise CheckpointError(f"is nested more than {DEEPEST} levels deep")


def is_plain(value: object) -> bool:
    """Is the value a number or a text of ordinary length, or None?"""
    if isinstance(value, int):
        return value.bit_length() <= LONGEST_INT
    return value is None or isinstance(value, float) or (isinstance(value, str) and len(value) <= LONGEST)


# Where a run goes on.


@dataclass(frozen=True)
class Found:
    """The checkpoint that a run goes on from, and those before it in the order that could not be used."""

    state: State  # empty: there is none
    name: str
    damaged: dict[str, str]  # what is wrong, by file name


def newest_valid(directory: Path, use: Callable[[State], object]) -> Found:
    """Find the newest checkpoint that opens and that `use` accepts: it raises CheckpointError for others."""
    damaged: dict[str, str] = {}
    for path in to_continue_from(directory):
        try:
            use(state := unpack(read(path)))
        except CheckpointError as error:
            damaged[path.name] = short(error)
        else:
            return Found(state, path.name, damaged)
    return Found({}, "", damaged)


def can_continue(directory: Path) -> bool:
    """Check whether there is a checkpoint to continue from, valid or not."""
    return bool(to_continue_from(directory))


def places(directory: Path) -> set[int]:
    """Find where a run can go on: images seen in its valid checkpoints, and 0 where it has saved once at most."""
    found: set[int] = set()
    for name in (LAST, PREVIOUS, FINAL):
        with contextlib.suppress(CheckpointError):
            found.add(load(directory / name)["images_seen"])
    saved_twice = (directory / PREVIOUS).exists()  # final.ckpt may be the first save of all, of a short run
    return found if saved_twice or (not found and can_continue(directory)) else found | {0}


def go_back(directory: Path, place: int) -> None:
    """Drop checkpoints so that the newest valid one is at `place`, one of `places`."""
    for name in (LAST, PREVIOUS):
        with contextlib.suppress(CheckpointError):
            if load(directory / name)["images_seen"] == place:
                rename(directory / name, directory / LAST)
                break
    else:
        for name in (LAST, PREVIOUS, FINAL):
            (directory / name).unlink(missing_ok=True)
    if directory.exists():
        flush_directory(directory)
