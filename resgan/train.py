"""Train a GAN: `python -m resgan.train generator.residual=true disc.residual=false`."""

import math
from collections.abc import Callable, Sequence

from resgan.cli.command import Command
from resgan.cli.run import run_command
from resgan.experiment.begun import as_begun
from resgan.experiment.study import Job, Study
from resgan.options.train import TrainOptions


def train(options: TrainOptions, job: Job) -> float:
    options = as_begun(options, job)
    # Imported only after the options are checked, because they import torch.
    if options.trainer.devices * options.trainer.nodes > 1:
        from resgan.experiment.worker import follows

        if follows(options, job):
            return math.nan
    if job.side_by_side and options.trainer.devices == 1:
        from resgan.experiment.several import take_own_gpu

        take_own_gpu(options)
    if options.replicate is not None:
        from resgan.experiment.replicate import train_replicate

        return train_replicate(options, job)
    from resgan.experiment.session import train

    return train(options, job)


def announce(study: Study) -> None:
    from resgan.experiment.plan import announce

    announce(study)


def report_end(study: Study) -> None:
    from resgan.experiment.plan import report_end

    report_end(study)


def train_sweep(jobs: Sequence[tuple[TrainOptions, Job]], failed: Callable[[Job, Exception], None]) -> None:
    from resgan.experiment.stacked_sweep import train_sweep

    train_sweep(jobs, failed)


COMMAND = Command(
    name="train",
    options=TrainOptions,
    about="""Train a GAN whose residual blocks are switched on separately in the generator and the discriminator.
The bare command trains the arm generator.residual=true disc.residual=true on data=shapes.""",
    examples="""  python -m resgan.train generator.residual=true disc.residual=false
  python -m resgan.train data=gaussians total_kimg=200
  python -m resgan.train data=folder data.path=images.zip data.size=32 total_kimg=1000
  python -m resgan.train data=folder data.path=digits data.size=32 data.fit=pad data.labels=labels.csv
  python -m resgan.train data=cifar10 metrics=fid             FID; fetches the weights of Inception, 96 MB, once
  python -m resgan.train -m generator.residual=true,false disc.residual=true,false seed=0,1,2
  python -m resgan.train generator.width=[64,32,16] generator.blocks=4 generator.join=sum generator.norm=group
  python -m resgan.train study=factorial seed=0,1,2,3,4 hydra/launcher=joblib
  python -m resgan.train study=factorial data=gaussians trainer.stack=32
  python -m resgan.train run_dir=runs/mine      the same command again continues the run""",
    before_study=announce,
    after_study=report_end,
    run_stacked=train_sweep,
)


def main() -> None:
    run_command(COMMAND, train)


if __name__ == "__main__":
    main()
