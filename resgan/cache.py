"""The cache directory: what can be made again, kept so that it need not be. It may be deleted while nothing runs."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from resgan.runs import replacing


def cache_directory(given: str | None = None) -> Path:
    """What an option says, or $RESGAN_CACHE, or resgan/ where the system keeps a user's caches."""
    if given or (given := os.environ.get("RESGAN_CACHE")):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "resgan"


def keep(path: Path, write: Callable[[IO[bytes]], None], *, option: str) -> None:
    """An entry, by what writes it; one line on stderr where it cannot be written."""
    try:
        with replacing(path) as file:
            write(file)
    except OSError as error:
        print(f"resgan: {option}: {path} cannot be written ({reason(error)}); going on", file=sys.stderr)


def say_damaged(path: Path, error: Exception) -> None:
    print(f"resgan: {path} is damaged ({reason(error)}); it is made anew", file=sys.stderr)


def reason(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return said or " ".join(str(error).split()) or type(error).__name__
