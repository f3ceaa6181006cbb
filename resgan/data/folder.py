"""Images of your own: a folder, a zip or a tar, decoded once into one uint8 tensor."""

import json
import lzma
import os
import posixpath
import tarfile
import tempfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, partial
from hashlib import blake2b
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image, ImageOps, features
from torch import Tensor
from tqdm import tqdm

from resgan.base.console import one_line
from resgan.base.rng import make_generator
from resgan.data.dataset import DataError, Dataset
from resgan.data.image_cache import BLOCK, ImageCache

Files = Iterable[tuple[str, Callable[[], bytes]]]  # names, and functions that read the encoded images
Size = tuple[int, int]  # width, height

SOURCES = "a folder of images, a .zip, or a .tar of any compression"
# Pillow registers these too: documents, films and containers, and EPS would start Ghostscript.
NOT_IMAGES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"}
# Versions of the decoders: raise the number when the pixels of any image change. Decoders differ for JPEG.
DECODER = [1, PIL.__version__, features.version("jpg")]
CHUNK = 8  # images that a thread takes at a time: enough to hide its bookkeeping, few enough to hold encoded in memory


def load_folder(
    path: str | Path,
    *,
    size: int | None,  # pixels; None: the images are square and of one size already
    channels: int,  # 1 (grey) or 3 (RGB)
    holdout: float,  # share of the images kept out of training, in [0, 1)
    seed: int,  # of the draw of the held-out images
    progress: bool = True,  # a bar on stderr, where that is a terminal and decoding takes more than a second
    memory_limit: int | None = None,  # bytes, above which the tensor is a mapped file; None: half of the free memory
    cache_directory: Path | None = None,  # where decoded images are kept for the next time; None: nowhere
) -> Dataset:
    """Load the images under `path` as uint8 (N, channels, H, W), with their subfolders as classes.

    Hidden files, links inside archives, and names without the ending of an image format are skipped. Images
    are in the order of their names, the held-out ones apart; which ones are held out depends on the seed and
    the list of names alone. The cache returns what decoding would return, bit for bit.

    The class of an image is the first folder below `path` on its way, however deep it lies; where all images
    share that folder, as in many archives, the next folder below. There are classes only where every image
    has one and there are two or more of them.

    - Orientation: as the EXIF tag says. Animations: the first frame.
    - Size: the shorter side is resized by Pillow's LANCZOS, in one step from the full image, and the middle
      of the longer side is kept. Never enlarged.
    - Transparency: laid on white. Palettes: looked up. Grey of 16 bits and more: the high byte of 16.
    - CMYK and the like: Pillow's own conversion, without colour profiles. RGB to grey: ITU-R 601 luma.

    Raises DataError for: nothing usable at `path`, an image that cannot be decoded or is too small, sizes
    that differ where `size` is None, options out of range.
    """
    path = Path(path).expanduser()
    check_options(size=size, channels=channels, holdout=holdout)
    names, files = open_source(path)
    held = count_held_out(len(names), path=path, holdout=holdout)
    order = shuffle_out(names, held=held, seed=seed)
    side = size or first_side(files())
    rows = {name: row for row, name in enumerate(order)}
    shape = (len(names), channels, side, side)
    limit = free_memory() // 2 if memory_limit is None else memory_limit
    bar = partial(tqdm, desc=path.name, delay=1, disable=None if progress else True)  # None: off without a terminal
    decode = partial(decode_source, path, files, shape, rows=rows, resize=size is not None, limit=limit, bar=bar)
    if cache_directory is None:
        images = decode()
    else:
        key = partial(content_key, path, names, files, size=size, channels=channels, bar=bar)
        of_names = torch.tensor([rows[name] for name in names])
        images = through_cache(cache_directory, key, decode, shape, rows=of_names, limit=limit)
    count = len(names) - held
    train, kept = images[:count], images[count:]
    classes, labels = classify(order)
    return Dataset(
        name=source_name(path),
        train=train,
        holdout=kept,
        reference=train,
        split="train",
        classes=classes,
        labels=None if labels is None else labels[:count],
        holdout_labels=None if labels is None else labels[count:],
    )


def check_options(*, size: int | None, channels: int, holdout: float) -> None:
    if size is not None and size < 1:
        raise DataError(f"data.size={size}: expected at least 1 pixel, or null for images as they are")
    if channels not in (1, 3):
        raise DataError(f"data.channels={channels}: expected 1 (grey) or 3 (RGB)")
    if not 0 <= holdout < 1:
        raise DataError(f"data.holdout={holdout}: expected a share of at least 0 and below 1")


def source_name(path: Path) -> str:
    """Return the folder's name, or the archive's without .zip, .tar.xz and the like."""
    path = Path(os.path.abspath(path))  # so that "." has a name
    return path.name if path.is_dir() else path.stem.removesuffix(".tar")


# Sources of images. Each is a sorted list of names, and a function that starts one pass over (name, reader) in
# whatever order is cheap.


def open_source(path: Path) -> tuple[list[str], Callable[[], Files]]:
    if not path.exists():
        raise DataError(f"data.path={path}: there is no such file or folder; expected {SOURCES}")
    try:
        source = open_folder if path.is_dir() else open_tar if is_tar(path) else open_zip
        names, files = source(path)
    except (OSError, zipfile.BadZipFile) as error:
        reason = one_line(error)
        raise DataError(f"data.path={path}: cannot be read ({reason}); expected {SOURCES}") from error
    if not names:
        raise DataError(f"data.path={path}: holds no images; expected names such as *.png, *.jpg, *.webp")
    if len(names) < 2:
        raise DataError(f"data.path={path}: holds one image only ({names[0]}); at least 2 are needed")
    return names, files


def open_folder(path: Path) -> tuple[list[str], Callable[[], Files]]:
    readers = {}
    for folder, folders, files in os.walk(path, followlinks=True, onerror=raise_error):
        folders[:] = [name for name in folders if not name.startswith(".")]
        below = Path(folder).relative_to(path).as_posix()
        for name in filter(is_image, files):
            readers[image_name(f"{below}/{name}")] = partial(read_file, os.path.join(folder, name))
    return sorted(readers), readers.items


def open_zip(path: Path) -> tuple[list[str], Callable[[], Files]]:
    if not zipfile.is_zipfile(path):
        raise zipfile.BadZipFile("neither a folder nor an archive, or an archive that was cut short")
    archive = zipfile.ZipFile(path)  # stays open as long as its readers; threads may share it
    infos = (info for info in archive.infolist() if is_image(info.filename))
    readers = {image_name(info.filename): partial(archive.read, info) for info in infos}
    return sorted(readers), readers.items


def open_tar(path: Path) -> tuple[list[str], Callable[[], Files]]:
    """Read a tar twice from front to back, for the names and for the images: a compressed tar cannot seek."""
    members = (member for _, member in walk_tar(path) if member.isfile() and is_image(member.name))
    offsets = {image_name(member.name): member.offset for member in members}  # of equal names the last counts
    return sorted(offsets), partial(read_tar, path, offsets)


def read_tar(path: Path, offsets: dict[str, int]) -> Iterator[tuple[str, Callable[[], bytes]]]:
    for tar, member in walk_tar(path):
        name = image_name(member.name)
        if offsets.get(name) == member.offset and (file := tar.extractfile(member)):
            yield name, partial(bytes, file.read())  # read now: there is no way back


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


def image_name(name: str) -> str:
    """Return the name without a leading ./, which some archives have."""
    return posixpath.normpath(name)


def read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def raise_error(error: OSError) -> None:
    raise error


# Held-out images.


def count_held_out(count: int, *, path: Path, holdout: float) -> int:
    held = max(1, round(holdout * count)) if holdout else 0
    if held >= count:
        raise DataError(
            f"data.holdout={holdout}: leaves none of the {count} images in {path} for training; "
            f"expected a share below {(count - 0.5) / count:.6g}"
        )
    return held


def shuffle_out(names: list[str], *, held: int, seed: int) -> list[str]:
    """Move `held` of the names, drawn from `seed`, to the end; both parts stay sorted."""
    order = torch.randperm(len(names), generator=make_generator(seed, "folder"))
    drawn = set(order[:held].tolist())
    return [names[k] for k in sorted(range(len(names)), key=lambda k: (k in drawn, k))]


# Classes.


def classify(names: list[str]) -> tuple[tuple[str, ...], Tensor | None]:
    """Return the sorted classes, and each image's label, int64 (N,), by the rule in `load_folder`."""
    folders = [posixpath.dirname(name).split("/") for name in names]  # [""]: in no folder
    if len({folder[0] for folder in folders}) == 1:
        folders = [folder[1:] or [""] for folder in folders]
    classes = sorted({folder[0] for folder in folders})
    if "" in classes or len(classes) < 2:
        return (), None
    numbers = {name: number for number, name in enumerate(classes)}
    return tuple(classes), torch.tensor([numbers[folder[0]] for folder in folders])


# The cache of decoded images.


def through_cache(
    directory: Path,
    key: Callable[[], str | None],
    decode: Callable[[], Tensor],
    shape: tuple[int, ...],
    *,
    rows: Tensor,  # where each image goes, in the order of their names
    limit: int,
) -> Tensor:
    """Return decoded images from the cache, or decode them and keep them there."""
    content = key()
    if content is None:
        return decode()
    entry = ImageCache(directory, content)
    stored = entry.read(shape)
    if stored is None:
        images = decode()
        if key() == content:  # else files have changed while they were decoded
            entry.write(images, rows)
        return images
    if torch.equal(rows, torch.arange(len(rows))):
        return stored
    return allocate(shape, limit=limit).index_copy_(0, rows, stored)


def content_key(
    path: Path,
    names: list[str],
    files: Callable[[], Files],
    *,
    size: int | None,
    channels: int,
    bar: Callable[..., tqdm],
) -> str | None:
    """Hash all that decides the pixels; None where something cannot be read, which decoding will report.

    For a folder every file is hashed, for an archive the archive itself, which may be compressed.
    """
    options = {"decoder": DECODER, "size": size, "channels": channels, "names": names}
    digest = blake2b(json.dumps(options).encode(), digest_size=20)
    try:
        if path.is_dir():
            found = hash_all(files(), bar=bar(total=len(names), unit=" files"))
            digest.update(b"".join(found[name] for name in names))
        else:
            hash_file(path, digest, bar=bar(total=path.stat().st_size, unit="B", unit_scale=True))
    except OSError:
        return None
    return digest.hexdigest()


def hash_all(files: Files, *, bar: tqdm) -> dict[str, bytes]:
    found: dict[str, bytes] = {}

    def work(name: str, read: Callable[[], bytes]) -> None:
        found[name] = blake2b(read()).digest()

    in_threads(files, work, bar=bar)
    return found


def hash_file(path: Path, digest: blake2b, *, bar: tqdm) -> None:
    with bar, open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.update(len(block))


# From files to the tensor.


def decode_source(
    path: Path,
    files: Callable[[], Files],
    shape: tuple[int, ...],
    *,
    rows: dict[str, int],
    resize: bool,
    limit: int,
    bar: Callable[..., tqdm],
) -> Tensor:
    """Decode all images, each into its row. Raises DataError."""
    images = allocate(shape, limit=limit)
    sizes, broken = decode_all(files(), images, rows=rows, resize=resize, bar=bar(total=len(rows), unit=" images"))
    check_decoded(broken, path=path)
    check_sizes(sizes, size=shape[-1] if resize else None)
    return images


def free_memory() -> int:
    """Return the free memory in bytes, or all memory where the system does not say what is free."""
    known = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" not in known:
        return 2**63  # Windows: leave it to its own swapping
    pages = "SC_AVPHYS_PAGES" if "SC_AVPHYS_PAGES" in known else "SC_PHYS_PAGES"
    return os.sysconf(pages) * os.sysconf("SC_PAGE_SIZE")


def allocate(shape: tuple[int, ...], *, limit: int) -> Tensor:
    """Allocate uint8: in memory up to `limit` bytes, else in a mapped temporary file, deleted once mapped."""
    count = int(np.prod(shape, dtype=np.int64))
    if count <= limit:
        return torch.empty(shape, dtype=torch.uint8)
    with tempfile.NamedTemporaryFile(prefix="resgan-") as file:
        try:
            reserve(file.fileno(), count)
        except OSError as error:
            raise DataError(
                f"data.size={shape[-1]}: the images take {count / 2**30:.1f} GiB, more than memory and "
                f"{tempfile.gettempdir()} hold ({error.strerror}); choose a smaller size, or set TMPDIR"
            ) from error
        return torch.from_file(file.name, shared=True, size=count, dtype=torch.uint8).view(shape)


def reserve(file: int, count: int) -> None:
    """Reserve room on the disk now: writing to a mapped file on a full disk would kill the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file, 0, count)
    else:
        os.truncate(file, count)


def first_side(files: Files) -> int:
    """Return the side of the first image that opens; 1 where none does, which decoding will report."""
    for name, read in files:
        try:
            with open_image(read()) as image:
                size = image.size
        except Exception:
            continue
        check_sizes({name: size}, size=None)
        return size[0]
    return 1


def decode_all(
    files: Files, images: Tensor, *, rows: dict[str, int], resize: bool, bar: tqdm
) -> tuple[dict[str, Size], dict[str, str]]:
    """Fill `images`. Returns the sizes of the images, and the errors of those that cannot be decoded."""
    sizes: dict[str, Size] = {}
    broken: dict[str, str] = {}
    pixels = images.numpy()

    def work(name: str, read: Callable[[], bytes]) -> None:
        try:
            sizes[name] = decode(read(), pixels[rows[name]], resize=resize)
        except Exception as error:  # decoders of damaged files raise nearly everything
            broken[name] = one_line(error)

    in_threads(files, work, bar=bar)
    return sizes, broken


def in_threads(files: Files, work: Callable[[str, Callable[[], bytes]], None], *, bar: tqdm) -> None:
    """Call work(name, reader) for all files, in threads."""

    def work_through(chunk: list[tuple[str, Callable[[], bytes]]]) -> int:
        for name, read in chunk:
            work(name, read)
        return len(chunk)

    workers = (os.cpu_count() or 1) + 4  # some wait for the disk
    with bar, ThreadPoolExecutor(workers) as pool:
        for done in run_ahead(pool, work_through, files, ahead=workers + 2):
            bar.update(done)


def run_ahead(pool: ThreadPoolExecutor, work: Callable, items: Iterable, *, ahead: int) -> Iterator[int]:
    """Call work(chunk) for all chunks, at most `ahead` of them under way: an archive need not fit in memory."""
    items, pending = iter(items), deque[Future]()
    while chunk := list(islice(items, CHUNK)):
        pending.append(pool.submit(work, chunk))
        if len(pending) > ahead:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def decode(data: bytes, out: np.ndarray, *, resize: bool) -> Size:
    """Decode into `out`, uint8 (C, H, W), unless the size does not fit. Returns the size found."""
    channels, side, _ = out.shape
    with open_image(data) as image:
        size = image.size
        if (min(size) >= side) if resize else (size == (side, side)):
            ImageOps.exif_transpose(image, in_place=True)
            image = convert(image, channels=channels)
            if image.size != (side, side):
                image = ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
            out[:] = np.asarray(image).reshape(side, side, channels).transpose(2, 0, 1)
        return size


@cache
def image_formats() -> list[str]:
    """List the formats in the order in which they are tried: the usual ones first."""
    return sorted(set(image_endings().values()), key=lambda form: (form not in ("JPEG", "PNG"), form))


def open_image(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data), formats=image_formats())


def convert(image: Image.Image, *, channels: int) -> Image.Image:
    """Convert to grey or RGB of 8 bits, by the rules in `load_folder`."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not stated")
    if image.mode.startswith("I"):
        deep = np.asarray(image).clip(0, 65535).astype(np.uint16)
        image = Image.fromarray((deep >> 8).astype(np.uint8))
    elif image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


# Errors, reported once all images have been seen.


def check_decoded(broken: dict[str, str], *, path: Path) -> None:
    if broken:
        first = min(broken)
        others = f" and {len(broken) - 1} more" if len(broken) > 1 else ""
        raise DataError(
            f"data.path={path}: {first}{others} cannot be decoded ({broken[first]}); "
            f"remove or replace {'them' if others else 'it'}"
        )


def check_sizes(sizes: dict[str, Size], *, size: int | None) -> None:
    least = min(min(found) for found in sizes.values())
    if size is None:
        check_all_equal(sizes, least=least)
    elif least < size:
        small = sorted(name for name, found in sizes.items() if min(found) < size)
        others = f" (and {len(small) - 1} more)" if len(small) > 1 else ""
        raise DataError(
            f"data.size={size}: image too small: {in_words(small[0], sizes)}{others}, but its "
            f"shorter side must have {size}; set data.size={least} or less, or remove such files"
        )


def check_all_equal(sizes: dict[str, Size], *, least: int) -> None:
    first = min(sizes)
    width, height = sizes[first]
    others = sorted(name for name, found in sizes.items() if found != (width, height))
    if others or width != height:
        found = " and ".join(in_words(name, sizes) for name in (first, *others[:1]))
        raise DataError(
            f"data.size=null: images must be square and of one size, but {found}; "
            f"set data.size={least} or less to crop and resize them"
        )


def in_words(name: str, sizes: dict[str, Size]) -> str:
    return f"{name} is {sizes[name][0]}x{sizes[name][1]}"
