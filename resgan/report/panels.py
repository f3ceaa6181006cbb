"""Panels: runs that may stand in one table, equal in all but arm and seed, scored alike, made by the same code."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from resgan.base.plain_data import PlainData, format_value
from resgan.metrics.cards import Cards, first_card_difference
from resgan.options.choices import Counted, Direction, Scale
from resgan.report import effects
from resgan.report.effects import Array
from resgan.report.equivalence import MARGINS
from resgan.report.records import ARM_NAMES, INITS, TUNABLE, Arm, Record, title
from resgan.runs.directory import RunError

FLOOR = 0.3  # validity that the best arm must reach
NEAR_WORST = 0.03  # a share that is nearer than this to its worst value, in every arm, is at it


@dataclass(frozen=True)
class Score:
    """Scale, direction and denominator of one score."""

    name: str
    scale: Scale
    direction: Direction
    counted: Counted  # what a share is a share of

    @property
    def low_is_good(self) -> bool:
        return self.direction == "lower"

    @property
    def worst(self) -> float | None:
        """The worst value there is; None where there is none, as of a distance."""
        return float(self.low_is_good) if self.scale == "share" and self.has_a_direction else None

    @property
    def has_a_direction(self) -> bool:
        """Check whether more or less is better; a variance ratio is best at 1, and a spread is no score."""
        return self.direction != "none"

    @staticmethod
    def of(name: str, cards: Cards) -> "Score":
        card = cards[name]
        return Score(name, card["scale"], card["direction"], card["counted"])


Place = Literal["left out", "worst", "best"]


@dataclass(frozen=True)
class Panel:
    """Runs that may be compared: one table, one set of effects."""

    records: tuple[Record, ...]
    title: str  # distinguishes it from the other panels; "" where it is the only one

    def arm(self, arm: Arm) -> list[Record]:
        return [record for record in self.records if record.arm == arm]

    @cached_property
    def arms(self) -> list[Arm]:
        """The arms that have a run, plain first."""
        return [arm for arm in ARM_NAMES if self.arm(arm)]

    @cached_property
    def cards(self) -> PlainData:
        return next((record.result["cards"] for record in self.records if record.result), {})

    @cached_property
    def primary(self) -> str | None:
        return next((record.result["primary"] for record in self.records if record.result), None)

    def score_of(self, name: str) -> Score:
        """Return the scale and direction of a score."""
        return Score.of(name, self.cards)

    @cached_property
    def score_names(self) -> list[str]:
        return list(self.cards)

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds that have ended, finished or diverged, in all four arms: the blocks of the experiment."""
        ended = [{r.seed for r in self.arm(arm) if r.status != "unfinished"} for arm in ARM_NAMES]
        return sorted(set.intersection(*ended))

    @cached_property
    def incomplete_seeds(self) -> list[int]:
        return sorted({record.seed for record in self.records} - set(self.seeds))

    def raw(self, name: str) -> Array:
        """Final scores of the blocks (S, 2, 2); NaN where a run diverged or the score has no value."""
        table = {(record.seed, record.arm): record.score(name) for record in self.records}
        values = [table.get((seed, arm)) for seed in self.seeds for arm in ARM_NAMES]
        return np.array([np.nan if v is None else v for v in values], dtype=float).reshape(-1, 2, 2)

    def blocks(self, name: str) -> Array:
        """Return the scores of `raw` on the scale of the intervals; more is better."""
        return self._transformed(self.raw(name), name, counts=self.counts(name))

    def counts(self, name: str) -> Array:
        """Return the denominators of the blocks' shares (S, 2, 2): samples, real images, or valid samples."""
        counted = self.score_of(name).counted
        if counted == "valid":
            return self.raw("validity") * self.cards["validity"]["n_fake"]
        return np.full((len(self.seeds), 2, 2), float(self.cards[name][counted]))

    @cached_property
    def replicates(self) -> list[int]:
        """The replicates of the complete seeds."""
        return list(dict.fromkeys(self._replicate_of_seed[seed] for seed in self.seeds))

    @cached_property
    def _replicate_of_seed(self) -> dict[int, int]:
        return {record.seed: record.replicate for record in self.records}

    def by_replicate(self, name: str, *, diverged: Place = "left out") -> Array:
        """Return scores (R, 2, 2) on the scale of the intervals, mean over the seeds of a replicate.

        Diverged runs are left out, or take the worst place (all wrong for a share, else the worst score of the panel)
        or the best score of the panel. NaN where nothing is left.
        """
        y = self.blocks(name)
        if diverged == "worst":
            y = effects.with_worst(y, floor=self.floor(name))
        elif diverged == "best" and np.isfinite(y).any():
            y = np.where(np.isfinite(y), y, np.nanmax(y))
        mine = np.array([self._replicate_of_seed[seed] for seed in self.seeds])
        return np.array([mean_of_seen(y[mine == replicate]) for replicate in self.replicates]).reshape(-1, 2, 2)

    def validity(self, arm: Arm) -> float | None:
        """Return the mean validity of an arm's finished runs; None where none has it."""
        found = [value for record in self.arm(arm) if (value := record.score("validity")) is not None]
        return float(np.mean(found)) if found else None

    @cached_property
    def too_short(self) -> str:
        """Say why these runs are too short to compare arms; empty where they are not, or where nothing is known.

        No arm is shown to be better at its end than its untrained generator, or the best arm is still at the floor: by
        validity where there is one, else at the worst value of the primary endpoint.
        """
        if self.learned is False:
            return f"no arm is shown to be better at its end than at step 0, in {self.primary}"
        known = [value for arm in ARM_NAMES if (value := self.validity(arm)) is not None]
        if known:
            low = max(known) < FLOOR
            return f"at the floor: the best arm's validity is {max(known):.2f}, under {FLOOR:g}" if low else ""
        worst = self.score_of(self.primary).worst if self.primary else None
        if self.primary and worst is not None and (finals := self.finals(self.primary)):
            best = max(finals, key=lambda value: abs(value - worst))
            if abs(best - worst) <= NEAR_WORST:
                return f"at the worst value: {self.primary} of the best arm is {best:.3f}, and {worst:g} is the worst"
        return ""

    def finals(self, name: str) -> list[float]:
        """Return the mean final score of each arm that has one."""
        by_arm = [[v for record in self.arm(arm) if (v := record.score(name)) is not None] for arm in self.arms]
        return [float(np.mean(values)) for values in by_arm if values]

    @cached_property
    def learned(self) -> bool | None:
        """Check whether some arm is shown to be better at its end than at step 0; None if that has no score."""
        by_arm = [gain for arm in self.arms if len(gain := self.gains(arm))]
        if not by_arm or self.primary is None:
            return None
        return effects.improved(by_arm, margin=MARGINS.get(self.score_of(self.primary).scale, 0.0))

    def gains(self, arm: Arm) -> Array:
        """Return the gain of finished runs since step 0, mean over the seeds of a replicate (R,)."""
        found: dict[int, list[float]] = {}
        for record in self.arm(arm):
            ends = (record.untrained(self.primary), record.score(self.primary)) if self.primary else (None, None)
            if self.primary and None not in ends:
                start, end = self.on_scale(np.array(ends, dtype=float), self.primary)
                found.setdefault(record.replicate, []).append(end - start)
        return np.array([np.mean(values) for values in found.values()])

    def learning_curves(self, arm: Arm) -> dict[int, list[tuple[Array, Array]]]:
        """Return (images, primary endpoint on the scale of the intervals) after step 0: finished runs by replicate."""
        found: dict[int, list[tuple[Array, Array]]] = {}
        for record in self.arm(arm):
            points = [point for point in record.curve(self.primary or "") if point[0] > 0]
            if record.status == "finished" and self.primary and points:
                images, scores = np.array(points, dtype=float).T
                found.setdefault(record.replicate, []).append((images, self.on_scale(scores, self.primary)))
        return found

    def on_scale(self, values: Array, name: str) -> Array:
        """Return scores on the scale of the intervals; shares are taken as shares of all samples."""
        return self._transformed(values, name, counts=float(self.cards[name]["n_fake"]))

    def floor(self, name: str) -> float | None:
        """Return the score a diverged run counts with: all wrong for a share; else None: the worst run seen decides."""
        score = self.score_of(name)
        if score.scale != "share":
            return None
        # The floor at the smallest denominator of any score: no run with a score is worse.
        counts = self.counts(name)[np.isfinite(self.raw(name))]
        least = counts.min() if counts.size else float(self.cards[name]["n_fake"])
        return float(self._transformed(np.array([1.0 if score.low_is_good else 0.0]), name, counts=least)[0])

    def _transformed(self, values: Array, name: str, *, counts: Array | float) -> Array:
        score = self.score_of(name)
        return effects.transformed(values, scale=score.scale, samples=counts, low_is_good=score.low_is_good)


def panels(records: list[Record], *, mixed_code: bool = False) -> list[Panel]:
    """Split runs into panels, each titled by what distinguishes it from the others. Raises RunError.

    mixed_code: allow runs of different commits in one table.
    """
    groups: list[tuple[PlainData, list[Record]]] = []  # (what its runs share, its runs)
    for record in sorted(records, key=lambda record: record.status == "unfinished"):
        what = panel_key(record, mixed_code=mixed_code)
        # An unfinished run decides nothing: it stands with the runs of its settings, whatever code began it.
        ignored = {"code"} if record.status == "unfinished" else set()
        group = next((group for shared, group in groups if equal_but(shared, what, ignored)), None)
        if group is None:
            groups.append((what, [record]))
        else:
            group.append(record)
    for _, group in groups:
        refuse_doubles(group)
        refuse_mixed_cards(group)
    described = [what for what, _ in groups]
    found = [Panel(tuple(sorted(group, key=lambda r: r.path)), title(what, described)) for what, group in groups]
    return sorted(found, key=lambda panel: natural_sort_key(panel.title))


def panel_key(record: Record, *, mixed_code: bool) -> PlainData:
    """Return the settings that runs of a panel share: all but replicate, seed, arm, and what was tuned for each arm."""
    code = {} if mixed_code else {"code": record.code}
    return dict(sorted(record.settings(without=tuned_options(record.config)).items())) | code


def tuned_options(config: PlainData) -> tuple[str, ...]:
    """Return the options chosen for the arm of a run, by a search in its replicate or by a tuning study."""
    searched = is_searched(config)
    own = TUNABLE if searched or config.get("tuning.best") == "own" else ()
    return (*own, *(INITS if searched and config.get("tuning.inits") else ()))


def is_searched(config: PlainData) -> bool:
    """Check whether each replicate of each arm has its own search."""
    return bool(config.get("tuning.candidates"))


def mean_of_seen(y: Array) -> Array:
    """Return the mean over the first axis without NaN; NaN where all are NaN."""
    seen = np.isfinite(y)
    total = np.where(seen, y, 0.0).sum(0)
    return np.where(seen.any(0), total / np.maximum(seen.sum(0), 1), np.nan)


def equal_but(a: PlainData, b: PlainData, ignored: set[str]) -> bool:
    return all(a.get(key) == b.get(key) for key in a.keys() | b.keys() if key not in ignored)


def natural_sort_key(text: str) -> list[tuple[int, float, str]]:
    """Sort numbers in a text by value: blocks=10 after blocks=2."""
    return [(0, float(part), "") if part.replace(".", "", 1).isdigit() else (1, 0.0, part)
            for part in re.split(r"(\d+(?:\.\d+)?)", text)]  # fmt: skip


def refuse_doubles(group: list[Record]) -> None:
    seen: dict[tuple[int, Arm], Record] = {}
    for record in group:
        if (other := seen.setdefault((record.seed, record.arm), record)) is not record:
            raise RunError(
                f"{record.path}: is the same run as {other.path} ({ARM_NAMES[record.arm]}, seed {record.seed}); "
                "leave one of them out"
            )


def refuse_mixed_cards(group: list[Record]) -> None:
    """Refuse runs of equal settings and code whose scores differ in extractor weights, or in images of a folder."""
    scored = [(record, record.result["cards"]) for record in group if record.result]
    for record, cards in scored[1:]:
        first, its_cards = scored[0]
        if found := first_card_difference(its_cards, cards):
            name, fields = found
            raise RunError(
                f"{name}: {first.path} and {record.path} were not scored alike: "
                + "; ".join(
                    f"{field} {format_value(theirs)} and {format_value(mine)}" for field, theirs, mine in fields
                )
                + ". Report on them separately, or score them again"
            )
