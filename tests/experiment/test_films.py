"""Walks and training as films, rows by class, and the options that go together."""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.options import options_of
from PIL import Image
from torch import Tensor, nn

from resgan.base.images import CELL, GAP, save_png, to_uint8
from resgan.builders.trained_gan import TrainedGan
from resgan.cli.arguments import quoted
from resgan.experiment import films, samples
from resgan.nets.sampling import slerp
from resgan.options.sample import SampleOptions
from resgan.options.validation import check

CLASSES = {"cat": 0.5, "wild dog": 0.3, "all or one, fox": 0.2}
SEEDS = [5, 3, 8, 1]


class Painter(nn.Module):
    """Images (N, 3, 2, 4): two rows of z_0 to z_3, tinted by the class."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        tint = torch.zeros(len(z)) if labels is None else labels / 4
        image = 0.4 * z[:, None, None, :4].expand(-1, 3, 2, -1)
        return image + tint.view(-1, 1, 1, 1) * torch.tensor([1, 0, -1]).view(3, 1, 1) + self.nothing


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """Sample a Painter with these options; returns (the directory, the GAN)."""

    def call(*arguments: str, classes: dict | None = None) -> tuple[Path, TrainedGan]:
        spec = {"generator": {"latent_dim": 4}, "shape": [3, 2, 4], "classes": classes or {}}
        gan = TrainedGan(Painter().eval(), Painter().eval(), nn.Identity(), spec, images_seen=1000)
        monkeypatch.setattr(samples, "load_gan_for", lambda options, path, device: gan)
        given = ("ckpt=a.ckpt", f"outdir={tmp_path / 'out'}", "device=cpu", *arguments)
        samples.sample(check(SampleOptions, options_of(*map(quoted, given), config="sample")), job=None)
        return tmp_path / "out", gan

    return call


def played(path: Path) -> tuple[list[np.ndarray], dict]:
    """Return the frames of a page (H, W, 3), and its data."""
    data = json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.S)[1])
    frames = [np.asarray(Image.open(io.BytesIO(base64.b64decode(frame)))) for frame in data["frames"]]
    return frames, data


def expected_walk(gan: TrainedGan, seeds: list[int], *, steps: int, label: int | None = None) -> np.ndarray:
    """Images (N, H, W, 3) of a closed walk, one by one."""
    found = []
    for a, b in zip(seeds, [*seeds[1:], seeds[0]], strict=True):
        start, end = gan.latents([a])[0], gan.latents([b])[0]
        for z in slerp(start, end, steps=steps):
            labels = None if label is None else torch.tensor([label])
            found.append(to_uint8(gan.generate(z[None], labels))[0].permute(1, 2, 0).numpy())
    return np.stack(found)


def test_a_walk_film_shows_the_samples_of_the_great_circles(draw, capsys):
    """One tile: frame k is the sample itself, pixel by pixel, and the last leg goes back to the first seed."""
    folder, gan = draw("seeds=5,3,8,1", "interpolate=3", "format=html", "fps=10")
    frames, data = played(folder / "walk.html")
    wanted = expected_walk(gan, SEEDS, steps=3)
    assert np.array_equal(np.stack(frames), wanted)
    assert np.array_equal(frames[9], to_uint8(gan.sample([1]))[0].permute(1, 2, 0).numpy())
    assert data["words"][:2] == ["seed 5 to 3, step 0", "seed 5 to 3, step 1"]
    assert data["words"][-1] == "seed 1 to 5, step 2"
    assert data["milliseconds"] == [100] * 12
    assert data["loop"]
    assert "12 frames, 1.2 s at 10 frames a second" in capsys.readouterr().out
    before = (folder / "walk.html").read_bytes()
    draw("seeds=5,3,8,1", "interpolate=3", "format=html", "fps=10")
    assert (folder / "walk.html").read_bytes() == before


def test_without_loop_a_walk_ends_at_its_last_seed(draw):
    folder, gan = draw("seeds=5,3,8,1", "interpolate=3", "format=html", "loop=false")
    frames, data = played(folder / "walk.html")
    assert len(frames) == 10
    assert np.array_equal(np.stack(frames), expected_walk(gan, SEEDS, steps=3)[:10])
    assert data["words"][-1] == "seed 1"
    assert not data["loop"]
    draw("seeds=5,3,8,1", "interpolate=3", "format=npz", "loop=true")
    assert np.array_equal(np.load(folder / "samples.npz")["samples"], expected_walk(gan, SEEDS, steps=3))


def test_tiles_walk_side_by_side_through_their_own_seeds(draw):
    folder, gan = draw("seeds=0-5", "tiles=3", "columns=2", "interpolate=40", "format=html")  # 120 cells in two parts
    frames, _ = played(folder / "walk.html")
    assert len(frames) == 80
    assert frames[0].shape == (2 * 3 + 1, 2 * 5 + 1, 3)  # a gap of one pixel around each
    for k in range(3):
        top, left = 1 + 3 * (k // 2), 1 + 5 * (k % 2)
        tile = np.stack(frames)[:, top : top + 2, left : left + 4]
        assert np.array_equal(tile, expected_walk(gan, [2 * k, 2 * k + 1], steps=40))


def test_a_class_is_a_row_of_the_same_walks(draw):
    folder, gan = draw("seeds=0-3", "tiles=2", "interpolate=2", "format=html", "class=2,0", classes=CLASSES)
    frames, _ = played(folder / "walk.html")
    html = (folder / "walk.html").read_text()
    assert re.findall("<li>(.*?)</li>", html) == ["all or one, fox", "cat"]
    for row, label in enumerate((2, 0)):
        for column, seeds in enumerate(([0, 1], [2, 3])):
            tile = np.stack(frames)[:, 1 + 3 * row : 3 + 3 * row, 1 + 5 * column : 5 + 5 * column]
            assert np.array_equal(tile, expected_walk(gan, seeds, steps=2, label=label))


def test_on_a_film_the_class_is_that_of_the_seed_it_comes_from(draw):
    folder, gan = draw("seeds=0-11", "tiles=3", "interpolate=2", "format=html", classes=CLASSES)
    frames, _ = played(folder / "walk.html")
    drawn = gan.labels(range(12)).view(3, 4)
    assert len(drawn.unique()) > 1
    for k in range(3):
        top, left = 1 + 3 * (k // 2), 1 + 5 * (k % 2)
        for leg in range(4):
            pixels = np.stack(frames)[2 * leg : 2 * leg + 2, top : top + 2, left : left + 4]
            wanted = expected_walk(gan, [4 * k + leg, 4 * k + (leg + 1) % 4], steps=2, label=int(drawn[k, leg]))
            assert np.array_equal(pixels, wanted[:2])


def test_a_gif_of_a_walk_is_enlarged_by_a_whole_factor(draw):
    """One tile of 2 x 4 pixels is 256 high; two rows of classes have labels on their left."""
    folder, gan = draw("seeds=0-1", "interpolate=4", "format=gif", "fps=30")
    wanted = expected_walk(gan, [0, 1], steps=4)
    with Image.open(folder / "walk.gif") as film:
        assert (film.n_frames, film.size, film.info["loop"]) == (8, (512, 256), 0)
        times = []
        for k in range(8):
            film.seek(k)
            times.append(film.info["duration"])
            big = wanted[k].repeat(128, 0).repeat(128, 1).astype(int)
            assert np.abs(np.asarray(film.convert("RGB")) - big).max() <= 4
    assert sum(times) == 270  # 8 / 30 s, in hundredths
    draw("seeds=0-1", "interpolate=4", "format=gif", "class=all", classes=CLASSES)
    with Image.open(folder / "walk.gif") as film:
        assert film.size[1] == 3 * (256 + GAP) + GAP
        assert film.size[0] > 512 + 2 * GAP + 50


def test_a_grid_by_class_has_the_same_latents_in_every_row(draw):
    """Rows are classes, columns seeds; the names stand on the left, the pixels of the samples are unchanged."""
    folder, gan = draw("seeds=0-4", "format=grid", "class=all", classes=CLASSES)
    sheet = np.asarray(Image.open(folder / "grid.png"))
    times = CELL // 2
    width, height = 4 * times + GAP, 2 * times + GAP
    margin = sheet.shape[1] - (5 * width + GAP)
    assert sheet.shape[0] == 3 * height + GAP
    assert margin > 60
    for row in range(3):
        samples_of = to_uint8(gan.sample(range(5), label=row)).permute(0, 2, 3, 1).numpy()
        for column in range(5):
            top, left = GAP + row * height, margin + GAP + column * width
            cell = sheet[top : top + 2 * times : times, left : left + 4 * times : times]
            assert np.array_equal(cell, samples_of[column])
        strip = sheet[row * height : (row + 1) * height, :margin]
        assert (strip < 128).any()  # there is a name
    assert not np.array_equal(sheet[:height, :margin], sheet[height : 2 * height, :margin])


def test_files_of_several_classes(draw):
    folder, _ = draw("seeds=7-8", "class=cat,wild dog", classes=CLASSES)
    assert sorted(path.name for path in folder.iterdir()) == [
        "seed0007_00-cat.png",
        "seed0007_01-wild-dog.png",
        "seed0008_00-cat.png",
        "seed0008_01-wild-dog.png",
    ]


def test_classes_by_name(draw):
    _, gan = draw("seeds=0", classes=CLASSES)
    assert gan.class_numbers("all") == [0, 1, 2]
    assert gan.class_numbers("wild dog, cat") == [1, 0]
    assert gan.class_numbers("all or one, fox") == [2]  # a name may hold a comma
    assert gan.class_numbers(1) == [1]
    with pytest.raises(ValueError, match="class=4: expected 0 to 2, or cat, wild dog"):
        gan.class_numbers("cat,4")


def test_truncation_is_said(draw, capsys):
    """The spread named is that of a million draws."""
    draw("seeds=0", "truncation=0.7")
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "truncation=0.7: each of the 4 numbers of z is drawn between -0.7 and 0.7 (SD 0.39, not 1)" in line
    numbers = torch.randn(1_000_000, generator=torch.Generator().manual_seed(0))
    assert numbers[numbers.abs() < 0.7].std().item() == pytest.approx(0.39, abs=0.005)


def make_run(path: Path, *, count: int = 3, side: int = 40) -> Path:
    """Make a run directory with grids; grid k has grey level 40 k."""
    (path / "samples").mkdir(parents=True)
    for k in range(count):
        save_png(torch.full((3, side, 300), 40 * k, dtype=torch.uint8), path / "samples" / f"{k * 2000:09d}.png")
    save_png(torch.zeros(3, 40, 40, dtype=torch.uint8), path / "samples" / "reals.png")
    return path


def film_of(run: Path, *arguments: str, out: Path) -> None:
    given = (f"ckpt={run}", "film=training", f"outdir={out}", *arguments)
    samples.sample(check(SampleOptions, options_of(*map(quoted, given), config="sample")), job=None)


def test_a_film_of_training_shows_the_grids_of_the_run(tmp_path, capsys):
    run = make_run(tmp_path / "run")
    film_of(run, "format=html", out=tmp_path)
    frames, data = played(tmp_path / "training.html")
    assert [int(frame[5, 5, 0]) for frame in frames] == [0, 40, 80]
    assert data["words"] == ["0 images seen", "2,000 images seen", "4,000 images seen"]
    assert data["milliseconds"] == [250, 250, 2250]
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "final.ckpt").write_bytes(b"never opened")
    film_of(run / "checkpoints" / "final.ckpt", "format=gif", "fps=2", out=tmp_path)
    assert "3 frames, 3.5 s at 2 frames a second" in capsys.readouterr().out
    with Image.open(tmp_path / "training.gif") as film:
        assert (film.n_frames, film.size) == (3, (300, 40 + 28))
        captions = []
        for k in range(3):
            film.seek(k)
            pixels = np.asarray(film.convert("L"))
            assert (np.abs(pixels[:40].astype(int) - 40 * k) <= 2).all()
            captions.append(pixels[40:] < 128)
    assert all(caption.sum() > 50 for caption in captions)
    assert (captions[0] != captions[1]).any()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "ckpt=PATH: does not exist"),
        (lambda path: path.mkdir(), "film=training with ckpt=PATH: there are no grids in PATH/samples"),
        (lambda path: path.write_bytes(b""), "film=training with ckpt=PATH: there are no grids"),
        (lambda path: make_run(path, count=1), "film=training: PATH/samples has one grid"),
        (
            lambda path: (make_run(path, count=2) / "samples" / "000002000.png").write_bytes(b"cut"),
            "film=training: PATH/samples/000002000.png is damaged",
        ),
        (
            lambda path: save_png(
                torch.zeros(3, 9, 9, dtype=torch.uint8), make_run(path, count=2) / "samples" / "000009000.png"
            ),
            "film=training: the grids in PATH/samples differ in size",
        ),
    ],
)
def test_runs_without_a_film(tmp_path, make, says):
    path = tmp_path / "there" / "run"
    path.parent.mkdir()
    make(path)
    with pytest.raises(ValueError) as caught:
        film_of(path, "format=gif", out=tmp_path / "out")
    assert says.replace("PATH", str(path)) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_points_have_no_film_of_a_walk(draw, monkeypatch, tmp_path):
    spec = {"generator": {"latent_dim": 4}, "shape": [2], "classes": {}}
    gan = TrainedGan(nn.Identity(), nn.Identity(), None, spec, images_seen=0)
    options = check(SampleOptions, options_of("ckpt=a", "format=gif", "interpolate=4", config="sample"))
    with pytest.raises(ValueError, match="format=gif with interpolate=4: the samples are points in the plane"):
        films.write_walk_film(gan, [], options, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("interpolate=8 seeds=3", "interpolate=8 with seeds=3: a walk needs at least two seeds"),
        ("interpolate=8 format=gif tiles=4 seeds=0-5", "tiles=4 with seeds=0-5: these are 6"),
        ("interpolate=8 format=gif tiles=4 seeds=0-3", "give a multiple of 4, at least 8"),
        ("format=gif", "format=gif: a film needs interpolate=K"),
        ("format=mp4", "format=mp4: a film needs interpolate=K"),
        ("interpolate=8 format=gif fps=0", "fps=0: expected at least 0.01"),
        ("interpolate=8 format=mp4 fps=61", "fps=61: expected at most 60"),
        ("interpolate=8 format=gif fps=60", "fps=60: a GIF shows at most 50 frames a second; use format=mp4 or html"),
        ("interpolate=8 format=grid fps=10", "fps=10: is for films"),
        ("format=html fps=10", "fps=10: is for films"),
        ("interpolate=8 format=grid tiles=2", "tiles=2: is for films"),
        ("loop=true", "loop=true: there is no walk and no film"),
        ("truncation=0", "truncation=0: expected at least 0.001"),
        ("truncation=5", "truncation=5: expected at most 4"),
        ("film=training", "film=training with format=png: expected format=gif, mp4 or html"),
        ("film=training format=gif interpolate=8", "film=training with interpolate=8: the film shows grids"),
        ("film=training format=gif averaged=false", "film=training with averaged=false: the film shows grids"),
        ("film=training format=gif seeds=0-7", "film=training with seeds=0-7: the film shows grids"),
        ("film=walk format=gif", "film=walk: expected 'training'"),
    ],
)
def test_what_does_not_go_together_is_said_in_a_line(arguments, says):
    with pytest.raises(ValueError) as caught:
        check(SampleOptions, options_of("ckpt=a.ckpt", *map(quoted, arguments.split()), config="sample"))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_goes_together(draw):
    for arguments in ("film=training format=mp4 fps=0.5 loop=false", "interpolate=2 format=gif fps=50", "format=html"):
        check(SampleOptions, options_of("ckpt=a.ckpt", *map(quoted, arguments.split()), config="sample"))
