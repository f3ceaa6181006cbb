"""Messages on the console, and exits of a command."""

import os
import sys
from functools import cache
from typing import NoReturn


def say(line: str) -> None:
    print(f"resgan: {line}", file=sys.stderr, flush=True)


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
