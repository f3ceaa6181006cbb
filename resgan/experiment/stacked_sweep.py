"""The jobs of a sweep trained as stacks of their runs (trainer.stack), whatever they differ in that those may."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from resgan.builders.stacking import stacks_of
from resgan.experiment.session import JobRuns, build_all, conclude_job, open_runs, runs_of_job, train_claimed
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.runs.directory import Result

Failed = Callable[[Job, Exception], None]  # told of a job that failed, and why


def train_sweep(jobs: Sequence[tuple[TrainOptions, Job]], failed: Failed) -> None:
    """Train the runs of all jobs, continue them, or find them finished. What fails is told, and the rest goes on."""
    asked: list[JobRuns] = []
    for options, job in jobs:
        with telling([job], failed):
            asked.append(runs_of_job(options, job))
    todo = {run.run.path: run for one in asked for run in open_runs(one, sweep_root(one))}  # each once
    trained: dict[Path, Result] = {}
    conclude_ended(asked, trained)
    for stack in stacks_of(list(todo.values()), lambda run: run.options, most=jobs[0][0].trainer.stack):
        with telling([run.job for run in stack], failed):
            components = build_all([run.options for run in stack], stack[0].job)
            trained |= train_claimed(stack, components, stack[0].run.path)
        conclude_ended(asked, trained)


def conclude_ended(asked: list[JobRuns], trained: Mapping[Path, Result]) -> None:
    """Print how the jobs ended whose runs all have, and take them from the list."""
    for one in list(asked):
        if all(run.run.path in trained for run in open_runs(one, sweep_root(one))):
            conclude_job(one, sweep_root(one), trained)
            asked.remove(one)


def sweep_root(asked: JobRuns) -> Path:
    assert asked.root is not None  # in a sweep it is <sweep>/<arm>
    return asked.root


@contextlib.contextmanager
def telling(jobs: Sequence[Job], failed: Failed) -> Iterator[None]:
    """Tell of each job that it failed where what is done here for all of them does."""
    try:
        yield
    except Exception as error:
        for job in {id(job): job for job in jobs}.values():
            failed(job, error)
