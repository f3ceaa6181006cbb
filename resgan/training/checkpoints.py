"""Checkpoints: files that describe themselves in plain data, and are never half written."""

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

FORMAT = "resgan checkpoint 1"
LAST, PREVIOUS, BEST, FINAL = "last.ckpt", "previous.ckpt", "best.ckpt", "final.ckpt"


class CheckpointError(ValueError):
    """A file that cannot be used as a checkpoint; the message is one line that names it and says why."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write beside the target, flush to the disk, then rename over it: a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished-{os.getpid()}")
    try:
        with open(unfinished, "wb") as file:
            torch.save({"format": FORMAT, **state}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    _flush_directory(path.parent)


def save_last(directory: Path, state: dict[str, Any]) -> None:
    """As `save`, and the generation before it stays as previous.ckpt."""
    last = directory / LAST
    unfinished = directory / "next.ckpt"
    save(unfinished, state)
    if last.exists():
        os.replace(last, directory / PREVIOUS)
    os.replace(unfinished, last)
    _flush_directory(directory)


def load(path: Path) -> dict[str, Any]:
    """The state in a file. Nothing in the file is executed, whoever made it."""
    if not path.is_file():
        what = "is a directory" if path.is_dir() else "does not exist"
        raise CheckpointError(
            f"ckpt={path}: {what}; expected a .ckpt file, as in <run directory>/checkpoints/final.ckpt"
        )
    damaged = CheckpointError(f"ckpt={path}: is damaged or cut short, or is no checkpoint")
    if not zipfile.is_zipfile(path):  # torch would try the pickles of old, whose loader stumbles in many ways
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


def newest_valid(directory: Path) -> dict[str, Any] | None:
    """The state to continue from, or None where there is no checkpoint at all."""
    errors = []
    for name in (LAST, PREVIOUS):
        if (directory / name).exists():
            try:
                return load(directory / name)
            except CheckpointError as error:
                errors.append(error)
    if errors:
        raise errors[0]
    return None


def _flush_directory(directory: Path) -> None:
    if os.name != "posix":
        return  # Windows cannot open a directory, and does not need to
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
