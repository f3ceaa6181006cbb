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
says what it is, a card that says how it was made, and where it is known what a perfect generator would score. What
cannot be computed of so few samples is left out, and the reason stands below the table.""",
    paths={"": "ckpt", **dict.fromkeys((".zip", ".tar", ".gz", ".tgz", ".npz"), "fake")},
    examples="""  python -m resgan.evaluate runs/mine
  python -m resgan.evaluate ckpt=runs/factorial metrics.samples=2000        all runs of a study, in one table
  python -m resgan.evaluate ckpt=runs/mine/checkpoints/final.ckpt metrics=fid
  python -m resgan.evaluate fake=theirs real=images metrics=fid metrics.weights=inception.pth      offline
  python -m resgan.evaluate fake=samples.npz real=cifar10 root=~/data
  python -m resgan.evaluate fake=theirs.zip real=images/test size=32 outdir=theirs""",
)


def main() -> None:
    run_command(COMMAND, evaluate)


if __name__ == "__main__":
    main()
