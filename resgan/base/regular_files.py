"""Reading of files that a user names: regular ones and links to them, since a pipe or a device may never end."""

import os
import stat
from pathlib import Path
from typing import IO


def open_regular(path: str | Path) -> IO[bytes]:
    """Open a file for reading. Raises OSError, also for a pipe, a socket, a device and a directory."""
    if kind := other_kind(os.stat(path).st_mode):
        raise OSError(f"is {kind}, not a file")
    return open(path, "rb")


def read_regular(path: str | Path) -> bytes:
    """Read a file as a whole. Raises OSError as `open_regular` does."""
    with open_regular(path) as file:
        return file.read()


def other_kind(mode: int) -> str | None:
    """Name what is no regular file; None for one."""
    kinds = {
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFDIR: "a directory",
    }
    return None if stat.S_ISREG(mode) else kinds.get(stat.S_IFMT(mode), "something else")
