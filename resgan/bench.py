"""Find the fast options for this machine: `python -m resgan.bench generator=sngan disc=sngan data=cifar10`."""

from resgan.cli.command import Command
from resgan.cli.run import run_command
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions


def bench(options: TrainOptions, job: Job) -> None:
    from resgan.experiment.benchmark import bench  # once the options are checked: it imports torch

    bench(options, job)


COMMAND = Command(
    name="bench",
    config="train",
    options=TrainOptions,
    about="""Measure training steps of any configuration of `resgan.train` on this machine, with one option changed at a
time, and say which to set. It takes about a minute, or two for wide networks, reads no data, and writes nothing.
Run it alone on the machine.""",
    examples="""  python -m resgan.bench
  python -m resgan.bench data=gaussians
  python -m resgan.bench data=cifar10 generator=sngan disc=sngan loss=hinge""",
)


def main() -> None:
    run_command(COMMAND, bench)


if __name__ == "__main__":
    main()
