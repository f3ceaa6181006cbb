"""Scorers, from the options of scores and data."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from resgan.base.cache import cache_directory
from resgan.base.errors import OptionsError
from resgan.base.plain_data import PlainData, format_value
from resgan.data import gaussians, shapes, shapes_hard
from resgan.data.dataset import Dataset
from resgan.metrics.diversity import VarianceRatio
from resgan.metrics.extractors import load_extractor
from resgan.metrics.feature_scores import SCORES, FeatureScore, available_scores, unavailable_reason
from resgan.metrics.features import Extractor
from resgan.metrics.manifold import Manifold
from resgan.metrics.manifold_scores import ManifoldScore, ManifoldScores
from resgan.metrics.own import load_score
from resgan.metrics.reference import Reference
from resgan.metrics.score import Score
from resgan.metrics.scorer import Scorer
from resgan.metrics.testbed import ModeScore, TemplateScore
from resgan.nets.sampling import norm_mode_in_words
from resgan.options.choices import ScoreName
from resgan.options.data import DataSet, Gaussians, Shapes, ShapesHard
from resgan.options.metrics import MetricsOptions
from resgan.options.train import TrainOptions


@dataclass(frozen=True, kw_only=True)
class SampleSource:
    """The number of samples to score, and how they are made."""

    count: int
    averaged: bool | None  # of a generator: the averaged weights, or the raw ones
    norm_mode: str | None  # of a generator: the mean and variance that its batch norms use

    @staticmethod
    def generator(metrics: MetricsOptions, *, norm: str, averaged: bool = True) -> "SampleSource":
        return SampleSource(
            count=metrics.samples,
            averaged=averaged,
            norm_mode=norm_mode_in_words(metrics.norm_mode) if norm == "batch" else "none",
        )


def build_scorer(options: TrainOptions, dataset: Dataset, *, device: str = "cpu", progress: bool = False) -> Scorer:
    """Build the scorer of a run in training; `progress` shows a bar for the real images only."""
    fakes = SampleSource.generator(options.metrics, norm=getattr(options.generator, "norm", "none"))
    load = partial(build_extractor, options.metrics, device=device)
    bars = ("real",) if progress else ()
    scorer = make_scorer(options.metrics, options.data, dataset, seed=options.seed, fakes=fakes, load=load, bars=bars)
    refuse_no_primary(scorer.scores, options.metrics)
    return scorer


def build_extractor(metrics: MetricsOptions, *, device: str) -> Extractor:
    """Load the extractor of features. Raises ExtractorError."""
    return load_extractor(metrics.extractor, weights=metrics.weights, clean=metrics.resize == "clean").to(device)


def make_scorer(
    metrics: MetricsOptions,
    data: DataSet | None,  # the options of a data set, or None where only its images are known
    dataset: Dataset,
    *,
    seed: int,  # of the data set
    fakes: SampleSource,
    load: Callable[[], Extractor],  # called where features are needed; scorers may share one
    bars: tuple[str, ...] = (),  # "real", "generated": show a bar while features of these images are computed
) -> Scorer:
    """Collect the scores: exact ones where the truth is known, those of features, your own, then the variance."""
    card = {
        "n_fake": fakes.count,
        "n_real": len(dataset.reference),
        "data": dataset.name,
        "split": dataset.split,
        "averaged": fakes.averaged,
        "norm_mode": fakes.norm_mode,
    }
    scores = exact_scores(data, dataset, card, seed=seed)
    extractor, left_out = None, {}
    if len(dataset.shape) == 3 and metrics.extractor != "none":
        extractor = load()
        found, left_out = feature_scores(metrics, dataset, card, extractor=extractor, bars=bars)
        scores += found
    if metrics.own is not None:
        own = load_score(metrics.own, dataset.reference, card=card)
        if taken := {*own.names} & {name for score in scores for name in score.names}:
            raise OptionsError(f"metrics.own={metrics.own}: there is a score {min(taken)} already")
        scores.append(own)
    variance = VarianceRatio(dataset.reference, card=card)
    if reason := variance.unavailable_reason(fakes=fakes.count):
        left_out["variance_ratio"] = reason
    else:
        scores.append(variance)
    if not scores:
        name, why = next(iter(left_out.items()))  # the others need more
        raise OptionsError(f"no score can be computed: {name} {why}")
    return Scorer(
        samples=fakes.count,
        norm_mode=metrics.norm_mode,
        scores=scores,
        extractor=extractor,
        left_out=left_out,
        progress="generated images" if "generated" in bars else None,
    )


def refuse_no_primary(scores: list[Score], metrics: MetricsOptions) -> None:
    """Raise OptionsError unless there is a first number, which ranks runs, and lower is better in it."""
    first = scores[0]
    if isinstance(first, VarianceRatio):
        raise OptionsError("metrics.extractor=none: this data has no other score; use cifarnet or inception")
    name, how = next(iter(first.readings.items()))
    if how.direction == "lower":
        return
    if isinstance(first, FeatureScore):
        raise OptionsError(
            f"metrics.scores={format_value(metrics.scores)}: {name} would rank runs, and lower is not better in it; "
            "put frechet first"
        )
    raise OptionsError(
        f"metrics.own={metrics.own}: {name} would rank runs alone, and lower is not better in it; "
        "give metrics.extractor as well"
    )


def exact_scores(data: DataSet | None, dataset: Dataset, card: PlainData, *, seed: int) -> list[Score]:
    """Build the exact scores of a testbed; none for other data."""
    match data:
        case Gaussians():
            return [build_mode_score(data, dataset, card)]
        case Shapes():
            return [build_manifold_score(data, dataset, card, seed=seed)]
        case ShapesHard():
            return [build_template_score(data, card, seed=seed)]
    return []


def build_mode_score(data: Gaussians, dataset: Dataset, card: PlainData) -> Score:
    return ModeScore(
        centres=gaussians.centres(data.modes),
        sd=gaussians.SD,
        train=dataset.train,
        count=card["n_fake"],
        card=card | {"valid": "within 3 SD of a mode"},
    )


def build_manifold_score(data: Shapes, dataset: Dataset, card: PlainData, *, seed: int) -> Score:
    scores = build_manifold_scores(data, dataset, seed=seed)
    return ManifoldScore(
        scores,
        count=card["n_fake"],
        card=card | {"valid": f"closer than {scores.tau:g} to a class in L2 on [-1, 1], as uint8"},
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


def build_template_score(data: ShapesHard, card: PlainData, *, seed: int) -> Score:
    tau = shapes_hard.tau(data.size)
    return TemplateScore(
        templates=shapes_hard.templates(data.size),
        classes=shapes_hard.classes(),
        trained=shapes_hard.trained_half(seed),
        tau=tau,
        count=card["n_fake"],
        card=card | {"valid": f"closer than {tau:g} to a template in L2 on [-1, 1], as uint8"},
    )


def feature_scores(
    metrics: MetricsOptions, dataset: Dataset, card: PlainData, *, extractor: Extractor, bars: tuple[str, ...]
) -> tuple[list[Score], dict[str, str]]:
    """Build the scores of features, which share one reference; and say why scores of `all` are not among them.

    Raises OptionsError for scores that were asked for by name and cannot be computed.
    """
    reference = Reference(
        extractor,
        dataset.reference,
        cache=cache_directory(metrics.cache),
        progress="real images" if "real" in bars else None,
    )
    given = {"fakes": card["n_fake"], "reals": reference.count}
    names: list[ScoreName] = [name for name in metrics.scores if name != "all"]
    left_out: dict[str, str] = {}
    for name in names:
        if reason := unavailable_reason(name, extractor, **given):
            raise OptionsError(f"metrics.scores={format_value(metrics.scores)}: {name} {reason}")
    if not names:
        names, left_out = available_scores(extractor, **given)
    words = {"count": card["n_fake"], "split": dataset.split, "card": card | extractor.card}
    return [SCORES[name](reference, **words) for name in names], left_out
