"""Files that are never half written."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file as a whole: a reader sees the old one or the new one, never a part."""
    with atomic_writer(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_writer(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that takes its name when it is complete and on the disk; after an error nothing of it is left.

    Two processes that write the same file do not meet, not even on two machines that share the directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished-{secrets.token_hex(8)}")
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):  # report the first error, not one of the clean-up
            unfinished.unlink(missing_ok=True)
        raise


def flush_directory(path: Path) -> None:
    """Put the names of a directory's files on the disk, so that a rename survives a power cut."""
    if os.name != "posix":
        return  # Windows cannot open a directory, and does not need to
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
