"""Put hostile archives, images, arrays and labels through the code that reads input, each in a process of its own.

    python scripts/hostile_input.py [--damaged 25] [--seed 0] [--only zip,npz] [--verbose]

Each process may take 20 s and 2 GiB of address space beyond what it begins with. The table says, by kind, how many were
refused in one line, how many accepted, and how many ended in a traceback, did not end, or were judged wrongly: accepted
though nobody should, or refused though they are in order. The status is 1 where there is one of the latter three.
"""

import argparse
import contextlib
import gzip
import io
import json
import os
import random
import resource
import select
import socket
import struct
import sys
import tarfile
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SECONDS, MEMORY = 20, 2 * 2**30
Content = dict[str, bytes]


@dataclass(frozen=True)
class Case:
    """One input: how it is made in a folder, and whether it is in order; None: either answer is right."""

    kind: str
    name: str
    make: Callable[[Path], Path]
    valid: bool | None = False


# Parts.


def image(form: str = "PNG", *, level: int = 0, side: int = 16, mode: str = "RGB", **options) -> bytes:
    noise = np.random.default_rng(level).integers(256, size=(side, side, 4), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).convert("RGB").convert(mode).save(stream, form, **options)
    return stream.getvalue()


def images(count: int = 4) -> Content:
    return {f"{k}.png": image(level=k) for k in range(count)}


def chunk(name: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    import zlib

    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png_header(width: int, height: int) -> bytes:
    """Return a PNG whose header claims so many pixels, with hardly any data."""
    import zlib

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def zipped(content: Content, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return stream.getvalue()


def zip_of(infos: list[tuple[zipfile.ZipInfo, bytes]]) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        warnings.simplefilter("ignore")  # of names that come twice
        for info, data in infos:
            archive.writestr(info, data)
    return stream.getvalue()


def tarred(content: Content, mode: str = "", change: Callable[[tarfile.TarInfo], object] = lambda _: None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=f"w:{mode}") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def linked_tar(kind: bytes, target: str) -> bytes:
    """Return a tar of images with one member more, a link or a device."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in images().items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        info = tarfile.TarInfo("x.png")
        info.type, info.linkname = kind, target
        tar.addfile(info)
    return stream.getvalue()


def large_header(size: int) -> bytes:
    """Return the start of a tar whose first member has a name of so many bytes."""
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, size
    return info.tobuf(tarfile.GNU_FORMAT)


def sparse_tar(size: int) -> bytes:
    """Return a tar of images and of a sparse one that has so many bytes, nearly all in its hole."""
    info = tarfile.TarInfo("hole.png")
    info.pax_headers = {
        "GNU.sparse.major": "0",
        "GNU.sparse.minor": "1",
        "GNU.sparse.size": str(size),
        "GNU.sparse.map": f"0,512,{size},0",
        "GNU.sparse.numblocks": "2",
        "GNU.sparse.name": "hole.png",
    }
    info.size = 512
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in images().items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        tar.addfile(info, io.BytesIO(bytes(512)))
    return stream.getvalue()


def npy(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, **options)
    return stream.getvalue()


def npy_header(shape: tuple, descr: str = "|u1", *, data: bytes = bytes(64), fortran: bool = False) -> bytes:
    stream = io.BytesIO()
    header = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + data


def with_sizes(archive: bytes, *, name: str, claimed: int) -> bytes:
    """Return a zip that claims another size of a member, in its header and in the directory."""
    changed = bytearray(archive)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        start = opened.getinfo(name).header_offset
    struct.pack_into("<I", changed, start + 22, claimed)
    place = archive.index(b"PK\x01\x02")
    while place >= 0:
        length = struct.unpack_from("<H", archive, place + 28)[0]
        if archive[place + 46 : place + 46 + length] == name.encode():
            struct.pack_into("<I", changed, place + 24, claimed)
        place = archive.find(b"PK\x01\x02", place + 1)
    return bytes(changed)


def with_bits(archive: bytes, *, offset_of: tuple[int, int], value: int) -> bytes:
    """Return a zip with another 16-bit field in all its headers: (offset in a local one, in one of the directory)."""
    changed = bytearray(archive)
    for mark, offset in zip((b"PK\x03\x04", b"PK\x01\x02"), offset_of, strict=True):
        place = archive.find(mark)
        while place >= 0:
            struct.pack_into("<H", changed, place + offset, value)
            place = archive.find(mark, place + 4)
    return bytes(changed)


def flipped(data: bytes, random: random.Random, bits: int) -> bytes:
    changed = bytearray(data)
    for _ in range(bits):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


# Cases.


def file(name: str, make: Callable[[], bytes]) -> Callable[[Path], Path]:
    def made(folder: Path) -> Path:
        (folder / name).write_bytes(make())
        return folder / name

    return made


def folder_of(more: Callable[[Path], object]) -> Callable[[Path], Path]:
    """Make a folder of four images, and what `more` puts into it."""

    def made(folder: Path) -> Path:
        for name, data in images().items():
            (folder / name).write_bytes(data)
        more(folder)
        return folder

    return made


def zip_cases() -> Iterator[Case]:
    def case(name: str, make: Callable[[], bytes], valid: bool | None = False) -> Case:
        return Case("zip", name, file("a.zip", make), valid)

    def info(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
        found = zipfile.ZipInfo(name)
        found.external_attr = mode << 16
        return found

    four = images()
    yield case("plain", lambda: zipped(four), True)
    yield case("stored", lambda: zipped(four, zipfile.ZIP_STORED), True)
    yield case("within text", lambda: b"#!/bin/sh\n" + zipped(four), True)
    yield case("empty", lambda: zipped({}))
    yield case("no bytes", lambda: b"")
    for share in (0.1, 0.5, 0.9, 0.999):
        yield case(f"cut at {share:g}", lambda share=share: zipped(four)[: int(len(zipped(four)) * share)])
    yield case("bzip2", lambda: zipped(four, zipfile.ZIP_BZIP2))
    yield case("lzma", lambda: zipped(four, zipfile.ZIP_LZMA))
    yield case("unknown method", lambda: with_bits(zipped(four), offset_of=(8, 10), value=77))
    yield case("encrypted", lambda: with_bits(zipped(four), offset_of=(6, 8), value=1))
    yield case("strongly encrypted", lambda: with_bits(zipped(four), offset_of=(6, 8), value=0x41))
    yield case("patched data", lambda: with_bits(zipped(four), offset_of=(6, 8), value=0x20))
    yield case("wrong CRC", lambda: with_bits(zipped(four), offset_of=(14, 16), value=1))
    yield case("version 99", lambda: with_bits(zipped(four), offset_of=(4, 6), value=990))
    yield case("a name twice", lambda: zip_of([(info("0.png"), four["0.png"]), *((info("0.png"), four["1.png"]),) * 2]))
    yield case("a name twice, spelt apart", lambda: zipped(four | {"./0.png": four["1.png"]}))
    yield case("leads out", lambda: zipped(four | {"../../x.png": four["0.png"]}))
    yield case("absolute", lambda: zipped(four | {"/etc/x.png": four["0.png"]}))
    yield case(
        "link", lambda: zip_of([*((info(n), d) for n, d in four.items()), (info("l.png", 0o120777), b"0.png")]), True
    )
    yield case("only links", lambda: zip_of([(info(f"{k}.png", 0o120777), b"/etc/passwd") for k in range(3)]))
    yield case(
        "folder as image", lambda: zip_of([*((info(n), d) for n, d in four.items()), (info("x.png/"), b"")]), True
    )
    yield case("archive inside", lambda: zipped({"inner.zip": zipped(four)}))
    yield case("archive as image", lambda: zipped(four | {"x.png": zipped(four)}))
    yield case("line break in a name", lambda: zipped(four | {"a\nb\x1b[31m.png": b"x"}))
    yield case("name of 60,000 letters", lambda: zipped(four | {"x" * 60_000 + ".png": b"x"}))
    yield case("zeros as an image", lambda: zipped(four | {"x.png": bytes(2**24)}))
    yield case("claims 3 GiB", lambda: with_sizes(zipped(four), name="0.png", claimed=3 * 2**30))
    yield case(
        "claims less than it holds", lambda: with_sizes(zipped(four | {"x.png": bytes(2**25)}), name="x.png", claimed=9)
    )
    yield case("labels of 70 MB", lambda: zipped(four | {"dataset.json": b" " * 70_000_000}))
    yield case("encrypted labels", lambda: with_bits(zipped(four | {"dataset.json": b"{}"}), offset_of=(6, 8), value=1))


def tar_cases() -> Iterator[Case]:
    def case(name: str, make: Callable[[], bytes], valid: bool | None = False, ending: str = "tar") -> Case:
        return Case("tar", name, file(f"a.{ending}", make), valid)

    four = images()
    for mode in ("", "gz", "bz2", "xz"):
        yield case(f"plain {mode}", lambda mode=mode: tarred(four, mode), True)
        for share in (0.1, 0.6, 0.95):
            whole = tarred(four, mode)
            cut = whole[: int(len(whole) * (share if mode else share * 0.5))]
            yield case(f"{mode or 'tar'} cut at {share:g}", lambda cut=cut: cut)
    yield case("wrong CRC of gzip", lambda: (lambda data: data[:-8] + b"\0\0\0\1" + data[-4:])(tarred(four, "gz")))
    yield case("empty", lambda: tarred({}))
    yield case("zeros", lambda: bytes(10240))
    yield case("leads out", lambda: tarred(four | {"../x.png": four["0.png"]}))
    yield case("absolute", lambda: tarred(four | {"/x.png": four["0.png"]}))
    for name, kind in (("symbolic", tarfile.SYMTYPE), ("hard", tarfile.LNKTYPE)):
        yield case(f"{name} link", lambda kind=kind: linked_tar(kind, "/etc/passwd"), True)
    for name, kind in (("pipe", tarfile.FIFOTYPE), ("device", tarfile.CHRTYPE)):
        yield case(name, lambda kind=kind: linked_tar(kind, ""), True)
    yield case("sparse, 1 TB", lambda: sparse_tar(10**12))
    yield case("sparse, 600 MB", lambda: sparse_tar(600_000_000))
    yield case("sparse, 10 kB", lambda: sparse_tar(10_000))
    yield case("name of 5 GB", lambda: large_header(5 * 10**9))
    yield case("name of 5 GB in gzip", lambda: gzip.compress(large_header(5 * 10**9) + bytes(2**20)), ending="tar.gz")
    yield case("member of 100 TB", lambda: tarred(four)[:-9216] + oversized_member(10**14))
    yield case("archive inside", lambda: tarred({"inner.tar": tarred(four)}))
    yield case("negative size", lambda: tarred(four)[:-9216] + oversized_member(-5))


def oversized_member(size: int) -> bytes:
    info = tarfile.TarInfo("readme.txt")
    info.size = size
    return info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)


def image_cases() -> Iterator[Case]:
    def case(name: str, ending: str, data: Callable[[], bytes], valid: bool | None = False) -> Case:
        return Case("image", name, folder_of(lambda folder: (folder / f"x.{ending}").write_bytes(data())), valid)

    yield case("plain", "png", image, True)
    forms = {"png": "PNG", "jpg": "JPEG", "webp": "WEBP", "gif": "GIF", "tiff": "TIFF", "bmp": "BMP", "ppm": "PPM"}
    for ending, form in forms.items():
        yield case(f"{form} cut", ending, lambda form=form: image(form)[: len(image(form)) // 2])
        yield case(f"zeros as {form}", ending, lambda: bytes(1000))
    yield case("empty", "png", bytes)
    yield case("a page", "jpg", lambda: b"<!doctype html><html>404</html>")
    yield case("PostScript", "png", lambda: image("EPS"))
    yield case("60,000 x 60,000", "png", lambda: png_header(60_000, 60_000))
    yield case("11,000 x 11,000", "png", lambda: png_header(11_000, 11_000))
    yield case("no pixels", "png", lambda: png_header(0, 16))
    yield case("2^31 x 1", "png", lambda: png_header(2**31 - 1, 1))
    large = b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, 50_000, 50_000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield case("BMP of 50,000 x 50,000", "bmp", lambda: large)
    yield case("PPM of 10^9 x 10^9", "ppm", lambda: b"P6 1000000000 1000000000 255\n")
    yield case(
        "GIF of 65,535 x 65,535", "gif", lambda: b"GIF89a" + b"\xff\xff\xff\xff\0\0\0" + b"," + bytes(9) + b"\2\0;"
    )
    yield case("floats", "tiff", lambda: tiff_of(np.ones((16, 16), np.float32)))
    yield case("text of 70 MB in a PNG", "png", lambda: png_with_text(70_000_000), None)
    yield case("icon that holds a bomb", "ico", lambda: icon(png_header(60_000, 60_000)))
    yield case("other size", "png", lambda: image(side=17))
    for name, ending in (("name of any bytes", b"\xff\xfe.png"), ("line break", b"a\nb\x1b[2J.png")):
        yield Case("image", name, folder_of(lambda at, end=ending: (at / os.fsdecode(end)).write_bytes(b"no image")))


def tiff_of(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "TIFF")
    return stream.getvalue()


def png_with_text(size: int) -> bytes:
    import zlib

    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(size), 1))
    return image()[:33] + text + image()[33:]


def icon(inner: bytes) -> bytes:
    entry = struct.pack("<BBBBHHII", 16, 16, 0, 0, 1, 32, len(inner), 22)
    return struct.pack("<HHH", 0, 1, 1) + entry + inner


def npz_cases() -> Iterator[Case]:
    def case(name: str, make: Callable[[], bytes], valid: bool | None = False) -> Case:
        return Case("npz", name, file("a.npz", make), valid)

    def of(member: bytes, name: str = "samples.npy") -> Callable[[], bytes]:
        return lambda: zipped({name: member})

    uint8 = np.arange(4 * 16 * 16 * 3).reshape(4, 16, 16, 3).astype(np.uint8)
    points = np.linspace(-1, 1, 20).reshape(10, 2)
    yield case("plain", of(npy(uint8)), True)
    yield case("by columns", of(npy(np.asfortranarray(uint8))), True)
    yield case("points", of(npy(points)), True)
    yield case("points, other byte order", of(npy(points.astype(">f8"))), True)
    yield case("grey", of(npy(uint8[..., 0])), True)
    yield case("objects", of(npy(np.array([{}, []], dtype=object), allow_pickle=True)))
    yield case(
        "objects among others",
        lambda: zipped({"arr_0.npy": npy(uint8), "x.npy": npy(np.array([1, None]), allow_pickle=True)}),
        True,
    )
    for name, array in {
        "integers": uint8.astype(np.int64),
        "complex": points.astype(complex),
        "booleans": uint8 > 3,
        "words": np.array(["a", "b"]),
        "records": np.zeros(4, dtype=[("a", "u1"), ("b", "f4")]),
        "one image": uint8[:1],
        "no images": uint8[:0],
        "no pixels": uint8[:, :0],
        "no width": uint8[:, :, :0],
        "two channels": uint8[..., :2],
        "a number": np.array(3, dtype=np.uint8),
        "dates": np.array([["2020-01-01", "2020-01-02"]], dtype="M8[D]"),
        "NaN": np.full((4, 2), np.nan),
        "1e300": np.full((4, 2), 1e300),
        "halves": np.full((4, 2), np.inf, dtype=np.float16),
    }.items():
        yield case(name, of(npy(array)))
    yield case("claims 10^13 bytes", of(npy_header((10**6, 1000, 1000, 3))))
    yield case("claims 12 GB", of(npy_header((4000, 1000, 1000, 3))))
    yield case("claims beyond 64 bits", of(npy_header((2**62, 2**62, 2**62, 3))))
    yield case("negative shape", of(npy_header((-4, -16, 1, 1))))
    yield case("holds less", of(npy_header((4, 16, 16, 3))))
    yield case("holds more", of(npy(uint8) + bytes(100)))
    yield case(
        "header of code", of(b"\x93NUMPY\x01\0" + struct.pack("<H", 40) + b"__import__('os').system('true')".ljust(40))
    )
    yield case("header of 60,000 letters", of(b"\x93NUMPY\x01\0" + struct.pack("<H", 60_000) + b"(" * 60_000))
    yield case("version 9", of(b"\x93NUMPY\x09\0" + npy(uint8)[8:]))
    yield case("no array", of(b"hello"))
    yield case("no member", lambda: zipped({}))
    yield case("two arrays", lambda: zipped({"a.npy": npy(uint8), "b.npy": npy(uint8)}))
    yield case("an array twice", lambda: zip_of([(zipfile.ZipInfo("samples.npy"), npy(uint8))] * 2))
    yield case(
        "claims 4 GiB", lambda: with_sizes(zipped({"samples.npy": npy(uint8)}), name="samples.npy", claimed=2**32 - 2)
    )
    yield case(
        "lies about its size",
        lambda: with_sizes(
            zipped({"samples.npy": npy(uint8) + bytes(2**25)}), name="samples.npy", claimed=len(npy(uint8))
        ),
    )
    yield case("npy under this name", lambda: npy(uint8))
    yield case("pickle under this name", lambda: b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    yield case("encrypted", lambda: with_bits(zipped({"samples.npy": npy(uint8)}), offset_of=(6, 8), value=1))
    yield case("bzip2", lambda: zipped({"samples.npy": npy(uint8)}, zipfile.ZIP_BZIP2))
    for share in (0.3, 0.8, 0.99):
        whole = zipped({"samples.npy": npy(uint8)})
        yield case(f"cut at {share:g}", lambda whole=whole, share=share: whole[: int(len(whole) * share)])


def label_cases() -> Iterator[Case]:
    def case(name: str, content: bytes, valid: bool | None = False, file: str = "labels.csv") -> Case:
        return Case("labels", name, folder_of(lambda folder: (folder / file).write_bytes(content)), valid)

    rows = "".join(f"{k}.png,{k % 2}\n" for k in range(4)).encode()
    named = [[f"{k}.png", k % 2] for k in range(4)]
    yield case("plain", rows, True)
    yield case("JSON", json.dumps({"labels": named}).encode(), True, "labels.json")
    yield case("bytes", bytes(range(256)))
    yield case("zeros", rows + b"\0\0\0")
    yield case("an image twice", rows + b"0.png,1\n")
    yield case("leads out", rows + b"../../etc/passwd,1\n")
    yield case("open quote", b'0.png,"1\n' + rows)
    yield case("field of 200,000 letters", b"0.png," + b"x" * 200_000 + b"\n")
    yield case("nothing", b"")
    yield case("JSON of 100,000 brackets", b"[" * 100_000, file="labels.json")
    yield case("number of 5,000 digits", b'{"labels": [["0.png", ' + b"9" * 5000 + b"]]}", file="labels.json")
    yield case("labels of lists", b'{"labels": [["0.png", [1]]]}', file="labels.json")
    yield case("null", b"null", file="labels.json")
    yield case("NaN", b'{"labels": [["0.png", NaN]]}', file="labels.json")
    yield case("half a surrogate", b'{"labels": [["\\ud800.png", 1]]}', file="labels.json")
    yield Case("labels", "pipe", folder_of(lambda folder: os.mkfifo(folder / "labels.csv")))
    yield Case("labels", "/dev/zero", folder_of(lambda folder: (folder / "labels.csv").symlink_to("/dev/zero")))


def folder_cases() -> Iterator[Case]:
    def case(name: str, more: Callable[[Path], object], valid: bool | None = False) -> Case:
        return Case("folder", name, folder_of(more), valid)

    def two_links(folder: Path) -> None:
        (folder / "l").symlink_to(".")
        (folder / "m").symlink_to(folder)

    yield case("plain", lambda folder: None, True)
    yield case("pipe", lambda folder: os.mkfifo(folder / "x.png"))
    yield case("socket", lambda folder: socket.socket(socket.AF_UNIX).bind(str(folder / "x.png")))
    yield case("/dev/zero", lambda folder: (folder / "x.png").symlink_to("/dev/zero"))
    yield case("/dev/tty", lambda folder: (folder / "x.png").symlink_to("/dev/tty"))
    yield case("link to nothing", lambda folder: (folder / "x.png").symlink_to("nothing"))
    yield case("link to itself", lambda folder: (folder / "x.png").symlink_to("x.png"))
    yield case("link to an image", lambda folder: (folder / "x.png").symlink_to("0.png"), True)
    yield case("folder in itself", lambda folder: (folder / "l").symlink_to("."), True)
    yield case("folder in itself twice", two_links, True)
    yield case("folder as image", lambda folder: (folder / "x.png").mkdir(), True)
    yield case("folder as dataset.json", lambda folder: (folder / "dataset.json").mkdir(), True)
    yield case("pipe as dataset.json", lambda folder: os.mkfifo(folder / "dataset.json"))
    yield case("sparse file of 1 TB", lambda folder: os.truncate(make_empty(folder / "x.png"), 2**40))
    yield Case("folder", "a pipe alone", lambda folder: make_pipe(folder / "x.zip"))
    yield Case("folder", "a device alone", lambda folder: Path("/dev/zero"))
    yield Case("folder", "a pipe as npz", lambda folder: make_pipe(folder / "x.npz"))
    yield Case("folder", "a long name", lambda folder: folder / ("x" * 5000))
    yield Case("folder", "nothing", lambda folder: folder / "nothing")
    yield Case("folder", "empty", lambda folder: folder)


def make_empty(path: Path) -> Path:
    path.touch()
    return path


def make_pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def damaged_cases(count: int, seed: int) -> Iterator[Case]:
    """Files of every kind with a few bits changed at random: any answer is right that is one line or none."""
    draws = random.Random(seed)
    four, array = images(), npy(np.arange(768, dtype=np.uint8).reshape(4, 8, 8, 3))
    whole = {
        "a.zip": zipped(four),
        "a.tar": tarred(four),
        "a.tar.gz": tarred(four, "gz"),
        "a.npz": zipped({"samples.npy": array}),
    }
    for k in range(count):
        for name, data in whole.items():
            content = flipped(data, draws, 1 + k % 8)
            yield Case("damaged", f"{name} {k}", file(name, lambda content=content: content), None)


def all_cases(*, damaged: int, seed: int) -> Iterator[Case]:
    yield from folder_cases()
    yield from image_cases()
    yield from zip_cases()
    yield from tar_cases()
    yield from npz_cases()
    yield from label_cases()
    yield from damaged_cases(damaged, seed)


# Reading, as the commands do.


def read(case: Case, path: Path) -> None:
    """Read the input as train, evaluate and the look at images do. Raises UserError."""
    from resgan.data.folder import load_folder
    from resgan.data.image_files import load_images
    from resgan.data.look import look
    from resgan.options.conf import read_file
    from resgan.options.data import DataOptions
    from resgan.options.validation import check

    if path.suffix == ".npz":
        load_images(path, option="real", size=None, channels=3, progress=False)
        return
    labels = next((str(file) for file in path.glob("labels.*")), "auto") if case.kind == "labels" else "auto"
    load_folder(path, size=None, channels=3, holdout=0.0, seed=0, labels=labels, progress=False)
    values = {name.removeprefix("data."): value for name, value in read_file("data", "folder").of_group("data").items()}
    options = check(DataOptions, {"data": values | {"path": str(path), "labels": labels}}).data
    with tempfile.TemporaryDirectory() as outdir, contextlib.redirect_stdout(io.StringIO()):
        assert look(options, {}, Path(outdir), progress=False) == 0  # type: ignore[arg-type]


def answer(case: Case, path: Path) -> tuple[str, str]:
    """Return accepted, refused or traceback, and the words."""
    from resgan.base.errors import UserError

    try:
        read(case, path)
    except UserError as error:
        said = str(error)
        return ("refused" if said.isprintable() and "Error" not in said.split("(")[0] else "traceback"), said
    except BaseException:
        return "traceback", traceback.format_exc()
    return "accepted", ""


def verdict(case: Case, found: str) -> str:
    """Return accepted, refused, wrong, traceback or hang."""
    right = {True: "accepted", False: "refused", None: found}[case.valid]
    return "wrong" if found in ("accepted", "refused") and found != right else found


def in_a_process(case: Case, path: Path) -> tuple[str, str, float, float]:
    """Return the answer of a process with limits, its seconds, and the MB by which its memory grew."""
    out, into = os.pipe()
    started = time.monotonic()
    if (child := os.fork()) == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        size = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY,) * 2)
        sys.stderr = io.StringIO()
        found = answer(case, path)
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        os.write(into, json.dumps([found[0], found[1][-2000:], grown]).encode())
        os._exit(0)
    os.close(into)
    ready, _, _ = select.select([out], [], [], SECONDS)
    if not ready:
        os.kill(child, 9)
    os.waitpid(child, 0)
    said = os.read(out, 65_536) if ready else b""
    os.close(out)
    seconds = time.monotonic() - started
    if not ready:
        return "hang", "", seconds, 0
    found, words, grown = json.loads(said) if said else ("traceback", "the process was killed", 0)
    return found, words, seconds, grown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--damaged", type=int, default=25, help="files of each of four formats with bits changed")
    parser.add_argument("--seed", type=int, default=0, help="of the changed bits")
    parser.add_argument("--only", default="", help="kinds, with commas")
    parser.add_argument("--verbose", action="store_true", help="show what is said of each")
    options = parser.parse_args()
    import torch

    import resgan.data.image_files
    import resgan.data.look  # noqa: F401  # before the processes are forked

    torch.set_num_threads(1)
    Image.init()
    counts: dict[str, Counter[str]] = {}
    slowest, most = Counter[str](), Counter[str]()
    for case in all_cases(damaged=options.damaged, seed=options.seed):
        if options.only and case.kind not in options.only.split(","):
            continue
        with tempfile.TemporaryDirectory() as folder:
            found, words, seconds, grown = in_a_process(case, case.make(Path(folder)))
        judged = verdict(case, found)
        counts.setdefault(case.kind, Counter())[judged] += 1
        slowest[case.kind], most[case.kind] = max(slowest[case.kind], seconds), max(most[case.kind], grown)
        if options.verbose or judged in ("wrong", "traceback", "hang"):
            print(f"{case.kind}: {case.name}: {judged}, {seconds:.2f} s, {grown:.0f} MB: {words}", flush=True)
    columns = ("refused", "accepted", "wrong", "traceback", "hang")
    print(f"{'kind':<10}{'cases':>7}{''.join(f'{name:>11}' for name in columns)}{'slowest, s':>12}{'most, MB':>10}")
    for kind, found in counts.items():
        numbers = "".join(f"{found[name]:>11}" for name in columns)
        print(f"{kind:<10}{found.total():>7}{numbers}{slowest[kind]:>12.2f}{most[kind]:>10.0f}")
    print(f"{'all':<10}{sum(found.total() for found in counts.values()):>7}")
    raise SystemExit(any(found[name] for found in counts.values() for name in ("wrong", "traceback", "hang")))


if __name__ == "__main__":
    main()
