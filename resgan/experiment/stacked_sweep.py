"""Jobs of a sweep, whose runs are trained in stacks (trainer.stack) if they differ only in what may differ there."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from resgan.builders.stacking import stacks_of
from resgan.experiment.session import JobRuns, build_all, conclude_job, open_runs, runs_of_job, train_claimed
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.runs.directory import Result

Failed = Callable[[Job, Exception], None]  # called with a job that failed, and the error


def train_sweep(jobs: Sequence[tuple[TrainOptions, Job]], failed: Failed) -> None:
    """Train or continue the runs of all jobs that have not ended. `failed` gets what fails, and the rest goes on."""
    asked: list[JobRuns] = []
    for options, job in jobs:
        with telling([job], failed):
            asked.append(runs_of_job(options, job))
    todo = {run.run.path: run for one in asked for run in open_runs(one, sweep_root(one))}  # each run once
    trained: dict[Path, Result] = {}
    conclude_ended(asked, trained)
    for stack in stacks_of(list(todo.values()), lambda run: run.options, most=jobs[0][0].trainer.stack):
        with telling([run.job for run in stack], failed):
            components = build_all([run.options for run in stack], stack[0].job)
            trained |= train_claimed(stack, components, stack[0].run.path)
        conclude_ended(asked, trained)


def conclude_ended(asked: list[JobRuns], trained: Mapping[Path, Result]) -> None:
    """Print the end of each job whose runs have all ended, and remove it from the list."""
    for one in list(asked):
        if all(run.run.path in trained for run in open_runs(one, sweep_root(one))):
            conclude_job(one, sweep_root(one), trained)
            asked.remove(one)


def sweep_root(asked: JobRuns) -> Path:
    assert asked.root is not None  # in a sweep it is <sweep>/<arm>
    return asked.root


@contextlib.contextmanager
def telling(jobs: Sequence[Job], failed: Failed) -> Iterator[None]:
    """Report all of the jobs as failed if the body, which works for all of them, raises."""
    try:
        yield
    except Exception as error:
        for job in {id(job): job for job in jobs}.values():
            failed(job, error)
