"""Facts about a command line besides its options: one job, or a whole study."""

from dataclasses import dataclass
from pathlib import Path

from resgan.options.train import TrainOptions


@dataclass(frozen=True)
class Job:
    """One call of a command, perhaps one of many in a sweep."""

    overrides: list[str]  # of this job
    arguments: list[str]  # of the command, as typed; a sweep's jobs share them
    sweep_dir: Path | None  # where a sweep keeps its runs; None outside a sweep
    side_by_side: bool = False  # do several jobs share this machine's cores?


def run_place(arm: Path, options: TrainOptions) -> Path:
    """The directory of a run in a sweep, below that of its arm: <seed>, or <replicate>/<seed>."""
    return arm / ("" if options.replicate is None else str(options.replicate)) / str(options.seed)


@dataclass(frozen=True)
class Study:
    """Every run of a study, before the first begins."""

    name: str
    place: Path
    runs: list[tuple[list[str], TrainOptions]]  # (overrides, options) of each
    at_once: int  # jobs that run side by side; -1: one for each core
    seeds_of_job: int = 1  # seeds that a job trains as one
    on_cluster: bool = False  # does each job have a machine, or its share of one, to itself?
    stack_size: int = 1  # most runs, of all jobs, that are trained as one; 1: job by job
