"""`python -m resgan.data`: what it says of images, what it writes, and which lines it refuses."""

import json
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.options import options_of
from PIL import Image

from resgan.cli.arguments import quoted
from resgan.data import __main__ as command
from resgan.data.folder import load_folder
from resgan.options.train import TrainOptions
from resgan.options.validation import check


@pytest.fixture
def looked(tmp_path, monkeypatch, capsys):
    """Run the command in an empty directory; returns its status and its rows by title."""

    def call(*arguments: str) -> tuple[int, dict[str, list[str]]]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["data", *arguments])
        with pytest.raises(SystemExit) as caught:
            command.main()
        out, err = capsys.readouterr()
        assert err == ""
        first, *lines = out.splitlines()
        found: dict[str, list[str]] = {"": [first]}
        title = ""
        for line in lines:
            title = line[2:14].strip() or title
            found.setdefault(title, []).append(line[14:])
        return caught.value.code, found

    return call


def noise(width: int, height: int, seed: int, mode: str = "RGB") -> Image.Image:
    pixels = np.random.default_rng(seed).integers(256, size=(height, width, 4), dtype=np.uint8)
    return Image.fromarray(pixels[..., 0] if mode == "L" else pixels[..., : len(mode)])


def save(path: Path, **pictures: Image.Image) -> Path:
    path.mkdir(exist_ok=True)
    for name, picture in pictures.items():
        picture.save(path / f"{name}.png")
    return path


def test_a_folder_with_everything_wrong(tmp_path, looked):
    photos = save(tmp_path / "photos", **{f"p{k:02}": noise(40, 30, k) for k in range(20)})
    save(photos, tall=noise(30, 90, 50), copy=noise(40, 30, 3), clear=noise(40, 30, 51, "RGBA"))
    (photos / "x.jpg").write_bytes(b"no picture")
    (photos / "y.png").write_bytes((photos / "p01.png").read_bytes()[:300])
    before = sorted(photos.iterdir())
    status, rows = looked("photos", "data.size=32")
    assert status == 1
    assert rows[""] == ["photos: 25 images in photos"]
    assert rows["sizes"][0] == "2 different, 40 x 30 to 30 x 90; 22 wider than high, 1 higher than wide"
    assert rows["modes"] == ["RGB 22, RGBA (transparent) 1"]
    assert rows["duplicates"] == ["1 image equals another one, such as p03.png and copy.png"]
    assert [row.partition(" (")[0] for row in rows["damaged"]] == ["x.jpg", "y.png"]
    assert "0x" not in rows["damaged"][0]
    assert rows["refused"][0].startswith("data.size=32: image too small: clear.png is 40x30 (and 22 more)")
    assert rows["refused"][1] == "2 damaged files; remove or replace them"
    assert rows["train with"] == ["python -m resgan.train data=folder data.path=photos data.size=32"]
    assert sorted(photos.iterdir()) == before


def test_the_grid_is_what_training_sees_and_the_command_is_valid(tmp_path, looked):
    """28 x 28 in 32 x 32 with bars: each cell is doubled, in a grid of one row and gaps of 2 pixels."""
    save(tmp_path / "digits", a=noise(28, 28, 0, "L"), b=noise(28, 28, 1, "L"), c=noise(28, 28, 2, "L"))
    (tmp_path / "digits" / "labels.csv").write_text("file,label\na.png,10\nb.png,9\nc.png,10\n")
    status, rows = looked("digits", "data.size=32", "data.fit=pad", "labels=labels.csv", "outdir=out")
    assert status == 0
    assert rows["classes"] == ["2 from labels.csv: 9 (1), 10 (2)"]
    assert rows["training"] == ["3 images to 32 x 32: 3 given black bars (smaller)"]
    [line] = rows["train with"]
    overrides = [quoted(word) for word in shlex.split(line)[3:]]
    options = check(TrainOptions, options_of(*overrides)).data
    assert (options.size, options.fit, options.labels, options.channels) == (32, "pad", "labels.csv", 1)
    data = load_folder(
        "digits", size=32, fit="pad", labels="labels.csv", channels=1, holdout=0.0, seed=0, progress=False
    )
    grid = np.asarray(Image.open("out/grid.png"))[..., 0]
    for place, row in enumerate((1, 0, 2)):  # by class: b is of class 9
        cell = grid[2:66, 2 + 66 * place : 66 + 66 * place]
        assert np.array_equal(cell[::2, ::2], data.train[row, 0].numpy())


@pytest.mark.parametrize(
    ("sizes", "given", "suggests"),
    [
        ([(16, 16)] * 3, [], ""),
        ([(200, 100), (90, 90)], [], "data.size=64"),
        ([(200, 100)] * 20 + [(20, 20)], [], "data.size=64 data.enlarge=true"),
        ([(200, 100), (9, 9)], [], "data.size=64 data.fit=pad"),
        ([(20, 10), (9, 9)], [], "data.size=32 data.fit=pad"),
        ([(40, 50), (50, 40)], ["fit=resize"], "data.fit=resize data.size=32"),
    ],
)
def test_a_size_that_is_not_given_is_suggested_and_training_takes_it(tmp_path, looked, sizes, given, suggests):
    pictures = {f"p{k}": noise(*size, k) for k, size in enumerate(sizes)}
    save(tmp_path / "my photos", **pictures)
    status, rows = looked("my photos", *given)
    assert status == 0
    assert rows["train with"] == [f"python -m resgan.train data=folder 'data.path=my photos' {suggests}".rstrip()]
    data = check(TrainOptions, options_of(*map(quoted, shlex.split(rows["train with"][0])[3:]))).data
    loaded = load_folder(
        data.path, size=data.size, fit=data.fit, enlarge=data.enlarge, channels=3, holdout=0.0, seed=0, progress=False
    )
    assert len(loaded.train) == len(sizes)
    assert ("suggested" in rows["training"][0]) == bool(suggests)


def test_shards_and_wrong_labels(tmp_path, looked):
    for shard in ("00000", "00001"):
        save(tmp_path / "set", **{})
        save(tmp_path / "set" / shard, **{f"{shard}{k}": noise(16, 16, k + int(shard) * 5) for k in range(2)})
    index = tmp_path / "set" / "dataset.json"
    index.write_text('{"labels": null}')
    status, rows = looked("set")
    assert (status, rows["classes"]) == (0, ["none (none: dataset.json has labels=null)"])
    index.write_text(json.dumps({"labels": [["00000/000000.png", 3]]}))
    status, rows = looked("set")
    assert status == 1
    assert "3 of 4 images have no label" in rows["refused"][0]
    assert Path("look/grid.png").exists()  # the rest is still looked at


def test_deep_grey_of_a_low_range(tmp_path, looked):
    pictures = {f"p{k}": Image.fromarray(np.full((16, 16), k, dtype=np.uint16)) for k in range(3)}
    save(tmp_path / "deep", **pictures)
    status, rows = looked("deep")
    assert status == 1
    assert rows["modes"] == ["I;16 (16-bit grey) 3"]
    assert rows["16-bit"] == ["values 0 to 2 of 0 to 65535; the high byte is kept, here 0 to 0 of 0 to 255"]
    assert "all images are the same after decoding to 8 bits" in rows["refused"][0]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "PATH: required"),
        ("nowhere", "data.path=nowhere: there is no such file or folder"),
        ("set data.sise=3", "data.sise: there is no such option; did you mean data.size?"),
        ("set data.size=many", "data.size=many: expected a whole number"),
        ("set data.fit=stretch", "data.fit=stretch: expected 'crop', 'pad' or 'resize'"),
        ("set data.size=[", "data.size=[: expected a value"),
        ("set other", "other: one path at a time, and set is given already"),
        ("set outdir=set/look", "outdir=set/look: lies in set"),
        (". ", "outdir=look: lies in ."),
    ],
)
def test_refusals(tmp_path, refused, line, says):
    save(tmp_path / "set", a=noise(16, 16, 0), b=noise(16, 16, 1))
    assert says in refused(command, *line.split())


def test_the_help_names_every_option_and_its_examples_are_valid(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["data", "--help"])
    with pytest.raises(SystemExit) as caught:
        command.main()
    shown = capsys.readouterr().out
    assert caught.value.code == 0
    assert max(map(len, shown.splitlines())) <= 125
    for name in command.defaults():
        assert name in ("name", "path") or f"data.{name}=" in shown
    for line in command.EXAMPLES.splitlines()[1:]:
        given, _ = command.parse(shlex.split(line)[3:])
        check(command.DataOptions, {"data": command.defaults() | given})
