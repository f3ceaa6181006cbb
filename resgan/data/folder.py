"""Images of your own: a folder, a zip or a tar, decoded once into one uint8 tensor."""

import contextlib
import json
import os
import re
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import TypeVar

import numpy as np
import PIL
import torch
from PIL import ExifTags, Image, ImageFile, ImageOps, features
from torch import Tensor
from tqdm import tqdm

from resgan.base.console import one_line
from resgan.base.progress import progress_bar
from resgan.base.rng import make_generator
from resgan.data.dataset import DataError, Dataset
from resgan.data.fitting import Fitting, Size
from resgan.data.image_cache import BLOCK, ImageCache
from resgan.data.labels import read_labels
from resgan.data.limits import Limits, TooLarge
from resgan.data.sources import Encoded, Files, Source, image_endings, open_source
from resgan.options.choices import Fit

# Versions of the decoders: raise the number when the pixels of any image change. Decoders differ for JPEG.
DECODER = [1, PIL.__version__, features.version("jpg")]
CHUNK = 8  # images that a thread takes at a time: enough to hide its bookkeeping, few enough to hold encoded in memory
AT_ONCE = 2**28  # bytes of encoded images, and pixels of decoded ones, under way in all threads; one image may be more


@dataclass(frozen=True)
class Reading:
    """How the images of a source become one tensor."""

    source: Source
    channels: int
    fitting: Fitting | None  # None: they are square and of one size
    bar: Callable[..., tqdm]


def load_folder(
    path: str | Path,
    *,
    size: int | None,  # pixels; None: the images are square and of one size already
    channels: int,  # 1 (grey) or 3 (RGB)
    holdout: float,  # share of the images kept out of training, in [0, 1)
    seed: int,  # of the draw of the held-out images
    fit: Fit = "crop",  # how images become square, see `Fitting`
    enlarge: bool = False,  # images smaller than `size`
    labels: str = "auto",  # where classes are from, see `read_labels`
    progress: bool = True,  # a bar on stderr, where that is a terminal and decoding takes more than a second
    limits: float = 1.0,  # factor on what is read at most, see `Limits`
    memory_limit: int | None = None,  # bytes, above which the tensor is a mapped file; None: half of the free memory
    cache_directory: Path | None = None,  # where decoded images are kept for the next time; None: nowhere
) -> Dataset:
    """Load the images under `path` as uint8 (N, channels, H, W), with their classes.

    Hidden files, links inside archives, and names without the ending of an image format are skipped. Links in folders
    are followed, and each real folder is read once; what is no regular file is refused. Images are in the order of
    their names, the held-out ones apart; which ones are held out depends on the seed and the list of names alone. The
    cache returns what decoding would return, bit for bit. The data set's `note` says what was done to the sizes of how
    many images.

    - Orientation: as the EXIF tag says. Animations: the first frame.
    - Size: see `Fitting`.
    - Transparency: laid on white. Palettes: looked up. Grey of 16 bits and more: the high byte of 16.
    - CMYK and the like: Pillow's own conversion, without colour profiles. RGB to grey: ITU-R 601 luma.

    Raises DataError for: nothing usable at `path`, an image that cannot be decoded or is too small, sizes
    that differ where `size` is None, labels that do not belong to the images, options out of range.
    """
    path = Path(path).expanduser()
    check_options(size=size, channels=channels, holdout=holdout)
    source = open_source(path, Limits(limits))
    names = source.names
    held = count_held_out(len(names), path=path, holdout=holdout)
    order = shuffle_out(names, held=held, seed=seed)
    found = read_labels(source, labels)
    reading = Reading(
        source,
        channels,
        fitting=None if size is None else Fitting(side=size, fit=fit, enlarge=enlarge),
        bar=partial(progress_bar, label=path.name, show=progress),
    )
    side = size or first_side(source)
    limit = free_memory() // 2 if memory_limit is None else memory_limit
    images, sizes = read_images(reading, order, side, limit=limit, cache_directory=cache_directory)
    count = len(names) - held
    train, kept = images[:count], images[count:]
    done = "" if reading.fitting is None else reading.fitting.in_words(sizes)
    return Dataset(
        name=source_name(path),
        train=train,
        holdout=kept,
        reference=train,
        split="train",
        classes=found.classes,
        labels=found.of(order[:count]),
        holdout_labels=found.of(order[count:]),
        note=done and f"{source_name(path)}: {done}",
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


# What is known before decoding.


def find_side(path: str | Path, *, progress: bool, limits: float = 1.0) -> int:
    """Return the side of images that are square and of one size, from their headers. Raises DataError for others."""
    source = open_source(Path(path).expanduser(), Limits(limits))
    bar = partial(progress_bar, label=source.path.name, show=progress)
    sizes, broken = measure(source, bar=bar)
    check_decoded(broken, path=source.path)
    check_sizes(sizes, None)
    return next(iter(sizes.values()))[0]


def measure(source: Source, *, bar: Callable[..., tqdm]) -> tuple[dict[str, Size], dict[str, str]]:
    """Read the sizes of all images from their headers. Returns sizes, and errors of those that do not open, by name."""

    def size_of(_: str, data: bytes) -> Size:
        with open_image(data) as image:
            return upright_size(image)

    return for_all(source.files(), size_of, bar=bar(total=len(source.names), unit="images"), limits=source.limits)


def upright_size(image: Image.Image) -> Size:
    """Return the size once the image is turned as its EXIF tag says, without decoding its pixels."""
    turned = "exif" in image.info and image.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
    width, height = image.size
    return (height, width) if turned else (width, height)


# The cache of decoded images.


def read_images(
    reading: Reading,
    order: list[str],  # of the names in the tensor
    side: int,
    *,
    limit: int,  # bytes of memory
    cache_directory: Path | None,
) -> tuple[Tensor, Counter[Size]]:
    """Return decoded images from the cache, or decode them and keep them there; and how many are of each size."""
    rows = {name: row for row, name in enumerate(order)}
    shape = (len(order), reading.channels, side, side)
    decode = partial(decode_source, reading, shape, rows=rows, limit=limit)
    content = None if cache_directory is None else content_key(reading)
    if cache_directory is None or content is None:
        return decode()
    entry = ImageCache(cache_directory, content)
    places = torch.tensor([rows[name] for name in reading.source.names])
    stored = entry.read(shape)
    if stored is None:
        images, sizes = decode()
        if content_key(reading) == content:  # else files have changed while they were decoded
            entry.write(images, places)
            if reading.fitting:
                entry.write_sizes(sizes)
        return images, sizes
    sizes = known_sizes(entry, reading)
    if torch.equal(places, torch.arange(len(places))):
        return stored, sizes
    return allocate(shape, limit=limit).index_copy_(0, places, stored), sizes


def known_sizes(entry: ImageCache, reading: Reading) -> Counter[Size]:
    """Return how many images are of each size: as kept beside the entry, or else measured."""
    if reading.fitting is None:
        return Counter()  # all are of one
    sizes = entry.read_sizes()
    if sizes is None:
        sizes = Counter(measure(reading.source, bar=reading.bar)[0].values())
        entry.write_sizes(sizes)
    return sizes


def content_key(reading: Reading) -> str | None:
    """Hash all that decides the pixels; None where something cannot be read, which decoding will report.

    For a folder every file is hashed, for an archive the archive itself, which may be compressed. Labels decide none.
    """
    source, fitting, bar = reading.source, reading.fitting, reading.bar
    options = {
        "decoder": DECODER,
        "size": fitting and fitting.side,
        "channels": reading.channels,
        "names": source.names,
    }
    # Keys from before there was a choice stay as they are.
    if fitting and (fitting.fit, fitting.enlarge) != ("crop", False):
        options |= {"fit": fitting.fit, "enlarge": fitting.enlarge}
    digest = blake2b(json.dumps(options).encode(), digest_size=20)
    try:
        if source.path.is_dir():
            found = hash_all(source.files(), bar=bar(total=len(source.names), unit="files"))
            digest.update(b"".join(found[name] for name in source.names))
        else:
            hash_file(source.path, digest, bar=bar(total=source.path.stat().st_size, unit="B", scale=True))
    except (OSError, TooLarge):
        return None
    return digest.hexdigest()


def hash_all(files: Files, *, bar: tqdm) -> dict[str, bytes]:
    found: dict[str, bytes] = {}

    def work(name: str, file: Encoded) -> None:
        found[name] = blake2b(file.read()).digest()

    in_threads(files, work, bar=bar)
    return found


def hash_file(path: Path, digest: blake2b, *, bar: tqdm) -> None:
    with bar, open(path, "rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.update(len(block))


# From files to the tensor.


def decode_source(
    reading: Reading, shape: tuple[int, ...], *, rows: dict[str, int], limit: int
) -> tuple[Tensor, Counter[Size]]:
    """Decode all images, each into its row, and count their sizes. Raises DataError."""
    images = allocate(shape, limit=limit)
    source = reading.source
    bar = reading.bar(total=len(rows), unit="images")
    sizes, broken = decode_all(source, images, rows=rows, fitting=reading.fitting, bar=bar)
    check_decoded(broken, path=source.path)
    check_sizes(sizes, reading.fitting)
    return images, Counter(sizes.values())


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


def first_side(source: Source) -> int:
    """Return the side of the first image that opens; 1 where none does, which decoding will report."""
    with source.limits.of_pillow():
        for name, file in source.files():
            try:
                with open_image(file.read()) as image:
                    size = image.size
            except Exception:
                continue
            check_sizes({name: size}, None)
            return size[0]
    return 1


def decode_all(
    source: Source, images: Tensor, *, rows: dict[str, int], fitting: Fitting | None, bar: tqdm
) -> tuple[dict[str, Size], dict[str, str]]:
    """Fill `images`. Returns the sizes of the images, and the errors of those that cannot be decoded."""
    pixels = images.numpy()
    return for_all(
        source.files(),
        lambda name, data: decode(data, pixels[rows[name]], fitting=fitting),
        bar=bar,
        limits=source.limits,
    )


Found = TypeVar("Found")


def for_all(
    files: Files, find: Callable[[str, bytes], Found], *, bar: tqdm, limits: Limits
) -> tuple[dict[str, Found], dict[str, str]]:
    """Call find(name, encoded image) for all files, in threads. Returns what it found, and its errors, by name."""
    found: dict[str, Found] = {}
    broken: dict[str, str] = {}

    def work(name: str, file: Encoded) -> None:
        try:
            found[name] = find(name, file.read())
        except Image.DecompressionBombError:
            broken[name] = f"has more than {limits.pixels:,.0f} pixels; a greater data.limits reads it"
        except Exception as error:  # decoders of damaged files raise nearly everything
            broken[name] = re.sub(r" <_io\.BytesIO object at \w+>", "", one_line(error))  # no name of a file

    with limits.of_pillow():
        in_threads(files, work, bar=bar)
    return found, broken


def in_threads(files: Files, work: Callable[[str, Encoded], None], *, bar: tqdm) -> None:
    """Call work(name, file) for all files, in threads. A signal ends it after the files that are being worked on."""
    ended = threading.Event()

    def work_through(chunk: list[tuple[str, Encoded]]) -> int:
        for name, file in chunk:
            if not ended.is_set():
                work(name, file)
        return len(chunk)

    workers = (os.cpu_count() or 1) + 4  # some wait for the disk
    with bar, ThreadPoolExecutor(workers) as pool:
        try:
            for done in run_ahead(pool, work_through, files, ahead=workers + 2):
                bar.update(done)
        except BaseException:
            ended.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def run_ahead(pool: ThreadPoolExecutor, work: Callable, files: Files, *, ahead: int) -> Iterator[int]:
    """Call work(chunk) for all chunks, few of them under way: an archive need not fit in memory, still encoded."""
    pending = deque[tuple[Future, int]]()
    held = 0  # bytes
    for chunk, size in chunks(files):
        while pending and (len(pending) >= ahead or held + size > AT_ONCE):
            done, released = pending.popleft()
            held -= released
            yield done.result()
        pending.append((pool.submit(work, chunk), size))
        held += size
    while pending:
        yield pending.popleft()[0].result()


def chunks(files: Files) -> Iterator[tuple[list[tuple[str, Encoded]], int]]:
    """Divide files into chunks for a thread, of CHUNK files or of AT_ONCE / 8 bytes and one file more."""
    chunk, size = [], 0
    for name, file in files:
        chunk.append((name, file))
        size += file.size
        if len(chunk) == CHUNK or size > AT_ONCE // 8:
            yield chunk, size
            chunk, size = [], 0
    if chunk:
        yield chunk, size


def decode(data: bytes, out: np.ndarray, *, fitting: Fitting | None) -> Size:
    """Decode into `out`, uint8 (C, H, W), unless the size does not fit. Returns the size found."""
    channels, side, _ = out.shape
    with open_image(data) as image:
        if not (fitting.takes(image.size) if fitting else image.size == (side, side)):
            return image.size
        ImageOps.exif_transpose(image, in_place=True)
        size = image.size
        image = convert(image, channels=channels)
        if fitting:
            image = fitting.apply(image)
        out[:] = np.asarray(image).reshape(side, side, channels).transpose(2, 0, 1)
        return size


@cache
def image_formats() -> list[str]:
    """List the formats in the order in which they are tried: the usual ones first."""
    return sorted(set(image_endings().values()), key=lambda form: (form not in ("JPEG", "PNG"), form))


@contextlib.contextmanager
def open_image(data: bytes) -> Iterator[Image.Image]:
    """Open an image, once there is room for its pixels beside those of other threads."""
    with Image.open(BytesIO(data), formats=image_formats()) as image:
        scale_transparency(image)
        with ROOM.taking(image.width * image.height):
            yield image


class Room:
    """An amount that threads share. One that needs more than there is in all goes alone."""

    def __init__(self, size: int) -> None:
        self.size = self.free = size
        self.changed = threading.Condition()

    @contextlib.contextmanager
    def taking(self, part: int) -> Iterator[None]:
        part = min(part, self.size)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= part)
            self.free -= part
        try:
            yield
        finally:
            with self.changed:
                self.free += part
                self.changed.notify_all()


ROOM = Room(AT_ONCE)


def scale_transparency(image: ImageFile.ImageFile) -> None:
    """Bring the transparent colour of a PNG to the scale of its pixels; Pillow leaves it in bits of the file."""
    key = image.info.get("transparency")
    if image.format != "PNG" or not image.tile or key is None:
        return
    match image.tile[0][3], key:
        case "L;2", int():
            image.info["transparency"] = 85 * (key & 3)
        case "L;4", int():
            image.info["transparency"] = 17 * (key & 15)
        case "L" | "RGB", _:
            image.info["transparency"] = key & 255 if isinstance(key, int) else tuple(part & 255 for part in key)
        case "RGB;16B", (red, green, blue):
            image.info["transparency"] = (red >> 8, green >> 8, blue >> 8)


def convert(image: Image.Image, *, channels: int) -> Image.Image:
    """Convert to grey or RGB of 8 bits, by the rules in `load_folder`."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, whose range is not stated")
    if image.mode.startswith("I"):
        deep = np.asarray(image).clip(0, 65535).astype(np.uint16)
        high = (deep >> 8).astype(np.uint8)
        high[deep == image.info.get("transparency", -1)] = 255
        image = Image.fromarray(high)
    elif image.has_transparency_data:
        image = image.convert("LA") if image.mode == "La" else image
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


def check_sizes(sizes: dict[str, Size], fitting: Fitting | None) -> None:
    least = min(min(found) for found in sizes.values())
    if fitting is None:
        check_all_equal(sizes, least=least)
    elif small := sorted(name for name, found in sizes.items() if not fitting.takes(found)):
        side = "shorter side" if fitting.fit == "crop" else "sides"
        others = f" (and {len(small) - 1} more)" if len(small) > 1 else ""
        raise DataError(
            f"data.size={fitting.side}: image too small: {in_words(small[0], sizes)}{others}, but its "
            f"{side} must have {fitting.side}; set data.size={least} or less, data.fit=pad to put black bars around "
            "small images, or data.enlarge=true, or remove such files"
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


def check_different(
    images: Tensor, path: Path, *, option: str = "data.path", limits: float = 1.0, deep_only: bool = False
) -> None:
    """Refuse images, uint8 (N, C, H, W), of the source at `path` that are all the same. Raises DataError.

    deep_only: refuse them only where they are files of 16 bits that decoding may have made equal.
    """
    if len(images) < 2 or any(not torch.equal(images[0], image) for image in images[1:]):
        return
    source = open_source(path, Limits(limits))
    ranges, _ = for_all(source.files(), lambda _, data: deep_range(data), bar=tqdm(disable=True), limits=source.limits)
    known = [found for found in ranges.values() if found is not None]
    if deep_only and not known:
        return
    deep = (
        f"; their files hold 16-bit grey of {min(low for low, _ in known)} to {max(high for _, high in known)}, "
        "of which the high byte is kept: scale the values to 0..65535, or save images of 8 bits"
        if known
        else ""
    )
    raise DataError(
        f"{option}={path}: all images are the same after decoding to 8 bits at {images.shape[3]} x {images.shape[2]}"
        f"{deep or '; at least 2 different ones are needed'}"
    )


def deep_range(data: bytes) -> tuple[int, int] | None:
    """Return the least and the largest value of an image of grey with more than 8 bits; None for others."""
    with open_image(data) as image:
        if not image.mode.startswith("I"):
            return None
        values = np.asarray(image)
        return int(values.min()), int(values.max())
