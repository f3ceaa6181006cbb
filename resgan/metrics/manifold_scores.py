"""Exact scores of images whose classes are manifolds: the class of each sample, if any, and its place in the class."""

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
from resgan.metrics.testbed import FEW_VALID, LEAST_VALID, MEANINGS, expected_total_variation, total_variation

OTHER_TAUS = {0.5: "half", 1.5: "one and a half times"}  # validity is measured at these multiples of tau as well
LEAST_SHARE = 0.1  # of the valid samples expected in a class: with as many, it counts as drawn


@dataclass(frozen=True, eq=False, kw_only=True)
class ManifoldScores:
    """Scores of images against the manifolds of their classes.

    tv                     total variation to uniform over the classes and one invalid class
    validity               share of valid samples: closer than tau to a class
    tv_valid               total variation of the valid samples alone to uniform over the classes
    validity_0.5tau, ...   share of samples closer than that to a class
    valid_<form>           share of samples that are valid and of this form
    distance               median distance to the nearest class, whether valid or not
    classes                number of classes with a tenth of their due or more: of n valid samples, n / 10 K
    copying                P(a valid sample lies nearer to a training image of its class than a fresh draw does)
    recombination          rate of valid samples in a withheld quadrant of a class over that in a shown one

    tv_valid, copying and recombination are None under 200 valid samples; recombination needs a withheld quadrant.
    """

    manifold: Manifold
    tau: float
    forms: tuple[str, ...]  # their names
    train: Tensor  # uint8 (M, C, H, W)
    fresh: Tensor  # uint8 (m, C, H, W): further draws from the distribution of `train`
    rounding: float  # median distance of true images, from rounding to uint8 alone
    quadrants: Callable[[Tensor], Tensor]  # of centres (N, 2): 0 to 3, (N,)
    withheld: Tensor | None = None  # (K,), the quadrant in which each class is not shown; None: all are shown

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
        """Return the scores of `compute` for samples that the manifold has located."""
        valid = found.distances < self.tau
        return dict(zip(self.names, (*self._shares(found, valid), *self._places(found, valid)), strict=True))

    def _shares(self, found: Located, valid: Tensor) -> list[float | None]:
        """Return the scores that count samples: from tv to the shares of the forms."""
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
        """Return the distance, and the scores of valid samples from classes to recombination."""
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
        """Return P(a centre lies nearer to a training image of its class than a fresh draw of the class does).

        Ties count half, so that fresh draws score 0.5. Replayed training images score 1.
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
        """Centres of the training images (M, 2), and sorted distances of fresh draws to them (m,), by class.

        They are located like samples, so that all share the error of the search; and only when samples are compared
        with them: it takes seconds, which a run without valid samples need not spend.
        """
        trained, fresh = self.manifold.locate(self.train), self.manifold.locate(self.fresh)
        found = []
        for label in range(self.classes):
            own = trained.centres[trained.labels == label]
            found.append((own, nearest_gaps(fresh.centres[fresh.labels == label], own).sort().values))
        return found

    def ideal_scores(self, samples: int) -> dict[str, float]:
        """Return the expected scores of this many samples of the whole distribution, where they are known."""
        tv = expected_total_variation(self.classes, samples=samples)
        least = least_count(samples, self.classes)
        drawn = self.classes * float(stats.binom.sf(least - 1, samples, 1 / self.classes))
        known = dict.fromkeys(self.names, 1.0) | {f"valid_{form}": 1 / len(self.forms) for form in self.forms}
        known |= {"tv": tv, "tv_valid": tv, "distance": self.rounding, "classes": drawn}
        # A perfect generator also draws what is withheld, further from the training images than what is shown.
        return known | {"copying": 0.5} if self.withheld is None else without(known, "copying")


class ManifoldScore(Score):
    """Scores of images against the manifolds of their classes, as a metric: see `ManifoldScores`."""

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
            f"validity_{factor:g}tau": f"the same at {words} the tolerance" for factor, words in OTHER_TAUS.items()
        }
        forms = {f"valid_{form}": f"share of samples that are valid and {form}" for form in self.truth.forms}
        known = {
            **{name: MEANINGS[name] for name in ("tv", "validity", "distance")},
            "tv_valid": Reading(
                "lower", "share", "valid", "tv among the valid samples; 0: all classes equally often", FEW_VALID
            ),
            **{name: Reading("higher", "share", meaning=words) for name, words in others.items()},
            **{name: Reading("none", "share", meaning=words) for name, words in forms.items()},
            "classes": Reading("higher", meaning="number of classes with at least a tenth of their expected share"),
            "copying": Reading(
                "none",
                "share",
                "valid",
                "how often nearer to a training image than new ones; 0.5: no copying",
                FEW_VALID,
            ),
            "recombination": Reading(
                meaning="rate of withheld combinations over that of those shown",
                missing=f"{FEW_VALID}, or none of a combination that was shown",
            ),
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
    """Return how many valid samples make a class count as drawn: at least one."""
    return max(1, round(LEAST_SHARE * samples / classes))


def mean(which: Tensor) -> float:
    return float(which.double().mean())


def nearest_gaps(centres: Tensor, others: Tensor) -> Tensor:
    """Return distances (N,) of centres (N, 2) to the nearest of others (M, 2), in pixels; infinite without others."""
    if not len(others):
        return torch.full((len(centres),), torch.inf)
    return torch.cdist(centres, others, compute_mode="donot_use_mm_for_euclid_dist").amin(1)


def without(scores: dict[str, float], name: str) -> dict[str, float]:
    return {key: value for key, value in scores.items() if key != name}
