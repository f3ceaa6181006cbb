"""Checkpoints: files that describe themselves in plain data, and are never half written."""

import itertools
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from resgan.base.errors import UserError
from resgan.base.files import atomic_writer, rename

State = dict[str, Any]  # nested dictionaries and lists of tensors and plain data

FORMAT = "resgan checkpoint 1"
LAST, PREVIOUS, BEST, FINAL = "last.ckpt", "previous.ckpt", "best.ckpt", "final.ckpt"


class CheckpointError(UserError):
    """A file that cannot be used as a checkpoint; the message is one line that names it and says why."""


def save(path: Path, state: State) -> None:
    """Write beside the target, flush to disk, then rename over it: a crash leaves the old file or the new one.

    Raises WriteError.
    """
    with atomic_writer(path) as file:
        torch.save({"format": FORMAT, **state}, file)


def save_last(directory: Path, state: State) -> None:
    """Save as last.ckpt, and keep the one before it as previous.ckpt. Raises WriteError."""
    last = directory / LAST
    unfinished = directory / "next.ckpt"
    save(unfinished, state)
    if last.exists():
        rename(last, directory / PREVIOUS)
    rename(unfinished, last)


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
    return any((directory / name).exists() for name in (LAST, PREVIOUS, FINAL))


def newest_valid(directory: Path) -> State | None:
    """Load the state to continue from; None where there is no checkpoint. Raises CheckpointError if none is valid."""
    errors = []
    for name in (LAST, PREVIOUS, FINAL):  # the last: of a run that had ended, and is made longer
        if (directory / name).exists():
            try:
                return load(directory / name)
            except CheckpointError as error:
                errors.append(error)
    if errors:
        raise errors[0]
    return None
