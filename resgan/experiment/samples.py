"""Samples of a checkpoint, written to files."""

import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from resgan.base import images
from resgan.base.console import say
from resgan.base.device import find_accelerator
from resgan.base.errors import OptionsError
from resgan.base.files import atomic_writer, make_directory
from resgan.base.films import Picture, video_library, write_gallery
from resgan.builders.memory import check_samples
from resgan.builders.trained_gan import TrainedGan, load_gan_for
from resgan.experiment.films import write_training_film, write_walk_film
from resgan.experiment.study import Job
from resgan.nets import sampling
from resgan.options.sample import SampleOptions
from resgan.options.seeds import parse_seeds
from resgan.runs.directory import check_writable


def sample(options: SampleOptions, job: Job) -> None:
    outdir = Path(options.outdir).expanduser()
    check_writable("outdir", outdir)
    if options.format == "mp4":
        video_library()
    print(write_training_film(options, outdir) if options.film else write_samples(options, outdir))


def write_samples(options: SampleOptions, outdir: Path) -> str:
    """Sample the GAN of a checkpoint, and return a line that says where the samples are."""
    gan = load_gan_for(options, Path(options.ckpt).expanduser(), device=find_accelerator("device", options.device))
    classes = [] if options.class_ is None else gan.class_numbers(options.class_)
    if len(classes) > 1 and options.columns:
        raise OptionsError(f"columns={options.columns} with class={options.class_}: each class has a row; leave it out")
    if options.truncation:
        say(truncation_in_words(options.truncation, dim=gan.spec["generator"]["latent_dim"]))
    if options.is_film:
        return write_walk_film(gan, classes, options, outdir)
    return save_samples(draw_samples(gan, classes, options), outdir, form=options.format)


def truncation_in_words(limit: float, *, dim: int) -> str:
    """Say what truncation does to the latents. Their variance is 1 - 2 t phi(t) / (2 Phi(t) - 1)."""
    normal = NormalDist()
    spread = (1 - 2 * limit * normal.pdf(limit) / (2 * normal.cdf(limit) - 1)) ** 0.5
    return (
        f"truncation={limit:g}: each of the {dim} numbers of z is drawn between -{limit:g} and {limit:g} "
        f"(SD {spread:.2g}, not 1): samples vary less, and with some GANs are better; "
        "there is no w to truncate, as in StyleGAN"
    )


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """Samples, in rows of equal length where they are of several classes or of a walk."""

    samples: Tensor  # (N, C, H, W), or points (N, 2)
    names: list[str]  # of files
    words: list[str]  # for a reader
    columns: int | None
    classes: list[str]  # the names of the rows; none where it is not one class a row


def draw_samples(gan: TrainedGan, classes: Sequence[int], options: SampleOptions) -> Drawn:
    """Sample the seeds, or a walk through them; with several classes all of it in each, from the same latents."""
    seeds = parse_seeds(options.seeds)
    check_samples(
        gan.spec,
        len(seeds) * max(1, options.interpolate) * max(1, len(classes)),
        {"seeds": options.seeds} | ({"interpolate": options.interpolate} if options.interpolate else {}),
    )
    z, labels = gan.latents(seeds, truncation=options.truncation), gan.labels(seeds)
    names, words = [f"seed{seed:04d}" for seed in seeds], [f"seed {seed}" for seed in seeds]
    if options.interpolate:
        z = sampling.walk(z, steps=options.interpolate, loop=options.looping)
        places = sampling.places(len(seeds), steps=options.interpolate, loop=options.looping)
        labels = None if labels is None else labels[[start for start, _, _ in places]]
        words = [f"{words[a]} to {seeds[b]}, step {k}" if a != b else words[a] for a, b, k in places]
        names = [f"{names[a]}-{seeds[b]:04d}-{k:03d}" if a != b else names[a] for a, b, k in places]
    columns = options.columns or options.interpolate or None
    if classes:
        labels = torch.tensor(classes).repeat_interleave(len(z))
        z = z.repeat(len(classes), 1)
    found = gan.generate(z, labels, averaged=options.averaged)
    if len(classes) < 2:
        return Drawn(samples=found, names=names, words=words, columns=columns, classes=[])
    titles = [gan.classes[k] for k in classes]
    marks = [f"_{k:02d}-{re.sub('[^A-Za-z0-9.-]', '-', gan.classes[k])}" for k in classes]
    return Drawn(
        samples=found,
        names=[name + mark for mark in marks for name in names],
        words=words * len(classes),
        columns=len(names),
        classes=titles,
    )


def save_samples(drawn: Drawn, outdir: Path, *, form: str) -> str:
    """Write the samples, each file as a whole, and return a line that says where."""
    make_directory(outdir)
    points = drawn.samples.ndim == 2
    if form == "grid":
        path = outdir / "grid.png"
        images.save_png(grid_of(drawn), path)
    elif form == "html":
        path = outdir / "samples.html"
        write_page(drawn, path)
    elif form == "npz" or points:
        path = outdir / "samples.npz"
        array = drawn.samples.numpy() if points else images.to_uint8(drawn.samples).permute(0, 2, 3, 1).numpy()
        with atomic_writer(path) as file:
            np.savez_compressed(file, samples=array, names=np.array(drawn.names))
    elif form == "zip":
        path = outdir / "samples.zip"
        with atomic_writer(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, image in zip(drawn.names, images.to_uint8(drawn.samples), strict=True):
                archive.writestr(f"{name}.png", images.png(image))
    else:
        path = outdir
        for name, image in zip(drawn.names, images.to_uint8(drawn.samples), strict=True):
            with atomic_writer(outdir / f"{name}.png", flush=False) as file:
                file.write(images.png(image))
    return f"{len(drawn.samples)} samples in {path}"


def grid_of(drawn: Drawn) -> Tensor:
    """Show samples in one uint8 image; classes as rows with their names, points in one plot."""
    sheet = images.to_image(drawn.samples, columns=drawn.columns)
    return images.with_row_labels(sheet, drawn.classes) if drawn.classes and drawn.samples.ndim == 4 else sheet


def write_page(drawn: Drawn, path: Path) -> None:
    """Write a page with the samples one by one; of points, with one plot of all."""
    if drawn.samples.ndim == 2:
        plot = Picture(png=images.png(grid_of(drawn)), words="both axes from -5 to 5")
        write_gallery(path, [("", [plot])], title=f"{len(drawn.samples)} points", width=images.SCATTER)
        return
    shown = zip(drawn.words, images.to_uint8(drawn.samples), strict=True)
    pictures = [Picture(png=images.png(image), words=words) for words, image in shown]
    columns = len(pictures) // max(1, len(drawn.classes))
    labels = drawn.classes or [""]
    rows = [(label, pictures[k * columns : (k + 1) * columns]) for k, label in enumerate(labels)]
    width = drawn.samples.shape[3] * images.enlargement(drawn.samples.shape)
    write_gallery(path, rows, title=f"{len(pictures)} samples", width=width)
