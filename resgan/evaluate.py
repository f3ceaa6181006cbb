"""Score a checkpoint, or any images: `python -m resgan.evaluate ckpt=PATH`."""

from resgan.cli.command import Command
from resgan.cli.run import run_command
from resgan.experiment.study import Job
from resgan.options.evaluate import EvaluateOptions


def evaluate(options: EvaluateOptions, job: Job) -> None:
    from resgan.experiment.evaluation import evaluate  # once the options are checked: it imports torch

    evaluate(options, job)


COMMAND = Command(
    name="evaluate",
    options=EvaluateOptions,
    about="""Score a checkpoint, or images from anywhere, against real images: Frechet and kernel distances,
Inception score, precision, recall, density, coverage, and the exact scores of the testbeds. Each score has a name that
says what it is, a card that says how it was made, and where it is known what a perfect generator would score.""",
    paths={"": "ckpt", **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".npz"), "fake")},
    examples="""  python -m resgan.evaluate runs/mine/checkpoints/final.ckpt
  python -m resgan.evaluate ckpt=runs/factorial metrics.samples=2000        all runs of a study, in one table
  python -m resgan.evaluate ckpt=runs/mine/checkpoints/final.ckpt metrics=inception metrics.weights=inception.pth
  python -m resgan.evaluate fake=samples.npz real=cifar10 root=~/data
  python -m resgan.evaluate fake=theirs.zip real=images/test size=32 outdir=theirs""",
)


def main() -> None:
    run_command(COMMAND, evaluate)


if __name__ == "__main__":
    main()
