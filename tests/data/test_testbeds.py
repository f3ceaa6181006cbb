"""Testbeds, whose truth is known, and the scores that use it."""

import itertools
import math

import pytest
import torch

from resgan.base.images import to_float, to_uint8
from resgan.data import gaussians, shapes_hard
from resgan.data.dataset import DataError
from resgan.metrics.diversity import total_variance
from resgan.metrics.testbed import (
    gaussian_scores,
    kl_to_uniform,
    mode_counts,
    nearest_template,
    perfect_modes,
    shape_scores,
    total_variation,
)


def scores_of_points(points: torch.Tensor, trained: torch.Tensor, *, modes: int) -> dict:
    truth = {"centres": gaussians.centres(modes), "sd": gaussians.SD}
    return gaussian_scores(points, **truth, trained=mode_counts(trained, **truth))


def scores_of(images: torch.Tensor, *, seed=0, size=16) -> dict:
    return shape_scores(
        images,
        templates=shapes_hard.templates(size),
        classes=shapes_hard.classes(),
        trained=shapes_hard.trained_half(seed),
        tau=shapes_hard.tau(size),
    )


@pytest.mark.parametrize("size", [16, 32])
def test_no_two_templates_are_closer_than_two_tau(size):
    known = to_float(shapes_hard.templates(size)).flatten(1).double()
    assert len(known) == 1200
    distances = torch.pdist(known)
    assert distances.min() >= 2 * shapes_hard.tau(size)
    # The bound is tight: sqrt(4 * 12) at 16 x 16, twelve pixels that differ by 2 in one channel.
    assert distances.min().item() == pytest.approx(math.sqrt(48) * size / 16)


def test_training_sees_half_of_every_class():
    for seed in (0, 1):
        trained = shapes_hard.trained_half(seed)
        assert trained.sum() == 600
        per_class = trained.view(48, 25).sum(1)
        assert sorted(set(per_class.tolist())) == [12, 13]
    assert not torch.equal(shapes_hard.trained_half(0), shapes_hard.trained_half(1))
    data = shapes_hard.load_shapes_hard(size=16, seed=0)
    assert len(data.train) == len(data.holdout) == 600
    assert len(data.reference) == 1200
    both = {bytes(image.numpy()) for image in itertools.chain(data.train, data.holdout)}
    assert len(both) == 1200


LOOKS = {  # whether the corner, the middle of an edge and the middle are inked
    (True, True, True): "square",
    (True, True, False): "frame",
    (False, True, True): "plus",
    (True, False, True): "cross",
}
HUES = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue"}
HUES |= {(1, 1, 0): "yellow", (1, 0, 1): "magenta", (0, 1, 1): "cyan"}


def in_words(picture: torch.Tensor) -> str:
    """Name the class that a shape (3, 16, 16) shows."""
    ink = picture.amax(0) > 0
    rows, columns = ink.any(1).nonzero().flatten(), ink.any(0).nonzero().flatten()
    box = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    middle = len(box) // 2
    look = LOOKS[bool(box[0, 0]), bool(box[0, middle]), bool(box[middle, middle])]
    return f"{look}-{HUES[tuple((picture.amax((1, 2)) // 255).tolist())]}-{ {6: 'small', 8: 'large'}[len(box)] }"


@pytest.mark.parametrize("seed", [0, 1])
def test_classes_of_shapes_say_what_they_show(seed):
    data = shapes_hard.load_shapes_hard(size=16, seed=seed)
    assert len(set(data.classes)) == 48
    for pictures, labels in ((data.train, data.labels), (data.holdout, data.holdout_labels)):
        assert labels.dtype == torch.int64
        assert [in_words(picture) for picture in pictures] == [data.classes[label] for label in labels]
        assert set(torch.bincount(labels).tolist()) == {12, 13}


def test_real_pictures_score_as_they_should():
    pictures = to_float(shapes_hard.templates())
    trained = shapes_hard.trained_half(0)
    held_out = scores_of(pictures[~trained])
    assert held_out["validity"] == 1
    assert held_out["novelty"] == 1
    assert held_out["modes"] == 0
    assert held_out["tv"] == pytest.approx(0.02)  # 12 or 13 of 25 places: |12.5 - 12| / 12.5 / 2
    everything = scores_of(pictures)
    assert everything["tv"] == pytest.approx(0, abs=1e-12)
    assert everything["novelty"] == 0.5
    replicas = scores_of(pictures[trained].repeat(2, 1, 1, 1))
    assert replicas["novelty"] == 0
    assert replicas["modes"] == 600
    assert replicas["kl"] == pytest.approx(-599 / 2400)  # exactly uniform, less the bias of 1,200 samples


def test_noise_and_blends_are_invalid():
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(500, 3, 16, 16, generator=generator) * 2 - 1
    assert scores_of(noise)["validity"] == 0
    assert scores_of(noise)["tv"] == 1
    pictures = to_float(shapes_hard.templates())
    a, b = torch.randint(1200, (2, 3000), generator=generator)
    blends = ((pictures[a] + pictures[b]) / 2)[a != b]
    assert scores_of(blends)["validity"] == 0
    # The closest pair: a small cross in red and in yellow.
    known = pictures.flatten(1)
    first, second = torch.triu_indices(1200, 1200, offset=1)[:, torch.pdist(known).argmin()]
    assert scores_of(((pictures[first] + pictures[second]) / 2)[None])["validity"] == 0


def test_small_noise_stays_valid_and_finds_its_template():
    generator = torch.Generator().manual_seed(0)
    pictures = to_float(shapes_hard.templates())
    # The L2 norm of noise of sd s on 768 values is s * sqrt(768) = 27.7 s: 2.2 at 0.08, below tau = 3.4; 5.5 at 0.2.
    near = pictures + 0.08 * torch.randn(pictures.shape, generator=generator)
    distance, index = nearest_template(to_uint8(near), shapes_hard.templates())
    assert torch.equal(index, torch.arange(1200))
    assert (distance < shapes_hard.TAU).all()
    inward = pictures * (1 - 0.2)  # every value off by 0.2, and none lost to clamping
    assert scores_of(inward)["validity"] == 0


def test_novelty_needs_enough_valid_samples():
    pictures = to_float(shapes_hard.templates())
    assert scores_of(pictures[:199])["novelty"] is None
    assert scores_of(pictures[:200])["novelty"] is not None


def test_total_variation_by_hand():
    assert total_variation(torch.tensor([5, 5, 0])) == 0
    assert total_variation(torch.tensor([10, 0, 0])) == 0.5
    assert total_variation(torch.tensor([0, 0, 10])) == 1
    assert total_variation(torch.tensor([4, 4, 2])) == pytest.approx(0.2)


def test_kl_has_no_bias():
    """Check that a perfect sampler has 0 within four standard errors at two sample sizes; uncorrected, it has not."""
    generator = torch.Generator().manual_seed(0)
    for n in (600, 6000):
        values = [
            kl_to_uniform(torch.bincount(torch.randint(100, (n,), generator=generator), minlength=100))
            for _ in range(200)
        ]
        values = torch.tensor(values)
        error = values.std() / math.sqrt(200)
        # The next term of the bias is of order (K / n)^2 / 12 (Miller 1955).
        assert abs(values.mean()) < 4 * error + (100 / n) ** 2 / 12
        assert 99 / (2 * n) > 4 * error  # without the correction, it would fail
    assert kl_to_uniform(torch.tensor([0, 1])) is None  # fewer samples than modes
    assert kl_to_uniform(torch.tensor([8, 0])) == pytest.approx(math.log(2))  # with one mode, nothing is random
    assert kl_to_uniform(torch.tensor([4, 4])) == pytest.approx(-1 / 16)


def test_kl_of_a_collapsed_sampler():
    """Check 50 of 600 modes: ln 12, at a number of samples not much larger than that of modes."""
    generator = torch.Generator().manual_seed(0)
    draws = torch.randint(50, (100, 1000), generator=generator)
    values = torch.tensor([kl_to_uniform(torch.bincount(draw, minlength=600)) for draw in draws])
    error = values.std() / math.sqrt(100)  # 0.0005; the next term of the bias is (50 / 1000)^2 / 12 = 0.0002
    assert abs(values.mean() - math.log(12)) < 4 * error + 0.0003
    assert 4 * error < 0.01 < 599 / 2000  # the correction for all 600 modes


def test_perfect_modes():
    assert perfect_modes(2, 1) == pytest.approx(1)
    assert perfect_modes(600, 10_000) == pytest.approx(600 * (1 - (599 / 600) ** 10_000))


def test_gaussians():
    data = gaussians.load_gaussians(modes=25, size=20_000, seed=0)
    assert data.shape == (2,)
    centres = gaussians.centres(25)
    assert sorted(set(centres.flatten().tolist())) == [-4, -2, 0, 2, 4]
    spacing = torch.pdist(centres).min().item()
    assert spacing == 2
    scores = scores_of_points(data.train, data.train, modes=25)
    share = 1 - math.exp(-4.5)  # of a 2D Gaussian within 3 sd
    assert abs(scores["validity"] - share) < 4 * math.sqrt(share * (1 - share) / 20_000)
    assert scores["modes"] == 25
    assert abs(scores["kl"]) < 4 * math.sqrt(24 / 2) / 20_000  # 2 n KL is chi-squared with 24 degrees of freedom
    collapsed = centres[:1].repeat(100, 1)
    assert scores_of_points(collapsed, data.train, modes=25)["tv"] == pytest.approx(24 / 25)
    between = (centres[:1] + centres[1:2]) / 2
    assert scores_of_points(between, data.train, modes=25)["validity"] == 0


def test_held_out_points_are_others_of_the_same_distribution():
    data = gaussians.load_gaussians(modes=9, size=500, seed=0)
    assert data.train.shape == data.holdout.shape
    assert torch.cdist(data.train, data.holdout).min() > 0
    assert not torch.equal(data.labels, data.holdout_labels)
    # Both are 500 draws of nine modes: a share of 1/9 with a standard deviation of 0.014, and five of them.
    for labels in (data.labels, data.holdout_labels):
        assert (torch.bincount(labels, minlength=9) / 500 - 1 / 9).abs().max() < 5 * 0.014


def test_few_training_points_are_far_from_uniform_and_what_replays_them_is_not_to_blame():
    """Check the floor of tv in a study of the amount of data, by which tv alone would rank the amounts."""
    data, samples = gaussians.load_gaussians(modes=25, size=250, seed=0), 10_000
    again = data.train[torch.randint(250, (samples,), generator=torch.Generator().manual_seed(1))]
    replayed = scores_of_points(again, data.train, modes=25)
    fresh = scores_of_points(
        gaussians.draw(samples, modes=25, generator=torch.Generator().manual_seed(2)), data.train, modes=25
    )
    # E|X/n - 1/25| of n = 250 is 0.8 sd = 0.8 sqrt(1/25 24/25 / 250) = 0.0099, and of 25 of them half: 0.124.
    assert 0.08 < replayed["tv"] < 0.17
    assert replayed["tv_data"] < 0.04  # 0.02 by the noise of 10,000
    assert 0.08 < fresh["tv_data"] < 0.17
    assert fresh["tv"] < 0.05
    assert scores_of_points(data.train, data.train, modes=25)["tv_data"] == 0


def test_the_distance_of_points_is_in_standard_deviations_of_a_mode():
    """Check that it ranks points of which none is valid, and ignores the worse half."""
    centres, trained = torch.tensor([[0.0, 0.0], [10.0, 0.0]]), torch.tensor([1, 1, 0])
    points = torch.tensor([[0.0, 4.0], [13.5, 0.0], [4.0, 0.0], [0.0, 99.0], [3.0, 4.0]])
    for sd in (1.0, 0.5):
        scores = gaussian_scores(points, centres=centres, sd=sd, trained=trained)
        assert scores["distance"] == pytest.approx(4 / sd)  # of 3.5, 4, 4, 5 and 99
    assert scores["validity"] == 0


def test_points_outside_of_all_modes_are_counted_last():
    centres = torch.tensor([[0.0, 0.0], [10.0, 0.0]])
    points = torch.tensor([[0.0, 2.9], [10.0, 3.1], [10.0, 0.5], [5.0, 0.0], [9.0, 0.0]])
    assert mode_counts(points, centres=centres, sd=1.0).tolist() == [1, 2, 2]


def test_classes_of_gaussians_are_their_modes():
    data, centres = gaussians.load_gaussians(modes=25, size=2000, seed=0), gaussians.centres(25)
    assert data.classes == tuple(str(k) for k in range(25))
    for points, labels in ((data.train, data.labels), (data.holdout, data.holdout_labels)):
        assert labels.dtype == torch.int64
        assert torch.equal(torch.cdist(points, centres).argmin(1), labels)
        assert ((points - centres[labels]).norm(dim=1) < 6 * gaussians.SD).all()
        assert len(labels.unique()) == 25


def test_labels_change_no_draw():
    alone, labelled, by_hand = (torch.Generator().manual_seed(3) for _ in range(3))
    points, labels = gaussians.draw_labelled(100, modes=9, generator=labelled)
    assert torch.equal(gaussians.draw(100, modes=9, generator=alone), points)
    # The mode first, then the noise: a change here would silently change the data of every earlier run.
    assert torch.equal(torch.randint(9, (100,), generator=by_hand), labels)
    noise = gaussians.SD * torch.randn(100, 2, generator=by_hand)
    assert torch.equal(gaussians.centres(9)[labels] + noise, points)


@pytest.mark.parametrize(("modes", "wrong"), [(24, "24"), (1, "1")])
def test_wrong_modes(modes, wrong):
    with pytest.raises(DataError, match=rf"data\.modes={wrong}: .*4, 9, 16"):
        gaussians.centres(modes)


def test_wrong_size():
    with pytest.raises(DataError, match=r"data\.size=20: .*16"):
        shapes_hard.templates(20)


def test_total_variance_is_the_trace_of_the_covariance():
    x = torch.randn(5000, 2, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2.0, 3.0]) + 100
    assert total_variance(x) == pytest.approx(float(x.flatten(1).double().T.cov().trace()), rel=1e-9)
    assert total_variance(torch.full((50, 3, 4, 4), 7, dtype=torch.uint8)) == 0
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1)
    assert total_variance(black_and_white) == pytest.approx(2, rel=1e-6)  # of -1 and 1
