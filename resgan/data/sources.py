"""Sources of images: a folder, a zip or a tar; which files are images, and how each is read."""

import lzma
import os
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from PIL import Image

from resgan.base.console import one_line
from resgan.data.dataset import DataError

Read = Callable[[], bytes]
Files = Iterable[tuple[str, Read]]  # names, and functions that read the encoded images

SOURCES = "a folder of images, a .zip, or a .tar of any compression"
# Pillow registers these too: documents, films and containers, and EPS would start Ghostscript.
NOT_IMAGES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
TABLES = (".csv", ".json")  # endings of files that may hold labels


@dataclass(frozen=True)
class Source:
    """Images at a path, and the tables that lie beside them."""

    path: Path
    names: list[str]  # of the images, sorted
    files: Callable[[], Files]  # starts one pass over the images, in whatever order is cheap
    tables: dict[str, Read]  # readers of the .csv and .json files, by name

    @property
    def top(self) -> str:
        """The only folder at the top that holds all images, with a closing slash; empty where there is none."""
        tops = {name.partition("/")[0] if "/" in name else "" for name in self.names}
        return f"{tops.pop()}/" if len(tops) == 1 and "" not in tops else ""


def open_source(path: Path) -> Source:
    """Find the images at a path. Raises DataError where there are fewer than two."""
    if not path.exists():
        raise DataError(f"data.path={path}: there is no such file or folder; expected {SOURCES}")
    try:
        source = (open_folder if path.is_dir() else open_tar if is_tar(path) else open_zip)(path)
    except (OSError, zipfile.BadZipFile) as error:
        reason = one_line(error)
        raise DataError(f"data.path={path}: cannot be read ({reason}); expected {SOURCES}") from error
    if not source.names:
        raise DataError(f"data.path={path}: holds no images; expected names such as *.png, *.jpg, *.webp")
    if len(source.names) < 2:
        raise DataError(f"data.path={path}: holds one image only ({source.names[0]}); at least 2 are needed")
    return source


def open_folder(path: Path) -> Source:
    images: dict[str, Read] = {}
    tables: dict[str, Read] = {}
    for folder, folders, files in os.walk(path, followlinks=True, onerror=raise_error):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(folder).relative_to(path).as_posix()
        for name in files:
            if (readers := images if is_image(name) else tables if is_table(name) else None) is not None:
                readers[image_name(f"{below}/{name}")] = partial(read_file, os.path.join(folder, name))
    return Source(path, sorted(images), images.items, tables)


def open_zip(path: Path) -> Source:
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile("neither a folder nor an archive, or an archive that was cut short")
    archive = zipfile.ZipFile(path)  # stays open as long as its readers; threads may share it
    images: dict[str, Read] = {}
    tables: dict[str, Read] = {}
    for info in archive.infolist():
        if (readers := images if is_image(info.filename) else tables if is_table(info.filename) else None) is not None:
            readers[image_name(info.filename)] = partial(archive.read, info)
    return Source(path, sorted(images), images.items, tables)


def open_tar(path: Path) -> Source:
    """Read a tar twice from front to back, for the names and for the images: a compressed tar cannot seek."""
    members = {image_name(member.name): member.offset for _, member in walk_tar(path) if member.isfile()}
    offsets = {name: place for name, place in members.items() if is_image(name)}  # of equal names the last counts
    tables: dict[str, Read] = {
        name: partial(read_member, path, name, place) for name, place in members.items() if is_table(name)
    }
    return Source(path, sorted(offsets), partial(read_tar, path, offsets), tables)


def read_tar(path: Path, offsets: dict[str, int]) -> Iterator[tuple[str, Read]]:
    for tar, member in walk_tar(path):
        name = image_name(member.name)
        if offsets.get(name) == member.offset and (file := tar.extractfile(member)):
            yield name, partial(bytes, file.read())  # read now: there is no way back


def read_member(path: Path, name: str, offset: int) -> bytes:
    [(_, read)] = read_tar(path, {name: offset})
    return read()


def walk_tar(path: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    try:
        with tarfile.open(path) as tar:
            for member in tar:
                yield tar, member
            check_end(tar)
    except (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        reason = one_line(error)
        raise DataError(f"data.path={path}: damaged or cut short ({reason}); copy it again") from error


def check_end(tar: tarfile.TarFile) -> None:
    """Check for the zeros that end a tar: Python also stops, in silence, at half a header or a damaged one."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if tar.fileobj.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
        raise tarfile.ReadError("no end mark")


def is_tar(path: Path) -> bool:
    try:
        return tarfile.is_tarfile(path)
    except (EOFError, zlib.error):  # cut short before the first header was complete
        return False


@cache
def image_endings() -> dict[str, str]:
    """Return file endings and the formats Pillow decodes them by: {".png": "PNG", ...}."""
    endings = Image.registered_extensions()
    return {end: form for end, form in endings.items() if form in Image.OPEN and form not in NOT_IMAGES}


def is_image(name: str) -> bool:
    hidden = "/." in "/" + image_name(name)
    return not hidden and posixpath.splitext(name)[1].lower() in image_endings()


def is_table(name: str) -> bool:
    return "/." not in "/" + image_name(name) and posixpath.splitext(name)[1].lower() in TABLES


def image_name(name: str) -> str:
    """Return the name without a leading ./, which some archives have."""
    return posixpath.normpath(name)


def read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def raise_error(error: OSError) -> None:
    raise error
