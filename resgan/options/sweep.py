"""The options of `python -m resgan.sweep`."""

from typing import Annotated, Literal

from pydantic import Field

from resgan.options.numbers import MOST_RUNS, Processes, Runs, ShortSeed
from resgan.options.validation import Options, option


class SweepOptions(Options):
    """All options of `python -m resgan.sweep` itself. All others on its line are those of `resgan.train`."""

    trials: int = option("trials of each arm, those of earlier calls included", ge=1, le=MOST_RUNS)
    workers: Processes = option("processes of this command that run trials side by side")
    run_dir: Annotated[str, Field(min_length=1)] | None = option(
        "directory of the sweep; null: a new one under runs/, named by date and time"
    )
    arms: Literal["alike", "searched"] = option("alike: a search for each arm; searched: search the switches too")
    fresh_seeds: Runs = option("then train the best settings of each arm with so many fresh seeds")
    sampler: Literal["tpe", "random"] = option("how Optuna proposes values: by what was good before, or at random")
    sampler_seed: ShortSeed = option("seed of the proposals; the first ten are the same in all arms")
    prune: Literal["none", "median"] = option("median: stop a trial whose best score is behind the median of its arm")
    storage: Annotated[str, Field(min_length=1)] | None = option(
        "URL of Optuna's storage, as in sqlite:///sweep.db; null: the file trials.log in run_dir"
    )
    name: Annotated[str, Field(min_length=1)] | None = option("name of the sweep in the storage; null: one of its own")
