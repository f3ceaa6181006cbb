"""Equal tuning: the best settings by a tuning study, for all arms together or for each."""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy import stats

from resgan.base.plain_data import PlainData, format_value
from resgan.report.records import ARM_NAMES, TUNABLE, Arm, Record, title
from resgan.runs.configuration import differences
from resgan.runs.directory import RunError

# A tuning run may be shorter and measured less often than the runs it is for.
FREE = ("total_kimg", "score_kimg", "sample_kimg", "save_kimg", "metrics.samples", "tuning.best")

Values = tuple[tuple[str, Any], ...]  # ((option, value), ...) of TUNABLE


@dataclass(frozen=True)
class Tuning:
    """Runs that differ in arm, seed and candidate values only."""

    records: tuple[Record, ...]

    def title_among(self, others: list["Tuning"]) -> str:
        """Name the settings that distinguish it from the others; empty where it is the only one."""
        described = [tuning.records[0].settings(without=TUNABLE) for tuning in others]
        return title(self.records[0].settings(without=TUNABLE), described)

    @cached_property
    def candidates(self) -> list[Values]:
        return sorted({values_of(record) for record in self.records}, key=repr)

    @cached_property
    def seeds(self) -> list[int]:
        return sorted({record.seed for record in self.records})

    @cached_property
    def arms(self) -> list[Arm]:
        return [arm for arm in ARM_NAMES if any(record.arm == arm for record in self.records)]

    @cached_property
    def missing(self) -> list[tuple[Arm, int, Values]]:
        """Runs that have not ended."""
        ended = {(r.arm, r.seed, values_of(r)) for r in self.records if r.status != "unfinished"}
        every = itertools.product(ARM_NAMES, self.seeds, self.candidates)
        return [run for run in every if run not in ended]

    @cached_property
    def ranks(self) -> dict[Arm, list[float]]:
        """Mean rank of each candidate in an arm, ranked seed by seed: 1 is best, diverged runs share the last rank."""
        found = {(r.arm, r.seed, values_of(r)): r for r in self.records}
        return {
            arm: np.mean(
                [
                    stats.rankdata([objective(found[arm, seed, values]) for values in self.candidates])
                    for seed in self.seeds
                ],
                axis=0,
            ).tolist()
            for arm in self.arms
        }

    @cached_property
    def shared_ranks(self) -> list[float]:
        """Mean ranks over the arms."""
        return np.mean([self.ranks[arm] for arm in self.arms], axis=0).tolist()

    def best(self, arm: Arm | None = None) -> Values:
        """Return the best values for one arm, or for all together; of equal ranks, the first in `candidates`."""
        ranks = self.shared_ranks if arm is None else self.ranks[arm]
        return self.candidates[ranks.index(min(ranks))]


def objective(record: Record) -> float:
    """Return the objective of a run that has ended; lower is better, infinite where it has none."""
    assert record.result is not None
    value = record.result["objective"] if record.status == "finished" else None
    return float("inf") if value is None else float(value)


def values_of(record: Record) -> Values:
    return tuple((name, record.config[name]) for name in TUNABLE)


def tuning_for(config: PlainData, records: list[Record]) -> Tuning:
    """Select the part of a tuning study made for runs of this configuration (dotted). Raises RunError."""
    wanted = Record(path=records[0].path, config=config, result=None, sessions=()).settings(without=[*TUNABLE, *FREE])
    fitting = [record for record in records if record.settings(without=[*TUNABLE, *FREE]) == wanted]
    if not fitting:
        found = differences(records[0].settings(without=[*TUNABLE, *FREE]), wanted)
        raise RunError(f"holds no runs for this configuration: {'; '.join(found)}")
    tuning = Tuning(tuple(fitting))
    if config["seed"] in tuning.seeds:
        raise RunError(f"was made with seed={config['seed']} too; a fair comparison needs fresh seeds")
    if tuning.missing:
        arm, seed, values = tuning.missing[0]
        example = f"{ARM_NAMES[arm]}, seed {seed}, {', '.join(f'{k}={format_value(v)}' for k, v in values)}"
        raise RunError(f"has not ended: {len(tuning.missing)} runs are missing, first {example}")
    return tuning


def tunings(records: list[Record]) -> list[Tuning]:
    """Group tuning runs that differ in nothing but arm, seed and candidate."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(repr(sorted(record.settings(without=TUNABLE).items())), []).append(record)
    return [Tuning(tuple(group)) for group in groups.values()]
