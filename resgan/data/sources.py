"""Sources of images: a folder, a zip or a tar; which files are images, and how each is read."""

import os
import posixpath
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import NoReturn

from PIL import Image

from resgan.base.console import reason, say_once
from resgan.base.regular_files import open_regular
from resgan.data import archives
from resgan.data.archives import member_name
from resgan.data.dataset import DataError
from resgan.data.limits import USUAL, Limits, TooLarge

Read = Callable[[], bytes]  # raises OSError, TooLarge, which are a part of a line

SOURCES = "a folder of images, a .zip, or a .tar of any compression"
# Pillow registers these too: documents, films and containers, and EPS would start Ghostscript.
NOT_IMAGES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
TABLES = (".csv", ".json")  # endings of files that may hold labels


@dataclass(frozen=True)
class Encoded:
    """An image as it lies in its source."""

    size: int  # bytes; 0 where it cannot be read
    read: Read


Files = Iterable[tuple[str, Encoded]]


@dataclass(frozen=True)
class Source:
    """Images at a path, and the tables that lie beside them."""

    path: Path
    names: list[str]  # of the images, sorted
    files: Callable[[], Files]  # starts one pass over the images, in whatever order is cheap
    tables: dict[str, Read]  # readers of the .csv and .json files, by name
    limits: Limits

    @property
    def top(self) -> str:
        """The only folder at the top that holds all images, with a closing slash; empty where there is none."""
        tops = {name.partition("/")[0] if "/" in name else "" for name in self.names}
        return f"{tops.pop()}/" if len(tops) == 1 and "" not in tops else ""


def open_source(path: Path, limits: Limits = USUAL) -> Source:
    """Find the images at a path. Raises DataError where there are fewer than two."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"data.path={path}: there is no such file or folder; expected {SOURCES}") from None
    except (OSError, ValueError) as error:  # ValueError: a null byte
        raise DataError(f"data.path={path}: cannot be read ({reason(error)}); expected {SOURCES}") from error
    try:
        source = opener(path, limits)(path, limits)
    except OSError as error:
        raise DataError(f"data.path={path}: cannot be read ({reason(error)}); expected {SOURCES}") from error
    except TooLarge as error:
        raise DataError(f"data.path={path}: {error}") from error
    if not source.names:
        raise DataError(f"data.path={path}: holds no images; expected names such as *.png, *.jpg, *.webp")
    if len(source.names) < 2:
        raise DataError(f"data.path={path}: holds one image only ({source.names[0]}); at least 2 are needed")
    return source


def opener(path: Path, limits: Limits) -> Callable[[Path, Limits], Source]:
    if path.is_dir():
        return open_folder
    return open_tar if archives.is_tar(path, limits) else open_zip


# Folders.


def open_folder(path: Path, limits: Limits) -> Source:
    images: dict[str, str] = {}
    tables: dict[str, Read] = {}
    for folder, files in walk_folders(path):
        below = Path(folder).relative_to(path).as_posix()
        for file in files:
            name, place = member_name(f"{below}/{file}"), os.path.join(folder, file)
            if is_image(name):
                images[name] = place
            elif is_table(name):
                tables[name] = partial(read_file, place, limits.check_table)

    def files_of_pass() -> Files:
        for name, place in images.items():
            yield name, Encoded(size_of(place), partial(read_file, place, limits.check_image))

    return Source(path, sorted(images), files_of_pass, tables, limits)


def walk_folders(top: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each real folder once, and its files: by its own way, else by the first link that leads to it."""
    seen: set[tuple[int, int]] = set()
    ways, passed_over = deque([str(top)]), []
    while ways:
        for folder, folders, files in os.walk(ways.popleft(), onerror=raise_error):
            found = os.stat(folder)
            if (found.st_dev, found.st_ino) in seen:
                passed_over.append(os.path.relpath(folder, top))
                folders.clear()
                continue
            seen.add((found.st_dev, found.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            ways += (place for name in folders if os.path.islink(place := os.path.join(folder, name)))
            yield folder, files
    if passed_over:
        others = f" and {len(passed_over) - 1} more" if len(passed_over) > 1 else ""
        say_once(f"{top}: {passed_over[0]}{others} passed over, as a link to a folder that is read already")


def size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # reading it will say why
        return 0


def read_file(path: str, check: Callable[[int], None]) -> bytes:
    """Read a file whose number of bytes passes the check. Raises OSError, TooLarge."""
    with open_regular(path) as file:
        check(os.fstat(file.fileno()).st_size)
        return file.read()


# Archives.


def open_zip(path: Path, limits: Limits) -> Source:
    archive = archives.open_zip(path, limits)
    images: dict[str, Encoded] = {}
    tables: dict[str, Read] = {}
    for name, info in archives.files_of(archive).items():
        if is_image(name):
            images[name] = Encoded(info.file_size, partial(archives.read_zip, archive, info, limits.check_image))
        elif is_table(name):
            tables[name] = partial(archives.read_zip, archive, info, limits.check_table)
    return Source(path, sorted(images), images.items, tables, limits)


def open_tar(path: Path, limits: Limits) -> Source:
    """Read a tar twice from front to back, for the names and for the images: a compressed tar cannot seek."""
    members: dict[str, int] = {}  # of equal names the last counts
    for _, member in archives.walk_tar(path, limits):
        if member.isfile():
            archives.check_inside(member.name)
            name = member_name(member.name)
            if is_image(name) or is_table(name):
                members[name] = member.offset
    images = {name: offset for name, offset in members.items() if is_image(name)}
    tables: dict[str, Read] = {
        name: partial(read_from_tar, path, name, offset, limits) for name, offset in members.items() if is_table(name)
    }
    files_of_pass = partial(read_members, path, images, limits, limits.check_image)
    return Source(path, sorted(images), files_of_pass, tables, limits)


def read_members(path: Path, offsets: dict[str, int], limits: Limits, check: Callable[[int], None]) -> Files:
    for tar, member in archives.walk_tar(path, limits):
        name = member_name(member.name)
        if offsets.get(name) != member.offset:
            continue
        try:
            content = archives.read_tar(tar, member, check)  # now: there is no way back
        except (OSError, TooLarge) as error:
            yield name, Encoded(0, partial(raise_error, error))
        else:
            yield name, Encoded(len(content), partial(bytes, content))


def read_from_tar(path: Path, name: str, offset: int, limits: Limits) -> bytes:
    [(_, file)] = read_members(path, {name: offset}, limits, limits.check_table)
    return file.read()


# Names.


@cache
def image_endings() -> dict[str, str]:
    """Return file endings and the formats Pillow decodes them by: {".png": "PNG", ...}."""
    endings = Image.registered_extensions()
    return {end: form for end, form in endings.items() if form in Image.OPEN and form not in NOT_IMAGES}


def is_image(name: str) -> bool:
    hidden = "/." in "/" + member_name(name)
    return not hidden and posixpath.splitext(name)[1].lower() in image_endings()


def is_table(name: str) -> bool:
    return "/." not in "/" + member_name(name) and posixpath.splitext(name)[1].lower() in TABLES


def raise_error(error: Exception) -> NoReturn:
    raise error
