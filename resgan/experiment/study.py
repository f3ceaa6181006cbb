"""Facts about a command line besides its options: one job, or a whole study."""

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resgan.base.plain_data import flat
from resgan.base.progress import duration
from resgan.options.conf import files_of, read_file
from resgan.options.train import TrainOptions
from resgan.runs.configuration import INTERVALS, LENGTH, is_bookkeeping
from resgan.runs.directory import Run, RunError
from resgan.runs.history import AS_BEFORE
from resgan.runs.naming import arm_name, earlier_arm_name, with_hash


@dataclass(frozen=True)
class Job:
    """One call of a command, perhaps one of many in a sweep."""

    overrides: list[str]  # of this job
    arguments: list[str]  # of the command, as typed; a sweep's jobs share them
    sweep_dir: Path | None  # where a sweep keeps its runs; None outside a sweep
    side_by_side: bool = False  # do several jobs share this machine's cores?
    varied: frozenset[str] | None = None  # options that the sweep varies; None: not known, or no sweep
    progress: "Progress | None" = None  # of the sweep, where its runs are known
    started: float = field(default_factory=time.time)  # when the command began
    resumes: bool = True  # do options that were not typed stay those of the run in run_dir?


def arm_of(options: TrainOptions, job: Job) -> str:
    """Name the arm of a job's runs: for directories, W&B and result.json."""
    residual = (options.generator.residual, options.disc.residual)
    return arm_name(job.overrides, residual=residual, varied=job.varied)


def arm_directory(sweep_dir: Path, options: TrainOptions, job: Job) -> Path:
    """Return the directory of an arm in a sweep: the one it has already, else one by its name.

    It has one under its earlier name, or the name is taken by an arm that differs in what the sweep does not vary.
    """
    if (earlier := sweep_dir / earlier_arm_name(job.overrides)).exists():
        return earlier
    usual = sweep_dir / (name := arm_of(options, job))
    return sweep_dir / with_hash(name, job.overrides, job.varied) if is_of_another_arm(usual, options, job) else usual


def is_of_another_arm(directory: Path, options: TrainOptions, job: Job) -> bool:
    """Check whether the runs in a directory have other values of what was typed; seeds, lengths and records aside."""
    begun = next((path for pattern in ("*", "*/*") for path in sorted(directory.glob(f"{pattern}/config.yaml"))), None)
    if begun is None:
        return False
    now, aside = flat(options.model_dump()), {"seed", "replicate", LENGTH, *INTERVALS}
    typed = typed_options(job.overrides)
    names = {name if name in now else f"{name}.name" for name in typed - aside if not is_bookkeeping(name)}
    try:
        then = Run(begun.parent).stored_config(like=now)
    except RunError:
        return False  # whoever opens the run will say so
    return any(name in now and name in then and now[name] != then[name] for name in names)


def typed_options(overrides: Collection[str]) -> set[str]:
    """Return the dotted names of the options that were typed, or that a typed experiment sets."""
    typed = set()
    for override in overrides:
        name, _, value = override.lstrip("+~").partition("=")
        if name == "experiment" and value in files_of("experiment"):
            file = read_file("experiment", value)
            typed |= {*file.values, *file.selects}
        elif value != "auto" and override not in AS_BEFORE:  # auto is no value yet
            typed.add(name)
    return typed


def run_place(arm: Path, options: TrainOptions) -> Path:
    """The directory of a run in a sweep, below that of its arm: <seed>, or <replicate>/<seed>."""
    return arm / ("" if options.replicate is None else str(options.replicate)) / str(options.seed)


@dataclass(frozen=True)
class Progress:
    """Runs of a sweep, and how many had ended when it began."""

    runs: tuple[tuple[Path, float], ...]  # directories, and lengths in kimg
    ended: int
    started: float
    _known: set[Path] = field(default_factory=set, compare=False)  # that have ended: a result is read once

    def line(self) -> str:
        """Count the runs that have ended, and estimate the time for the others by those of this session."""
        self._known.update(path for path, kimg in self.runs if path not in self._known and has_ended(path, kimg))
        ended = len(self._known)
        elapsed = time.time() - self.started
        left = elapsed * (len(self.runs) - ended) / max(1, ended - self.ended)
        return f"run {ended} of {len(self.runs)}" + (f", {duration(left)} left" if ended < len(self.runs) else "")


def has_ended(path: Path, kimg: float) -> bool:
    try:
        return Run(path).read_result(until_kimg=kimg) is not None
    except RunError:
        return False


@dataclass(frozen=True)
class Study:
    """Every run of a study, or of a sweep, before the first begins."""

    name: str  # empty: a sweep that is no study
    place: Path
    runs: list[tuple[list[str], TrainOptions]]  # (overrides, options) of each
    at_once: int  # jobs that run side by side; -1: one for each core
    seeds_of_job: int = 1  # seeds that a job trains as one
    on_cluster: bool = False  # does each job have a machine, or its share of one, to itself?
    stack_size: int = 1  # most runs, of all jobs, that are trained as one; 1: job by job
    varied: frozenset[str] | None = None  # options that it varies
    _arms: dict[tuple[str, ...], Path] = field(default_factory=dict, compare=False)  # found once for all seeds

    @property
    def title(self) -> str:
        return f"study {self.name}" if self.name else "sweep"

    def places(self) -> list[Path]:
        """Return the directory of each run."""
        return [run_place(self.arm(overrides, options), options) for overrides, options in self.runs]

    def progress(self) -> Progress:
        lengths = (options.total_kimg for _, options in self.runs)
        runs = tuple(zip(self.places(), lengths, strict=True))
        known = {path for path, kimg in runs if has_ended(path, kimg)}
        return Progress(runs, len(known), time.time(), known)

    def arm(self, overrides: Sequence[str], options: TrainOptions) -> Path:
        """Return the directory of a job's arm."""
        key = tuple(one for one in overrides if one.partition("=")[0] not in ("seed", "replicate"))
        if key not in self._arms:
            job = Job(list(overrides), [], self.place, varied=self.varied)
            self._arms[key] = arm_directory(self.place, options, job)
        return self._arms[key]
