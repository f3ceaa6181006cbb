"""The scores that compare two sets of features, under the names that the field knows them by.

One pass of the fakes through the extractor feeds them all.

frechet           fid50k_full               fd_cifarnet_10k_full
infinity          fid50k_full_inf           fd_cifarnet_10k_full_inf
kernel            kid50k_full, ..._std      kd_cifarnet_10k_full, ..._std
inception_score   is50k_mean, is50k_std     is_cifarnet_10k_mean, ..._std
precision_recall  precision_inception_k3_50k_full, recall_..., density_inception_k5_50k_full, coverage_...

The names on the left stand for the verified weights of Inception alone (with clean_ before them for the clean resize).
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from resgan.base.device import full_precision
from resgan.metrics.extractors import is_known
from resgan.metrics.features import Extractor
from resgan.metrics.frechet import at_infinity, floor, frechet_distance
from resgan.metrics.inception_score import SPLITS, inception_score
from resgan.metrics.kernel import SUBSET_SIZE, kernel_distance
from resgan.metrics.precision_recall import K_DENSITY, K_PRECISION, neighbour_distances, precision_recall
from resgan.metrics.reference import Reference, moments_of
from resgan.options.choices import ScoreName

SCORES: tuple[ScoreName, ...] = get_args(ScoreName)

LEAST = {
    "frechet": 2,
    "infinity": 30,
    "kernel": SUBSET_SIZE,
    "inception_score": SPLITS,
    "precision_recall": K_DENSITY + 1,
}

# What each number means, in the order of `FeatureScores.names`.
MEANINGS: dict[ScoreName, tuple[str, ...]] = {
    "frechet": ("Frechet distance from the features of real images; lower is better",),
    "infinity": ("Frechet distance, extrapolated to any number of samples; lower is better",),
    "kernel": (
        "kernel distance from the features of real images; lower is better",
        "spread of the kernel distance over subsets",
    ),
    "inception_score": (
        "is each sample of a clear class, and are all of many? higher is better",
        "spread of the inception score over parts",
    ),
    "precision_recall": (
        "share of samples that lie where real images lie; higher is better",
        "share of real images that lie where samples lie; higher is better",
        "how densely real images surround the samples; higher is better",
        "share of real images with a sample near by; higher is better",
    ),
}


def is_verified(extractor: Extractor) -> bool:
    """Inception-2015 itself, whose scores have names of their own."""
    name = extractor.name.removeprefix("clean_")
    return name == "inception" and is_known("inception", str(extractor.card["weights_sha256"]))


def in_thousands(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def resize_prefix(extractor: Extractor) -> str:
    """Before the names that stand for the verified weights of Inception."""
    return "clean_" if extractor.name.startswith("clean_") else ""


def reference_name(split: str) -> str:
    """ "full" is the whole of what D was shown or more ("train", "all"); any other split keeps its name."""
    return "full" if split in ("train", "all") else split


def distance_name(extractor: Extractor, *, count: int, split: str, letter: Literal["f", "k"] = "f") -> str:
    """The name of the Frechet (f) or kernel distance (k) of `count` fakes to the reference `split`."""
    fakes, reference = in_thousands(count), reference_name(split)
    if is_verified(extractor):
        return f"{resize_prefix(extractor)}{letter}id{fakes}_{reference}"
    return f"{letter}d_{extractor.name}_{fakes}_{reference}"


@dataclass(frozen=True, eq=False, kw_only=True)
class FeatureScores:
    """Which scores are wanted of `count` fakes, against which reference."""

    reference: Reference
    count: int  # fakes
    split: str  # what the reference is: "train", "all", "test"
    wanted: tuple[ScoreName, ...]

    @property
    def extractor(self) -> Extractor:
        return self.reference.extractor

    def unavailable_reason(self) -> str | None:
        """Why a wanted score cannot be had, in words; None where all can."""
        for score in self.wanted:
            if score == "inception_score" and self.extractor.head is None:
                return f"inception_score needs a classifier, and {self.extractor.name} is none"
            reals = self.reference.count if score != "inception_score" else LEAST[score]
            if min(self.count, reals) < LEAST[score]:
                return f"{score} needs at least {LEAST[score]} samples; there are {self.count} fakes and {reals} reals"
        return None

    def names(self, score: ScoreName) -> tuple[str, ...]:
        frechet = distance_name(self.extractor, count=self.count, split=self.split)
        if score == "frechet":
            return (frechet,)
        if score == "infinity":
            return (f"{frechet}_inf",)
        if score == "kernel":
            name = distance_name(self.extractor, count=self.count, split=self.split, letter="k")
            return name, f"{name}_std"
        if score == "inception_score":
            fakes = in_thousands(self.count)
            official = f"{resize_prefix(self.extractor)}is{fakes}"
            name = official if is_verified(self.extractor) else f"is_{self.extractor.name}_{fakes}"
            return f"{name}_mean", f"{name}_std"
        fakes, reference = in_thousands(self.count), reference_name(self.split)
        neighbours = {"precision": K_PRECISION, "recall": K_PRECISION, "density": K_DENSITY, "coverage": K_DENSITY}
        return tuple(f"{what}_{self.extractor.name}_k{k}_{fakes}_{reference}" for what, k in neighbours.items())

    @property
    def all_names(self) -> tuple[str, ...]:
        return tuple(name for score in self.wanted for name in self.names(score))

    @property
    def meanings(self) -> dict[str, str]:
        return {
            name: words for score in self.wanted for name, words in zip(self.names(score), MEANINGS[score], strict=True)
        }

    def compute(self, features: Tensor) -> dict[str, float]:
        """Scores by name, of the fakes' features (count, d)."""
        return {
            name: value
            for score in self.wanted
            for name, value in zip(self.names(score), self.values(score, features), strict=True)
        }

    def values(self, score: ScoreName, features: Tensor) -> tuple[float, ...]:
        real = self.reference
        if score == "frechet":
            return (frechet_distance(moments_of(features), real.moments),)
        if score == "infinity":
            return (at_infinity(features, real.moments),)
        if score == "kernel":
            return kernel_distance(features, real.features)
        if score == "inception_score":
            assert self.extractor.head is not None
            with full_precision(self.extractor.device.type):
                logits = self.extractor.head(features.to(self.extractor.device)).cpu()
            return inception_score(logits)
        near = {"near_fakes": neighbour_distances(features), "near_reals": real.neighbours}
        return tuple(precision_recall(features, real.features, **near).values())

    def prepare(self) -> None:
        """Make, or find on disk, all that is needed of the reals."""
        if {"frechet", "infinity"} & set(self.wanted):
            _ = self.reference.moments
        if {"kernel", "precision_recall"} & set(self.wanted):
            _ = self.reference.features
        if "precision_recall" in self.wanted:
            _ = self.reference.neighbours

    def ideal_scores(self) -> dict[str, float]:
        """Scores of a perfect generator, where they are known."""
        known: dict[ScoreName, float] = {"kernel": 0.0}
        if {"frechet", "infinity"} & set(self.wanted):
            exact = self.split == "all"  # the reference is the distribution itself
            known["frechet"] = floor(self.reference.moments, fakes=self.count, exact=exact)
            known["infinity"] = floor(self.reference.moments, fakes=math.inf, exact=exact)
        return {self.names(score)[0]: known[score] for score in self.wanted if score in known}
