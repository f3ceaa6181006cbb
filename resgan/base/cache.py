"""The cache directory: results kept to save computing them again. It may be deleted while nothing runs."""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from resgan.base.console import reason, say
from resgan.base.files import atomic_writer, make_directory


def cache_directory(given: str | None = None) -> Path:
    """Return the option's value, else $RESGAN_CACHE, else resgan/ in the user's cache directory."""
    if given or (given := os.environ.get("RESGAN_CACHE")):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "resgan"


def store(path: Path, write: Callable[[IO[bytes]], None], *, option: str) -> None:
    """Write an entry with `write`; on failure, say so in one line on stderr and go on."""
    try:
        make_directory(path.parent)
        with atomic_writer(path) as file:
            write(file)
    except OSError as error:
        say(f"{option}: {path} cannot be written ({reason(error)}); going on without it")


def say_corrupt(path: Path, error: Exception) -> None:
    say(f"{path} is damaged ({reason(error)}); it is made again")


# What it holds.


KINDS = (("pictures",), ("weights",))  # folders; statistics of real images lie at the top


@dataclass(frozen=True)
class Entry:
    """A file of the cache."""

    path: Path
    kind: str  # the folder it is in, such as pictures; "statistics" outside of any
    size: int  # bytes
    unused: float  # seconds since it was written, or last used


def used(path: Path) -> None:
    """Note that an entry is used now: its time decides when it is pruned."""
    with contextlib.suppress(OSError):
        os.utime(path)


def entries_of(directory: Path) -> list[Entry]:
    """List the entries, those longest unused first."""
    found, now = [], time.time()
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # another process has removed it
            if path.is_file() and ".unfinished-" not in path.name and path.suffix != ".lock":
                folder, status = path.relative_to(directory).parts[:-1], path.stat()
                if folder not in KINDS and not (folder == () and path.suffix == ".npz"):
                    continue  # not ours: the directory may hold more than the cache
                kind = folder[0] if folder else "statistics"
                found.append(Entry(path, kind, status.st_size, max(0.0, now - status.st_mtime)))
    return sorted(found, key=lambda entry: -entry.unused)


def prune(directory: Path, *, days: float) -> list[Entry]:
    """Remove the entries that were not used for so many days, and return them. A run that has one open keeps it."""
    old = [entry for entry in entries_of(directory) if entry.unused >= 86400 * days]
    for entry in old:
        entry.path.unlink(missing_ok=True)
    return old
