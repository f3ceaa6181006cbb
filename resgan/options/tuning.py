"""The options of equal tuning: by a separate tuning study, or by a search in every replicate."""

import itertools
from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.base.plain_data import PlainData, format_value
from resgan.options.choices import Init
from resgan.options.numbers import MOST_RUNS, Factor, Runs
from resgan.options.validation import Options, option

Range = Annotated[list[Factor], Field(min_length=2, max_length=2)]

# The options that each range of a search multiplies, and those that a search may choose.
RANGES = {
    "generator_lr": ("generator.lr",),
    "disc_lr": ("disc.lr",),
    "penalty": ("loss.r1", "loss.r2", "loss.gp"),
}
STARTS = ("generator.init", "disc.init")


class TuningOptions(Options):
    best: Literal["none", "shared", "own"] = option(
        "rates and penalties of a tuning study: best over all arms, or per arm"
    )
    runs: Annotated[str, Field(min_length=1)] | None = option("directory of that tuning study; null: none")
    candidates: Runs = option("settings that each replicate searches, the same list in every arm; 0: no search")
    rungs: Annotated[list[Annotated[float, Field(ge=1e-6, le=1)]], Field(min_length=1, max_length=16)] = option(
        "lengths of a candidate's runs in the search, as shares of total_kimg"
    )
    keep: int = option("n: one in n candidates goes on to the next rung", ge=2, le=MOST_RUNS)
    fresh_seeds: int = option("seeds of each replicate, trained with the options that its search found", ge=1, le=100)
    generator_lr: Range | None = option("lowest and highest factor on generator.lr in the search; null: not searched")
    disc_lr: Range | None = option("the same for disc.lr")
    penalty: Range | None = option("the same for loss.r1, loss.r2 and loss.gp, one factor for all")
    inits: list[Init] = option("inits to search")  # of either network; short, because --help adds the choices
    accept_edge: bool = option("go on even if the best candidate is the outermost of a range, or tied")

    @model_validator(mode="after")
    def _runs_are_named(self) -> "TuningOptions":
        if (self.best == "none") != (self.runs is None):
            raise ValueError(f"best={self.best} with runs={format_value(self.runs)}: give both or none")
        return self

    @model_validator(mode="after")
    def _search_is_one(self) -> "TuningOptions":
        for name in RANGES:
            values = getattr(self, name)
            if values is not None and not 0 < values[0] < values[1]:
                raise ValueError(f"{name}={format_value(values)}: expected two factors above 0, the lower one first")
        if any(after <= before for before, after in itertools.pairwise(self.rungs)):
            raise ValueError(f"rungs={format_value(self.rungs)}: expected growing lengths")
        given = f"candidates={self.candidates}"
        if self.candidates == 1:
            raise ValueError(f"{given}: there is nothing to choose from; expected 0, or 2 or more")
        if self.candidates and self.best != "none":
            raise ValueError(f"{given}: best={self.best} takes the settings of another study; use one of them")
        if self.candidates and not any(getattr(self, name) for name in (*RANGES, "inits")):
            raise ValueError(f"{given}: nothing is searched; give one of {', '.join(RANGES)}, inits")
        return self


def searched_options(config: PlainData) -> list[str]:
    """List the options that a search decides, from a dotted configuration; empty where there is no search."""
    if not config.get("tuning.candidates"):
        return []
    ranges = [option for name, options in RANGES.items() if config.get(f"tuning.{name}") for option in options]
    return ranges + [*(STARTS if config.get("tuning.inits") else ())]
