"""Films: walks through latents, and training as the run's own grids show it."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from resgan.base import films, images
from resgan.base.errors import OptionsError
from resgan.base.files import make_directory
from resgan.base.films import Pace, Picture
from resgan.builders.trained_gan import TrainedGan
from resgan.nets import sampling
from resgan.options.sample import SampleOptions
from resgan.options.seeds import parse_seeds
from resgan.runs.directory import Run

SIDE = 256  # least width in pixels of a frame, without the labels of its rows
HOLD = 2.0  # seconds for which a film of training stays at its end


# Walks.


def write_walk_film(gan: TrainedGan, classes: Sequence[int], options: SampleOptions, outdir: Path) -> str:
    """Write a film of walks side by side, all from the same latents for each class; return a line that says where."""
    if len(gan.spec["shape"]) == 1:
        raise OptionsError(
            f"format={options.format} with interpolate={options.interpolate}: the samples are points in the plane, and "
            "a walk of points is one curve; use format=grid, which plots all of it, or npz"
        )
    z, labels = walks(gan, classes, options)
    rows = [gan.classes[k] for k in classes] if len(classes) > 1 else []
    columns = options.tiles if rows else options.columns or math.ceil(math.sqrt(options.tiles))
    pace = Pace(frames=len(z), fps=options.frames_a_second, loop=options.looping)
    make_directory(outdir)
    path = outdir / f"walk.{options.format}"
    times = images.enlargement(gan.spec["shape"], least=max(images.CELL, SIDE // columns))
    frames = tqdm(samples_by_frame(gan, z, labels, options), total=len(z), desc="frames", delay=1, disable=None)
    if options.format == "html":  # pixels as they are: the page enlarges them
        title = f"A walk through the samples of {options.ckpt}, {gan.images_seen:,} images seen"
        sheets = (images.grid(cells, columns=columns, gap=0 if len(cells) == 1 else 1) for cells in frames)
        pictures = (
            Picture(png=images.png(sheet), words=words)
            for sheet, words in zip(sheets, words_of_walk(options), strict=True)
        )
        films.write_player(path, pictures, pace, title=title, times=times, rows=rows)
    else:
        gap = 0 if z.shape[1] == 1 else images.GAP
        sheets = (images.grid(images.repeat_pixels(cells, times), columns=columns, gap=gap) for cells in frames)
        write_film(path, (images.with_row_labels(sheet, rows, gap=gap) if rows else sheet for sheet in sheets), pace)
    return where_it_is(path, pace)


def walks(gan: TrainedGan, classes: Sequence[int], options: SampleOptions) -> tuple[Tensor, Tensor | None]:
    """Return latents (frames, cells, dim) and labels (frames, cells); the cells are the tiles of each class in turn."""
    seeds, going = parse_seeds(options.seeds), {"steps": options.interpolate, "loop": options.looping}
    tiles = gan.latents(seeds, truncation=options.truncation).unflatten(0, (options.tiles, -1))
    z = torch.stack([sampling.walk(tile, **going) for tile in tiles], 1)
    if classes:
        labels = torch.tensor(classes).repeat_interleave(options.tiles)
        return z.repeat(1, len(classes), 1), labels.expand(len(z), -1)
    drawn = gan.labels(seeds)
    if drawn is None:
        return z, None
    starts = [start for start, _, _ in sampling.places(tiles.shape[1], **going)]  # an image has the class of its start
    return z, drawn.unflatten(0, (options.tiles, -1))[:, starts].T


def samples_by_frame(gan: TrainedGan, z: Tensor, labels: Tensor | None, options: SampleOptions) -> Iterator[Tensor]:
    """Sample frame by frame: uint8 (cells, C, H, W)."""
    frames, cells = z.shape[:2]
    for part in torch.arange(frames).split(max(1, sampling.CHUNK // cells)):
        given = None if labels is None else labels[part].flatten()
        found = gan.generate(z[part].flatten(0, 1), given, averaged=options.averaged)
        yield from images.to_uint8(found).unflatten(0, (len(part), cells))


def words_of_walk(options: SampleOptions) -> list[str]:
    """Say of each frame where on the walk it is."""
    seeds, going = parse_seeds(options.seeds), {"steps": options.interpolate, "loop": options.looping}
    places = sampling.places(len(seeds) // options.tiles, **going)
    if options.tiles == 1:
        return [f"seed {seeds[a]} to {seeds[b]}, step {k}" if a != b else f"seed {seeds[a]}" for a, b, k in places]
    return [f"leg {a + 1}, step {k}" if a != b else "the end" for a, b, k in places]


# Training.


def write_training_film(options: SampleOptions, outdir: Path) -> str:
    """Write a film of the grids that a run has saved, with the images seen; return a line that says where."""
    grids = grids_of(Path(options.ckpt).expanduser())
    words = [f"{images_seen:,} images seen" for images_seen in grids]
    pace = Pace(frames=len(grids), fps=options.frames_a_second, hold=HOLD, loop=options.looping)
    frames = [read_grid(grid) for grid in grids.values()]
    if len({frame.shape for frame in frames}) > 1:
        raise OptionsError(f"film=training: the grids in {next(iter(grids.values())).parent} differ in size")
    make_directory(outdir)
    path = outdir / f"training.{options.format}"
    if options.format == "html":
        pictures = (
            Picture(png=grid.read_bytes(), words=said) for grid, said in zip(grids.values(), words, strict=True)
        )
        films.write_player(path, pictures, pace, title=f"Training of {options.ckpt}")
    else:
        write_film(path, map(images.with_caption, frames, words), pace)
    return where_it_is(path, pace)


def grids_of(path: Path) -> dict[int, Path]:
    """Find the grids of a run, given by its directory or a checkpoint in it. Raises OptionsError."""
    if not path.exists():
        raise OptionsError(f"ckpt={path}: does not exist; film=training needs a run directory, with grids in samples/")
    run = Run(path if path.is_dir() else path.absolute().parent.parent)
    grids = run.grids()
    if not grids:
        raise OptionsError(
            f"film=training with ckpt={path}: there are no grids in {run.samples}; give the directory of a run"
        )
    if len(grids) == 1:
        raise OptionsError(f"film=training: {run.samples} has one grid; a run with a smaller sample_kimg saves more")
    return grids


def read_grid(path: Path) -> Tensor:
    """Read a grid as uint8 (C, H, W). Raises OptionsError."""
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # of Pillow, for damaged files
        raise OptionsError(f"film=training: {path} is damaged") from error
    return torch.from_numpy(np.atleast_3d(pixels).copy()).permute(2, 0, 1)


# Files.


def write_film(path: Path, frames: Iterator[Tensor], pace: Pace) -> None:
    (films.write_gif if path.suffix == ".gif" else films.write_mp4)(path, frames, pace)


def where_it_is(path: Path, pace: Pace) -> str:
    size = path.stat().st_size / 1e6
    return f"{pace.frames} frames, {pace.seconds:.1f} s at {pace.fps:g} frames a second, in {path} ({size:.2g} MB)"
