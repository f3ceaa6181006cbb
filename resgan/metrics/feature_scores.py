"""Scores that compare features of samples with those of real images, under the names that the field uses.

FrechetDistance      fid50k_full                     fd_cifarnet_10k_full
FrechetAtInfinity    fid50k_full_inf                 fd_cifarnet_10k_full_inf
KernelDistance       kid50k_full, ..._std            kd_cifarnet_10k_full, ..._std
SmallKernelDistance  kid300_full_subsets100, ...     kd_cifarnet_300_full_subsets100, ..._std
InceptionScore       is50k_mean, is50k_std           is_cifarnet_10k_mean, ..._std
PrecisionRecall      precision_inception_k3_50k_full, recall_..., density_inception_k5_50k_full, coverage_...

The names in the middle column are for the verified weights of Inception alone; the clean resize puts clean_ before
them.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torchmetrics.utilities.data import dim_zero_cat

from resgan.base.cache import cache_directory
from resgan.base.device import full_precision
from resgan.base.images import as_uint8
from resgan.base.plain_data import PlainData
from resgan.metrics.cards import Reading
from resgan.metrics.extractors import load_extractor
from resgan.metrics.features import Extractor, extract
from resgan.metrics.frechet import MomentSums, at_infinity, floor, frechet_distance
from resgan.metrics.inception_score import SPLITS, inception_score
from resgan.metrics.kernel import SMALL_SIZES, SUBSET_SIZE, kernel_distance, small_subset_size
from resgan.metrics.precision_recall import (
    K_DENSITY,
    K_PRECISION,
    expected_density_and_coverage,
    neighbour_distances,
    precision_recall,
)
from resgan.metrics.reference import PART, Reference
from resgan.metrics.score import Score
from resgan.metrics.weight_files import is_known
from resgan.options.choices import ScoreName


class FeatureScore(Score):
    """Base of the scores of features; `update` takes images (N, C, H, W), uint8 or floats in [-1, 1].

    real: real images, uint8 (M, C, H, W), whose features are computed once and cached on disk; or a `Reference`, which
    scores may share. extractor: an Extractor, or its name, with `weights` as its file; None: the one the name stands
    for, which is fetched for "inception". The extractor is not part of the state, and stays in eval mode. Raises
    ExtractorError.
    """

    needs = "features"
    least: ClassVar[int]  # fewest samples that it needs
    least_real: ClassVar[int]  # fewest real images; 0: it does not look at them

    def __init__(
        self,
        real: Reference | Tensor,
        *,
        extractor: Extractor | str = "cifarnet",
        weights: str | None = None,
        count: int | None = None,  # number of samples, part of the name; None: as many as it was given
        split: str = "train",  # of the real images, part of the name: "train" and "all" are called full
        card: PlainData | None = None,
        **options: Any,  # of torchmetrics.Metric
    ) -> None:
        if isinstance(real, Tensor):
            extractor = load_extractor(extractor, weights=weights) if isinstance(extractor, str) else extractor
            real = Reference(extractor, real, cache=cache_directory())
        super().__init__(card=card if card is not None else dict(real.extractor.card), **options)
        self.reference, self.count, self.split = real, count, split
        self.add_state("seen", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.seen: Tensor

    @property
    def extractor(self) -> Extractor:
        return self.reference.extractor

    @property
    def number(self) -> int:
        """Number of samples that are scored."""
        return self.count or int(self.seen)

    def update(self, samples: Tensor, *, features: Tensor | None = None) -> None:
        """Add samples; give their features (N, d) where one pass of the extractor serves several scores."""
        if features is None:
            features = extract(self.extractor.to(self.device), as_uint8(samples))
        self.seen = self.seen + len(features)
        self.add_features(features)

    def add_features(self, features: Tensor) -> None:
        raise NotImplementedError

    @classmethod
    def unavailable_reason(cls, extractor: Extractor, *, fakes: int, reals: int) -> str | None:
        """Say why the score cannot be computed; None where it can."""
        if fakes < cls.least or reals < cls.least_real:
            needed, there = f"{cls.least} samples", str(fakes)
            if cls.least_real:
                needed, there = f"{needed} and {cls.least_real} real images", f"{fakes} and {reals}"
            return f"needs {needed}; there are {there}"
        return None


class FrechetDistance(FeatureScore):
    """The Frechet distance of Gaussians with the moments of the features; FID with Inception (Heusel et al. 2017)."""

    least = least_real = 2
    higher_is_better = False

    def __init__(self, real: Reference | Tensor, **options: Any) -> None:
        super().__init__(real, **options)
        # Scalars until the first features come, which give the width.
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("products", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.total: Tensor
        self.products: Tensor

    @property
    def readings(self) -> Mapping[str, Reading]:
        meaning = "Frechet distance from the features of real images; lower is better"
        return {self.distance_name: Reading("lower", "distance", meaning=meaning)}

    @property
    def distance_name(self) -> str:
        return distance_name(self.extractor, count=self.number, split=self.split)

    def add_features(self, features: Tensor) -> None:
        sums = MomentSums(0, self.total.cpu(), self.products.cpu())
        for part in features.split(PART):
            sums.add(part)
        self.total, self.products = sums.total.to(self.device), sums.products.to(self.device)

    def compute(self) -> Tensor:
        moments = MomentSums(int(self.seen), self.total.cpu(), self.products.cpu()).moments()
        return torch.tensor(frechet_distance(moments, self.reference.moments), dtype=torch.float64)

    def prepare(self) -> None:
        _ = self.reference.moments

    def ideal_scores(self) -> dict[str, float]:
        moments = self.reference.moments
        if min(self.number, moments.count) <= len(moments.mean):
            return {}  # fewer samples than features: beyond the leading order
        exact = self.split == "all"  # the reference is the distribution itself
        return {self.distance_name: floor(moments, fakes=self.number, exact=exact)}


class WholeFeatures(FeatureScore):
    """Base of the scores that need all features at once."""

    def __init__(self, real: Reference | Tensor, **options: Any) -> None:
        super().__init__(real, **options)
        self.add_state("features", [], dist_reduce_fx="cat")
        self.features: list[Tensor]

    def add_features(self, features: Tensor) -> None:
        self.features.append(features.to(self.device))

    @property
    def all_features(self) -> Tensor:
        """All features (N, d), float32, on the CPU."""
        return dim_zero_cat(self.features).cpu()

    def prepare(self) -> None:
        _ = self.reference.features


class FrechetAtInfinity(WholeFeatures):
    """The Frechet distance that infinitely many samples would have, extrapolated (Chong and Forsyth 2020).

    The line begins at a tenth of the samples, and distances of under 100 are on no line over 1/N.
    """

    least, least_real = 1000, 2
    higher_is_better = False

    @property
    def readings(self) -> Mapping[str, Reading]:
        # Unbiased, so it may fall below 0, where there is no logarithm.
        name = f"{distance_name(self.extractor, count=self.number, split=self.split)}_inf"
        meaning = "Frechet distance, extrapolated to any number of samples; lower is better"
        return {name: Reading("lower", "plain", meaning=meaning)}

    def compute(self) -> Tensor:
        return torch.tensor(at_infinity(self.all_features, self.reference.moments), dtype=torch.float64)

    def prepare(self) -> None:
        _ = self.reference.moments

    def ideal_scores(self) -> dict[str, float]:
        moments = self.reference.moments
        if moments.count <= len(moments.mean):
            return {}  # as above
        return {self.names[0]: floor(moments, fakes=math.inf, exact=self.split == "all")}


class KernelDistance(WholeFeatures):
    """Squared maximum mean discrepancy with a polynomial kernel; KID with Inception (Binkowski et al. 2018)."""

    least = least_real = SUBSET_SIZE
    higher_is_better = False

    @property
    def kernel_name(self) -> str:
        return distance_name(self.extractor, count=self.number, split=self.split, letter="k")

    @property
    def subset_size(self) -> int:
        return SUBSET_SIZE

    @property
    def readings(self) -> Mapping[str, Reading]:
        name = self.kernel_name
        meaning = "kernel distance from the features of real images; lower is better"
        spread = "spread of the kernel distance over subsets"
        return {name: Reading("lower", "plain", meaning=meaning), f"{name}_std": Reading(meaning=spread)}

    def compute(self) -> dict[str, float]:
        found = kernel_distance(self.all_features, self.reference.features, size=self.subset_size)
        return dict(zip(self.names, found, strict=True))

    def ideal_scores(self) -> dict[str, float]:
        return {self.names[0]: 0.0}


class SmallKernelDistance(KernelDistance):
    """The kernel distance of smaller subsets, for fewer than 1,000 samples or real images, under a name of its own."""

    least = least_real = 2 * min(SMALL_SIZES)

    @property
    def subset_size(self) -> int:
        return small_subset_size(min(self.number, self.reference.count))

    @property
    def kernel_name(self) -> str:
        return f"{super().kernel_name}_subsets{self.subset_size}"

    def cards(self) -> dict[str, PlainData]:
        return {name: card | {"subset_size": self.subset_size} for name, card in super().cards().items()}


class InceptionScore(WholeFeatures):
    """Inception score (Salimans et al. 2016): is each sample of a clear class, and are all of many?

    No real images are used.
    """

    least, least_real = 10 * SPLITS, 0  # a part of n samples scores at most n
    higher_is_better = True

    @property
    def readings(self) -> Mapping[str, Reading]:
        fakes = in_thousands(self.number)
        official = f"{resize_prefix(self.extractor)}is{fakes}"
        name = official if is_verified(self.extractor) else f"is_{self.extractor.name}_{fakes}"
        meaning = "does each sample have a clear class, and are there many classes? higher is better"
        spread = "spread of the inception score over parts"
        return {f"{name}_mean": Reading("higher", "plain", meaning=meaning), f"{name}_std": Reading(meaning=spread)}

    def compute(self) -> dict[str, float]:
        assert self.extractor.head is not None
        with full_precision(self.extractor.device.type), torch.no_grad():
            logits = self.extractor.head(self.all_features.to(self.extractor.device)).cpu()
        return dict(zip(self.names, inception_score(logits), strict=True))

    def prepare(self) -> None:
        pass

    @classmethod
    def unavailable_reason(cls, extractor: Extractor, *, fakes: int, reals: int) -> str | None:
        if extractor.head is None:
            return f"needs a classifier, such as cifarnet or inception; {extractor.name} is none"
        return super().unavailable_reason(extractor, fakes=fakes, reals=reals)


class PrecisionRecall(WholeFeatures):
    """Precision, recall (Kynkaanniemi et al. 2019), density and coverage (Naeem et al. 2020)."""

    least = least_real = 4 * K_DENSITY  # of fewer, a ball around k neighbours holds most

    @property
    def readings(self) -> Mapping[str, Reading]:
        fakes, reference = in_thousands(self.number), reference_name(self.split)
        said = {
            ("precision", K_PRECISION): Reading(
                "higher", "share", meaning="share of samples that lie near real images; higher is better"
            ),
            ("recall", K_PRECISION): Reading(
                "higher", "share", "n_real", "share of real images that lie near samples; higher is better"
            ),
            ("density", K_DENSITY): Reading(
                "higher", "plain", meaning="how densely real images surround the samples; higher is better"
            ),
            ("coverage", K_DENSITY): Reading(
                "higher", "share", "n_real", "share of real images with a sample close by; higher is better"
            ),
        }
        return {f"{what}_{self.extractor.name}_k{k}_{fakes}_{reference}": how for (what, k), how in said.items()}

    def compute(self) -> dict[str, float]:
        features, real = self.all_features, self.reference
        near = {"near_fakes": neighbour_distances(features), "near_reals": real.neighbours}
        return dict(zip(self.names, precision_recall(features, real.features, **near).values(), strict=True))

    def prepare(self) -> None:
        _ = self.reference.features, self.reference.neighbours

    def ideal_scores(self) -> dict[str, float]:
        if self.split == "all":
            return {}  # a distribution of so many images only, in which samples coincide
        if not self.reference.neighbours[:, K_DENSITY - 1].any():
            return {}  # balls of no size, in which nothing lies
        known = expected_density_and_coverage(self.number, self.reference.count)
        return dict(zip(self.names[2:], known, strict=True))


SCORES: dict[ScoreName, type[FeatureScore]] = {
    "frechet": FrechetDistance,
    "infinity": FrechetAtInfinity,
    "kernel": KernelDistance,
    "small_kernel": SmallKernelDistance,
    "inception_score": InceptionScore,
    "precision_recall": PrecisionRecall,
}
STAND_INS: dict[ScoreName, ScoreName] = {"kernel": "small_kernel"}  # what is computed where the usual score cannot be


def available_scores(extractor: Extractor, *, fakes: int, reals: int) -> tuple[list[ScoreName], dict[str, str]]:
    """Return the scores that these samples and real images allow, and why the others cannot be computed."""
    usual: list[ScoreName] = [name for name in SCORES if name not in STAND_INS.values()]
    reasons = {name: unavailable_reason(name, extractor, fakes=fakes, reals=reals) for name in SCORES}
    wanted: list[ScoreName] = [STAND_INS.get(name, name) if reasons[name] else name for name in usual]
    return [name for name in wanted if not reasons[name]], {name: why for name in usual if (why := reasons[name])}


def unavailable_reason(name: ScoreName, extractor: Extractor, *, fakes: int, reals: int) -> str | None:
    """Say why a score cannot be computed, and what stands in for it; None where it can."""
    reason = SCORES[name].unavailable_reason(extractor, fakes=fakes, reals=reals)
    other = STAND_INS.get(name)
    if reason and other and not SCORES[other].unavailable_reason(extractor, fakes=fakes, reals=reals):
        return f"{reason}; {other} is for so few"
    return reason


# Names.


def is_verified(extractor: Extractor) -> bool:
    """Check for Inception-2015 with its official weights, whose scores have names of their own."""
    name = extractor.name.removeprefix("clean_")
    return name == "inception" and is_known("inception", str(extractor.card["weights_sha256"]))


def in_thousands(count: int) -> str:
    return f"{count // 1000}k" if count % 1000 == 0 else str(count)


def resize_prefix(extractor: Extractor) -> str:
    """Return the prefix of the names that stand for the verified weights of Inception."""
    return "clean_" if extractor.name.startswith("clean_") else ""


def reference_name(split: str) -> str:
    """Return "full" for all that D was shown or more ("train", "all"); any other split keeps its name."""
    return "full" if split in ("train", "all") else split


def distance_name(extractor: Extractor, *, count: int, split: str, letter: Literal["f", "k"] = "f") -> str:
    """The name of the Frechet (f) or kernel distance (k) of `count` fakes to the reference `split`."""
    fakes, reference = in_thousands(count), reference_name(split)
    if is_verified(extractor):
        return f"{resize_prefix(extractor)}{letter}id{fakes}_{reference}"
    return f"{letter}d_{extractor.name}_{fakes}_{reference}"
