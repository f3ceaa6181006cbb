"""Atomic writing of files, none of which is ever half written, and locks that end with their process."""

import contextlib
import errno
import importlib
import io
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from resgan.base.console import say
from resgan.base.errors import UserError

OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)  # errors that only writing raises
NO_FLUSH = (errno.EINVAL, errno.ENOTSUP)  # said by file systems that cannot flush a directory


class WriteError(OSError, UserError):
    """A file that cannot be written, as on a full disk; the message names it and says why. An older content is whole.

    advice: how to go on once it can be written
    """

    status = 1
    advice = ""

    def __str__(self) -> str:
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.filename}: cannot be written ({self.strerror}){advice}"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise a WriteError of this file for an OSError inside."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


def write_atomically(path: Path, content: str | bytes) -> None:
    """Replace a file atomically: a reader sees the old or the new content, never a mixture. Raises WriteError."""
    with atomic_writer(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def atomic_writer(path: Path, *, flush: bool = True) -> Iterator[IO[bytes]]:
    """Open a file that gets its name only once it is complete and on disk; after an error nothing is left of it.

    flush: wait for the disk, milliseconds a file; without it, a power cut just after may leave the file empty.
    Processes that write the same file do not collide, not even on two machines that share the directory.
    Makes the file's directory, but none above it: a run's directory that was taken away is not begun anew.
    Raises WriteError, also where a library such as torch has made another error of it; other errors pass.
    """
    unfinished = path.with_name(f"{path.name}.unfinished-{secrets.token_hex(8)}")
    file = None
    try:
        with writing(path):
            make_directory(path.parent, parents=False)
            raw = _Watched(unfinished, "wb")
            file = io.BufferedWriter(raw)
        try:
            yield file
        except Exception as error:
            own = error if isinstance(error, OSError) and error.errno in OF_THE_DISK else None
            if (refused := raw.refused or own) is None:
                raise
            with writing(path):
                raise refused from None
        with writing(path):
            file.flush()
            if raw.refused is not None:  # and a library went on
                raise raw.refused
            if flush:
                os.fsync(file.fileno())
            file.close()
            os.replace(unfinished, path)
            if flush:
                flush_directory(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):  # report the first error, not one of the cleanup
            if file is not None:
                file.close()
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


class _Watched(io.FileIO):
    """A file that remembers why a write to it failed."""

    refused: OSError | None = None

    def write(self, data: Any, /) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            self.refused = self.refused or error
            raise


def append_line(path: Path, line: str, *, flush: bool = True) -> None:
    """Append a line whole or not at all, on a line of its own even after one that a crash cut. Raises WriteError.

    flush: wait for the disk, as for `atomic_writer`.
    """
    with writing(path), open(path, "ab+", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        data = (b"\n" if file.read(1) not in (b"", b"\n") else b"") + line.encode() + b"\n"
        try:
            if file.write(data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if flush:
                os.fsync(file.fileno())
        except OSError:
            with contextlib.suppress(OSError):
                file.truncate(end)
            raise


def flush_file(path: Path) -> None:
    """Wait until the content of a file, and its name in the directory, are on disk. Raises WriteError."""
    with writing(path):
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
        flush_directory(path.parent)


def make_directory(path: Path, *, parents: bool = True) -> None:
    """Make a directory, unless it is there, and wait until it is on disk. Raises WriteError."""
    if path.is_dir():
        return
    with writing(path):
        if parents:
            make_directory(path.parent)
        path.mkdir(exist_ok=True)
        flush_directory(path.parent)


def rename(path: Path, target: Path) -> None:
    """Give a file another name, in place of a file that has it, and wait for the disk. Raises WriteError."""
    with writing(target):
        os.replace(path, target)
        flush_directory(target.parent)


def flush_directory(path: Path) -> None:
    """Write a directory's entries to disk, so that a rename survives a power cut."""
    if os.name != "posix":
        return  # Windows cannot open a directory, and does not need this
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in NO_FLUSH:
            raise
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
    make_directory(path.parent)
    with writing(path):
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
