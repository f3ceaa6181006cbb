"""Checkpoints: files that describe themselves in plain data, and are never half written."""

import contextlib
import itertools
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from resgan.base.errors import UserError
from resgan.base.files import atomic_writer, flush_directory
from resgan.base.signals import unbroken

State = dict[str, Any]  # nested dictionaries and lists of tensors and plain data

FORMAT = "resgan checkpoint 1"
LAST, PREVIOUS, BEST, FINAL = "last.ckpt", "previous.ckpt", "best.ckpt", "final.ckpt"


class CheckpointError(UserError):
    """A file that cannot be used as a checkpoint; the message is one line that names it and says why."""


def save(path: Path, state: State) -> None:
    """Write beside the target, flush to disk, then rename over it: a crash leaves the old file or the new one."""
    with unbroken(), atomic_writer(path) as file:
        torch.save({"format": FORMAT, **state}, file)
    flush_directory(path.parent)


def save_last(directory: Path, state: State) -> None:
    """Save as last.ckpt, and keep the one before it as previous.ckpt."""
    last = directory / LAST
    unfinished = directory / "next.ckpt"
    save(unfinished, state)
    if last.exists():
        os.replace(last, directory / PREVIOUS)
    os.replace(unfinished, last)
    flush_directory(directory)


def find(path: Path) -> Path:
    """Return the path of a file; of a run directory, or its checkpoints/, the final checkpoint, else the newest.

    Raises CheckpointError for a directory that has none.
    """
    if not path.is_dir():
        return path
    for folder, name in itertools.product((path / "checkpoints", path), (FINAL, LAST, PREVIOUS, BEST)):
        if (folder / name).is_file():
            return folder / name
    # A study has its runs one or two levels below.
    below = next((found for depth in ("*", "*/*") for found in sorted(path.glob(f"{depth}/checkpoints/{FINAL}"))), None)
    raise CheckpointError(
        f"ckpt={path}: is a directory without checkpoints; expected a .ckpt file or the directory of a run"
        + (f", such as {below.parent.parent}" if below else "")
    )


def load(path: Path) -> State:
    """Load the state from a file without executing anything in it. Raises CheckpointError."""
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise CheckpointError(
            f"ckpt={path}: {what}; expected a .ckpt file, as in <run directory>/checkpoints/final.ckpt"
        )
    damaged = CheckpointError(f"ckpt={path}: is damaged or cut short, or is no checkpoint")
    if not zipfile.is_zipfile(path):  # torch would try its legacy format, whose loader fails in many ways
        raise damaged
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"ckpt={path}: holds more than tensors and plain data, which could run code; it was not opened"
        ) from error
    except Exception as error:  # damaged files raise almost anything
        raise damaged from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(f"ckpt={path}: is not a checkpoint of resgan (expected the format '{FORMAT}')")
    return state


def can_continue(directory: Path) -> bool:
    """Check whether there is a checkpoint to continue from, valid or not."""
    return any(path.exists() for path in to_continue_from(directory))


def to_continue_from(directory: Path) -> list[Path]:
    """List the paths of checkpoints that a run may continue from, best first, whether they exist or not.

    The final one is of a run that has ended and is made longer, which keeps it as final-200kimg.ckpt.
    """
    earlier = sorted(directory.glob("final-*kimg.ckpt"), key=kimg_of, reverse=True)
    return [*(directory / name for name in (LAST, PREVIOUS, FINAL)), *earlier]


def kimg_of(path: Path) -> float:
    """Return 200 of final-200kimg.ckpt; -1 for a name that has no number there."""
    with contextlib.suppress(ValueError):
        return float(path.stem.removeprefix("final-").removesuffix("kimg"))
    return -1


def newest_valid(directory: Path) -> State | None:
    """Load the state to continue from; None where there is no checkpoint. Raises CheckpointError if none is valid."""
    errors = []
    for path in to_continue_from(directory):
        if path.exists():
            try:
                return load(path)
            except CheckpointError as error:
                errors.append(error)
    if errors:
        raise errors[0]
    return None


def places(directory: Path) -> set[int]:
    """Find where a run can go on: images seen in its valid checkpoints, and 0 where it has saved once at most."""
    found: set[int] = set()
    for name in (LAST, PREVIOUS, FINAL):
        with contextlib.suppress(CheckpointError):
            found.add(load(directory / name)["images_seen"])
    saved_twice = (directory / PREVIOUS).exists() or (directory / FINAL).exists()
    return found if saved_twice or (not found and can_continue(directory)) else found | {0}


def go_back(directory: Path, place: int) -> None:
    """Drop checkpoints so that the newest valid one is at `place`, one of `places`."""
    for name in (LAST, PREVIOUS):
        with contextlib.suppress(CheckpointError):
            if load(directory / name)["images_seen"] == place:
                os.replace(directory / name, directory / LAST)
                break
    else:
        for name in (LAST, PREVIOUS):
            (directory / name).unlink(missing_ok=True)
    if directory.exists():
        flush_directory(directory)
