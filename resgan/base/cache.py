"""The cache directory: what can be made again, kept so that it need not be. It may be deleted while nothing runs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from resgan.base.console import reason, say
from resgan.base.files import atomic_writer


def cache_directory(given: str | None = None) -> Path:
    """Return the option's value, or $RESGAN_CACHE, or resgan/ where the system keeps a user's caches."""
    if given or (given := os.environ.get("RESGAN_CACHE")):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "resgan"


def store(path: Path, write: Callable[[IO[bytes]], None], *, option: str) -> None:
    """Write an entry with `write`; where it cannot be written, say so in one line on stderr."""
    try:
        with atomic_writer(path) as file:
            write(file)
    except OSError as error:
        say(f"{option}: {path} cannot be written ({reason(error)}); going on")


def say_corrupt(path: Path, error: Exception) -> None:
    say(f"{path} is damaged ({reason(error)}); it is made anew")
