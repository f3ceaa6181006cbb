"""Messages on the screen, and the end of a command."""

import os
import sys
from typing import NoReturn


def say(line: str) -> None:
    print(f"resgan: {line}", file=sys.stderr, flush=True)


def stop(line: str, status: int = 2) -> NoReturn:
    """Say why, and end the process."""
    say(line)
    raise SystemExit(status)


def end_unread() -> NoReturn:
    """End the process where the reader of its output, such as head, has closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes there as it ends
    raise SystemExit(1)


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def reason(error: Exception) -> str:
    """As `one_line`, but of an error of the system what went wrong only, without number and path."""
    said = error.strerror if isinstance(error, OSError) else None
    return said or one_line(error)
