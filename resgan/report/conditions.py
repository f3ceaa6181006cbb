"""A list of conditions, such as study=controls: how does each score against the plain and the residual network?

The reference panel has both networks; every other condition differs from it in how blocks are wired or start.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from resgan.base.plain_data import PlainData, format_value
from resgan.report.effects import LEVEL, Array, max_flip
from resgan.report.equivalence import MARGINS
from resgan.report.families import Estimate, estimates
from resgan.report.panels import Panel, Score, mean_of_seen, panel_key
from resgan.report.records import Arm, Record

ARMS: dict[Arm, str] = {
    (False, False): "plain", (False, True): "residual D", (True, False): "residual G", (True, True): "residual"
}  # fmt: skip
OF_A_BLOCK = ("init", "inner", "join", "skip", "skip_final", "skip_scale", "branch_scale", "layer_scale")
OPTIONS = {*(f"{network}.{option}" for network in ("generator", "disc") for option in OF_A_BLOCK), "burn_in_kimg"}


@dataclass(frozen=True)
class Condition:
    """The runs of one condition; they differ in their seeds."""

    name: str
    panel: Panel
    arm: Arm

    @property
    def records(self) -> list[Record]:
        return self.panel.arm(self.arm)


@dataclass(frozen=True)
class Conditions:
    """Conditions with their references, the plain network and the residual one."""

    all: tuple[Condition, ...]  # plain, residual, then the others
    title: str  # distinguishes it from other lists; "" where it is the only one

    @property
    def references(self) -> tuple[Condition, Condition]:
        return self.all[0], self.all[1]

    @property
    def others(self) -> tuple[Condition, ...]:
        return self.all[2:]

    @property
    def panels(self) -> list[Panel]:
        return [self.all[0].panel, *(condition.panel for condition in self.others)]

    @property
    def records(self) -> list[Record]:
        return [record for condition in self.all for record in condition.records]

    @cached_property
    def primary(self) -> str | None:
        return next((panel.primary for panel in self.panels if panel.primary), None)

    @property
    def score(self) -> Score:
        """Scale and direction of the primary endpoint."""
        assert self.primary
        return next(panel for panel in self.panels if panel.primary).score_of(self.primary)

    @cached_property
    def replicates(self) -> list[int]:
        """Replicates that have ended, finished or diverged, in every condition."""
        ended = [{r.replicate for r in c.records if r.status != "unfinished"} for c in self.all]
        return sorted(set.intersection(*ended))

    @property
    def too_short(self) -> str:
        """Say why the runs of every condition are too short to compare them; empty where those of one are not."""
        said = [panel.too_short for panel in self.panels]
        return said[0] if all(said) else ""

    def scores(self, condition: Condition) -> Array:
        """Return the primary endpoint (R,) on the scale of the intervals; NaN where no run of a replicate finished."""
        assert self.primary
        found = []
        for replicate in self.replicates:
            values = [r.score(self.primary) for r in condition.records if r.replicate == replicate]
            raw = np.array([np.nan if value is None else value for value in values], dtype=float)
            found.append(mean_of_seen(condition.panel.on_scale(raw, self.primary)))
        return np.array(found)

    @cached_property
    def against(self) -> dict[str, dict[str, Estimate]]:
        """Differences from plain and from residual: {condition: {reference: difference}}; positive is better.

        Intervals hold for all differences at once; the tests are corrected for all of them, by joint sign flips.
        """
        if not self.primary or not self.replicates or self.too_short:
            return {}
        margin = MARGINS.get(self.score.scale)
        found: dict[str, dict[str, Estimate]] = {}
        pairs, tested = pairs_of(len(self.all)), estimates(self.x, margin=margin, found=self.p_values <= LEVEL)
        for (c, of), one in zip(pairs, tested, strict=True):
            found.setdefault(self.all[c].name, {})[self.all[of].name] = one
        return found

    @cached_property
    def x(self) -> Array:
        """Differences (R, K) of all pairs, on the scale of the intervals."""
        return differences(np.stack([self.scores(condition) for condition in self.all], axis=1))

    @cached_property
    def p_values(self) -> Array:
        """Corrected p (K,) of all pairs."""
        return max_flip(self.x)


def pairs_of(conditions: int) -> list[tuple[int, int]]:
    """List the pairs to compare: residual (1) with plain (0), the others with plain, then the others with residual."""
    return [(1, 0), *((k, reference) for reference in (0, 1) for k in range(2, conditions))]


def differences(y: Array) -> Array:
    """Return the differences (..., K) of the pairs of conditions, from their scores y (..., C)."""
    return np.stack([y[..., k] - y[..., reference] for k, reference in pairs_of(y.shape[-1])], axis=-1)


def conditions(panels: list[Panel], *, mixed_code: bool) -> list[Conditions]:
    """Find the lists of conditions among panels: a panel of plain and residual runs, and others of one arm each."""
    settings = [panel_key(panel.records[0], mixed_code=mixed_code) for panel in panels]
    found = []
    for reference, its in zip(panels, settings, strict=True):
        if len(reference.arms) == 2 and reference.arms[0] == (False, False):
            references = [Condition(ARMS[arm], reference, arm) for arm in reference.arms]
            others = [
                Condition(f"{ARMS[panel.arms[0]]}, {said(own, its)}", panel, panel.arms[0])
                for panel, own in zip(panels, settings, strict=True)
                if len(panel.arms) == 1 and differ_in_blocks(own, its)
            ]
            others.sort(key=lambda c: (c.arm == (False, False), c.name))  # conditions with a residual path first
            found += [(reference.title, (*references, *others))] if others else []
    return [Conditions(listed, title if len(found) > 1 else "") for title, listed in found]


def differ_in_blocks(a: PlainData, b: PlainData) -> bool:
    return {key for key in a.keys() | b.keys() if a.get(key) != b.get(key)} <= OPTIONS


def said(settings: PlainData, reference: PlainData) -> str:
    """Describe the settings that differ from the reference; a setting that both networks share is named once."""
    differing = {key: value for key, value in settings.items() if value != reference.get(key)}
    parts = {}
    for key, value in sorted(differing.items(), key=lambda item: "." not in item[0]):
        network, _, short = key.partition(".")
        twin = f"{ {'generator': 'disc', 'disc': 'generator'}.get(network) }.{short}"
        parts[short if differing.get(twin, ...) == value else key] = format_value(value)
    return ", ".join(f"{key}={value}" for key, value in parts.items())
