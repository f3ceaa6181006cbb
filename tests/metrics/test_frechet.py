"""Frechet distances against closed forms, and against other implementations."""

import pytest
import torch
from torch import Tensor, nn

from resgan.metrics.frechet import Moments, MomentSums, frechet_distance

COUNT, WIDTH = 500, 16


def moments_of(features: Tensor) -> Moments:
    sums = MomentSums()
    sums.add(features)
    return sums.moments()


def draw(count: int, width: int, *, seed: int) -> Tensor:
    return torch.randn(count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def whitened(*, seed: int, count: int = COUNT, width: int = WIDTH) -> Tensor:
    """Samples whose mean is exactly 0 and whose unbiased covariance is exactly I, up to rounding."""
    x = draw(count, width, seed=seed)
    q, _ = torch.linalg.qr(x - x.mean(0))  # columns orthonormal, and orthogonal to the constant
    return q * (count - 1) ** 0.5


def correlated(*, seed: int, count: int = COUNT, width: int = WIDTH) -> Tensor:
    """Samples with a full, uneven covariance and a mean away from 0."""
    mixing, mean = draw(width, width, seed=seed + 100), draw(1, width, seed=seed + 200)
    return draw(count, width, seed=seed) @ mixing + mean


def distance(fake: Tensor, real: Tensor) -> float:
    return frechet_distance(moments_of(fake), moments_of(real))


# Closed forms. The traces are of order d = 16, each of ~d^2 roundings of 1e-16 relative: 16 * 256 * 1e-16
# = 4e-13; 1e-10 leaves room for the 1 / sqrt(eigenvalue) with which rounding enters a root.


def test_a_shift_of_the_mean_costs_its_squared_length():
    shift = draw(1, WIDTH, seed=5)
    expected = shift.square().sum().item()
    assert distance(whitened(seed=1) + shift, whitened(seed=2)) == pytest.approx(expected, abs=1e-10)


def test_commuting_covariances_cost_the_difference_of_their_standard_deviations():
    a, b = torch.linspace(0.1, 3, WIDTH).double(), torch.linspace(2, 0.5, WIDTH).double()
    turn, _ = torch.linalg.qr(draw(WIDTH, WIDTH, seed=3))
    shift = draw(1, WIDTH, seed=5)
    fake, real = whitened(seed=1) * a.sqrt() @ turn + shift, whitened(seed=2) * b.sqrt() @ turn
    expected = (shift.square().sum() + (a.sqrt() - b.sqrt()).square().sum()).item()
    assert distance(fake, real) == pytest.approx(expected, abs=1e-10)


def test_equal_moments_have_no_distance():
    x = correlated(seed=1)  # traces of order 300: as many roundings give 1e-11
    assert distance(x, x) == pytest.approx(0, abs=1e-8)
    assert distance(whitened(seed=1), whitened(seed=2)) == pytest.approx(0, abs=1e-8)


def test_symmetry_scale_and_rotation():
    x, y = correlated(seed=1), correlated(seed=2)
    turn, _ = torch.linalg.qr(draw(WIDTH, WIDTH, seed=3))
    value = distance(x, y)
    assert value > 1
    assert distance(y, x) == pytest.approx(value, rel=1e-10)
    assert distance(3 * x, 3 * y) == pytest.approx(9 * value, rel=1e-10)
    assert distance(x @ turn, y @ turn) == pytest.approx(value, rel=1e-10)


# Streaming


def test_moments_are_the_unbiased_ones():
    x = correlated(seed=1)
    moments = moments_of(x)
    assert moments.count == COUNT
    # Sums of 500 numbers of order 10: 500 * 100 * 1e-16 = 5e-12 at most.
    assert torch.allclose(moments.mean, x.mean(0), rtol=0, atol=1e-11)
    assert torch.allclose(moments.cov, torch.cov(x.T), rtol=0, atol=1e-10)


@pytest.mark.parametrize("batch", [1, 7, 64, COUNT])
def test_the_batch_size_does_not_matter(batch):
    x, y = correlated(seed=1), correlated(seed=2)
    sums = MomentSums()
    for part in x.split(batch):
        sums.add(part)
    whole, parts = moments_of(x), sums.moments()
    assert parts.count == COUNT
    assert torch.allclose(parts.cov, whole.cov, rtol=1e-12, atol=1e-10)
    assert frechet_distance(parts, moments_of(y)) == pytest.approx(distance(x, y), rel=1e-12)


def test_merged_shards_are_the_whole():
    x = correlated(seed=1)
    shards = [MomentSums() for _ in range(3)]
    for rank, shard in enumerate(shards[:2]):  # the third process had no samples
        shard.add(x[rank::2])
    for shard in shards[1:]:
        shards[0].merge(shard)
    merged, whole = shards[0].moments(), moments_of(x)
    assert merged.count == whole.count
    assert torch.allclose(merged.mean, whole.mean, rtol=1e-12, atol=1e-12)
    assert torch.allclose(merged.cov, whole.cov, rtol=1e-12, atol=1e-10)


def test_float32_features_are_summed_in_float64():
    # At mean 1000 and spread 1 a float32 sum of squares keeps 7 digits of 1e6 * N: the spread is lost.
    x = (draw(COUNT, 4, seed=1) + 1000).float()
    # Float64 keeps 1e-16 * 1e6 = 1e-10 of a variance of 1, times a few roundings.
    assert torch.allclose(moments_of(x).cov, torch.cov(x.double().T), rtol=0, atol=1e-8)


def test_the_root_of_the_reference_is_computed_once():
    moments = moments_of(correlated(seed=1))
    assert moments.root is moments.root
    assert torch.allclose(moments.root @ moments.root, moments.cov, rtol=0, atol=1e-10)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_samples(count):
    sums = MomentSums()
    if count:
        sums.add(torch.zeros(count, 3))
    with pytest.raises(ValueError, match=f"at least 2 samples, got {count}$"):
        sums.moments()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_not_finite(bad):
    x = draw(10, 3, seed=1)
    x[4, 1] = bad
    with pytest.raises(ValueError, match="not finite"):
        moments_of(x)


def test_wrong_shapes():
    with pytest.raises(ValueError, match="shape"):
        MomentSums().add(torch.zeros(3))
    with pytest.raises(ValueError, match="fake 3, real 4"):
        distance(draw(10, 3, seed=1), draw(10, 4, seed=1))


# Other implementations


def test_against_scipy_on_full_rank():
    linalg = pytest.importorskip("scipy.linalg")
    x, y = correlated(seed=1, width=64), correlated(seed=2, width=64)
    m1, m2, s1, s2 = x.mean(0), y.mean(0), torch.cov(x.T), torch.cov(y.T)
    root = linalg.sqrtm((s1 @ s2).numpy()).real
    expected = ((m1 - m2).square().sum() + s1.trace() + s2.trace()).item() - 2 * root.trace()
    # The covariances have condition numbers near 1e4, of their product 1e8: sqrtm keeps 8 of 16 digits.
    assert distance(x, y) == pytest.approx(expected, rel=1e-8)


def test_against_the_nuclear_norm_with_fewer_samples_than_features():
    # tr (S1 S2)^(1/2) = |Xc Yc^T|_* with Xc = (X - mean) / sqrt(n - 1): exact whatever the rank.
    x, y = correlated(seed=1, count=20, width=64), correlated(seed=2, count=30, width=64)
    xc, yc = (x - x.mean(0)) / 19**0.5, (y - y.mean(0)) / 29**0.5
    nuclear = torch.linalg.svdvals(xc @ yc.T).sum()
    expected = (x.mean(0) - y.mean(0)).square().sum() + xc.square().sum() + yc.square().sum() - 2 * nuclear
    # Each of 64 - 19 zero eigenvalues is 1e-16 of the largest after rounding, its root 1e-8: 5e-7 in all.
    assert distance(x, y) == pytest.approx(expected.item(), rel=1e-6)


class FlatPixels(nn.Module):
    """A stand-in for Inception: uint8 (N, 3, 4, 4) -> (N, 48) pixels."""

    num_features = 48

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).float() / 255


@pytest.mark.slow  # its import alone takes seconds
def test_against_torchmetrics_on_the_same_features():
    fid = pytest.importorskip("torchmetrics.image.fid")
    generator = torch.Generator().manual_seed(0)
    fake = torch.randint(256, (200, 3, 4, 4), dtype=torch.uint8, generator=generator)
    real = torch.randint(128, (300, 3, 4, 4), dtype=torch.uint8, generator=generator)
    theirs = fid.FrechetInceptionDistance(feature=FlatPixels())
    theirs.update(fake, real=False)
    theirs.update(real, real=True)
    features = FlatPixels()
    # The other result is cast to float32, which keeps 6e-8 of the value.
    assert distance(features(fake), features(real)) == pytest.approx(theirs.compute().item(), rel=1e-6)
