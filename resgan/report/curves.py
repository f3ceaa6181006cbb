"""Curves, the unit of a verdict: panels that are equal except for depth. A single panel is a curve of one depth."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from resgan.base.plain_data import PlainData, format_value
from resgan.report import families
from resgan.report.best import AgainstBest, compare_with_best
from resgan.report.effects import Array, contrasts, holm
from resgan.report.equivalence import MARGINS, gain
from resgan.report.families import BESIDE, Effect
from resgan.report.outcomes import Stratum, stratified_p
from resgan.report.panels import Panel, Place, Score, is_searched, mean_of_seen, panel_key
from resgan.report.records import ARM_NAMES, INITS, Record, title

DEPTHS = ("generator.blocks", "disc.blocks")
CEILING = 0.97  # validity that no arm of a depth may reach

Blocks = int | list[int] | None  # in a stage: one number for all, or one for each; None: no such option
Depths = tuple[Blocks, Blocks]  # of G and of D
Varied = Literal["both", "G", "D"]
Count = tuple[int, int]  # (events, runs)
OUTCOMES = {
    "diverged": lambda record: record.status == "diverged",
    "collapsed": lambda record: record.collapsed,
    "dead D": lambda record: record.dead_disc,
}


@dataclass(frozen=True)
class Outcome:
    """Counts of an outcome among runs with and without residual blocks in one network, over all depths."""

    name: str  # a key of OUTCOMES
    network: str  # "G" or "D"
    residual: Count
    plain: Count
    p: float
    p_holm: float  # corrected over all outcomes and both networks


@dataclass(frozen=True)
class Curve:
    """Panels from shallow to deep."""

    panels: tuple[Panel, ...]
    varied: Varied | None  # the network whose depth varies; None at a single depth
    title: str  # distinguishes it from the other curves; "" where it is the only one

    @property
    def primary(self) -> str | None:
        return next((panel.primary for panel in self.panels if panel.primary), None)

    @property
    def config(self) -> PlainData:
        return self.panels[0].records[0].config

    @cached_property
    def replicates(self) -> list[int]:
        return sorted({replicate for panel in self.panels for replicate in panel.replicates})

    @property
    def start(self) -> str:
        """Start of the networks, in words."""
        inits = [self.config.get(option) for option in INITS]
        if is_searched(self.config) and self.config.get("tuning.inits"):
            return f"the best start of {', '.join(self.config['tuning.inits'])}"
        if None in inits:
            return "the start of the networks"
        return f"init={inits[0]}" if inits[0] == inits[1] else f"init={inits[0]} in G, {inits[1]} in D"

    # Depths.

    def depth_of(self, panel: Panel) -> str:
        """Return the depth of a panel as the options give it."""
        g, d = (None if blocks is None else format_value(blocks) for blocks in depths_of(panel))
        if self.varied or g == d:
            return str(d if self.varied == "D" else g)
        return f"{g} in G, {d} in D"

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Depths that are not on the curve, with the reason: {"16": "..."}."""
        return {self.depth_of(panel): reason for panel in self.panels if (reason := why_left_out(panel))}

    @cached_property
    def kept(self) -> list[Panel]:
        """The panels on the curve."""
        return [panel for panel in self.panels if not why_left_out(panel)]

    @property
    def deepest(self) -> Panel | None:
        return self.kept[-1] if self.kept else None

    def position(self, panel: Panel) -> float:
        return number_of(depths_of(panel)[self.varied == "D"])

    # Verdicts.

    def score_of(self, name: str) -> Score:
        """Return the scale and direction of a score."""
        return next(panel for panel in self.panels if name in panel.cards).score_of(name)

    def scores(self, name: str, panels: list[Panel], *, diverged: Place = "left out") -> Array:
        """Scores of replicates (R, L, 2, 2), on the scale of the intervals; NaN where a replicate has none."""
        y = np.full((len(self.replicates), len(panels), 2, 2), np.nan)
        rows = {replicate: row for row, replicate in enumerate(self.replicates)}
        for column, panel in enumerate(panels):
            if panel.replicates and name in panel.cards:
                y[[rows[replicate] for replicate in panel.replicates], column] = panel.by_replicate(
                    name, diverged=diverged
                )
        return y

    def effects(self, name: str) -> dict[str, Effect] | None:
        """Return all contrasts of a score along the curve, over finished runs; None where no depth is on the curve."""
        return self.effects_at(self.kept, name) if self.kept else None

    def effects_at(self, panels: list[Panel], name: str) -> dict[str, Effect]:
        depths = np.array([self.position(panel) for panel in panels])
        return families.effects(self.scores(name, panels), depths, margin=MARGINS.get(self.score_of(name).scale))

    @cached_property
    def main_effects(self) -> dict[str, Effect] | None:
        """Effects on the primary endpoint."""
        return self.effects(self.primary) if self.primary else None

    @cached_property
    def against_best(self) -> dict[str, AgainstBest]:
        """Comparison of every arm, by name, with the best of the others, at the deepest depth; empty without one."""
        if not self.deepest or not self.primary:
            return {}
        y = self.scores(self.primary, [self.deepest]).reshape(-1, 4)
        return dict(zip(ARM_NAMES.values(), compare_with_best(y), strict=False))

    @cached_property
    def gain(self) -> float | None:
        """Gain of the plain arm per e-fold of images, at the deepest depth; None where it cannot be told."""
        return gain(self.deepest.learning_curves((False, False)).values()) if self.deepest else None

    @property
    def too_short(self) -> bool:
        """Check whether the runs of every depth are too short to compare arms."""
        return all(panel.too_short for panel in self.panels)

    # Runs that did not end well.

    @property
    def diverged(self) -> int:
        return sum(record.status == "diverged" for panel in self.panels for record in panel.records)

    @cached_property
    def outcomes(self) -> list[Outcome]:
        """Outcomes that occurred at least once."""
        found: list[tuple[str, str, Count, Count, float]] = []
        for name in OUTCOMES:
            for axis, network in enumerate(BESIDE):
                strata, residual, plain = strata_of(self.panels, axis, name)
                if residual[0] + plain[0]:
                    found.append((name, network, residual, plain, stratified_p(strata)))
        corrected = holm([p for *_, p in found])
        return [Outcome(*outcome, p_holm) for outcome, p_holm in zip(found, corrected, strict=True)]

    def bounds(self, panel: Panel) -> dict[str, list[float]]:
        """Return simple effects on the primary endpoint of finished runs, and with the others placed worst and best."""
        assert self.primary
        places: tuple[Place, ...] = ("left out", "worst", "best")
        y = [self.scores(self.primary, [panel], diverged=place)[:, 0] for place in places]
        names = [name for names in BESIDE.values() for name in names]
        return {name: [float(mean_of_seen(contrasts(x)[name])) for x in y] for name in names}


# Which panels make a curve.


def curves(panels: list[Panel], *, mixed_code: bool = False) -> list[Curve]:
    """Arrange panels in curves: each is on at least one, and on several where curves cross."""
    groups: dict[str, list[Panel]] = {}
    keys: dict[str, PlainData] = {}
    for panel in panels:
        key = without_depth(panel.records[0], mixed_code=mixed_code)
        groups.setdefault(repr(key), []).append(panel)
        keys[repr(key)] = key
    found = []
    for name, group in groups.items():
        said = title(keys[name], list(keys.values())) if len(keys) > 1 else ""
        by_depths = {repr(depths_of(panel)): panel for panel in group}
        lines = lines_of([depths_of(panel) for panel in group])
        for varied, cells in lines:
            own = title_of_line(varied, cells) if len(lines) > 1 else ""
            whole = ", ".join(part for part in (said, own) if part)
            found.append(Curve(tuple(by_depths[repr(cell)] for cell in cells), varied, whole))
    return found


def without_depth(record: Record, *, mixed_code: bool) -> PlainData:
    return {key: value for key, value in panel_key(record, mixed_code=mixed_code).items() if key not in DEPTHS}


def depths_of(panel: Panel) -> Depths:
    config = panel.records[0].config
    return config.get(DEPTHS[0]), config.get(DEPTHS[1])


def number_of(blocks: Blocks) -> float:
    """Return depth as a number: blocks per stage, their mean where stages differ; 1 where a network has no such option.

    No block at all counts as half a block, which has a logarithm.
    """
    stages = blocks if isinstance(blocks, list) else [1 if blocks is None else blocks]
    return max(0.5, sum(map(float, stages)) / len(stages))


def lines_of(cells: Iterable[Depths]) -> list[tuple[Varied | None, list[Depths]]]:
    """Find lines through cells (depth of G, depth of D): both equal, or only one varying; then cells on no line.

    A cell may be on several lines. The longest lines come first; a line whose cells are all on longer lines is left
    out. The cells of a line differ in depth, so that there is a slope.
    """
    cells = sorted(cells, key=lambda cell: [number_of(blocks) for blocks in cell])
    lines: list[tuple[Varied | None, list[Depths]]] = [("both", [cell for cell in cells if cell[0] == cell[1]])]
    networks: tuple[tuple[int, Varied], ...] = ((0, "G"), (1, "D"))
    for k, varied in networks:
        for fixed in {repr(cell[1 - k]): cell[1 - k] for cell in cells}.values():
            lines.append((varied, [cell for cell in cells if cell[1 - k] == fixed]))
    found: list[tuple[Varied | None, list[Depths]]] = []
    known: list[Depths] = []
    for varied, line in sorted(lines, key=lambda line: -len(line[1])):
        differ = len({number_of_cell(cell) for cell in line}) == len(line) > 1
        if differ and any(cell not in known for cell in line):
            found.append((varied, line))
            known += line
    return [*found, *((None, [cell]) for cell in cells if cell not in known)]


def number_of_cell(cell: Depths) -> float:
    return number_of(cell[0]) + number_of(cell[1])  # tells cells of a line apart: one depth is fixed, or both are equal


def title_of_line(varied: Varied | None, cells: list[Depths]) -> str:
    g, d = (format_value(blocks) for blocks in cells[0])
    match varied:
        case "both":
            return "depth of both"
        case "G":
            return f"depth of G, D at {d}"
        case "D":
            return f"depth of D, G at {g}"
    return f"G at {g}, D at {d}"


def why_left_out(panel: Panel) -> str:
    """Say why a depth is not on the curve; empty where it is."""
    if panel.too_short:
        return panel.too_short
    known = [value for arm in ARM_NAMES if (value := panel.validity(arm)) is not None]
    if known and max(known) >= CEILING:
        return f"at the ceiling: an arm's validity is {max(known):.3f}, {CEILING:g} or more"
    if not panel.seeds:
        return "no seed has ended in all four arms"
    if panel.primary is None or not np.isfinite(panel.by_replicate(panel.primary)).all((1, 2)).any():
        return "no replicate finished in all four arms"
    return ""


def strata_of(panels: Iterable[Panel], axis: int, name: str) -> tuple[list[Stratum], Count, Count]:
    """Count events by replicate, a stratum per depth and other network; (events, runs) with the switch on, and off."""
    strata, totals = [], {True: [0, 0], False: [0, 0]}
    for panel in panels:
        for other in (False, True):
            counts = {}
            for switch in (True, False):
                ended = [r for r in panel.arm((switch, other) if axis == 0 else (other, switch)) if r.result]
                events: dict[int, int] = {}
                for record in ended:
                    events[record.replicate] = events.get(record.replicate, 0) + OUTCOMES[name](record)
                counts[switch] = np.array(list(events.values()), dtype=int)
                totals[switch][0] += int(counts[switch].sum())
                totals[switch][1] += len(ended)
            strata.append((counts[True], counts[False]))
    return strata, (totals[True][0], totals[True][1]), (totals[False][0], totals[False][1])
