"""Scores of data=shapes for replayed, fresh, collapsed and spoiled samples."""

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from resgan.base.images import to_float
from resgan.builders.scorer import build_manifold_scores
from resgan.data import shapes
from resgan.data.dataset import Dataset
from resgan.metrics.manifold_scores import ManifoldScores, nearest_gaps
from resgan.options.data import Shapes


@cache
def scored(*, count: int = 240, withhold: bool = False, size: int = 16) -> tuple[ManifoldScores, Dataset]:
    options = Shapes(name="shapes", size=size, count=count, withhold=withhold, flip=False)
    dataset = shapes.load_shapes(size=size, count=count, withhold=withhold, seed=0)
    return build_manifold_scores(options, dataset, seed=0), dataset


def draws(count: int, *, seed: int = 0, withheld: Tensor | None = None) -> Tensor:
    return shapes.draw(count, torch.Generator().manual_seed(seed), withheld=withheld)[0]


def noised(images: Tensor, sd: float) -> Tensor:
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return (to_float(images) + sd * noise).clamp(-1, 1)


# True and false samples.


def test_fresh_draws_score_as_a_perfect_generator():
    scores, _ = scored()
    samples = 1500
    found, ideal = scores.compute(draws(samples)), scores.ideal_scores(samples)
    assert list(found) == list(ideal) == list(scores.names)
    assert found["validity"] == found["validity_0.5tau"] == found["validity_1.5tau"] == ideal["validity"] == 1
    assert found["classes"] == round(ideal["classes"]) == 24
    assert found["tv"] == found["tv_valid"]
    # E|X/n - 1/24| of 24 classes: the sum of as many folded normals, each with an sd of 0.76 of its mean.
    assert found["tv"] == pytest.approx(ideal["tv"], rel=4 * 0.76 / math.sqrt(24))
    for form in shapes.FORMS:
        assert found[f"valid_{form}"] == pytest.approx(0.25, abs=4 * math.sqrt(0.25 * 0.75 / samples))
    assert found["distance"] == pytest.approx(ideal["distance"], rel=0.01)


def test_the_ideal_tv_and_classes_are_those_of_counts():
    scores, _ = scored()
    for samples in (100, 2000):
        counts = np.random.default_rng(0).multinomial(samples, np.full(24, 1 / 24), size=4000)
        tv = np.abs(counts / samples - 1 / 24).sum(1) / 2
        classes = (counts >= max(1, round(samples / 240))).sum(1)
        ideal = scores.ideal_scores(samples)
        assert tv.mean() == pytest.approx(ideal["tv"], abs=4 * tv.std() / math.sqrt(4000))
        assert classes.mean() == pytest.approx(ideal["classes"], abs=4 * classes.std() / math.sqrt(4000) + 1e-9)


def test_noise_scores_nothing():
    scores, _ = scored()
    found = scores.compute(torch.rand(300, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    assert found["tv"] == 1
    assert found["validity"] == found["validity_1.5tau"] == found["classes"] == found["valid_vertical"] == 0
    assert found["tv_valid"] is found["copying"] is None
    assert found["distance"] > 15


def test_a_collapse_is_seen_among_the_valid():
    """Half noise, half draws of three classes, all of one colour: every number by hand."""
    scores, _ = scored()
    labels = torch.tensor([0, 6, 12]).repeat(100)  # red in three orientations
    valid = shapes.render(labels, shapes.draw_centres(labels, torch.Generator().manual_seed(0)))
    noise = torch.randint(256, (300, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = scores.compute(torch.cat([valid, noise]))
    assert found["validity"] == 0.5
    assert found["tv"] == pytest.approx(21 / 24)  # three classes have a sixth each, of which 3/24 in all is their due
    assert found["tv_valid"] == pytest.approx(21 / 24)
    assert [found[f"valid_{form}"] for form in shapes.FORMS] == pytest.approx([1 / 6, 1 / 6, 1 / 6, 0])
    assert found["classes"] == 3
    fewer = scores.compute(torch.cat([valid[:150], noise]))
    assert fewer["tv_valid"] is fewer["copying"] is None
    assert fewer["validity"] == pytest.approx(1 / 3)


def test_one_sample_of_a_class_does_not_make_it_drawn():
    """The due of a class in 1,000 samples is 42, and a tenth of it 4."""
    scores, _ = scored()
    labels = torch.cat([torch.zeros(990, dtype=torch.int64), torch.tensor([7, 7, 7, 8, 8, 8, 8, 9, 9, 9])])
    images = shapes.render(labels, shapes.draw_centres(labels, torch.Generator().manual_seed(0)))
    assert scores.compute(images)["classes"] == 2


def test_validity_at_several_taus():
    """Noise of sd s on 768 values is s sqrt(768) = 27.7 s away: 1.1 at 0.04, 1.94 at 0.07, 3.3 at 0.12, all +- 3 %."""
    scores, _ = scored()
    images = draws(100)
    for sd, expected in ((0.04, (1, 1, 1)), (0.07, (0, 1, 1)), (0.12, (0, 0, 1)), (0.2, (0, 0, 0))):
        found = scores.compute(noised(images, sd))
        assert (found["validity_0.5tau"], found["validity"], found["validity_1.5tau"]) == expected
        assert found["distance"] == pytest.approx(sd * math.sqrt(768), rel=0.06)


def test_scores_are_those_of_uint8():
    scores, _ = scored()
    images = noised(draws(250), 0.095)
    as_bytes = (images * 127.5 + 128).clamp(0, 255).to(torch.uint8)
    assert scores.compute(images) == scores.compute(as_bytes)


def test_another_size_has_the_same_scores():
    """Distances grow with the size, and so does tau."""
    scores, _ = scored(count=24, size=32)
    images = shapes.draw(60, torch.Generator().manual_seed(0), size=32)[0]
    assert scores.tau == 2 * shapes.TAU
    assert scores.compute(images)["validity"] == 1
    found = scores.compute(noised(images, 0.07))  # 0.07 sqrt(3072) = 3.9, between tau / 2 and tau
    assert (found["validity_0.5tau"], found["validity"]) == (0, 1)


# Copying.


def sorted_by_hand(one: list[float], other: list[float]) -> float:
    """Return P(a < b) + P(a = b) / 2 over all pairs."""
    return sum((a < b) + (a == b) / 2 for a in one for b in other) / (len(one) * len(other))


def test_copying_is_a_probability_over_pairs():
    """Computed from gaps to the training images, by their centres, it is what Mann and Whitney's U counts."""
    scores, data = scored()
    labels = torch.full((250,), 5)
    centres = shapes.draw_centres(labels, torch.Generator().manual_seed(3))
    found = scores.copying(labels, centres)
    trained = scores.manifold.locate(data.train[data.labels == 5]).centres
    fresh = scores.manifold.locate(data.holdout[data.holdout_labels == 5]).centres
    gaps = [nearest_gaps(part, trained).tolist() for part in (centres, fresh)]
    assert found == pytest.approx(sorted_by_hand(*gaps))
    u = stats.mannwhitneyu(gaps[1], gaps[0]).statistic
    assert found == pytest.approx(u / (len(gaps[0]) * len(gaps[1])))


def test_ties_count_half():
    scores, data = scored()
    fresh = scores.manifold.locate(data.holdout)
    own = fresh.labels == 5
    assert scores.copying(fresh.labels[own], fresh.centres[own]) == pytest.approx(0.5, abs=1e-9)


def test_a_replay_of_the_training_set_is_copying_and_fresh_draws_are_not():
    scores, data = scored()
    samples = 1200
    index = torch.arange(samples) % len(data.train)
    assert scores.compute(data.train[index])["copying"] > 0.999
    # The mean of 1,200 uniform ranks among 2,000 fresh draws: sd sqrt(1/12 (1/1200 + 1/2000)) = 0.0105.
    assert scores.compute(draws(samples, seed=7))["copying"] == pytest.approx(0.5, abs=4 * 0.0105)


def test_copies_that_are_moved_a_little_are_copies():
    """Ten images of a class in 6 x 6 pixels are 0.95 from their nearest neighbours; a fifth of a pixel is near."""
    scores, data = scored()
    index = torch.arange(1200) % 240
    located = scores.manifold.locate(data.train)
    angle = 2 * math.pi * torch.rand(1200, generator=torch.Generator().manual_seed(0))
    away = torch.stack([angle.cos(), angle.sin()], dim=1)
    near, further, far = (
        scores.copying(located.labels[index], (located.centres[index] + step * away).clamp(4.5, 10.5))
        for step in (0.1, 0.3, 1.0)
    )
    assert near > 0.95
    assert near - 0.05 > further > far + 0.1


def test_nothing_is_near_to_no_training_picture():
    assert nearest_gaps(torch.zeros(2, 2), torch.zeros(0, 2)).tolist() == [math.inf, math.inf]
    assert nearest_gaps(torch.zeros(1, 2), torch.tensor([[3.0, 4.0], [6.0, 8.0]])).tolist() == [5]


# Recombination.


def test_recombination():
    scores, _ = scored(withhold=True)
    assert scores.names[-1] == "recombination"
    assert "recombination" not in scored()[0].names
    # Of n valid samples of the whole a quarter is withheld: sd of the ratio 4/3 sqrt(n 3/16) / (n 3/4) * 3 = 0.067.
    whole = scores.compute(draws(1200))
    assert whole["recombination"] == pytest.approx(1, abs=4 * 0.067)
    shown = scores.compute(draws(1200, withheld=scores.withheld))
    assert shown["recombination"] < 0.02  # centres at a border may be found 0.01 beyond it
    assert shown["copying"] == pytest.approx(0.5, abs=4 * 0.0105)
    assert whole["copying"] < shown["copying"] - 0.05  # a withheld quadrant is further from what was trained on
    labels = torch.arange(24).repeat(10)
    middles = torch.tensor([[6.0, 6.0], [9.0, 6.0], [6.0, 9.0], [9.0, 9.0]])
    assert scores.recombination(labels, middles[scores.withheld[labels]]) is None  # no sample is in a shown quadrant
    assert scores.recombination(labels, middles[(scores.withheld[labels] + 1) % 4]) == 0
    both = torch.cat([middles[scores.withheld[labels]], middles[(scores.withheld[labels] + 1) % 4]])
    assert scores.recombination(labels.repeat(2), both) == 3
    assert scores.compute(draws(150))["recombination"] is None


def test_what_is_not_known_of_a_perfect_generator_is_left_out():
    assert set(scored()[0].ideal_scores(1000)) == set(scored()[0].names)
    assert set(scored(withhold=True)[0].names) - set(scored(withhold=True)[0].ideal_scores(1000)) == {"copying"}
