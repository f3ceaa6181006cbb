"""Scores of features against closed forms, second implementations and other libraries."""

import math
from types import SimpleNamespace
from typing import get_args

import numpy as np
import pytest
import torch
from helpers.options import options_of
from helpers.precisions import Noting
from helpers.scores import MadeScore
from torch import Tensor, nn

from resgan.builders.data import build_dataset
from resgan.builders.scorer import build_scorer
from resgan.metrics.cards import READING
from resgan.metrics.extractors import load_extractor
from resgan.metrics.feature_scores import (
    SCORES,
    FeatureScore,
    FrechetAtInfinity,
    FrechetDistance,
    InceptionScore,
    SmallKernelDistance,
    available_scores,
    in_thousands,
    unavailable_reason,
)
from resgan.metrics.features import Extractor
from resgan.metrics.frechet import at_infinity, floor, frechet_distance
from resgan.metrics.inception_score import inception_score
from resgan.metrics.kernel import kernel_distance, squared_mmd
from resgan.metrics.precision_recall import expected_density_and_coverage, neighbour_distances, precision_recall
from resgan.metrics.reference import Reference, moments_of
from resgan.metrics.scorer import Scorer
from resgan.metrics.testbed import (
    expected_resampling_variation,
    expected_total_variation,
    gaussian_scores,
    mode_counts,
    perfect_gaussians,
    perfect_shapes,
    shape_scores,
)
from resgan.metrics.weight_files import SHA256
from resgan.options.choices import ScoreName
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.history import reading_by_name


def normal(count: int, width: int, *, seed: int = 0) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def prdc_of(fake: Tensor, real: Tensor) -> dict[str, float]:
    near = {"near_fakes": neighbour_distances(fake), "near_reals": neighbour_distances(real)}
    return precision_recall(fake, real, **near)


# The Frechet distance of finite samples


@pytest.mark.parametrize("exact", [False, True])
def test_the_floor_is_what_a_perfect_generator_scores(exact):
    """Two samples of one Gaussian; width 16, eigenvalues from 0.06 to 1, N = 2000, M = 1500, 12 draws.

    The next order is width / N, under 1 %; the spread of one distance is about 10 %, of the mean of 12 about 3 %: the
    tolerance of 10 % is three of these.
    """
    width, fakes, reals, draws = 16, 2000, 1500, 12
    scale = torch.linspace(0.25, 1, width, dtype=torch.float64)
    population = moments_of(normal(2, width))
    vars(population)["cov"] = torch.diag(scale**2)
    found = []
    for seed in range(draws):
        real = moments_of(normal(reals, width, seed=2 * seed) * scale)
        if exact:
            vars(real).update(mean=torch.zeros(width, dtype=torch.float64), cov=torch.diag(scale**2))
        found.append(frechet_distance(moments_of(normal(fakes, width, seed=2 * seed + 1) * scale), real))
    vars(population)["count"] = reals
    assert np.mean(found) == pytest.approx(floor(population, fakes=fakes, exact=exact), rel=0.1)


def test_the_floor_in_closed_form():
    """Identity of width d: d for the means, and (d^2 + d) / 4 for the covariances, times 1/N + 1/M."""
    for width in (1, 7):
        unit = moments_of(normal(5, width))
        vars(unit).update(cov=torch.eye(width, dtype=torch.float64), count=300)
        assert floor(unit, fakes=200) == pytest.approx((1 / 200 + 1 / 300) * (width + (width**2 + width) / 4))
        assert floor(unit, fakes=math.inf, exact=True) == 0


def test_the_distance_at_infinity_is_the_intercept_of_numpys_line():
    fake, real = normal(1000, 6, seed=1) + 0.5, moments_of(normal(3000, 6, seed=2))
    generator = torch.Generator().manual_seed(0)
    counts = np.linspace(100, 1000, 15).round().astype(int)
    distances = [
        frechet_distance(moments_of(fake[torch.randperm(1000, generator=generator)[:count]]), real) for count in counts
    ]
    assert at_infinity(fake, real) == pytest.approx(np.polyfit(1 / counts, distances, 1)[1], rel=1e-9)


def test_the_distance_at_infinity_lacks_the_noise_of_the_fakes():
    """Both sides have one distribution: what is left is the noise of the reference, a tenth of that of the fakes."""
    found, plain = [], []
    for seed in range(8):
        fake, real = normal(1000, 8, seed=2 * seed), moments_of(normal(10_000, 8, seed=2 * seed + 1))
        found.append(at_infinity(fake, real))
        plain.append(frechet_distance(moments_of(fake), real))
    left = floor(real, fakes=math.inf)
    # The spread of one is about 0.006, a quarter of the distance at 1,000; of the mean of 8 a third of that.
    assert np.mean(found) == pytest.approx(left, abs=0.3 * np.mean(plain))
    assert np.mean(plain) > 5 * left


# The kernel distance


def test_the_kernel_distance_by_its_definition():
    """Sums over pairs, written out: 1/(n(n-1)) sum_{i != j} k(x_i, x_j) + the same of y - 2/n^2 sum_ij k(x_i, y_j)."""
    x, y = normal(7, 3).tolist(), (normal(7, 3, seed=1) + 1).tolist()

    def k(a: list[float], b: list[float]) -> float:
        return (sum(p * q for p, q in zip(a, b, strict=True)) / 3 + 1) ** 3

    pairs = [(i, j) for i in range(7) for j in range(7)]
    same = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs if i != j) / 42
    assert squared_mmd(torch.tensor(x, dtype=torch.float64), torch.tensor(y, dtype=torch.float64)) == pytest.approx(
        same - 2 * sum(k(x[i], y[j]) for i, j in pairs) / 49, rel=1e-12
    )


def test_one_full_subset_is_torchmetrics():
    from torchmetrics.image.kid import poly_mmd

    fake, real = normal(200, 32), normal(200, 32, seed=1) * 1.5
    mean, spread = kernel_distance(fake, real, subsets=1, size=200)
    assert mean == pytest.approx(float(poly_mmd(fake, real)), rel=1e-9)
    assert spread == 0


def test_the_kernel_distance_of_equal_distributions_is_nought_on_average():
    values = [squared_mmd(normal(100, 4, seed=2 * k), normal(100, 4, seed=2 * k + 1)) for k in range(60)]
    assert abs(np.mean(values)) < 4 * np.std(values) / math.sqrt(60)
    assert min(values) < 0


def test_the_kernel_distance_takes_its_subsets_from_everywhere():
    """Features are sorted by value: the first 100 alone would give the distance of a part to the whole."""
    fake, real = normal(2000, 2)[normal(2000, 2)[:, 0].argsort()], normal(2000, 2, seed=1)
    mean, spread = kernel_distance(fake, real, subsets=50, size=100)
    assert abs(mean) < 4 * spread / math.sqrt(50)
    assert kernel_distance(fake, real, subsets=50, size=100) == (mean, spread)  # the same subsets again
    with pytest.raises(ValueError, match=r"takes 2001 samples .* 2000 and 2000"):
        kernel_distance(fake, real, size=2001)


# What a perfect generator scores


@pytest.mark.parametrize(("split", "exact"), [("all", True), ("train", False)])
def test_the_floor_knows_when_the_reference_is_the_distribution_itself(split, exact):
    """A reference that is only a sample gives a perfect generator a larger distance."""
    moments = moments_of(normal(500, 4))
    reference = SimpleNamespace(extractor=Extractor(name="x", module=nn.Flatten(), card={}), moments=moments)
    scores = [score(reference, count=300, split=split) for score in (FrechetDistance, FrechetAtInfinity)]
    ideal = {name: value for score in scores for name, value in score.ideal_scores().items()}
    assert ideal == {
        "fd_x_300_full": floor(moments, fakes=300, exact=exact),
        "fd_x_300_full_inf": floor(moments, fakes=math.inf, exact=exact),
    }
    assert floor(moments, fakes=300, exact=True) < 0.9 * floor(moments, fakes=300, exact=False)


def test_the_worst_score_is_that_of_the_primary_endpoint():
    """The score of a diverged run: total variation is at most 1, a distance has no bound."""
    for name, worst in (("tv", 1.0), ("fd_cifarnet_10k_full", math.inf), ("tv_data", math.inf)):
        scores = [MadeScore(first) for first in (name, "tv", "validity")]
        assert Scorer(samples=1, norm_mode="running", scores=scores).worst == worst


# Precision, recall, density, coverage


def test_they_are_prdcs_on_the_same_features():
    prdc = pytest.importorskip("prdc")
    fake, real = normal(300, 5) * 0.8, normal(400, 5, seed=1)
    found = prdc_of(fake, real)
    for k, names in ((3, ("precision", "recall")), (5, ("density", "coverage"))):
        theirs = prdc.compute_prdc(real.numpy(), fake.numpy(), nearest_k=k)
        assert {name: found[name] for name in names} == {name: pytest.approx(theirs[name], abs=0) for name in names}


def test_the_rows_come_in_pieces(monkeypatch):
    from resgan.metrics import precision_recall as module

    fake, real = normal(300, 5) * 0.8, normal(400, 5, seed=1)
    whole = prdc_of(fake, real)
    monkeypatch.setattr(module, "CHUNK", 64)
    assert prdc_of(fake, real) == whole


def test_precision_is_of_fakes_and_recall_of_reals():
    """Fakes lie at one of two distant places: all lie where reals are, and half of the reals are missed.

    With the sides exchanged precision would be 1/2 and recall 1.
    """
    real = normal(400, 3)
    real[200:] += 100
    found = prdc_of(normal(300, 3, seed=1), real)
    assert found["precision"] > 0.85
    assert 0.3 < found["recall"] <= 0.5
    assert 0.3 < found["coverage"] <= 0.5


def test_by_hand_on_a_line():
    """Reals lie at 0, 1, ..., 9: the third neighbour of an inner real is 2 away, of an outermost real 3.

    Five fakes lie near 4.6 and one at 100, whose third neighbour is the fake at 4.6, 95.4 away.
    """
    real = torch.arange(10, dtype=torch.float64).view(-1, 1)
    fake = torch.tensor([[4.4], [4.5], [4.6], [4.7], [4.8], [100.0]], dtype=torch.float64)
    found = prdc_of(fake, real)
    assert found["precision"] == pytest.approx(5 / 6)
    # The ball of the fake at 100 reaches to 100 - 95.4 = 4.6: it holds the reals 5 to 9. The balls of the others have
    # radii of 0.2 or 0.3: only that of 4.8 holds a real, as 4.8 + 0.3 > 5, and it is held already.
    assert found["recall"] == pytest.approx(0.5)


def test_borders_by_hand():
    """Reals lie at 0, ..., 9 and fakes at 12, ..., 17, so that many lie on a border: float64 has whole numbers.

    The border of a ball of three neighbours is within it, that of five is not (the signs of the papers). The balls of
    the real 9 have radii 3 and 5, those of 8 radii 2 and 4, and those before them do not reach the fakes. The ball of
    the fake 12 has radius 3 and ends at 9; that of 13 has radius 2 and ends at 11.
    """
    real = torch.arange(10, dtype=torch.float64).view(-1, 1)
    fake = torch.arange(12, 18, dtype=torch.float64).view(-1, 1)
    found = prdc_of(fake, real)
    assert found["precision"] == pytest.approx(1 / 6)  # 12, on the border of the ball of 9
    assert found["recall"] == pytest.approx(1 / 10)  # 9, on the border of the ball of 12
    assert found["density"] == pytest.approx(2 / (5 * 6))  # 12 and 13 in the ball of 9; not 14, nor 12 in that of 8
    assert found["coverage"] == pytest.approx(1 / 10)


def brute_prdc(fake: Tensor, real: Tensor) -> dict[str, float]:
    """Compute the scores pair by pair, as the equations say."""

    def between(x: Tensor, y: Tensor) -> np.ndarray:
        return np.array([[np.sqrt(np.square(a - b).sum()) for b in y.double().numpy()] for a in x.double().numpy()])

    def radii(x: Tensor, k: int) -> np.ndarray:
        return np.sort(between(x, x), axis=1)[:, k]  # the first is the sample itself

    apart = between(fake, real)
    return {
        "precision": (apart <= radii(real, 3)).any(axis=1).mean(),
        "recall": (apart <= radii(fake, 3)[:, None]).any(axis=0).mean(),
        "density": (apart < radii(real, 5)).sum() / (5 * len(fake)),
        "coverage": (apart < radii(real, 5)).any(axis=0).mean(),
    }


@pytest.mark.parametrize("far", [0, 1000])
@pytest.mark.parametrize("kind", ["lattice", "copies", "near copies"])
def test_sets_with_copies_and_equal_distances(kind, far, monkeypatch):
    """Few places and many samples: distances equal radii everywhere, and far from the origin the product is coarse.

    Features are float32, whose differences are exact in float64.
    """
    monkeypatch.setattr("resgan.metrics.precision_recall.CHUNK", 16)
    monkeypatch.setattr("resgan.metrics.precision_recall.BLOCK", 64)
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        if kind == "lattice":
            places = torch.cartesian_prod(*[torch.arange(3.0)] * 3)
        else:
            places = torch.randn(9, 8, generator=generator)
        fake, real = (places[torch.randint(0, len(places), (n,), generator=generator)] + far for n in (40, 50))
        if kind == "near copies":
            fake = fake + 1e-4 * (1 + far) * torch.randn(fake.shape, generator=generator).sign()
        assert prdc_of(fake, real) == pytest.approx(brute_prdc(fake, real), abs=1e-12)
        assert prdc_of(fake, fake)["precision"] == prdc_of(fake, fake)["recall"] == 1


def test_copies_are_at_no_distance():
    """19 images 29 times against 1, 3 and 29 copies of them: balls of no size hold their centre by <=, nothing by <."""
    pictures = 1000 + normal(19, 48, seed=1).float()
    real = pictures.repeat(29, 1)
    assert neighbour_distances(real).abs().max() == 0
    for times in (1, 3, 29):
        fake = pictures.repeat(times, 1)
        found = prdc_of(fake, real)
        assert (found["precision"], found["recall"], found["density"], found["coverage"]) == (1, 1, 0, 0)
    same = torch.full((30, 5), 0.1)
    assert list(prdc_of(same, same).values()) == [1, 1, 0, 0]
    assert list(prdc_of(same + 1, same).values()) == [0, 0, 0, 0]


def test_neighbours_with_copies_count_each():
    x = torch.tensor([[0.0], [0.0], [0.0], [3.0], [3.0], [4.0], [9.0]])
    assert neighbour_distances(x, most=4).tolist() == [
        *[[0, 0, 3, 3]] * 3, *[[0, 1, 3, 3]] * 2, [1, 1, 4, 4], [5, 6, 6, 9],
    ]  # fmt: skip


def test_neighbours_are_others():
    x = torch.tensor([[0.0], [1.0], [3.0], [7.0]], dtype=torch.float64)
    assert neighbour_distances(x, most=2).tolist() == [[1, 3], [1, 2], [2, 3], [4, 6]]
    with pytest.raises(ValueError, match="at least 4"):
        neighbour_distances(x[:3], most=3)


# The Inception score


def test_the_inception_score_lies_between_one_and_the_number_of_classes():
    certain = 1000 * torch.eye(5).repeat(400, 1)
    mean, spread = inception_score(certain, splits=1)
    assert mean == pytest.approx(5)
    assert spread == 0
    assert inception_score(certain[:1].expand(100, 5))[0] == pytest.approx(1)  # all of one class
    assert inception_score(torch.zeros(100, 5))[0] == pytest.approx(1)  # of no class


def test_logits_for_the_inception_score_are_computed_without_tf32(tf32):
    head, passed = Noting(nn.Linear(4, 5)).requires_grad_(False), Noting(nn.Flatten())
    extractor = Extractor(name="noting", module=passed, card={}, head=head)
    score = InceptionScore(SimpleNamespace(extractor=extractor), count=20)
    features = normal(20, 4).float()
    with torch.autocast("cpu", torch.bfloat16):
        score.update(features, features=features)
        mean, _ = score.scores().values()
    assert mean == pytest.approx(inception_score(head.net(features))[0], abs=1e-6)
    assert set(head.seen()[0].values()) == {"ieee"}


def test_the_inception_score_is_torchmetrics():
    from torchmetrics.image.inception import InceptionScore

    logits = 2 * normal(500, 8).float()
    theirs = InceptionScore(feature=nn.Identity(), splits=1)
    theirs.update(logits)
    # The other is computed in float32, from 500 terms of order 1.
    assert inception_score(logits, splits=1)[0] == pytest.approx(float(theirs.compute()[0]), rel=1e-5)


def test_sorted_classes_do_not_lower_the_inception_score():
    certain = 1000 * torch.eye(5).repeat_interleave(400, 0)
    assert inception_score(certain)[0] > 4.8
    with pytest.raises(ValueError, match="10 parts"):
        inception_score(certain[:9])


# What a perfect sampler scores on the testbeds


def test_perfect_points():
    from resgan.data import gaussians

    draws, samples = 30, 2000
    truth = {"centres": gaussians.centres(25), "sd": gaussians.SD}
    trained = mode_counts(gaussians.load_gaussians(modes=25, size=10**6, seed=0).train, **truth)
    found = []
    for seed in range(draws):
        points = gaussians.draw(samples, modes=25, generator=torch.Generator().manual_seed(seed))
        found.append(gaussian_scores(points, **truth, trained=trained))
    expected = perfect_gaussians(25, samples=samples, trained=trained)
    # A million training points are the distribution, to a tenth of the noise of 2,000 points: also for tv_data.
    for name in ("tv", "validity", "modes", "kl", "tv_data", "distance"):
        values = [scores[name] for scores in found]
        assert np.mean(values) == pytest.approx(expected[name], abs=4 * np.std(values) / math.sqrt(draws) + 1e-12), name


def test_the_expected_variation_of_resampling():
    """Two samples of (3/4, 1/4): counts (2, 0), (1, 1), (0, 2) with 9/16, 6/16, 1/16, at 1/4, 1/4, 3/4."""
    by_hand = (9 * 1 + 6 * 1 + 1 * 3) / 16 / 4
    assert expected_resampling_variation(torch.tensor([3, 1]), samples=2) == pytest.approx(by_hand)
    # A histogram of one class has no variation, and for uniform shares both formulas agree.
    assert expected_resampling_variation(torch.tensor([7, 0]), samples=5) == 0
    for samples in (1, 10, 1000):
        uniform = expected_total_variation(24, samples=samples)
        assert expected_resampling_variation(torch.full((24,), 9), samples=samples) == pytest.approx(uniform)


def test_perfect_hard_edged_shapes():
    from resgan.data import shapes_hard

    draws, samples = 30, 1000
    templates, trained = shapes_hard.templates(16), shapes_hard.trained_half(0)
    found = []
    for seed in range(draws):
        drawn = torch.randint(1200, (samples,), generator=torch.Generator().manual_seed(seed))
        truth = {
            "templates": templates,
            "classes": shapes_hard.classes(),
            "trained": trained,
            "tau": shapes_hard.tau(16),
        }
        found.append(shape_scores(templates[drawn], **truth))
    expected = perfect_shapes(classes=48, trained=600, samples=samples)
    for name in ("tv", "validity", "modes", "novelty"):
        values = [scores[name] for scores in found]
        assert np.mean(values) == pytest.approx(expected[name], abs=4 * np.std(values) / math.sqrt(draws) + 1e-12), name


def test_the_expected_total_variation_of_two_classes_and_two_samples():
    """Counts (2, 0), (1, 1), (0, 2) with 1/4, 1/2, 1/4: TV 1/2, 0, 1/2."""
    assert expected_total_variation(2, samples=2) == pytest.approx(0.25)


# Names, and scores that are unavailable


def scores_of(extractor: Extractor, tmp_path, *, count=2000, split="train") -> dict[str, FeatureScore]:
    reference = Reference(extractor, torch.zeros(1500, 3, 32, 32, dtype=torch.uint8), cache=tmp_path)
    return {name: score(reference, count=count, split=split) for name, score in SCORES.items()}


def names_of(scores: dict[str, FeatureScore]) -> tuple[str, ...]:
    return tuple(name for score in scores.values() for name in score.names)


def inception_named(name: str, digest: str) -> Extractor:
    return Extractor(name=name, module=nn.Identity(), card={"weights_sha256": digest}, head=nn.Identity())


def test_names_of_the_verified_inception(tmp_path):
    found = names_of(scores_of(inception_named("inception", SHA256["inception"]), tmp_path))
    assert found == (
        "fid2k_full",
        "fid2k_full_inf",
        "kid2k_full",
        "kid2k_full_std",
        "kid2k_full_subsets500",
        "kid2k_full_subsets500_std",
        "is2k_mean",
        "is2k_std",
        "precision_inception_k3_2k_full",
        "recall_inception_k3_2k_full",
        "density_inception_k5_2k_full",
        "coverage_inception_k5_2k_full",
    )
    clean = scores_of(inception_named("clean_inception", SHA256["inception"]), tmp_path)
    assert clean["frechet"].names + clean["kernel"].names == (
        "clean_fid2k_full", "clean_kid2k_full", "clean_kid2k_full_std"
    )  # fmt: skip
    # Another resize gives other logits: not what is2k_mean stands for.
    assert clean["inception_score"].names == ("clean_is2k_mean", "clean_is2k_std")


def test_names_of_other_extractors(tmp_path):
    extractor = load_extractor("cifarnet")
    found = names_of(scores_of(extractor, tmp_path, split="test"))
    assert found == (
        "fd_cifarnet_2k_test",
        "fd_cifarnet_2k_test_inf",
        "kd_cifarnet_2k_test",
        "kd_cifarnet_2k_test_std",
        "kd_cifarnet_2k_test_subsets500",
        "kd_cifarnet_2k_test_subsets500_std",
        "is_cifarnet_2k_mean",
        "is_cifarnet_2k_std",
        "precision_cifarnet_k3_2k_test",
        "recall_cifarnet_k3_2k_test",
        "density_cifarnet_k5_2k_test",
        "coverage_cifarnet_k5_2k_test",
    )
    other = scores_of(inception_named("inception_abcdef01", "abcdef01" + 56 * "0"), tmp_path)
    assert not [name for name in names_of(other) if name.startswith(("fid", "kid", "is2k"))]


def test_the_options_know_all_scores():
    """The options have their own list, since importing this one would import torch."""
    assert get_args(ScoreName) == tuple(SCORES)


def test_every_score_says_what_it_means_and_how_it_is_read(tmp_path):
    """Cards from before scores did are read like those of today, by the names of the scores."""
    features = scores_of(load_extractor("cifarnet"), tmp_path)
    testbeds = [
        build_scorer(given, build_dataset(given.data, seed=0, progress=False))
        for data in ("gaussians", "shapes data.withhold=true data.count=100", "shapes_hard")
        if (given := check(TrainOptions, options_of(*f"data={data} metrics=exact".split())))
    ]
    for score in (*features.values(), *(score for scorer in testbeds for score in scorer.scores)):
        for name, card in score.cards().items():
            assert score.readings[name].meaning, name
            assert {key: card[key] for key in READING} == reading_by_name(name), name
    assert "lower is better" in features["frechet"].readings["fd_cifarnet_2k_full"].meaning
    assert all("higher is better" in how.meaning for how in features["precision_recall"].readings.values())


FEATURES = {"cifarnet": load_extractor("cifarnet"), "pixels": load_extractor("pixels")}
USUAL = ["frechet", "infinity", "kernel", "inception_score", "precision_recall"]


@pytest.mark.parametrize(
    ("name", "fakes", "reals", "reason"),
    [
        ("frechet", 2, 2, None),
        ("frechet", 1, 300, "needs 2 samples and 2 real images; there are 1 and 300"),
        ("frechet", 300, 1, "needs 2 samples and 2 real images; there are 300 and 1"),
        ("infinity", 1000, 2, None),
        ("infinity", 999, 2000, "needs 1000 samples and 2 real images; there are 999 and 2000"),
        ("kernel", 1000, 1000, None),
        (
            "kernel",
            999,
            1500,
            "needs 1000 samples and 1000 real images; there are 999 and 1500; small_kernel is for so few",
        ),
        (
            "kernel",
            10_000,
            20,
            "needs 1000 samples and 1000 real images; there are 10000 and 20; small_kernel is for so few",
        ),
        ("kernel", 10_000, 19, "needs 1000 samples and 1000 real images; there are 10000 and 19"),
        ("small_kernel", 20, 20, None),
        ("small_kernel", 2000, 1500, None),
        ("small_kernel", 19, 20, "needs 20 samples and 20 real images; there are 19 and 20"),
        ("inception_score", 100, 0, None),
        ("inception_score", 99, 1500, "needs 100 samples; there are 99"),
        ("precision_recall", 20, 20, None),
        ("precision_recall", 20, 19, "needs 20 samples and 20 real images; there are 20 and 19"),
    ],
)
def test_what_a_score_needs(name, fakes, reals, reason):
    assert unavailable_reason(name, FEATURES["cifarnet"], fakes=fakes, reals=reals) == reason


def test_what_needs_a_classifier():
    said = "needs a classifier, such as cifarnet or inception; pixels is none"
    assert unavailable_reason("inception_score", FEATURES["pixels"], fakes=2000, reals=1500) == said
    assert unavailable_reason("frechet", FEATURES["pixels"], fakes=2000, reals=1500) is None


@pytest.mark.parametrize(
    ("fakes", "reals", "names", "left_out"),
    [
        (1000, 1000, USUAL, []),
        (10_000, 300, ["frechet", "infinity", "small_kernel", "inception_score", "precision_recall"], ["kernel"]),
        (300, 300, ["frechet", "small_kernel", "inception_score", "precision_recall"], ["infinity", "kernel"]),
        (20, 20, ["frechet", "small_kernel", "precision_recall"], ["infinity", "kernel", "inception_score"]),
        (19, 20, ["frechet"], ["infinity", "kernel", "inception_score", "precision_recall"]),
        (2, 5000, ["frechet"], ["infinity", "kernel", "inception_score", "precision_recall"]),
        (1, 1, [], USUAL),
    ],
)
def test_which_scores_so_many_samples_allow(fakes, reals, names, left_out):
    found, reasons = available_scores(FEATURES["cifarnet"], fakes=fakes, reals=reals)
    assert found == names
    assert list(reasons) == left_out
    assert all("needs" in reason for reason in reasons.values())


@pytest.mark.parametrize(
    ("fakes", "reals", "size"),
    [
        (20, 20, 10),
        (39, 500, 10),
        (40, 40, 20),
        (300, 10_000, 100),
        (10_000, 300, 100),
        (999, 999, 200),
        (1000, 1000, 500),
    ],
)
def test_the_small_kernel_distance_says_the_size_of_its_subsets(tmp_path, fakes, reals, size):
    images = torch.zeros(reals, 3, 8, 8, dtype=torch.uint8)
    score = SmallKernelDistance(Reference(FEATURES["cifarnet"], images, cache=tmp_path), count=fakes)
    name = f"kd_cifarnet_{in_thousands(fakes)}_full_subsets{size}"
    assert score.names == (name, f"{name}_std")
    assert {card["subset_size"] for card in score.cards().values()} == {size}


def test_the_small_kernel_distance_is_that_of_its_subsets(tmp_path):
    """The mean of random subsets estimates the same distance as one subset of all (here to the spread of 100)."""
    random = torch.Generator().manual_seed(0)
    real, fake = (torch.randint(256, (n, 3, 8, 8), dtype=torch.uint8, generator=random) for n in (80, 60))
    fake = fake // 2
    score = SmallKernelDistance(Reference(FEATURES["cifarnet"], real, cache=tmp_path), count=60)
    score.update(fake)
    found = score.scores()
    x, y = FEATURES["cifarnet"](fake), FEATURES["cifarnet"](real)
    mean, spread = kernel_distance(x, y, size=20)
    assert list(found.items()) == [
        ("kd_cifarnet_60_full_subsets20", pytest.approx(mean)),
        ("kd_cifarnet_60_full_subsets20_std", pytest.approx(spread)),
    ]
    whole, _ = kernel_distance(x, y, subsets=1, size=60)
    assert mean == pytest.approx(whole, abs=4 * spread / 10)
    assert spread > 0


def test_density_and_coverage_of_samples_of_the_real_distribution():
    """Simulated, at counts of either order: k nearest neighbours among so many know nothing of the distribution."""
    for fakes, reals in ((30, 90), (90, 60)):
        found = []
        for seed in range(100):
            x, y = normal(fakes, 2, seed=2 * seed), normal(reals, 2, seed=2 * seed + 1)
            scores = precision_recall(x, y, near_fakes=neighbour_distances(x), near_reals=neighbour_distances(y))
            found.append([scores["density"], scores["coverage"]])
        means, errors = np.mean(found, axis=0), np.std(found, axis=0) / 10
        assert (np.abs(means - expected_density_and_coverage(fakes, reals)) < 4 * errors).all()
    assert expected_density_and_coverage(10**9, 10**9)[1] == pytest.approx(1 - 2**-5)  # of far more than k


def test_what_is_perfect_is_not_said_below_the_width(tmp_path):
    """The floor is that of a full covariance: with 96 features, of more than 96 samples and real images."""
    for fakes, reals, known in ((97, 97, True), (96, 97, False), (97, 96, False)):
        images = torch.randint(256, (reals, 3, 8, 8), dtype=torch.uint8)
        score = FrechetDistance(Reference(FEATURES["cifarnet"], images, cache=tmp_path), count=fakes)
        assert bool(score.ideal_scores()) is known


def test_one_pass_feeds_them_all(tmp_path):
    """Each value has its own name, and equals that of the score's function."""
    generator = torch.Generator().manual_seed(0)
    real, fake = (torch.randint(256, (1100, 3, 32, 32), dtype=torch.uint8, generator=generator) for _ in range(2))
    fake[:, :, :16] //= 2
    extractor = load_extractor("cifarnet")
    reference = Reference(extractor, real, cache=tmp_path)
    scores = {name: score(reference, count=1100) for name, score in SCORES.items()}
    x, y = extractor(fake), extractor(real)
    found = Scorer(
        samples=1100, norm_mode="running", scores=list(scores.values()), extractor=extractor
    ).measure(fake)  # fmt: skip
    assert tuple(found) == names_of(scores)
    assert found["fd_cifarnet_1100_full"] == pytest.approx(frechet_distance(moments_of(x), moments_of(y)), rel=1e-6)
    assert found["fd_cifarnet_1100_full_inf"] < found["fd_cifarnet_1100_full"]
    assert found["kd_cifarnet_1100_full"] == pytest.approx(kernel_distance(x, y)[0], rel=1e-6)
    assert found["is_cifarnet_1100_mean"] == pytest.approx(inception_score(extractor.head(x))[0])
    assert found["recall_cifarnet_k3_1100_full"] == pytest.approx(prdc_of(x, y)["recall"])
    assert scores["frechet"].ideal_scores()["fd_cifarnet_1100_full"] == pytest.approx(
        floor(moments_of(y), fakes=1100), rel=1e-6
    )
