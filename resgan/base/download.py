"""Files from the network: fetched once, verified by their sha256, and kept whole or not at all."""

import contextlib
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from resgan.base.console import reason, say
from resgan.base.errors import UserError
from resgan.base.files import atomic_writer, locked
from resgan.base.progress import progress_bar
from resgan.base.regular_files import read_regular

SILENCE = 30.0  # seconds without a byte, after which a server is given up
PART = 1 << 20  # bytes that are read at a time


class DownloadError(UserError):
    """A file that could not be fetched, and why."""


def fetch(url: str, path: Path, *, sha256: str, what: str) -> bytes:
    """Return the content of a file, from `path` or, where it is missing or damaged there, from `url`; then it is kept.

    sha256: hexadecimal digits of the right content. what: what the file holds, in words. Where another process fetches
    it already, wait for that. Raises DownloadError where the network or the server fails, OSError where `path` cannot
    be written.
    """
    if (content := read_verified(path, sha256)) is not None:
        return content
    if path.exists():
        say(f"{path} is damaged (its sha256 has changed); it is fetched again")
    with turn(path):
        if (content := read_verified(path, sha256)) is not None:
            return content
        with opened(url) as response:
            say(f"fetching {what}, {size_of(response)}, from {url}; kept as {path}")
            with atomic_writer(path) as file:
                digest = hashlib.sha256()
                for part in parts_of(response):
                    digest.update(part)
                    file.write(part)
                if (found := digest.hexdigest()) != sha256:
                    raise DownloadError(
                        f"the file there is another one: its sha256 is {found[:8]}..., not {sha256[:8]}..."
                    )
        return path.read_bytes()


@contextlib.contextmanager
def turn(path: Path) -> Iterator[None]:
    """Let one process at a time fetch a file; where the file system has no locks, each fetches it for itself."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(UserError):
            waiting = f"waiting for another process, which is fetching {path}"
            stack.enter_context(locked(path.with_name(f"{path.name}.lock"), waiting=waiting))
        yield


def read_verified(path: Path, sha256: str) -> bytes | None:
    """Read a file; None where it is missing, cannot be read, or has another sha256."""
    try:
        content = read_regular(path)
    except OSError:
        return None
    return content if hashlib.sha256(content).hexdigest() == sha256 else None


def opened(url: str) -> Any:
    """Open a URL. Raises DownloadError."""
    try:
        return urllib.request.urlopen(url, timeout=SILENCE)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(why(error)) from error


def parts_of(response: Any) -> Iterator[bytes]:
    """Yield the content of a response. Raises DownloadError where the connection breaks before its end."""
    expected, read = length_of(response), 0
    with progress_bar(total=expected, label="fetching", unit="B", show=True, scale=True) as bar:
        while part := read_part(response):
            read += len(part)
            bar.update(len(part))
            yield part
    if expected is not None and read < expected:
        raise DownloadError(f"the connection ended after {read:,} of {expected:,} bytes")


def read_part(response: Any) -> bytes:
    try:
        return response.read(PART)
    except (OSError, http.client.HTTPException) as error:
        raise DownloadError(why(error)) from error


def why(error: Exception) -> str:
    """Say in words why a request failed."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return f"no answer within {SILENCE:g} seconds"
    return reason(cause) if isinstance(cause, Exception) else str(cause)


def length_of(response: Any) -> int | None:
    length = response.headers.get("Content-Length")
    return int(length) if length and length.isdecimal() else None


def size_of(response: Any) -> str:
    length = length_of(response)
    return "of unknown size" if length is None else f"{length / 1e6:.1f} MB"
