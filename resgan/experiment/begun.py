"""Runs by where they lie: the directories of a job, what has begun in them, and the options it goes on with."""

from collections.abc import Sequence
from pathlib import Path

from resgan.base.console import say
from resgan.base.errors import OptionsError
from resgan.base.plain_data import flat, nested
from resgan.experiment.study import Job, arm_directory, typed_options
from resgan.options.train import TrainOptions
from resgan.options.validation import check, names
from resgan.runs.configuration import INTERVALS, LENGTH
from resgan.runs.directory import Result, Run, RunError
from resgan.runs.history import AS_BEFORE

NEW_HERE = ("run_dir", "seeds")  # never taken from a run's config.yaml


def named_directory(options: TrainOptions, job: Job) -> Path | None:
    """Return the directory of the runs: <sweep>/<arm> in a sweep, else run_dir; None: a new one, with date and time."""
    given = Path(options.run_dir).expanduser() if options.run_dir else None
    return arm_directory(given or job.sweep_dir, options, job) if job.sweep_dir is not None else given


def runs_in(root: Path, options: TrainOptions, job: Job) -> dict[int, Run]:
    """Return the runs by seed: each in its own directory below `root`; a single run outside a sweep in `root`."""
    below = job.sweep_dir is not None or options.seeds is not None
    return {one.seed: Run(root / str(one.seed) if below else root) for one in options.each_seed()}


def as_begun(options: TrainOptions, job: Job) -> TrainOptions:
    """Return the options of the run that lies in run_dir, except those that were typed; without a run, the given ones.

    So that run_dir alone goes on with a run. Raises RunError for a run that belongs to a replicate.
    """
    several = options.seeds is not None or options.replicate is not None
    if not job.resumes or job.sweep_dir is not None or options.run_dir is None or several:
        return options
    run, typed = Run(Path(options.run_dir).expanduser()), typed_options(job.overrides)
    if not run.has_begun():
        return options
    stored = run.stored_config(like=names(TrainOptions))
    if stored.get("replicate") is not None:
        raise RunError(
            f"run_dir={run.path}: is of replicate {stored['replicate']}, which decides its options; go on with all of "
            "it by the command that began it"
        )
    if stored.get("data.name") != "shapes_hard":  # data=shapes once meant shapes_hard, and still does for those runs
        typed |= {override.partition("=")[0] for override in job.overrides if override in AS_BEFORE}
    given = flat(options.model_dump())
    own = {name: value for name, value in stored.items() if name not in NEW_HERE and not is_in(name, typed)}
    now = {name: value for name, value in given.items() if name in NEW_HERE or is_in(name, typed)}
    try:
        begun = check(TrainOptions, nested(own | now))
    except (OptionsError, TypeError):  # TypeError: config.yaml has a value where a group should be
        return options  # what was typed does not fit the run, which will be refused with all differences
    begun.remember(options.overrides)
    return begun


def is_in(name: str, typed: set[str]) -> bool:
    """Check whether an option, or its group, was typed."""
    return any(name == one or name.startswith(one + ".") for one in typed)


def find_begun(runs: Sequence[tuple[TrainOptions, Run]], job: Job) -> tuple[list[TrainOptions], list[Result | None]]:
    """Return the options that each run goes on with, and its result; None where it has not ended.

    A run that began before an option existed goes on as it began, whatever the option's default, unless the option is
    typed; so does a run whose precision was found when it began. Raises RunError where a directory has other options.
    """
    typed = typed_options(job.overrides)
    continued, results = [], []
    for one, run in runs:
        kept = (run if run.has_begun() else run_beside(run, job)).kept_options(like=one.model_dump())
        if job.resumes and run.config.exists():  # a length that is not typed is no wish to change it
            stored = run.stored_config(like=one.model_dump())
            kept |= {name: stored[name] for name in (LENGTH, *INTERVALS) if name in stored}
        one = one.with_values({name: value for name, value in kept.items() if name not in typed})
        run.check(one.model_dump())
        continued.append(one)
        results.append(result := run.read_result(until_kimg=one.total_kimg))
        if result is not None:
            extend_diverged(run, one, result)
            longer = "a greater total_kimg trains it longer, " if result["status"] == "finished" else ""
            say(f"{run.path} is finished already ({result['status']}); {longer}another run_dir runs it again")
    return continued, results


def extend_diverged(run: Run, options: TrainOptions, result: Result) -> None:
    """Give a run that diverged the greater length that is asked for: it would have diverged on the way there.

    So that it counts among the runs of a study that is made longer. Raises RunError.
    """
    if result["status"] == "diverged" and options.total_kimg > run.stored_config(like=options.model_dump())[LENGTH]:
        with run.locked():
            run.go_on_with(options.model_dump())


def run_beside(run: Run, job: Job) -> Run:
    """Find a run of the same sweep that has begun: later runs keep its options, so that a study is of one kind."""
    if job.sweep_dir is None:
        return run
    configs = sorted(run.path.parent.parent.glob("*/*/config.yaml"))  # <sweep>/<arm>/<seed>
    return Run(configs[0].parent) if configs else run
