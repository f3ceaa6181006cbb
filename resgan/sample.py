"""Sample a checkpoint: `python -m resgan.sample ckpt=runs/mine seeds=0-63 outdir=DIR`."""

from resgan.cli.command import Command
from resgan.cli.run import run_command
from resgan.experiment.study import Job
from resgan.options.sample import SampleOptions


def sample(options: SampleOptions, job: Job) -> None:
    from resgan.experiment.samples import sample  # once the options are checked: it imports torch

    sample(options, job)


COMMAND = Command(
    name="sample",
    options=SampleOptions,
    about="""Sample images from a checkpoint, or from the run directory it lies in, to files, grids, films and pages.
The checkpoint is all it needs. Image i depends on its seed only, whichever others are asked for beside it.""",
    paths={"": "ckpt"},
    examples="""  python -m resgan.sample runs/mine
  python -m resgan.sample ckpt=runs/mine seeds=0-63 outdir=samples
  python -m resgan.sample ckpt=runs/mine/checkpoints/best.ckpt seeds=0-63 format=grid columns=8
  python -m resgan.sample ckpt=runs/mine seeds=0-9999 format=npz
  python -m resgan.sample ckpt=runs/mine seeds=0-7 format=grid class=all        a row for each class, the same latents
  python -m resgan.sample ckpt=runs/mine seeds=0-63 format=html                 a page with every sample and its seed
  python -m resgan.sample ckpt=runs/mine seeds=3,7,11 format=grid interpolate=8
  python -m resgan.sample ckpt=runs/mine seeds=0-63 tiles=16 interpolate=24 format=gif    16 walks side by side
  python -m resgan.sample ckpt=runs/mine film=training format=html              the grids of the run as they came""",
)


def main() -> None:
    run_command(COMMAND, sample)


if __name__ == "__main__":
    main()
