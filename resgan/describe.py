"""Describe networks without training them: `python -m resgan.describe generator.blocks=4`."""

from resgan.cli.command import Command
from resgan.cli.run import run_command
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions


def describe(options: TrainOptions, job: Job) -> None:
    from resgan.experiment.description import describe  # once the options are checked: it imports torch

    describe(options, job)


COMMAND = Command(
    name="describe",
    config="train",
    options=TrainOptions,
    about="""Describe the networks of any configuration of `resgan.train` without training them: layer by layer the
shape, the size of the signal at the start and of the gradient on its way back, for both positions of the switch side by
side; parameters, floating point operations; and what the norms of one arm hide from it. No data is read, except the
sizes (where data.size=null) and labels of images at a path.""",
    examples="""  python -m resgan.describe
  python -m resgan.describe generator.blocks=8 disc.blocks=8 generator.norm=none disc.norm=none
  python -m resgan.describe data=cifar10 generator.join=scaled disc.join=scaled
  python -m resgan.describe data=cifar10 generator=sngan disc=sngan
  python -m resgan.describe data=folder data.path=images.zip""",
)


def main() -> None:
    run_command(COMMAND, describe)


if __name__ == "__main__":
    main()
