"""The cache directory: results kept to save computing them again. It may be deleted while nothing runs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import IO

from resgan.base.console import reason, say
from resgan.base.files import atomic_writer


def cache_directory(given: str | None = None) -> Path:
    """Return the option's value, else $RESGAN_CACHE, else resgan/ in the user's cache directory."""
    if given or (given := os.environ.get("RESGAN_CACHE")):
        return Path(given).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "resgan"


def store(path: Path, write: Callable[[IO[bytes]], None], *, option: str) -> None:
    """Write an entry with `write`; on failure, say so in one line on stderr and go on."""
    try:
        with atomic_writer(path) as file:
            write(file)
    except OSError as error:
        say(f"{option}: {path} cannot be written ({reason(error)}); going on without it")


def say_corrupt(path: Path, error: Exception) -> None:
    say(f"{path} is damaged ({reason(error)}); it is made again")
