"""Options with the values that a tuning study found best, and overrides that a search does not allow."""

from collections.abc import Sequence
from pathlib import Path

from resgan.base.errors import OptionsError
from resgan.base.plain_data import flat
from resgan.experiment.precision import with_precision
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.options.tuning import searched_options
from resgan.report.records import TUNABLE, read_runs
from resgan.report.tuning import tuning_for
from resgan.runs.directory import RunError


def tuned(options: TrainOptions, job: Job) -> TrainOptions:
    """The options with the best values of a tuning study, where one is named. Raises OptionsError, RunError."""
    if (runs := options.tuning.runs) is None:
        return options
    [options] = with_precision([options])  # a tuning study has a precision too, and is for runs of the same
    for override in job.overrides:
        if (name := override.split("=")[0]) in TUNABLE:
            raise OptionsError(f"{override}: tuning.best={options.tuning.best} decides {name}; leave one of them out")
    try:
        records = read_runs([Path(runs).expanduser()])
        # For every seed, since none of them may have been tuned on.
        tunings = [tuning_for(flat(run.model_dump()), records) for run in options.each_seed()]
    except RunError as error:
        raise RunError(f"tuning.runs={runs}: {error}") from error
    arm = (options.generator.residual, options.disc.residual)
    return options.with_values(dict(tunings[0].best(arm if options.tuning.best == "own" else None)))


def refuse_searched(options: TrainOptions, overrides: Sequence[str]) -> None:
    """Refuse overrides of what the search of a replicate decides. Raises OptionsError."""
    searched = searched_options(flat(options.model_dump()))
    for override in overrides:
        if (name := override.lstrip("+").partition("=")[0]) in searched:
            raise OptionsError(f"{override}: the search (tuning.candidates) decides {name}; leave it out")
