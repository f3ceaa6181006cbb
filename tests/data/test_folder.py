"""Folders and archives of images: pixel values, held-out images, and messages of failures."""

import io
import os
import shutil
import tarfile
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from resgan.data.dataset import DataError
from resgan.data.folder import load_folder, run_ahead
from resgan.data.sources import Encoded

RED, BLUE, GREEN = (255, 0, 0), (0, 0, 255), (0, 255, 0)


def load(path, **options):
    return load_folder(path, **{"size": None, "channels": 3, "holdout": 0.0, "seed": 0, "progress": False} | options)


def plain(colour, size=(4, 4), mode="RGB"):
    return Image.new(mode, size, colour)


def put(folder: Path, pictures: dict) -> Path:
    for name, picture in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(folder / name)
    return folder


def numbered(folder: Path, count: int) -> Path:
    """Save images, image k of grey level k."""
    return put(folder, {f"{k:03}.png": plain((k, k, k), size=(2, 2)) for k in range(count)})


def levels(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def pixel(folder: Path, picture: Image.Image, *, channels: int = 3, name: str = "a.png") -> list[int]:
    """Return the top left pixel of an image, as it is loaded."""
    put(folder, {name: picture, "z.png": plain(RED, size=picture.size)})
    return load(folder, channels=channels).train[0, :, 0, 0].tolist()


def refusal(path, **options) -> str:
    with pytest.raises(DataError) as caught:
        load(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


# Values


def test_tensor_is_uint8_channels_first_in_the_order_of_names(tmp_path):
    corner = plain(BLUE)
    corner.putpixel((3, 0), GREEN)  # x = 3, y = 0
    put(tmp_path, {"b.png": corner, "a.png": plain(RED)})
    data = load(tmp_path / ".")
    assert data.train.dtype == torch.uint8
    assert data.train.shape == (2, 3, 4, 4)
    assert data.train[0, :, 0, 0].tolist() == list(RED)
    assert data.train[1, :, 0, 3].tolist() == list(GREEN)
    assert data.train[1, :, 3, 0].tolist() == list(BLUE)
    assert data.holdout.shape == (0, 3, 4, 4)
    assert data.reference is data.train
    assert (data.name, data.split) == (tmp_path.name, "train")


@pytest.mark.parametrize("ending", ["png", "bmp", "gif", "PNG", "tiff"])
def test_lossless_formats_keep_pixels(tmp_path, ending):
    assert pixel(tmp_path, plain((10, 200, 30)), name=f"a.{ending}") == [10, 200, 30]


@pytest.mark.parametrize("ending", ["jpg", "JPEG", "webp"])
def test_lossy_formats_keep_plain_colours_nearly(tmp_path, ending):
    # A plain block has no frequencies to lose, so only the rounding of YCbCr is left (16..235 in WebP).
    found = pixel(tmp_path, plain((10, 200, 30), size=(16, 16)), name=f"a.{ending}")
    assert np.abs(np.array(found) - [10, 200, 30]).max() <= 4


def test_palette_is_looked_up(tmp_path):
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 12, 34, 56])
    assert pixel(tmp_path, picture) == [12, 34, 56]
    picture.putpalette([0, 0, 0, *GREEN])
    assert pixel(tmp_path, picture, channels=1) == [150]  # as for the same image without a palette


@pytest.mark.parametrize("channels", [1, 3])
def test_transparency_is_laid_on_white(tmp_path, channels):
    assert pixel(tmp_path, plain((0, 0, 0, 0), mode="RGBA"), channels=channels) == [255] * channels
    assert pixel(tmp_path, plain((0, 0, 0, 255), mode="RGBA"), channels=channels) == [0] * channels
    # 100 * 51 / 255 + 255 * 204 / 255 = 20 + 204
    assert pixel(tmp_path, plain((100, 51), mode="LA"), channels=channels) == [224] * channels


def test_transparent_entry_of_a_palette_is_white(tmp_path):
    picture = Image.new("P", (4, 4), 1)
    picture.putpalette([0, 0, 0, 12, 34, 56])
    picture.info["transparency"] = 1
    assert pixel(tmp_path, picture) == [255, 255, 255]


def test_grey_and_colour(tmp_path):
    assert pixel(tmp_path, plain(77, mode="L")) == [77, 77, 77]
    assert pixel(tmp_path, plain(77, mode="L"), channels=1) == [77]
    assert pixel(tmp_path, plain(1, mode="1"), channels=1) == [255]
    assert pixel(tmp_path, plain(GREEN), channels=1) == [150]  # 0.587 * 255 = 149.7


@pytest.mark.parametrize(("level", "byte"), [(0, 0), (255, 0), (256, 1), (0x80FF, 0x80), (65535, 255)])
def test_deep_grey_keeps_its_high_byte(tmp_path, level, byte):
    picture = Image.fromarray(np.full((4, 4), level, dtype=np.uint16))
    assert picture.mode == "I;16"
    assert pixel(tmp_path, picture, channels=1) == [byte]
    assert pixel(tmp_path, picture) == [byte] * 3


def test_cmyk(tmp_path):
    assert pixel(tmp_path, plain((0, 255, 255, 0), mode="CMYK"), name="a.tiff") == list(RED)


def test_exif_orientation_is_applied(tmp_path):
    picture = plain(RED, size=(8, 8))
    picture.paste(BLUE, (0, 0, 4, 8))  # left half
    exif = picture.getexif()
    exif[0x0112] = 6  # row 0 of the file is the right side of the image: turn clockwise
    picture.save(tmp_path / "a.png", exif=exif)
    put(tmp_path, {"z.png": plain(RED, size=(8, 8))})
    turned = load(tmp_path).train[0]
    assert turned[:, 0, 7].tolist() == list(BLUE)  # the left half is now the top one
    assert turned[:, 7, 0].tolist() == list(RED)


def test_first_frame_of_an_animation(tmp_path):
    frames = [plain(GREEN), plain(BLUE)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    put(tmp_path, {"z.png": plain(RED)})
    assert load(tmp_path).train[:, :, 0, 0].tolist() == [list(GREEN), list(RED)]


# Sizes


def stripes(size, box):
    """Make a red image, blue inside the box (left, top, right, bottom)."""
    picture = plain(RED, size=size)
    picture.paste(BLUE, box)
    return picture


@pytest.mark.parametrize("turn", [False, True])
def test_centre_square_is_kept_and_resized(tmp_path, turn):
    # 32 x 8: the centre square is x in 12..20; blue from x = 16 on, so the result is half red, half blue.
    wide = stripes((32, 8), (16, 0, 32, 8))
    put(
        tmp_path,
        {name: wide.transpose(Image.Transpose.TRANSPOSE) if turn else wide for name in ("a.png", "b.png")},
    )
    image = load(tmp_path, size=4).train[0]
    image = image.transpose(1, 2) if turn else image
    assert image.shape == (3, 4, 4)
    # LANCZOS rings by a few levels near an edge.
    assert (image[0, :, :2] > 220).all()
    assert (image[2, :, :2] < 35).all()
    assert (image[2, :, 2:] > 220).all()
    assert (image[0, :, 2:] < 35).all()


def test_crop_equals_resizing_the_whole_and_cutting_out_its_middle(tmp_path):
    noise = Image.fromarray(np.random.default_rng(0).integers(256, size=(8, 32, 3), dtype=np.uint8))
    put(tmp_path, {"a.png": noise, "b.png": noise})
    whole = np.asarray(noise.resize((16, 4), Image.Resampling.LANCZOS))
    assert load(tmp_path, size=4).train[0].permute(1, 2, 0).numpy().tolist() == whole[:, 6:10].tolist()


def test_pictures_of_that_size_are_not_touched(tmp_path):
    noise = np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8)
    put(tmp_path, {"a.png": Image.fromarray(noise), "b.png": plain(RED, size=(16, 24))})
    images = load(tmp_path, size=8).train
    assert images[0].permute(1, 2, 0).numpy().tolist() == noise.tolist()
    assert (images[1] == torch.tensor(RED)[:, None, None]).all()


def test_smaller_pictures_are_refused_not_enlarged(tmp_path):
    put(tmp_path, {"a.png": plain(RED, (9, 9)), "b.png": plain(RED, (20, 7)), "c.png": plain(RED, (8, 6))})
    message = refusal(tmp_path, size=8)
    for part in ("data.size=8", "image too small", "b.png is 20x7", "1 more", "data.size=6"):
        assert part in message
    assert len(load(tmp_path, size=6).train) == 3


def test_without_a_size_pictures_must_agree(tmp_path):
    put(tmp_path, {"a.png": plain(RED, (8, 8)), "b.png": plain(RED, (8, 8)), "c.png": plain(RED, (7, 9))})
    message = refusal(tmp_path)
    for part in ("data.size=null", "a.png is 8x8", "c.png is 7x9", "data.size=7"):
        assert part in message
    assert "b.png" not in message


def test_without_a_size_pictures_must_be_square(tmp_path):
    put(tmp_path, {"a.png": plain(RED, (8, 5)), "b.png": plain(RED, (8, 5))})
    message = refusal(tmp_path)
    for part in ("square", "a.png is 8x5", "data.size=5"):
        assert part in message


# Sources


@pytest.fixture
def nested(tmp_path):
    """Save six images in class folders and beside them, among files that must not be read."""
    rng = np.random.default_rng(1)
    names = ["cat/2.png", "cat/1.png", "dog/deep/1.png", "dog/1.bmp", "top.png", "Zebra/1.png"]
    pictures = {name: Image.fromarray(rng.integers(256, size=(4, 4, 3), dtype=np.uint8)) for name in names}
    folder = put(tmp_path / "my.set", pictures)
    put(folder, {".hidden.png": plain(RED), ".cache/1.png": plain(RED), "cat/._1.png": plain(RED)})
    for name in ("labels.csv", "cat/notes.txt", "paper.pdf", "film.mpg", "plot.eps", "noending"):
        (folder / name).write_text("not a picture")
    return folder


def walk(folder):
    return [(path, str(path.relative_to(folder.parent))) for path in sorted(folder.rglob("*"), reverse=True)]


def pack(folder: Path, name: str) -> Path:
    """Pack in reverse order of names, so that the order of an archive is not the order expected."""
    archive = folder.parent / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
            for path, inside in walk(folder):
                file.write(path, inside)
    else:
        end = name.rsplit(".", 1)[1]
        with tarfile.open(archive, "w" if end == "tar" else f"w:{end.removeprefix('t')}") as file:
            for path, inside in walk(folder):
                file.add(path, f"./{inside}", recursive=False)
    return archive


def test_folder_is_read_recursively_without_hidden_and_other_files(nested):
    data = load(nested)
    order = ["Zebra/1.png", "cat/1.png", "cat/2.png", "dog/1.bmp", "dog/deep/1.png", "top.png"]
    expected = np.stack([np.asarray(Image.open(nested / name)) for name in order]).transpose(0, 3, 1, 2)
    assert data.train.numpy().tolist() == expected.tolist()
    assert data.name == "my.set"


def test_class_folders_and_a_flat_folder_give_the_same(nested, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    for path, inside in walk(nested):
        if path.is_file():
            (flat / inside.replace("/", "+")).write_bytes(path.read_bytes())
    # Hidden files have got visible names here: keep them out by hand.
    for path in [*flat.glob("*+.*")]:
        path.unlink()
    assert torch.equal(load(flat, holdout=0.4).train, load(nested, holdout=0.4).train)


@pytest.mark.parametrize("name", ["s.zip", "s.tar", "s.tar.gz", "s.tgz", "s.tar.bz2", "s.tar.xz"])
def test_archives_equal_the_folder(nested, name):
    folder, archive = load(nested, holdout=0.4), load(pack(nested, name), holdout=0.4)
    assert torch.equal(archive.train, folder.train)
    assert torch.equal(archive.holdout, folder.holdout)
    assert archive.name == "s"


def test_a_tar_is_recognised_by_content_and_never_extracted(nested, monkeypatch):
    archive = pack(nested, "s.tar.xz").rename(nested.parent / "download")
    opened = []
    monkeypatch.setattr(tarfile.TarFile, "extractall", pytest.fail)
    monkeypatch.setattr(tarfile.TarFile, "extractfile", counted(tarfile.TarFile.extractfile, opened))
    assert torch.equal(load(archive, size=4).train, load(nested).train)
    assert len(opened) == 6


def counted(function, calls):
    def wrapper(self, member):
        calls.append(member.name)
        return function(self, member)

    return wrapper


def test_last_of_two_members_of_one_name_counts(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(tarfile.TarFile, "extractfile", counted(tarfile.TarFile.extractfile, opened))
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        for name, colour in [("a.png", RED), ("b.png", BLUE), ("a.png", GREEN)]:
            buffer = io.BytesIO()
            plain(colour).save(buffer, "PNG")
            info = tarfile.TarInfo(name)
            info.size = buffer.tell()
            buffer.seek(0)
            tar.addfile(info, buffer)
    assert load(tmp_path / "s.tar", size=4).train[:, :, 0, 0].tolist() == [list(GREEN), list(BLUE)]
    assert opened == ["b.png", "a.png"]  # the first a.png is never decoded: two threads could race


def test_linked_class_folders_are_followed(nested, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "cat").symlink_to(nested / "cat")
    assert len(load(tmp_path / "links").train) == 2


# Held-out images


def test_holdout_and_training_share_nothing_and_miss_nothing(tmp_path):
    data = load(numbered(tmp_path, 30), holdout=0.3)
    train, held = levels(data.train), levels(data.holdout)
    assert (len(train), len(held)) == (21, 9)
    assert sorted(train + held) == list(range(30))
    assert (train, held) == (sorted(train), sorted(held))
    assert held != list(range(21, 30))


def test_holdout_comes_from_the_seed_alone(tmp_path):
    numbered(tmp_path, 30)
    first, again, other = (levels(load(tmp_path, holdout=0.3, seed=seed).holdout) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_holdout_does_not_move_between_versions(tmp_path):
    # Recorded values: a change here would silently change the training data of every earlier run.
    assert levels(load(numbered(tmp_path, 20), holdout=0.2, seed=5).holdout) == [4, 13, 16, 17]


def test_small_share_still_holds_one_out(tmp_path):
    assert len(load(numbered(tmp_path, 5), holdout=0.01).holdout) == 1


# Classes

ANIMALS = {"Zebra": GREEN, "cat": RED, "dog": BLUE}
NAMES = [f"{animal}/{name}" for animal in ANIMALS for name in ("1.png", "2.png", "3.png", "deep/er/1.png")]


def animals(folder: Path, names: list[str]) -> Path:
    """Save images in the colour of the animal in their name, grey without one."""
    colours = {name: ANIMALS.get(next(filter(ANIMALS.get, name.split("/")), ""), (9, 9, 9)) for name in names}
    return put(folder, {name: plain(colour) for name, colour in colours.items()})


@pytest.mark.parametrize("kind", [None, "zip", "tar", "xztar"])
@pytest.mark.parametrize("around", ["", "animals/"])
def test_class_of_a_picture_is_the_folder_it_lies_in(tmp_path, kind, around):
    folder = animals(tmp_path / "set", [around + name for name in NAMES])
    (folder / "readme.txt").write_text("lies in no class folder, but is no picture")
    put(folder, {".hidden.png": plain(RED)})
    path = shutil.make_archive(str(tmp_path / "packed"), kind, folder) if kind else folder
    data = load(path, holdout=0.3, seed=1)
    assert data.classes == ("Zebra", "cat", "dog")
    for images, labels in ((data.train, data.labels), (data.holdout, data.holdout_labels)):
        assert labels.dtype == torch.int64
        assert images[:, :, 0, 0].tolist() == [list(ANIMALS[data.classes[label]]) for label in labels]
    assert (len(data.labels), len(data.holdout_labels)) == (8, 4)
    assert len(set(data.labels.tolist())) == len(set(data.holdout_labels.tolist())) == 3


@pytest.mark.parametrize("kind", [None, "zip", "tar"])
@pytest.mark.parametrize(
    "names",
    [
        ["1.png", "2.png"],
        ["cat/1.png", "cat/2.png"],
        ["cat/1.png", "dog/1.png", "1.png"],
        ["set/1.png", "set/cat/1.png", "set/dog/1.png"],
        ["set/cat/1.png", "set/cat/2.png"],
    ],
)
def test_without_two_classes_and_one_for_every_picture_there_are_none(tmp_path, names, kind):
    folder = animals(tmp_path / "set", names)
    data = load(shutil.make_archive(str(tmp_path / "packed"), kind, folder) if kind else folder, holdout=0.4)
    assert (data.classes, data.labels, data.holdout_labels) == ((), None, None)
    assert len(data.train) + len(data.holdout) == len(names)


def test_labels_where_nothing_is_held_out(tmp_path):
    data = load(animals(tmp_path, ["dog/1.png", "dog/2.png", "cat/1.png"]))
    assert data.labels.tolist() == [0, 1, 1]
    assert data.holdout_labels.tolist() == []


# Memory


def test_mapped_file_equals_memory_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    numbered(tmp_path / "set", 20)
    made = []
    from_file = torch.from_file
    monkeypatch.setattr(torch, "from_file", lambda name, **o: made.append(name) or from_file(name, **o))
    inside = load(tmp_path / "set", holdout=0.2, memory_limit=20 * 3 * 4)
    assert not made
    mapped = load(tmp_path / "set", holdout=0.2, memory_limit=20 * 3 * 4 - 1)
    assert len(made) == 1
    assert torch.equal(mapped.train, inside.train)
    assert torch.equal(mapped.holdout, inside.holdout)
    assert os.listdir(tmp_path / "tmp") == []


def test_no_room_for_the_mapped_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    message = refusal(numbered(tmp_path, 3), memory_limit=0)
    for part in ("data.size=2", "GiB", "No space left on device", "TMPDIR"):
        assert part in message


def test_few_chunks_are_under_way():
    """Check the limit of chunks: else a tar larger than memory would be held in memory, still encoded."""
    taken, gate = [], threading.Event()
    items = ((str(k), Encoded(1, bytes)) for k in range(1000) if not taken.append(k))
    with ThreadPoolExecutor(2) as pool:
        results = run_ahead(pool, lambda chunk: gate.wait(10) and len(chunk), items, ahead=3)
        threading.Timer(0.05, gate.set).start()
        next(results)
        assert len(taken) <= 4 * 8
        assert sum(results) == 1000 - 8


# Refusals


def test_missing_path(tmp_path):
    message = refusal(tmp_path / "nowhere")
    assert f"data.path={tmp_path / 'nowhere'}" in message
    assert ".zip" in message


def test_file_that_is_no_archive(tmp_path):
    put(tmp_path, {"cat.png": plain(RED)})
    message = refusal(tmp_path / "cat.png")
    assert "data.path=" in message
    assert "cat.png" in message
    assert "folder" in message


def test_nothing_inside(tmp_path):
    (tmp_path / "a.txt").write_text("")
    assert "holds no images" in refusal(tmp_path)
    with tarfile.open(tmp_path / "s.tar", "w"):
        pass
    assert "holds no images" in refusal(tmp_path / "s.tar")


def test_one_picture_is_not_enough(tmp_path):
    message = refusal(put(tmp_path, {"a.png": plain(RED)}))
    assert "a.png" in message
    assert "at least 2" in message


@pytest.mark.parametrize("pack_as", [None, "s.zip", "s.tar.gz"])
@pytest.mark.parametrize("size", [None, 4])
def test_every_damaged_picture_is_counted_and_the_first_named(nested, pack_as, size):
    noise = Image.fromarray(np.random.default_rng(2).integers(256, size=(64, 64, 3), dtype=np.uint8))
    put(nested, {"dog/9.jpg": noise})
    whole = (nested / "dog/9.jpg").read_bytes()
    (nested / "dog/9.jpg").write_bytes(whole[: len(whole) // 2])
    (nested / "cat/1.png").write_bytes(b"")
    (nested / "Zebra/1.png").write_text("no picture")
    message = refusal(pack(nested, pack_as) if pack_as else nested, size=size)
    for part in ("data.path=", "Zebra/1.png", "cannot be decoded", "remove"):
        assert part in message
    # Without a size, the half JPEG already has the wrong one and is never decoded.
    assert f"and {1 if size is None else 2} more" in message


def test_floating_point_pixels_have_no_white(tmp_path):
    put(tmp_path, {"a.tiff": plain(0.5, mode="F"), "b.png": plain(RED)})
    message = refusal(tmp_path)
    assert "a.tiff" in message
    assert "floating-point" in message


def test_postscript_is_not_run_under_another_name(tmp_path):
    put(tmp_path, {"b.png": plain(RED), "c.png": plain(RED), "a.eps": plain(RED)})
    (tmp_path / "a.eps").rename(tmp_path / "a.png")
    assert "a.png cannot be decoded (cannot identify" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["s.zip", "s.tar", "s.tar.gz", "s.tar.bz2", "s.tar.xz"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.7])  # the last tenths of a .tar are padding
def test_truncated_archive(tmp_path, name, share):
    rng = np.random.default_rng(3)
    noise = {f"{k}.png": Image.fromarray(rng.integers(256, size=(32, 32, 3), dtype=np.uint8)) for k in range(8)}
    archive = pack(put(tmp_path / "set", noise), name)
    whole = archive.read_bytes()
    archive.write_bytes(whole[: int(len(whole) * share)])
    message = refusal(archive)
    assert f"data.path={archive}" in message
    assert "cut short" in message


def test_tar_cut_between_two_members(nested):
    """Check a tar cut where Python's tarfile sees the end of the archive."""
    archive = pack(nested, "s.tar")
    with tarfile.open(archive) as tar:
        cut = tar.getmembers()[-2].offset
    whole = archive.read_bytes()
    for size in (cut, cut + 100):
        archive.write_bytes(whole[:size])
        assert "cut short" in refusal(archive)


def test_holdout_that_leaves_nothing(tmp_path):
    message = refusal(numbered(tmp_path, 3), holdout=0.9)
    for part in ("data.holdout=0.9", "none of the 3"):
        assert part in message


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"holdout": 1.0}, "data.holdout=1.0"),
        ({"holdout": -0.1}, "data.holdout=-0.1"),
        ({"holdout": float("nan")}, "data.holdout=nan"),
        ({"size": 0}, "data.size=0"),
        ({"channels": 2}, "data.channels=2"),
    ],
)
def test_options_out_of_range(tmp_path, options, named):
    message = refusal(numbered(tmp_path, 3), **options)
    assert named in message
    assert "expected" in message
