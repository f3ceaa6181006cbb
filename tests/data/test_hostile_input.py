"""Input that is meant to harm, or just damaged: one line, bounded memory, an end."""

import contextlib
import importlib.util
import io
import os
import signal
import sys
import threading
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tqdm import tqdm

from resgan.base.regular_files import open_regular
from resgan.builders.data import build_dataset
from resgan.data import folder as folder_module
from resgan.data.dataset import DataError
from resgan.data.folder import Room, for_all, load_folder, run_ahead
from resgan.data.image_files import load_images
from resgan.data.limits import USUAL, Limits
from resgan.data.sources import Encoded, open_source, walk_folders
from resgan.metrics.features import ExtractorError
from resgan.metrics.weight_files import read_weights
from resgan.options.data import DataOptions
from resgan.options.validation import check

SCRIPT = Path(__file__).parents[2] / "scripts" / "hostile_input.py"
spec = importlib.util.spec_from_file_location("hostile_input", SCRIPT)
hostile = importlib.util.module_from_spec(spec)
sys.modules["hostile_input"] = hostile  # where dataclasses look for it
spec.loader.exec_module(hostile)


def save(folder: Path, count: int = 3, side: int = 4) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for k in range(count):
        Image.new("RGB", (side, side), (k, k, k)).save(folder / f"{k}.png")
    return folder


def load(path, **options):
    return load_folder(path, **{"size": None, "channels": 3, "holdout": 0.0, "seed": 0, "progress": False} | options)


def refusal(path, **options) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def cases():
    return list(hostile.all_cases(damaged=2, seed=1))


@pytest.mark.parametrize("kind", ["folder", "image", "zip", "tar", "npz", "labels", "damaged"])
def test_every_input_is_read_or_refused_in_one_line(cases, kind, tmp_path):
    mine = [case for case in cases if case.kind == kind]
    assert len(mine) >= 8
    for number, case in enumerate(mine):
        (at := tmp_path / str(number)).mkdir()
        found, words = hostile.answer(case, case.make(at))
        assert hostile.verdict(case, found) in ("accepted", "refused"), (case.name, words)


# Regular files, each folder once.


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file_is_named_and_not_opened(tmp_path, kind):
    path = save(tmp_path / "set") / "x.png"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for options in ({}, {"cache_directory": tmp_path / "cache"}):
        assert refusal(tmp_path / "set", **options) == (
            f"data.path={tmp_path / 'set'}: x.png cannot be decoded (is a {kind}, not a file); remove or replace it"
        )
    assert f"data.path={path}: cannot be read (is a {kind}, not a file); expected a folder" in refusal(path)
    (path.with_suffix(".npz")).symlink_to(path)
    with pytest.raises(DataError, match=f"real=.*x.npz: cannot be read as an npz .is a {kind}, not a file"):
        load_images(path.with_suffix(".npz"), option="real", size=None, channels=3, progress=False)
    with pytest.raises(ExtractorError, match=f"metrics.weights: cannot read .*: is a {kind}, not a file"):
        read_weights("inception", str(path))
    path.rename(tmp_path / "labels.csv")
    assert f"labels.csv: cannot be read (is a {kind}, not a file)" in refusal(
        tmp_path / "set", labels=str(tmp_path / "labels.csv")
    )


def test_links_to_files_are_files(tmp_path):
    path = save(tmp_path / "set", 2)
    (path / "2.png").symlink_to("1.png")
    assert load(path).train[:, 0, 0, 0].tolist() == [0, 1, 1]
    with open_regular(path / "2.png") as file:
        assert file.read(4) == b"\x89PNG"


def test_each_folder_is_read_once_by_its_own_way_first(tmp_path, capsys):
    """Links: to the folder above, to a folder in it that is met later, to one outside of it twice, and between two."""
    for name in ("set/b", "set/c/deep", "out/in"):
        save(tmp_path / name, 1)
    (tmp_path / "set/a").symlink_to("b")  # sorted before b
    (tmp_path / "set/b/up").symlink_to("..")
    (tmp_path / "set/far").symlink_to(tmp_path / "out")
    (tmp_path / "set/far2").symlink_to(tmp_path / "out")
    (tmp_path / "out/back").symlink_to(tmp_path / "set")
    assert open_source(tmp_path / "set").names == ["b/0.png", "c/deep/0.png", "far/in/0.png"]
    said = capsys.readouterr().err
    assert said == f"resgan: {tmp_path / 'set'}: a and 3 more passed over, as a link to a folder that is read already\n"
    assert len(list(walk_folders(tmp_path / "set"))) == 6  # set, b, c, deep, out, in


def test_odd_names_stay_in_one_line_that_can_be_printed(tmp_path):
    save(tmp_path)
    (tmp_path / "a\nb\x1b[31m\udcff.png").write_bytes(b"none")
    said = refusal(tmp_path)
    assert "a\\nb\\x1b[31m\\udcff.png cannot be decoded" in said
    said.encode()


# Limits.


def test_pixels_are_counted_before_they_are_decoded(tmp_path, monkeypatch):
    path = save(tmp_path / "set", side=10)  # 100 pixels
    assert len(load(path, limits=1e-6).train) == 3
    before = Image.MAX_IMAGE_PIXELS
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = refusal(path, size=4, limits=0.99e-6)
    assert "0.png and 2 more cannot be decoded (has more than 99 pixels; a greater data.limits reads it)" in said
    assert before == Image.MAX_IMAGE_PIXELS


def test_the_option_reaches_the_reader(tmp_path):
    path = save(tmp_path / "set", side=11)
    values = {name.removeprefix("data."): value for name, value in hostile_defaults().items()}
    for factor, right in ((1.0, True), (1e-6, False)):
        options = check(DataOptions, {"data": values | {"path": str(path), "limits": factor, "cache": False}}).data
        with contextlib.nullcontext() if right else pytest.raises(DataError, match=r"more than 100 pixels"):
            build_dataset(options, seed=0, progress=False)
    with pytest.raises(DataError, match=r"fake=.*; a greater limits reads it"):
        load_images(path, option="fake", size=None, channels=3, progress=False, limits=0.9e-6)


def hostile_defaults():
    from resgan.options.conf import read_file

    return read_file("data", "folder").of_group("data")


@pytest.mark.parametrize(
    ("check_one", "found", "said"),
    [
        (Limits.check_image, 800_000_001, "holds 0.745 GiB, and at most 0.745 GiB are read; data.limits=2 reads it"),
        (Limits.check_table, 2**28, "holds 0.25 GiB, and at most 0.0625 GiB are read; data.limits=4 reads it"),
        (Limits.check_unpacked, 2**44, "holds 16,384 GiB, and at most 64 GiB are read; data.limits=256 reads it"),
        (Limits.check_files, 10**7 + 1, "holds 10,000,001 files, and at most 10,000,000 files are read; data.limits=2"),
    ],
)
def test_what_is_too_much_names_the_factor_that_is_enough(check_one, found, said):
    with pytest.raises(DataError) as caught:
        check_one(USUAL, found)
    assert str(caught.value).startswith(said)
    enough = float(str(caught.value).partition("data.limits=")[2].partition(" ")[0])
    check_one(Limits(enough), found)
    check_one(Limits(2 * enough), found)


def test_the_sizes_in_a_zip_add_up_before_any_is_unpacked(tmp_path, monkeypatch):
    """Two of 40 GiB, of which each would pass alone; an archive of 2 GiB is in order."""
    (tmp_path / "a.zip").write_bytes(hostile.zipped(hostile.images(3)))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("unpacked"))
    whole = zipfile.ZipFile.infolist
    for size, said in ((40 * 2**30, "holds 120 GiB, and at most 64 GiB are read; data.limits=2 reads it"), (2**29, "")):

        def larger(self, size=size):
            infos = whole(self)
            for info in infos:
                info.file_size = size
            return infos

        monkeypatch.setattr(zipfile.ZipFile, "infolist", larger)
        if said:
            assert refusal(tmp_path / "a.zip") == f"data.path={tmp_path / 'a.zip'}: {said}"
        else:
            assert len(open_source(tmp_path / "a.zip").names) == 3


def test_an_array_is_checked_by_its_header_before_anything_is_allocated(tmp_path, monkeypatch):
    monkeypatch.setattr(np, "empty", lambda *_: pytest.fail("allocated"))
    said = {
        (10**6, 1000, 1000, 3): "64 bytes for uint8",  # the zip says how many there are
        (4, 4, 4): "float64 (4, 4, 4)",
    }
    for shape, words in said.items():
        descr = "<f8" if len(shape) == 3 else "|u1"
        (tmp_path / "a.npz").write_bytes(hostile.zipped({"x.npy": hostile.npy_header(shape, descr)}))
        with pytest.raises(DataError) as caught:
            load_images(tmp_path / "a.npz", option="real", size=None, channels=3, progress=False)
        assert words in str(caught.value)


def test_points_beyond_float32_are_refused(tmp_path):
    points = np.array([[1e300, 0], [0, 0], [3e38, -3e38], [np.nan, 0]])
    np.savez(tmp_path / "a.npz", samples=points)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError) as caught:
            load_images(tmp_path / "a.npz", option="real", size=None, channels=3, progress=False)
    assert str(caught.value) == f"real={tmp_path / 'a.npz'}: 2 points are not finite, or beyond the range of float32"


@pytest.mark.parametrize("dtype", ["uint8", "float16", ">f4", "<f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_what_numpy_reads(tmp_path, dtype, order):
    draws = np.random.default_rng(0)
    array = draws.integers(256, size=(5, 6, 7, 3)) if dtype == "uint8" else draws.normal(size=(5, 2))
    np.savez_compressed(tmp_path / "a.npz", images=np.asarray(array.astype(dtype), order=order), names=np.array(["a"]))
    with np.load(tmp_path / "a.npz") as file:
        expected = torch.from_numpy(file["images"].astype(np.uint8 if dtype == "uint8" else np.float32))
    found = load_images(tmp_path / "a.npz", option="real", size=None, channels=3, progress=False)
    assert torch.equal(found, expected.permute(0, 3, 1, 2) if dtype == "uint8" else expected)


def test_a_zip_that_lies_is_unpacked_no_further_than_it_says(tmp_path):
    """Two PNGs, one of which goes on for 2^25 bytes that the directory does not mention."""
    content = hostile.images(2) | {"x.png": bytes(2**25)}
    (tmp_path / "a.zip").write_bytes(hostile.with_sizes(hostile.zipped(content), name="x.png", claimed=9))
    file = dict(open_source(tmp_path / "a.zip").files())["x.png"]
    tracemalloc.start()
    with pytest.raises(OSError, match="Bad CRC-32"):
        file.read()
    assert tracemalloc.get_traced_memory()[1] < 2**22
    tracemalloc.stop()
    assert "x.png cannot be decoded (Bad CRC-32" in refusal(tmp_path / "a.zip")


def test_few_bytes_are_under_way(monkeypatch):
    """Files have 40 bytes and 100 may be under way: no more than two chunks of one file, and one more at hand."""
    monkeypatch.setattr(folder_module, "AT_ONCE", 100)
    made, done = [], []

    def files():
        for k in range(30):
            made.append(k)
            yield str(k), Encoded(40, bytes)

    class Pool:
        def submit(self, work, chunk):
            return self

        def result(self):
            done.append(1)
            return 1

    for _ in run_ahead(Pool(), len, files(), ahead=9):
        assert len(made) - len(done) <= 3
    assert len(made) == len(done) == 30


def test_large_images_wait_for_room():
    room, most, held, lock = Room(10), [], [], threading.Lock()

    def hold(part):
        with room.taking(part):
            with lock:
                held.append(part)
                most.append(sum(held))
            time.sleep(0.005)
            with lock:
                held.remove(part)

    threads = [threading.Thread(target=hold, args=(part,)) for part in (4, 25, 4, 4, 10, 3, 25, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 8
    assert sorted(total for total in most if total > 10) == [25, 25]  # alone
    assert room.free == 10


# Signals.


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_reading(number):
    """5,000 files of 30 ms in the threads of a pool: the signal comes after 0.2 s, and the files at hand end."""
    from resgan.cli.launch import ending_on_signals

    seen, then = [], []

    def slow(name, data):
        time.sleep(0.03)
        seen.append(name)

    def send():
        then.append(len(seen))
        os.kill(os.getpid(), number)

    files = ((str(k), Encoded(0, bytes)) for k in range(5000))
    threading.Timer(0.2, send).start()
    with ending_on_signals(), pytest.raises(SystemExit) as caught:
        for_all(files, slow, bar=tqdm(disable=True), limits=USUAL)
    assert caught.value.code == 128 + number
    assert 0 < then[0] <= len(seen) <= then[0] + 3 * ((os.cpu_count() or 1) + 4)  # chunks of 8 wait for each thread
    count = len(seen)
    time.sleep(0.05)
    assert len(seen) == count  # no thread goes on


# Transparency, by a second computation.


def laid_on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Compute a x + (1 - a) 255 of pixels (H, W, 3) in 0..255 and alpha (H, W) in 0..1."""
    return alpha[..., None] * pixels + (1 - alpha[..., None]) * 255


NOISE = np.random.default_rng(0).integers(256, size=(4, 4, 4), dtype=np.uint8)
GREY = NOISE[..., :1].repeat(3, axis=2)


def png(depth: int, kind: int, rows: list[bytes], *before: tuple[bytes, bytes]) -> bytes:
    """Return a PNG of 4 x 4 pixels, from its rows."""
    import struct
    import zlib

    parts = [(b"IHDR", struct.pack(">IIBBBBB", 4, 4, depth, kind, 0, 0, 0)), *before]
    parts += [(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(hostile.chunk(*part) for part in parts)


def packed(values: np.ndarray, bits: int) -> list[bytes]:
    """Return rows of values of so many bits."""
    text = ["".join(f"{value:0{bits}b}" for value in row) for row in values]
    return [int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in text]


def grey_png(bits: int):
    """Return a grey PNG of so many bits with one transparent value, and what it is on white."""
    values = np.random.default_rng(bits).integers(2**bits, size=(4, 4))
    key = values[1, 2] = 2**bits * 5 // 8  # neither end of the range, which any scale keeps
    high = values >> 8 if bits == 16 else np.round(values * 255 / (2**bits - 1))
    return png(bits, 0, packed(values, bits), (b"tRNS", int(key).to_bytes(2, "big"))), laid_on_white(
        high[..., None].repeat(3, axis=2), values != key
    )


def colour_png(bits: int):
    """Return a colour PNG with one transparent colour."""
    values = np.random.default_rng(bits).integers(2**bits, size=(4, 4, 3))
    values[3, 3] = values[0, 1]
    key = b"".join(int(value).to_bytes(2, "big") for value in values[0, 1])
    rows = [row.astype(">u2" if bits == 16 else "u1").tobytes() for row in values]
    opaque = (values != values[0, 1]).any(axis=2)
    return png(bits, 2, rows, (b"tRNS", key)), laid_on_white(values >> (bits - 8), opaque)


def palette_png(alphas: bytes):
    """Return a PNG of a palette of four colours, the first of which have these alphas."""
    colours, places = NOISE[0, :, :3], NOISE[..., 3] % 4
    alpha = np.concatenate([np.frombuffer(alphas, np.uint8), np.full(4 - len(alphas), 255)])[places] / 255
    data = png(8, 3, [bytes(row) for row in places], (b"PLTE", colours.tobytes()), (b"tRNS", alphas))
    return data, laid_on_white(colours[places].astype(float), alpha)


def alpha_png(bits: int, channels: int):
    values = np.random.default_rng(bits + channels).integers(2**bits, size=(4, 4, channels))
    rows = [row.astype(">u2" if bits == 16 else "u1").tobytes() for row in values]
    high = values >> (bits - 8)
    colours = high[..., :-1].repeat(3, axis=2) if channels == 2 else high[..., :-1]
    return png(bits, 4 if channels == 2 else 6, rows), laid_on_white(colours, high[..., -1] / 255)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        *(grey_png(bits) for bits in (1, 2, 4, 8, 16)),
        *(colour_png(bits) for bits in (8, 16)),
        *(alpha_png(bits, channels) for bits in (8, 16) for channels in (2, 4)),
        palette_png(b"\0"),
        palette_png(b"\xff\xff\0"),
        palette_png(b"\x40\x80\xff\x10"),
    ],
    ids=map(str, range(14)),
)
def test_transparency_of_a_png_is_laid_on_white(tmp_path, data, expected):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(data)
    found = load(tmp_path).train[0].permute(1, 2, 0).double().numpy()
    assert np.abs(found - expected).max() <= 1  # of rounding
    assert (found == 255).all(axis=2).sum() >= (expected == 255).all(axis=2).sum()


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_transparency_of_each_mode_of_pillow_is_laid_on_white(mode):
    from resgan.data.folder import convert

    alpha = NOISE[..., 3] | 64  # dividing by a small one would be coarse
    image = Image.fromarray(
        np.concatenate([GREY if mode in ("LA", "La") else NOISE[..., :3], alpha[..., None]], axis=2)
    )
    colours = np.asarray(image)[..., :3].astype(float)
    if mode == "PA":
        image = image.convert("RGB").quantize(16).convert("PA")
        image.putalpha(Image.fromarray(alpha))
    elif mode in ("LA", "La"):
        image = image.convert("LA")
    image = image.convert(mode) if mode in ("La", "RGBa") else image
    assert image.mode == mode
    found = np.asarray(convert(image, channels=3)).astype(float)
    assert np.abs(found - laid_on_white(colours, alpha / 255)).max() <= 3  # premultiplied bytes are coarse


def test_a_transparent_grey_of_a_gif(tmp_path):
    grey = Image.fromarray(NOISE[..., 0] // 64 * 64)
    grey.save(tmp_path / "a.gif", transparency=int(NOISE[0, 0, 0] // 64 * 64))
    grey.save(tmp_path / "b.gif")
    first, second = load(tmp_path).train
    key = second[0] == second[0, 0, 0]
    assert (first[:, key] == 255).all()
    assert torch.equal(first[:, ~key], second[:, ~key])
    assert io.BytesIO((tmp_path / "a.gif").read_bytes()).read(3) == b"GIF"
