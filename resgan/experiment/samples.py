"""Samples of a checkpoint, written to files."""

import io
import itertools
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from resgan.base import images
from resgan.base.device import find_accelerator
from resgan.base.errors import OptionsError
from resgan.builders.trained_gan import load_gan_for
from resgan.experiment.study import Job
from resgan.nets.sampling import slerp
from resgan.options.sample import SampleOptions
from resgan.options.seeds import parse_seeds
from resgan.runs.directory import check_writable


def sample(options: SampleOptions, job: Job) -> None:
    seeds = parse_seeds(options.seeds)
    outdir = Path(options.outdir).expanduser()
    check_writable("outdir", outdir)

    gan = load_gan_for(options, Path(options.ckpt).expanduser(), device=find_accelerator("device", options.device))
    z = gan.latents(seeds, truncation=options.truncation)
    labels = gan.labels(seeds, label=options.class_)
    names = [f"seed{seed:04d}" for seed in seeds]
    if options.interpolate:
        z, names = walk(z, names, steps=options.interpolate)
        labels = None if labels is None else labels[walked(len(seeds), steps=options.interpolate)]
    samples = gan.generate(z, labels, averaged=options.averaged)
    columns = options.columns or (options.interpolate if options.interpolate else None)
    try:
        print(save_samples(samples, names, outdir, form=options.format, columns=columns))
    except OSError as error:
        raise OptionsError(f"outdir={outdir}: cannot be written ({error.strerror})") from error


def walk(z: Tensor, names: list[str], *, steps: int) -> tuple[Tensor, list[str]]:
    """Latents on the great circles from each seed to the next, and their names; the last seed ends the walk."""
    legs = [slerp(a, b, steps=steps) for a, b in itertools.pairwise(z)]
    between = [f"{a}-{b[4:]}-{k:03d}" for a, b in itertools.pairwise(names) for k in range(steps)]
    return torch.cat([*legs, z[-1:]]), [*between, names[-1]]


def walked(count: int, *, steps: int) -> list[int]:
    """Return the index of the seed that each latent of a walk starts from; the image takes the class of that seed."""
    return [k for k in range(count - 1) for _ in range(steps)] + [count - 1]


def save_samples(samples: Tensor, names: list[str], outdir: Path, *, form: str, columns: int | None) -> str:
    """Write the samples, and return a line that says where."""
    outdir.mkdir(parents=True, exist_ok=True)
    points = samples.ndim == 2
    if form == "grid":
        path = outdir / "grid.png"
        images.save_png(images.to_image(samples, columns=columns), path)
    elif form == "npz" or points:
        path = outdir / "samples.npz"
        array = samples.numpy() if points else images.to_uint8(samples).permute(0, 2, 3, 1).numpy()
        np.savez_compressed(path, samples=array, names=np.array(names))
    elif form == "zip":
        path = outdir / "samples.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
            for name, data in pngs(samples, names):
                archive.writestr(f"{name}.png", data)
    else:
        path = outdir
        for name, data in pngs(samples, names):
            (outdir / f"{name}.png").write_bytes(data)
    return f"{len(samples)} samples in {path}"


def pngs(samples: Tensor, names: list[str]) -> Iterator[tuple[str, bytes]]:
    for name, image in zip(names, images.to_uint8(samples), strict=True):
        buffer = io.BytesIO()
        Image.fromarray(images.to_array(image)).save(buffer, format="PNG")
        yield name, buffer.getvalue()
