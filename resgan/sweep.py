"""Search for good settings: `python -m resgan.sweep trials=30 workers=3 generator.residual=true,false`."""

import importlib.util

from resgan.base.errors import UserError
from resgan.cli.command import Command
from resgan.cli.run import run_with_words
from resgan.experiment.study import Job
from resgan.options.sweep import SweepOptions


def sweep(options: SweepOptions, job: Job, *, words: list[str]) -> None:
    """Search the options of `resgan.train` that these words give a range."""
    if importlib.util.find_spec("optuna") is None:
        raise UserError("resgan.sweep needs Optuna: pip install 'resgan[sweep]'")
    from resgan.cli.search import read_search  # imports Hydra, which --help does without
    from resgan.experiment.sweep.command import run_sweep  # imports torch

    search, usual = read_search(words, options)
    run_sweep(options, search, usual, typed=[*job.arguments, *words])


COMMAND = Command(
    name="sweep",
    options=SweepOptions,
    about="""Search for good settings with Optuna: trials are runs of `resgan.train`, each in a process of its own.
All options but these are those of `resgan.train`, where a range or a list is searched:
  'disc.lr=tag(log,interval(1e-4,1e-2))'  'disc.steps=range(1,4)'  loss=hinge,relativistic
Values of the switches, generator.residual=true,false, are arms: each has a search of its own, of equally many trials.
Without any range both learning rates and the weight of the penalties are searched.
The same command again goes on, on this machine or on others that share run_dir: what a worker left is taken up.
Needs Optuna: pip install 'resgan[sweep]'.""",
    examples="""  python -m resgan.sweep data=gaussians total_kimg=100 workers=2
  python -m resgan.sweep data=gaussians trials=30 generator.residual=true,false disc.residual=true,false fresh_seeds=3
  python -m resgan.sweep data=gaussians seeds=0-2 'disc.lr=tag(log,interval(1e-4,1e-2))' 'disc.width=choice(32,64)'
  python -m resgan.sweep run_dir=/shared/mine storage=postgresql://host/optuna trials=200 data=cifar10 prune=median""",
)


def main() -> None:
    run_with_words(COMMAND, sweep)


if __name__ == "__main__":
    main()
