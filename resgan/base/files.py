"""Atomic writing of files, none of which is ever half written, and locks that end with their process."""

import contextlib
import importlib
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from resgan.base.console import say
from resgan.base.errors import UserError


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file atomically: a reader sees the old or the new content, never a mixture."""
    with atomic_writer(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_writer(path: Path, *, flush: bool = True) -> Iterator[IO[bytes]]:
    """Open a file that gets its name only once it is complete and on disk; after an error nothing is left of it.

    flush: wait for the disk, milliseconds a file; without it, a power cut just after may leave the file empty.
    Processes that write the same file do not collide, not even on two machines that share the directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished-{secrets.token_hex(8)}")
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            if flush:
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):  # report the first error, not one of the cleanup
            unfinished.unlink(missing_ok=True)
        raise


def flush_directory(path: Path) -> None:
    """Write a directory's entries to disk, so that a rename survives a power cut."""
    if os.name != "posix":
        return  # Windows cannot open a directory, and does not need this
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def try_lock(path: Path, *, patience: float = 0) -> IO[str] | None:
    """Lock a file until it is closed, or this process ends; None where it is locked. Raises UserError.

    patience: seconds to wait for another process. A process that inherits the file keeps the lock until it ends too; on
    Windows none inherits it.
    """
    until = time.monotonic() + patience
    while (file := _lock_at_once(path)) is None and time.monotonic() < until:
        time.sleep(0.02)
    return file


def _lock_at_once(path: Path) -> IO[str] | None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("a")
    try:
        lock(file)
    except (BlockingIOError, PermissionError):
        file.close()
        return None
    except OSError as error:  # some network file systems have none either
        file.close()
        raise UserError(f"{path}: cannot be locked ({error.strerror})") from error
    return file


def is_locked(path: Path) -> bool:
    """Check whether a process has locked a file, which may be another user's: it is only read. Raises OSError."""
    with path.open() as file:
        try:
            lock(file, shared=True)
        except (BlockingIOError, PermissionError):
            return True
    return False


def lock(file: IO[str], *, shared: bool = False) -> None:
    """Lock an open file. Where it is locked, raises BlockingIOError, or PermissionError on Windows.

    shared: beside others that do so, and not beside one who does not; on Windows there is no such lock.
    """
    try:
        import fcntl
    except ImportError:
        msvcrt: Any = importlib.import_module("msvcrt")  # Windows; Any, since type checkers elsewhere see it empty
        file.seek(0)  # it locks bytes, from the position of the file on; they need not be there
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked(path: Path, *, waiting: str = "") -> Iterator[None]:
    """Hold the lock of a file inside, and wait for it where another process has it; `waiting` is said then."""
    while (file := try_lock(path)) is None:
        if waiting:
            say(waiting)
            waiting = ""
        time.sleep(0.05)
    with file:
        yield
