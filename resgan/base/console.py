"""Messages on the console and in the logs of runs, and exits of a command."""

import contextlib
import datetime
import os
import sys
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NoReturn

from resgan.base.errors import UserError

_logs: list[Path] = []  # of the runs at hand
_unwritten: set[Path] = set()  # those of them that cannot be written


def say(line: str) -> None:
    print(f"resgan: {line}", file=sys.stderr, flush=True)
    note(line)


def note(line: str) -> None:
    """Write a line, with the time, to the logs of the runs at hand. A log that cannot be written is done without."""
    now = datetime.datetime.now().isoformat(sep=" ", timespec="seconds")
    for path in _logs:
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(f"{now}  {line}\n")
        except OSError as error:
            if path not in _unwritten:
                _unwritten.add(path)
                print(f"resgan: {path}: cannot be written ({error.strerror}); the run goes on", file=sys.stderr)


@contextlib.contextmanager
def logged(path: Path) -> Iterator[None]:
    """Log what is said inside, and an error that ends it, in a file."""
    _logs.append(path)
    try:
        yield
    except Exception as error:
        note(f"resgan: {one_line(error)}" if isinstance(error, UserError) else traceback.format_exc().rstrip())
        raise
    finally:
        _logs.remove(path)


@cache
def say_once(line: str) -> None:
    """Say a line that this process has not said before: for what is the same for many runs."""
    say(line)


def stop(line: str, status: int = 2) -> NoReturn:
    """Print the reason and end the process."""
    say(line)
    raise SystemExit(status)


def end_unread() -> NoReturn:
    """End the process after the reader of its output, such as head, has closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes stdout at exit
    raise SystemExit(1)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def reason(error: Exception) -> str:
    """Format like `one_line`; for an OSError only its message, without errno and path."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or one_line(error)
