"""Sample a checkpoint: `python -m resgan.sample ckpt=PATH seeds=0-63 outdir=DIR`."""

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
    about="""Sample images from a checkpoint; the file is all it needs.
Image i depends on its seed only, whichever others are asked for beside it.""",
    paths={"": "ckpt"},
    examples="""  python -m resgan.sample runs/mine/checkpoints/final.ckpt
  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=0-63 outdir=samples
  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=0-63 outdir=samples format=grid columns=8
  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=0-9999 outdir=samples format=npz
  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=3,7,11 outdir=walk format=grid interpolate=8
  python -m resgan.sample ckpt=runs/mine/checkpoints/final.ckpt seeds=0-63 outdir=cats format=grid class=cat""",
)


def main() -> None:
    run_command(COMMAND, sample)


if __name__ == "__main__":
    main()
