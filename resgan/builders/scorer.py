"""Scorers from the options of scores and data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from resgan.base.cache import cache_directory
from resgan.base.errors import OptionsError
from resgan.base.images import as_uint8
from resgan.base.plain_data import PlainData
from resgan.data import gaussians, shapes, shapes_hard
from resgan.data.dataset import Dataset
from resgan.metrics.diversity import total_variance
from resgan.metrics.extractors import load_extractor
from resgan.metrics.feature_scores import FeatureScores
from resgan.metrics.features import Extractor, extract
from resgan.metrics.manifold import Manifold
from resgan.metrics.manifold_scores import ManifoldScores
from resgan.metrics.reference import Reference
from resgan.metrics.scorer import Measure, Scorer
from resgan.metrics.testbed import gaussian_scores, mode_counts, perfect_gaussians, perfect_shapes, shape_scores
from resgan.nets.sampling import norm_mode_in_words
from resgan.options.data import DataSet, Gaussians, Shapes, ShapesHard
from resgan.options.metrics import MetricsOptions
from resgan.options.train import TrainOptions


@dataclass(frozen=True, kw_only=True)
class SampleSource:
    """The number of samples to score, and how they are made."""

    count: int
    averaged: bool | None  # of a generator: the averaged weights, or the raw ones
    norm_mode: str | None  # of a generator: what its batch norms take for the mean and the variance

    @staticmethod
    def generator(metrics: MetricsOptions, *, norm: str, averaged: bool = True) -> "SampleSource":
        return SampleSource(
            count=metrics.samples,
            averaged=averaged,
            norm_mode=norm_mode_in_words(metrics.norm_mode) if norm == "batch" else "none",
        )


def build_scorer(options: TrainOptions, dataset: Dataset, *, device: str = "cpu", progress: bool = False) -> Scorer:
    """The scorer of a run in training; `progress` is of the real pictures alone."""
    fakes = SampleSource.generator(options.metrics, norm=options.generator.norm)
    load = partial(build_extractor, options.metrics, device=device)
    bars = ("real",) if progress else ()
    return make_scorer(options.metrics, options.data, dataset, seed=options.seed, fakes=fakes, load=load, bars=bars)


def build_extractor(metrics: MetricsOptions, *, device: str) -> Extractor:
    """Raises ExtractorError."""
    return load_extractor(metrics.extractor, weights=metrics.weights, clean=metrics.resize == "clean").to(device)


def make_scorer(
    metrics: MetricsOptions,
    data: DataSet | None,  # the options of a data set, or None where only its pictures are known
    dataset: Dataset,
    *,
    seed: int,  # of the data set
    fakes: SampleSource,
    load: Callable[[], Extractor],  # called where features are needed; scorers may share one
    bars: tuple[str, ...] = (),  # "real", "generated": show a bar while these pictures go through it
) -> Scorer:
    """The exact scores where the truth is known, then those of features, then the variance."""
    card = {
        "n_fake": fakes.count,
        "n_real": len(dataset.reference),
        "data": dataset.name,
        "split": dataset.split,
        "averaged": fakes.averaged,
        "norm_mode": fakes.norm_mode,
    }
    measures = exact_measures(data, dataset, card, seed=seed)
    if len(dataset.shape) == 3 and metrics.extractor != "none":
        measures.append(feature_measure(metrics, dataset, card, extractor=load(), bars=bars))
    if not measures:
        raise OptionsError("metrics.extractor=none: this data has no other score; valid are cifarnet, inception")
    return Scorer(
        samples=fakes.count, norm_mode=metrics.norm_mode, measures=[*measures, variance_measure(dataset, card)]
    )


# What each score means, in a few words for the table at the end of a run; a score without a line is shown without.
EXACT_MEANINGS = {
    "tv": "distance from valid samples of all classes alike; 1: none is valid",
    "validity": "share of samples that pass for real, by the rule of the testbed",
    "tv_valid": "tv of the valid samples alone; 0: all classes alike",
    "tv_data": "tv to the shares of the training points",
    "validity_0.5tau": "the same by half the tolerance",
    "validity_1.5tau": "the same by one and a half times the tolerance",
    **{f"valid_{form}": f"share of samples that are valid and {form}" for form in shapes.FORMS},
    "distance": "median distance to the nearest class, of points in SD of a mode; falls first",
    "classes": "how many of the classes hold a tenth of their due",
    "copying": "how often nearer to a training picture than new ones; 0.5: none",
    "recombination": "rate of combinations that were never shown over those shown",
    "modes": "how many modes were hit at least once",
    "kl": "unevenness of valid samples over the modes, in nats; 0: even",
    "novelty": "share of valid samples that were never trained on; 0: copies alone",
}


def exact_measures(data: DataSet | None, dataset: Dataset, card: PlainData, *, seed: int) -> list[Measure]:
    """The measures of a testbed; none for other data."""
    match data:
        case Gaussians():
            return [gaussian_measure(data, dataset, card)]
        case Shapes():
            return [shape_measure(data, dataset, card, seed=seed)]
        case ShapesHard():
            return [hard_shape_measure(data, card, seed=seed)]
    return []


def gaussian_measure(data: Gaussians, dataset: Dataset, card: PlainData) -> Measure:
    truth = {"centres": gaussians.centres(data.modes), "sd": gaussians.SD}
    trained = mode_counts(dataset.train, **truth)
    return Measure(
        names=("tv", "validity", "modes", "kl", "tv_data", "distance"),
        compute=partial(gaussian_scores, **truth, trained=trained),
        card=card | {"valid": "within 3 SD of a mode"},
        ideal_scores=partial(perfect_gaussians, data.modes, samples=card["n_fake"], trained=trained),
        meanings=EXACT_MEANINGS,
    )


def shape_measure(data: Shapes, dataset: Dataset, card: PlainData, *, seed: int) -> Measure:
    scores = build_manifold_scores(data, dataset, seed=seed)
    return Measure(
        names=scores.names,
        compute=scores.compute,
        card=card | {"valid": f"closer than {scores.tau:g} to a class in L2 on [-1, 1], as uint8"},
        ideal_scores=partial(scores.ideal_scores, card["n_fake"]),
        meanings=EXACT_MEANINGS,
    )


def build_manifold_scores(data: Shapes, dataset: Dataset, *, seed: int) -> ManifoldScores:
    return ManifoldScores(
        manifold=Manifold(
            masks=partial(shapes.masks, size=data.size),
            slopes=partial(shapes.slopes, size=data.size),
            forms=len(shapes.FORMS),
            colours=shapes.colours(),
            low=shapes.LOW,
            high=shapes.HIGH,
        ),
        tau=shapes.tau(data.size),
        forms=tuple(shapes.FORMS),
        rounding=shapes.rounding(data.size),
        train=dataset.train,
        fresh=dataset.holdout,
        quadrants=shapes.quadrants,
        withheld=shapes.withheld_quadrants(seed) if data.withhold else None,
    )


def hard_shape_measure(data: ShapesHard, card: PlainData, *, seed: int) -> Measure:
    truth = {
        "templates": shapes_hard.templates(data.size),
        "classes": shapes_hard.classes(),
        "trained": shapes_hard.trained_half(seed),
        "tau": shapes_hard.tau(data.size),
    }
    classes, trained = int(truth["classes"].max()) + 1, int(truth["trained"].sum())
    return Measure(
        names=("tv", "validity", "modes", "kl", "novelty"),
        compute=partial(shape_scores, **truth),
        card=card | {"valid": f"closer than {truth['tau']:g} to a template in L2 on [-1, 1], as uint8"},
        ideal_scores=partial(perfect_shapes, classes=classes, trained=trained, samples=card["n_fake"]),
        meanings=EXACT_MEANINGS,
    )


def feature_measure(
    metrics: MetricsOptions, dataset: Dataset, card: PlainData, *, extractor: Extractor, bars: tuple[str, ...]
) -> Measure:
    """One pass of the fakes through the extractor, against the reference of the data set."""
    reference = Reference(
        extractor,
        dataset.reference,
        cache=cache_directory(metrics.cache),
        progress="real pictures" if "real" in bars else None,
    )
    scores = FeatureScores(reference=reference, count=card["n_fake"], split=dataset.split, wanted=tuple(metrics.scores))
    if unavailable_reason := scores.unavailable_reason():
        raise OptionsError(f"metrics.scores={','.join(metrics.scores)}: {unavailable_reason}")

    def compute(fakes: Tensor) -> dict[str, float]:
        return scores.compute(
            extract(extractor, as_uint8(fakes), progress="generated pictures" if "generated" in bars else None)
        )

    return Measure(
        names=scores.all_names,
        compute=compute,
        card=card | extractor.card,
        prepare=scores.prepare,
        ideal_scores=scores.ideal_scores,
        meanings=scores.meanings,
    )


def variance_measure(dataset: Dataset, card: PlainData) -> Measure:
    """Total variance of the samples over that of the data: near 1 as it should be, near 0 after a collapse."""
    real = total_variance(dataset.reference)

    def compute(fakes: Tensor) -> dict[str, float]:
        same_kind = as_uint8(fakes) if dataset.reference.dtype == torch.uint8 else fakes
        return {"variance_ratio": total_variance(same_kind) / real}

    return Measure(
        names=("variance_ratio",),
        compute=compute,
        card=card,
        ideal_scores=lambda: {"variance_ratio": 1.0},
        meanings={"variance_ratio": "variance of the samples over that of real ones; near 0: collapsed"},
    )
