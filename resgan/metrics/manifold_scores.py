"""The exact scores of pictures whose classes are manifolds: which class each sample is of, if any, and where in it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from scipy import stats
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from resgan.base.plain_data import PlainData
from resgan.metrics.cards import Reading
from resgan.metrics.manifold import Located, Manifold
from resgan.metrics.score import Score
from resgan.metrics.testbed import LEAST_VALID, MEANINGS, expected_total_variation, total_variation

OTHER_TAUS = {0.5: "half", 1.5: "one and a half times"}  # validity is measured at these multiples of tau as well
LEAST_SHARE = 0.1  # of what is a class's due: with as many valid samples it counts as drawn


@dataclass(frozen=True, eq=False, kw_only=True)
class ManifoldScores:
    """Scores of pictures against the manifolds of their classes.

    tv                     total variation to uniform over the classes and one invalid class
    validity               share of valid samples, those closer than tau to a class
    tv_valid               total variation of the valid alone to uniform over the classes
    validity_0.5tau, ...   share of samples closer than that to a class
    valid_<form>           share of samples that are valid and of this form
    distance               median distance to the nearest class, whether valid or not
    classes                how many hold a tenth of their due or more: of n valid samples, n / 10 K
    copying                P(a valid sample lies nearer to a training picture of its class than a fresh draw does)
    recombination          rate of valid samples in a withheld quadrant of a class over that in a shown one

    None under 200 valid samples: tv_valid, copying, recombination, which is there only where something is withheld.
    """

    manifold: Manifold
    tau: float
    forms: tuple[str, ...]  # their names
    train: Tensor  # uint8 (M, C, H, W)
    fresh: Tensor  # uint8 (m, C, H, W): further draws of what `train` was drawn from
    rounding: float  # median distance of true pictures, which rounding to uint8 alone makes
    quadrants: Callable[[Tensor], Tensor]  # of centres (N, 2): 0 to 3, (N,)
    withheld: Tensor | None = None  # (K,), the quadrant in which a class is not shown; None: all are

    @property
    def names(self) -> tuple[str, ...]:
        return (
            *("tv", "validity", "tv_valid"),
            *(f"validity_{factor:g}tau" for factor in OTHER_TAUS),
            *(f"valid_{form}" for form in self.forms),
            *("distance", "classes", "copying"),
            *(() if self.withheld is None else ("recombination",)),
        )

    @property
    def classes(self) -> int:
        return len(self.forms) * len(self.manifold.colours)

    def compute(self, samples: Tensor) -> dict[str, float | None]:
        """Scores by name, of samples (N, C, H, W), uint8 or floats in [-1, 1]."""
        return self.compute_located(self.manifold.locate(samples))

    def compute_located(self, found: Located) -> dict[str, float | None]:
        """The same, of samples that the manifold has located."""
        valid = found.distances < self.tau
        return dict(zip(self.names, (*self._shares(found, valid), *self._places(found, valid)), strict=True))

    def _shares(self, found: Located, valid: Tensor) -> list[float | None]:
        """Scores that count all samples: from tv to the shares of the forms."""
        counts = torch.bincount(found.labels[valid], minlength=self.classes)
        invalid = (~valid).sum().view(1)
        shares = counts.view(len(self.forms), -1).sum(1).double() / len(valid)
        return [
            total_variation(torch.cat([counts, invalid])),
            mean(valid),
            total_variation(torch.cat([counts, 0 * invalid])) if valid.sum() >= LEAST_VALID else None,
            *(mean(found.distances < factor * self.tau) for factor in OTHER_TAUS),
            *shares.tolist(),
        ]

    def _places(self, found: Located, valid: Tensor) -> list[float | None]:
        """Distance, and what the valid are: from the classes that are drawn to recombination."""
        counts = torch.bincount(found.labels[valid], minlength=self.classes)
        enough = int(valid.sum()) >= LEAST_VALID
        labels, centres = found.labels[valid], found.centres[valid]
        more = [] if self.withheld is None else [self.recombination(labels, centres) if enough else None]
        return [
            float(found.distances.median()),
            int((counts >= least_count(int(valid.sum()), self.classes)).sum()),
            self.copying(labels, centres) if enough else None,
            *more,
        ]

    def recombination(self, labels: Tensor, centres: Tensor) -> float | None:
        """Valid samples per withheld triple of form, colour and quadrant, over those per shown triple."""
        assert self.withheld is not None
        unseen = int((self.quadrants(centres) == self.withheld[labels]).sum())
        seen = len(labels) - unseen
        return unseen / (seen / 3) if seen else None  # of four quadrants three are shown

    def copying(self, labels: Tensor, centres: Tensor) -> float:
        """P(nearer to a training picture of its class, by the place of its centre, than a fresh draw of the class).

        Ties count half, so that fresh draws score 0.5. What training pictures are replayed scores 1.
        """
        wins, compared = 0.0, 0
        for label in labels.unique().tolist():
            trained, fresh = self._known[label]
            if len(trained) and len(fresh):
                gaps = nearest_gaps(centres[labels == label], trained)
                nearer = len(fresh) - torch.searchsorted(fresh, gaps, right=True)
                not_further = len(fresh) - torch.searchsorted(fresh, gaps)
                wins += float((nearer + not_further).double().sum()) / (2 * len(fresh))
                compared += len(gaps)
        return wins / compared

    @cached_property
    def _known(self) -> list[tuple[Tensor, Tensor]]:
        """By class: centres of its training pictures (M, 2), and how far its fresh draws are from them (m,), sorted.

        They are located like samples, so that the error of the search is in all; and only when samples are compared
        with them, which takes seconds that a run without valid samples need not spend.
        """
        trained, fresh = self.manifold.locate(self.train), self.manifold.locate(self.fresh)
        found = []
        for label in range(self.classes):
            own = trained.centres[trained.labels == label]
            found.append((own, nearest_gaps(fresh.centres[fresh.labels == label], own).sort().values))
        return found

    def ideal_scores(self, samples: int) -> dict[str, float]:
        """Expected scores of so many samples of the whole distribution, where they are known."""
        tv = expected_total_variation(self.classes, samples=samples)
        least = least_count(samples, self.classes)
        drawn = self.classes * float(stats.binom.sf(least - 1, samples, 1 / self.classes))
        known = dict.fromkeys(self.names, 1.0) | {f"valid_{form}": 1 / len(self.forms) for form in self.forms}
        known |= {"tv": tv, "tv_valid": tv, "distance": self.rounding, "classes": drawn}
        # Of what is withheld a perfect generator draws too, further from the training pictures than what is shown.
        return known | {"copying": 0.5} if self.withheld is None else without(known, "copying")


class ManifoldScore(Score):
    """The scores of images against the manifolds of their classes, as a metric: see `ManifoldScores`."""

    def __init__(self, truth: ManifoldScores, *, count: int, card: PlainData | None = None) -> None:
        super().__init__(card=card)
        self.truth, self.count = truth, count  # samples
        for name in ("distances", "labels", "centres"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self.distances: list[Tensor]
        self.labels: list[Tensor]
        self.centres: list[Tensor]

    @property
    def readings(self) -> Mapping[str, Reading]:
        others = {
            f"validity_{factor:g}tau": f"the same by {words} the tolerance" for factor, words in OTHER_TAUS.items()
        }
        forms = {f"valid_{form}": f"share of samples that are valid and {form}" for form in self.truth.forms}
        known = {
            **{name: MEANINGS[name] for name in ("tv", "validity", "distance")},
            "tv_valid": Reading("lower", "share", "valid", "tv of the valid samples alone; 0: all classes alike"),
            **{name: Reading("higher", "share", meaning=words) for name, words in others.items()},
            **{name: Reading("none", "share", meaning=words) for name, words in forms.items()},
            "classes": Reading("higher", meaning="how many of the classes hold a tenth of their due"),
            "copying": Reading(
                "none", "share", "valid", "how often nearer to a training picture than new ones; 0.5: none"
            ),
            "recombination": Reading(meaning="rate of combinations that were never shown over those shown"),
        }
        return {name: known[name] for name in self.truth.names}

    def update(self, samples: Tensor) -> None:
        found = self.truth.manifold.locate(samples.cpu())
        self.distances.append(found.distances.to(self.device))
        self.labels.append(found.labels.to(self.device))
        self.centres.append(found.centres.to(self.device))

    def compute(self) -> dict[str, float | None]:
        found = (dim_zero_cat(part).cpu() for part in (self.distances, self.labels, self.centres))
        return self.truth.compute_located(Located(*found))

    def ideal_scores(self) -> dict[str, float]:
        return self.truth.ideal_scores(self.count)


def least_count(samples: int, classes: int) -> int:
    """How many valid samples make a class count as drawn: one at the least."""
    return max(1, round(LEAST_SHARE * samples / classes))


def mean(which: Tensor) -> float:
    return float(which.double().mean())


def nearest_gaps(centres: Tensor, others: Tensor) -> Tensor:
    """Distances of centres (N, 2) to the nearest of others (M, 2), in pixels: (N,); infinite for none."""
    if not len(others):
        return torch.full((len(centres),), torch.inf)
    return torch.cdist(centres, others, compute_mode="donot_use_mm_for_euclid_dist").amin(1)


def without(scores: dict[str, float], name: str) -> dict[str, float]:
    return {key: value for key, value in scores.items() if key != name}
