"""Zips and tars, read within limits: nothing in them is trusted, and nothing is written to disk."""

import posixpath
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

from resgan.base.console import one_line
from resgan.base.regular_files import open_regular
from resgan.data.dataset import DataError
from resgan.data.limits import Limits, TooLarge

# Python's zipfile unpacks what the others hold in one piece, however large it is.
ZIP_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
PIECE = 2**18  # bytes that are unpacked at a time

Check = Callable[[int], None]  # of a number of bytes, as of `Limits`


# Zips.


def open_zip(path: Path, limits: Limits) -> zipfile.ZipFile:
    """Open a zip, which stays open as long as its readers; threads may share it. Raises OSError, TooLarge."""
    with open_regular(path):  # the zip opens it itself, so that closing it closes the file
        pass
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # directories of damaged zips raise nearly everything
        raise OSError("neither a folder nor an archive, or an archive that was cut short") from error
    members = archive.infolist()
    limits.check_files(len(members))
    limits.check_unpacked(sum(info.file_size for info in members))
    return archive


def files_of(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the files in a zip by name, without folders and links. Raises OSError for a name that is unfit."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        if info.is_dir() or stat.S_ISLNK(info.external_attr >> 16):
            continue
        check_inside(info.filename)
        name = member_name(info.filename)
        if name in found:
            raise OSError(f"holds {name} twice")
        found[name] = info
    return found


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """Open a file in a zip. Raises OSError for a method of compression that is not read, and encryption."""
    if info.compress_type not in ZIP_METHODS:
        raise OSError(f"compressed by method {info.compress_type} of zips, and not by deflate; pack it again")
    if info.flag_bits & 1:
        raise OSError("encrypted")
    return archive.open(info)


def read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, check: Check) -> bytes:
    """Read a file in a zip, whose number of bytes passes the check: no more than its directory says.

    Raises OSError, TooLarge.
    """
    check(info.file_size)
    try:
        with open_member(archive, info) as file:
            return b"".join(iter(partial(file.read, PIECE), b""))
    except OSError:
        raise
    except Exception as error:  # BadZipFile, zlib.error, NotImplementedError, ...
        raise OSError(one_line(error)) from error


# Tars.


class Bounded:
    """The file below a tar, which may be compressed: how far it is read, and how much at once, is limited."""

    def __init__(self, file: Any, limits: Limits) -> None:
        self.file, self.limits = file, limits

    def read(self, size: int) -> bytes:
        self.limits.check_image(size)  # names of members too, which may be of any length
        self.limits.check_unpacked(self.file.tell() + size)
        return self.file.read(size)

    def seek(self, place: int) -> int:
        self.limits.check_unpacked(place)
        return self.file.seek(place)

    def tell(self) -> int:
        return self.file.tell()

    def close(self) -> None:
        self.file.close()


def open_tar(file: IO[bytes], limits: Limits) -> tarfile.TarFile:
    class Tar(tarfile.TarFile):
        @classmethod
        def taropen(cls, name, mode="r", fileobj=None, **options):  # where all compressions meet
            return super().taropen(name, mode, Bounded(fileobj, limits), **options)  # type: ignore[arg-type]

    return Tar.open(fileobj=file)


def is_tar(path: Path, limits: Limits) -> bool:
    try:
        with open_regular(path) as file, open_tar(file, limits):
            return True
    except TooLarge:
        return True
    except OSError:
        raise
    except Exception:  # no tar, or cut short before the first header was complete
        return False


def walk_tar(path: Path, limits: Limits) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Go once through the members, from front to back. Raises DataError, which names the path."""
    count = 0
    try:
        with open_regular(path) as file, open_tar(file, limits) as tar:
            while member := tar.next():
                count += 1
                limits.check_files(count)
                yield tar, member
                tar.members.clear()  # type: ignore[attr-defined]  # it would keep all of them
            check_end(tar)
    except TooLarge as error:
        raise DataError(f"data.path={path}: {error}") from error
    except DataError:
        raise
    except Exception as error:  # headers of damaged tars raise nearly everything
        raise DataError(f"data.path={path}: damaged or cut short ({one_line(error)}); copy it again") from error


def read_tar(tar: tarfile.TarFile, member: tarfile.TarInfo, check: Check) -> bytes:
    """Read a file in a tar, whose number of bytes passes the check. Raises OSError, TooLarge."""
    check(member.size)
    if member.issparse():  # its holes would be memory
        raise OSError("a sparse file; pack it again without --sparse")
    try:
        file = tar.extractfile(member)
        return b"" if file is None else file.read()
    except (OSError, TooLarge):
        raise
    except Exception as error:  # ReadError, zlib.error, EOFError, ...
        raise OSError(one_line(error)) from error


def check_end(tar: tarfile.TarFile) -> None:
    """Check for the zeros that end a tar: Python also stops, in silence, at half a header or a damaged one.

    What follows is read too, since a checksum stands at the very end of a compressed file.
    """
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise tarfile.ReadError("no end mark")
    while tar.fileobj.read(PIECE):
        pass


# Names.


def member_name(name: str) -> str:
    """Return the name without a leading ./, which some archives have."""
    return posixpath.normpath(name)


def check_inside(name: str) -> None:
    """Refuse a name that leads out of its archive, from which no class could be read. Raises OSError."""
    if posixpath.isabs(name) or ".." in name.split("/"):
        raise OSError(f"holds {name}, a name that leads out of it")
