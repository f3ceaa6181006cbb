"""Search space of a sweep: its arms, and the options with their ranges."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Literal

from resgan.base.plain_data import PlainData, format_value


@dataclass(frozen=True)
class Dimension:
    """An option that is searched: a range of numbers, or a list of values as they are typed."""

    option: str
    low: float | None = None
    high: float | None = None  # included
    step: float | None = None
    log: bool = False
    whole: bool = False
    choices: tuple[str, ...] = ()
    default: Any = None  # None: not among the values

    @property
    def ends(self) -> list[str]:
        """The values between which, or among which, a trial's value will be."""
        return list(self.choices) or [self.typed(self.low), self.typed(self.high)]

    def typed(self, value: Any) -> str:
        """Write a value so that it is read as the same number."""
        if self.choices:
            return str(value)
        return str(int(value)) if self.whole else format_value(float(value))

    def range_in_words(self) -> str:
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        return f"{self.ends[0]} to {self.ends[1]}" + (" (log)" if self.log else "")


@dataclass(frozen=True)
class Search:
    """Everything that all workers of a sweep must agree on."""

    arms: dict[str, list[str]]  # overrides of each arm, by its name
    words: list[str]  # overrides of all trials
    dimensions: tuple[Dimension, ...]
    seeds: tuple[int, ...]  # of a trial; its value is their mean
    nested: bool  # has each seed a directory of its own, as with seeds=0?
    images: int  # real images that a run is trained on
    sampler: Literal["tpe", "random"]
    sampler_seed: int
    prune: Literal["none", "median"]

    def as_data(self) -> PlainData:
        """Return it as JSON has it, with lists for tuples."""
        return json.loads(json.dumps(asdict(self)))

    @staticmethod
    def from_data(data: PlainData) -> "Search":
        dimensions = tuple(Dimension(**(d | {"choices": tuple(d["choices"])})) for d in data["dimensions"])
        values: PlainData = data | {"dimensions": dimensions, "seeds": tuple(data["seeds"])}
        return Search(**values)

    def differences(self, begun: PlainData) -> list[str]:
        """List how this differs from the record of a sweep that has begun."""
        found = []
        for key, value in Search.from_data(begun).as_data().items():
            if value != (own := self.as_data()[key]):
                found.append(f"{key} was {shown(value)}, is {shown(own)}")
        return found

    def overrides(self, arm: str, values: PlainData) -> list[str]:
        """Return the overrides of a trial, as they are typed."""
        searched = [f"{d.option}={d.typed(values[d.option])}" for d in self.dimensions]
        return [*self.words, *self.arms[arm], *searched]


def shown(value: Any) -> str:
    """Write a part of a search in words."""
    if isinstance(value, list | tuple) and all(isinstance(one, dict) for one in value):
        return "; ".join(f"{d['option']}: {Dimension(**d).range_in_words()}" for d in value)
    if isinstance(value, dict):
        return ", ".join(value)
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
