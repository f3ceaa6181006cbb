"""Search by successive halving (Jamieson & Talwalkar 2016): its list of candidates, its rungs, and which go on.

Nothing is trained here: `halve` is given a function that plays a rung.
"""

import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.quasirandom import SobolEngine

from resgan.base.plain_data import PlainData, flat
from resgan.base.rng import derive_seed
from resgan.options.train import TrainOptions
from resgan.options.tuning import RANGES, STARTS, TuningOptions

Candidate = PlainData  # the options that it sets, by their dotted names

VALID = 0.1  # while no candidate has this share of valid samples, the distance ranks them
SEARCH_SEEDS = 1_000_000  # the search of replicate r trains with this + r; fresh seeds stay below


# The list.


@dataclass(frozen=True)
class Range:
    """Options that one factor multiplies, uniform on a log scale."""

    options: PlainData  # their values without a search, by name
    low: float
    high: float

    def at(self, share: float) -> Candidate:
        factor = self.low * (self.high / self.low) ** share
        return {name: float(f"{factor * value:.3g}") for name, value in self.options.items()}


@dataclass(frozen=True)
class Choice:
    """One option and its values."""

    option: str
    among: Sequence[str]

    def at(self, share: float) -> Candidate:
        return {self.option: self.among[math.floor(share * len(self.among))]}


def ranges_of(options: TrainOptions) -> list[Range]:
    """The ranges that are searched; a penalty of 0 stays 0."""
    config = flat(options.model_dump())
    given = [(getattr(options.tuning, name), names) for name, names in RANGES.items()]
    return [Range({name: config[name] for name in names if config[name]}, *limits) for limits, names in given if limits]


def list_candidates(options: TrainOptions) -> list[Candidate]:
    """List the candidates of a replicate: the first points of a scrambled Sobol sequence (Owen 1998).

    They depend only on the replicate and on what is searched, so that all arms have the same candidates.
    """
    starts = [Choice(option, options.tuning.inits) for option in STARTS if options.tuning.inits]
    axes: list[Range | Choice] = [*ranges_of(options), *starts]
    sequence = SobolEngine(len(axes), scramble=True, seed=derive_seed("candidates", options.replicate or 0))
    candidates: list[Candidate] = []
    for point in sequence.draw(options.tuning.candidates, dtype=torch.float64).tolist():
        candidates.append({})
        for axis, share in zip(axes, point, strict=True):
            candidates[-1] |= axis.at(share)
    return candidates


# The rungs.


def rung_sizes(tuning: TuningOptions) -> list[int]:
    """Return how many candidates each rung has: one in `keep` goes on, and a single one that is left has won."""
    sizes = [round(tuning.candidates / tuning.keep**k) for k in range(len(tuning.rungs))]
    return [size for size in sizes if size > 1]


def search_length(tuning: TuningOptions) -> float:
    """Length of all runs of a search, in runs of full length."""
    return sum(size * share for size, share in zip(rung_sizes(tuning), tuning.rungs, strict=False))


@dataclass(frozen=True)
class Outcome:
    """The end of a candidate's run in one rung."""

    candidate: int  # its place in the list
    diverged: bool
    collapsed: bool
    primary: float  # the primary endpoint; lower is better
    validity: float | None = None  # None: this data has no such score
    distance: float | None = None


Steps = Generator[Any, Any, Sequence[Outcome]]


@dataclass(frozen=True)
class Rung:
    """One rung, ranked."""

    outcomes: Sequence[Outcome]  # best first
    ranks: Sequence[int]  # of each outcome; equal outcomes share the lower rank
    ranked_by: str
    kept: Sequence[int]  # candidates that go on
    tied: Sequence[int]  # candidates of equal rank of which some went on and some did not


def rank_rung(outcomes: Sequence[Outcome], *, keep: int) -> Rung:
    """Rank candidates by the primary endpoint, or by the distance while the best validity is under VALID.

    Collapsed runs rank behind the others, since one point inside a mode is wholly valid; diverged runs rank last. Where
    scores are equal the other score decides, then the place in the list, which is reported as a tie.
    """
    alive = [one for one in outcomes if not (one.diverged or one.collapsed) and one.distance is not None]
    graded = bool(alive) and all(one.validity is not None and one.validity < VALID for one in alive)

    def key(outcome: Outcome) -> tuple[bool, bool, float, float]:
        if outcome.diverged:
            return True, True, 0.0, 0.0
        distance = math.inf if outcome.distance is None else outcome.distance
        scores = (distance, outcome.primary) if graded else (outcome.primary, distance)
        return False, outcome.collapsed, *scores

    ordered = sorted(outcomes, key=lambda outcome: (key(outcome), outcome.candidate))
    keys = [key(outcome) for outcome in ordered]
    cut = len(keys) > keep and keys[keep - 1] == keys[keep]
    return Rung(
        outcomes=ordered,
        ranks=[1 + keys.index(k) for k in keys],
        ranked_by="distance" if graded else "primary",
        kept=sorted(outcome.candidate for outcome in ordered[:keep]),
        tied=sorted(outcome.candidate for outcome, k in zip(ordered, keys, strict=True) if cut and k == keys[keep]),
    )


def halve(sizes: Sequence[int], play: Callable[[int, Sequence[int]], Steps]) -> Generator[Any, Any, list[Rung]]:
    """Play rung after rung, each with the best of the rung before; the last rung keeps the winner.

    play: (number of the rung, candidates) -> generator that returns the outcome of each candidate. What it yields is
    passed on, so that who drives it can train the rungs of several searches together.
    """
    rungs: list[Rung] = []
    candidates: Sequence[int] = range(sizes[0])
    for number, keep in enumerate([*sizes[1:], 1]):
        outcomes = yield from play(number, candidates)
        rungs.append(rank_rung(outcomes, keep=keep))
        candidates = rungs[-1].kept
    return rungs


# What makes a winner doubtful.


def edges(winner: Candidate, candidates: Sequence[Candidate], ranges: Sequence[Range]) -> list[PlainData]:
    """Find ranges in which no candidate lies beyond the winner, so that the best may lie outside.

    Each is given by its first option, the winner's value, and the side: lowest or highest.
    """
    found = []
    for axis in ranges:
        name = next(iter(axis.options))
        tried = [candidate[name] for candidate in candidates]
        side = {min(tried): "lowest", max(tried): "highest"}.get(winner[name])
        found += [{"option": name, "value": winner[name], "side": side}] if side else []
    return found
