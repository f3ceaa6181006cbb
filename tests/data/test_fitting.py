"""Images of any shape made square, what is said of it, and where that is remembered."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from resgan.data import folder
from resgan.data.dataset import DataError, Dataset
from resgan.data.fitting import Fitting
from resgan.data.folder import check_different, find_side, load_folder
from resgan.data.image_files import load_images

RED, BLUE = (255, 0, 0), (0, 0, 255)


def save(path, **pictures):
    for name, picture in pictures.items():
        path.mkdir(exist_ok=True)
        picture.save(path / f"{name}.png")
    return path


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(256, size=(height, width, 3), dtype=np.uint8))


def load(path, cache=None, **options) -> Dataset:
    given = {"channels": 3, "holdout": 0.0, "seed": 0, "progress": False} | options
    return load_folder(path, cache_directory=cache, **given)


def pixels(image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


# Pixels.


def test_digits_of_28_stand_in_the_middle_of_32_as_they_are(tmp_path):
    digit = noise(28, 28)
    [image, _] = load(save(tmp_path, a=digit, b=noise(28, 28, 1)), size=32, fit="pad").train
    expected = torch.zeros(3, 32, 32, dtype=torch.uint8)
    expected[:, 2:30, 2:30] = pixels(digit)
    assert torch.equal(image, expected)


@pytest.mark.parametrize("turn", [False, True])
def test_pad_shows_the_whole_of_a_wide_or_tall_image(tmp_path, turn):
    """80 x 20 becomes 16 x 4, with 6 black rows above and below; red on the left and blue on the right both stay."""
    wide = Image.new("RGB", (80, 20), RED)
    wide.paste(BLUE, (40, 0, 80, 20))
    wide = wide.transpose(Image.Transpose.TRANSPOSE) if turn else wide
    image = load(save(tmp_path, a=wide, b=noise(16, 16)), size=16, fit="pad").train[0]
    image = image.transpose(1, 2) if turn else image
    assert not image[:, :6].any()
    assert not image[:, 10:].any()
    assert image[:, 6:10, 0].T.tolist() == [list(RED)] * 4
    assert image[:, 6:10, 15].T.tolist() == [list(BLUE)] * 4


def test_odd_rests_and_hair_thin_images(tmp_path):
    """5 x 3 in 8: one column more on the right, two rows above and three below. 400 x 1 keeps one row."""
    path = save(tmp_path, a=Image.new("RGB", (5, 3), RED), b=Image.new("RGB", (400, 1), RED))
    odd, thin = load(path, size=8, fit="pad").train
    assert (odd[0] > 0).nonzero().tolist() == [[y, x] for y in (2, 3, 4) for x in (1, 2, 3, 4, 5)]
    assert (thin[0] > 0).any(dim=1).nonzero().tolist() == [[3]]


def test_resize_squashes_and_crop_cuts(tmp_path):
    wide = noise(24, 8)
    path = save(tmp_path, a=wide, b=noise(8, 8))
    whole = wide.resize((8, 8), Image.Resampling.LANCZOS)
    assert torch.equal(load(path, size=8, fit="resize").train[0], pixels(whole))
    assert torch.equal(load(path, size=8).train[0], pixels(wide.crop((8, 0, 16, 8))))


@pytest.mark.parametrize("fit", ["crop", "resize", "pad"])
def test_smaller_images_are_enlarged_only_where_asked(tmp_path, fit):
    path = save(tmp_path, a=noise(6, 6), b=noise(20, 20))
    large = noise(6, 6).resize((8, 8), Image.Resampling.LANCZOS)
    assert torch.equal(load(path, size=8, fit=fit, enlarge=True).train[0], pixels(large))
    if fit == "pad":
        assert torch.equal(load(path, size=8, fit=fit).train[0][:, 1:7, 1:7], pixels(noise(6, 6)))
        return
    with pytest.raises(DataError) as caught:
        load(path, size=8, fit=fit)
    for part in ("data.size=8: image too small: a.png is 6x6", "data.size=6", "data.fit=pad", "data.enlarge=true"):
        assert part in str(caught.value)


# Words.


@pytest.mark.parametrize(
    ("fitting", "sizes", "says"),
    [
        ({"side": 8}, {(8, 8): 5}, ""),
        ({"side": 8}, {(16, 16): 5}, "5 images to 8 x 8: 5 reduced from up to 16 x 16"),
        (
            {"side": 64, "enlarge": True},
            {(640, 480): 120, (64, 64): 166, (28, 28): 14},
            "300 images to 64 x 64: 120 cropped (wider than high), 120 reduced from up to 640 x 480, "
            "14 enlarged from as little as 28 x 28",
        ),
        (
            {"side": 8},
            {(8, 9): 1, (9, 8): 2},
            "3 images to 8 x 8: 3 cropped (2 wider than high, 1 higher than wide)",
        ),
        (
            {"side": 32, "fit": "pad"},
            {(28, 28): 60_000},
            "60,000 images to 32 x 32: 60,000 given black bars (smaller)",
        ),
        (
            {"side": 32, "fit": "pad", "enlarge": True},
            {(28, 14): 1, (28, 28): 2},
            "3 images to 32 x 32: 1 given black bars (wider than high), 3 enlarged from as little as 28 x 14",
        ),
        (
            {"side": 32, "fit": "pad"},
            {(64, 20): 1, (32, 32): 2},
            "3 images to 32 x 32: 1 given black bars (wider than high), 1 reduced from up to 64 x 20",
        ),
        (
            {"side": 32, "fit": "resize"},
            {(64, 32): 1, (32, 32): 2},
            "3 images to 32 x 32: 1 squashed (wider than high), 1 reduced from up to 64 x 32",
        ),
    ],
)
def test_what_is_said(fitting, sizes, says):
    assert Fitting(**fitting).in_words(Counter(sizes)) == says


def test_what_was_done_is_known_from_the_cache_too(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    path = save(tmp_path / "photos", a=noise(24, 8), b=noise(8, 8), c=noise(8, 20))
    turned = noise(24, 8).getexif()
    turned[0x0112] = 6
    noise(24, 8).save(path / "d.png", exif=turned)  # stands upright: 8 x 24
    first = load(path, place, size=8)
    assert first.note == "photos: 4 images to 8 x 8: 3 cropped (2 higher than wide, 1 wider than high)"
    monkeypatch.setattr(folder, "decode_all", pytest.fail)
    assert load(path, place, size=8, holdout=0.4).note == first.note
    [sizes] = (place / "pictures").glob("*.json")
    for damage in (sizes.unlink, lambda: sizes.write_text("[[1")):
        damage()  # an entry of an earlier version has none
        assert load(path, place, size=8).note == first.note
        assert sizes.exists()


def test_images_as_they_are_need_no_words(tmp_path):
    path = save(tmp_path / "set", a=noise(8, 8), b=noise(8, 8, 1))
    for size in (None, 8, None, 8):
        assert load(path, tmp_path / "cache", size=size).note == ""


def test_each_fit_has_an_entry_of_its_own_and_crop_keeps_its_key(tmp_path):
    path, place = save(tmp_path / "set", a=noise(24, 8), b=noise(9, 9)), tmp_path / "cache"
    options = [{}, {"fit": "pad"}, {"fit": "resize"}, {"enlarge": True}]
    for given in [*options, *options]:
        assert torch.equal(load(path, place, size=8, **given).train, load(path, size=8, **given).train)
    assert len(list((place / "pictures").glob("*.npy"))) == 4
    expected = {"decoder": folder.DECODER, "size": 8, "channels": 3, "names": ["a.png", "b.png"]}  # as it always was
    digest = folder.blake2b(folder.json.dumps(expected).encode(), digest_size=20)
    for name in ("a.png", "b.png"):
        digest.update(folder.blake2b((path / name).read_bytes()).digest())
    assert (place / "pictures" / f"{digest.hexdigest()}.npy").exists()


def test_evaluation_says_and_refuses_by_its_own_names(tmp_path, capsys):
    path = save(tmp_path / "theirs", a=noise(24, 6), b=noise(9, 9))
    with pytest.raises(DataError) as caught:
        load_images(path, option="fake", size=8, channels=3, progress=False)
    assert "set size=6 or less, fit=pad" in str(caught.value)
    assert "data." not in str(caught.value)
    for _ in range(2):
        assert load_images(path, option="fake", size=8, channels=3, progress=False, fit="pad").shape == (2, 3, 8, 8)
    said = "resgan: theirs: 2 images to 8 x 8: 1 given black bars (wider than high), 2 reduced from up to 24 x 6\n"
    assert capsys.readouterr().err == said  # once


# Before decoding.


def test_the_side_of_images_from_their_headers(tmp_path):
    path = save(tmp_path, a=noise(28, 28), b=noise(28, 28))
    assert find_side(path, progress=False) == 28
    save(tmp_path, c=noise(20, 28))
    with pytest.raises(DataError, match=r"a\.png is 28x28 and c\.png is 20x28"):
        find_side(path, progress=False)


# Images that are all the same.


def deep(value: int) -> Image.Image:
    return Image.fromarray(np.array([[value, 3], [0, 200]], dtype=np.uint16))


@pytest.mark.parametrize("kind", ["deep", "flat"])
def test_equal_images_are_refused(tmp_path, kind):
    if kind == "deep":
        path = save(tmp_path, a=deep(255), b=deep(7))
        says = "16-bit grey of 0 to 255, of which the high byte is kept: scale the values to 0..65535"
    else:
        path = save(tmp_path, a=noise(2, 2), b=noise(2, 2))
        says = "at least 2 different ones are needed"
    images = load(path, size=None).train
    with pytest.raises(DataError) as caught:
        check_different(images, path)
    line = str(caught.value)
    assert line.startswith(f"data.path={path}: all images are the same after decoding to 8 bits at 2 x 2; ")
    assert says in line


def test_images_that_differ_in_one_value_are_taken(tmp_path):
    path = save(tmp_path, a=deep(255), b=deep(256))
    check_different(load(path, size=None).train, path)
