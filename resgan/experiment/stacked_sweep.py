"""Jobs of a sweep, whose runs are trained in stacks (trainer.stack) if they differ only in what may differ there."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from resgan.base.files import WriteError
from resgan.builders.stacking import stacks_of
from resgan.experiment.replicate import Steps, Wanted, known_results, missing, replicate_steps
from resgan.experiment.session import (
    JobRuns,
    OpenRun,
    build_all,
    conclude_job,
    open_among,
    open_runs,
    runs_of_job,
    train_claimed,
)
from resgan.experiment.stacks import stacks_to_train
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.runs.directory import Result

Failed = Callable[[Job, Exception], None]  # called with a job that failed, and the error


def train_sweep(jobs: Sequence[tuple[TrainOptions, Job]], failed: Failed) -> None:
    """Train or continue the runs of all jobs that have not ended. `failed` gets what fails, and the rest goes on."""
    replicates = [one for one in jobs if one[0].replicate is not None]
    for alike in stacks_of(replicates, lambda one: one[0], most=None):  # all of one depth end before the next begins
        train_replicates(alike, failed)
    train_jobs([one for one in jobs if one[0].replicate is None], failed)


def train_jobs(jobs: Sequence[tuple[TrainOptions, Job]], failed: Failed) -> None:
    asked: list[JobRuns] = []
    for options, job in jobs:
        with telling([job], failed):
            asked.append(runs_of_job(options, job))
    todo = {run.run.path: run for one in asked for run in open_runs(one, sweep_root(one))}  # each run once
    trained: dict[Path, Result] = {}
    conclude_ended(asked, trained)
    for results in train_in_stacks(list(todo.values()), failed):
        trained |= results
        conclude_ended(asked, trained)


def train_replicates(jobs: Sequence[tuple[TrainOptions, Job]], failed: Failed) -> None:
    """Train replicates in step: the first rung of all their searches in common stacks, then the second, and so on."""
    waiting: list[tuple[Job, Steps, Wanted]] = []

    def go_on(job: Job, steps: Steps, results: Sequence[Result] | None) -> None:
        with telling([job], failed), contextlib.suppress(StopIteration):
            waiting.append((job, steps, steps.send(results)))  # type: ignore[arg-type]  # None begins

    for options, job in jobs:
        go_on(job, replicate_steps(options, job), None)
    while waiting:
        asked, todo = list(waiting), []
        waiting.clear()
        for job, _, wanted in asked:
            with telling([job], failed):
                todo += open_among(missing(wanted), job)[0]
        for _ in train_in_stacks(todo, failed):
            pass
        for job, steps, wanted in asked:
            if all(
                run.read_result(until_kimg=one.total_kimg) is not None for one, run in wanted.runs
            ):  # else it has been told
                go_on(job, steps, known_results(wanted))


def train_in_stacks(runs: Sequence[OpenRun], failed: Failed) -> Iterator[dict[Path, Result]]:
    """Train runs to their end, stack by stack, and yield the results of each stack."""
    for stack in stacks_to_train(runs, most=runs[0].options.trainer.stack if runs else None):
        with telling([run.job for run in stack], failed):
            components = build_all([(run.options, run.run) for run in stack], stack[0].job)
            yield train_claimed(stack, components, stack[0].run.path)


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
    except WriteError:  # the next runs would find the disk as full
        raise
    except Exception as error:
        for job in {id(job): job for job in jobs}.values():
            failed(job, error)
