"""Sample a checkpoint: `python -m resgan.sample ckpt=PATH seeds=0-63 outdir=DIR`."""

import io
import itertools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from resgan.checking import OptionsError, parse_seeds
from resgan.command import Command, Job, find_accelerator, run_command
from resgan.options import SampleOptions
from resgan.runs import check_writable

if TYPE_CHECKING:
    from torch import Tensor

COMMAND = Command(
    name="sample",
    options=SampleOptions,
    about="""Sample images from a checkpoint; the file is all it needs.
Image i depends on its seed only, whichever others are asked for beside it.""",
    examples="""  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=0-63 outdir=samples
  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=0-63 outdir=samples format=grid columns=8
  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=0-9999 outdir=samples format=npz
  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=3,7,11 outdir=walk format=grid interpolate=8
  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=0-63 outdir=cats format=grid class=cat""",
)


def main() -> None:
    run_command(COMMAND, sample)


def sample(options: SampleOptions, job: Job) -> None:
    seeds = parse_seeds(options.seeds)
    outdir = Path(options.outdir).expanduser()
    check_writable("outdir", outdir)

    from resgan.build import load_gan

    gan = load_gan(Path(options.ckpt).expanduser(), device=find_accelerator("device", options.device))
    z = gan.latents(seeds, truncation=options.truncation)
    labels = gan.labels(seeds, of_class=options.class_)
    names = [f"seed{seed:04d}" for seed in seeds]
    if options.interpolate:
        z, names = walk(z, names, steps=options.interpolate)
        labels = None if labels is None else labels[walked(len(seeds), steps=options.interpolate)]
    samples = gan.generate(z, labels, averaged=options.averaged)
    columns = options.columns or (options.interpolate if options.interpolate else None)
    try:
        print(save(samples, names, outdir, form=options.format, columns=columns))
    except OSError as error:
        raise OptionsError(f"outdir={outdir}: cannot be written ({error.strerror})") from error


def walk(z: "Tensor", names: list[str], *, steps: int) -> tuple["Tensor", list[str]]:
    """Latents on the great circles from each seed to the next, and their names; the last seed ends the walk."""
    import torch

    from resgan.sampling import slerp

    legs = [slerp(a, b, steps=steps) for a, b in itertools.pairwise(z)]
    between = [f"{a}-{b[4:]}-{k:03d}" for a, b in itertools.pairwise(names) for k in range(steps)]
    return torch.cat([*legs, z[-1:]]), [*between, names[-1]]


def walked(count: int, *, steps: int) -> list[int]:
    """Which seed each latent of a walk is on its way from: its class is that of the picture too."""
    return [k for k in range(count - 1) for _ in range(steps)] + [count - 1]


def save(samples: "Tensor", names: list[str], outdir: Path, *, form: str, columns: int | None) -> str:
    """Write the samples, and say where."""
    import numpy as np

    from resgan import images

    outdir.mkdir(parents=True, exist_ok=True)
    points = samples.ndim == 2
    if form == "grid":
        path = outdir / "grid.png"
        sheet = (
            images.scatter(samples)
            if points
            else images.enlarge(images.grid(images.to_uint8(samples), columns=columns))
        )
        images.save_png(sheet, path)
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


def pngs(samples: "Tensor", names: list[str]) -> Iterator[tuple[str, bytes]]:
    from PIL import Image

    from resgan import images

    for name, image in zip(names, images.to_uint8(samples), strict=True):
        buffer = io.BytesIO()
        Image.fromarray(images.to_array(image)).save(buffer, format="PNG")
        yield name, buffer.getvalue()


if __name__ == "__main__":
    main()
