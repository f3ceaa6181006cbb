"""Losses, penalties and the average, compared with values worked out by hand."""

import math

import pytest
import torch
from torch import nn

from resgan.training import ema
from resgan.training.losses import LOSSES
from resgan.training.penalties import gradient_penalty, one_centred, zero_centred
from resgan.training.schedules import Adam, Penalty, ramp

REAL, FAKE = torch.tensor([2.0, 0.5]), torch.tensor([-1.0, 3.0])  # asymmetric: swapped arguments show


def softplus(x):
    return math.log1p(math.exp(x))


BY_HAND = {
    "nonsaturating": (
        (softplus(-2) + softplus(-0.5) + softplus(-1) + softplus(3)) / 2,
        (softplus(1) + softplus(-3)) / 2,
    ),
    "hinge": ((0 + 0.5 + 0 + 4) / 2, -(-1 + 3) / 2),
    "wasserstein": ((-1 + 3) / 2 - (2 + 0.5) / 2, -(-1 + 3) / 2),
    "least_squares": (((1 + 0.25) / 2 + (1 + 9) / 2) / 2, (4 + 4) / 2 / 2),
    "relativistic": ((softplus(-3) + softplus(2.5)) / 2, (softplus(3) + softplus(-2.5)) / 2),
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses_by_hand(name):
    found = [float(loss(REAL, FAKE)) for loss in LOSSES[name]]
    assert found == pytest.approx(BY_HAND[name], rel=1e-6)  # float32


@pytest.mark.parametrize("name", LOSSES)
def test_descent_separates_and_joins(name):
    """Check that D's loss pushes real logits up and fake ones down, and G's the fake ones up."""
    disc, gen = LOSSES[name]
    real, fake = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    d_real, d_fake = torch.autograd.grad(disc(real, fake), (real, fake), allow_unused=True)
    assert (d_real < 0).all()
    assert (d_fake > 0).all() or name == "least_squares"  # its target for fakes is 0, where they are
    (g_fake,) = torch.autograd.grad(gen(real, fake), fake)
    assert (g_fake < 0).all()


def linear_disc(weights):
    return lambda x: x.flatten(1) @ weights


def test_penalties_of_a_linear_map():
    """Check D(x) = w x, of gradient w everywhere: |w|^2 for R1 and R2, (|w| - 1)^2 for the gradient penalty."""
    weights = torch.tensor([3.0, 4.0])
    x = torch.randn(6, 2, requires_grad=True)
    assert zero_centred(x, linear_disc(weights)(x)).item() == pytest.approx(25, rel=1e-6)
    assert one_centred(x, linear_disc(weights)(x)).item() == pytest.approx(16, rel=1e-6)


def test_penalty_of_a_quadratic_and_its_derivative():
    """Check D(x) = a |x|^2 / 2: E|grad|^2 = a^2 E|x|^2, whose derivative by a is 2 a E|x|^2."""
    a = torch.tensor(1.5, requires_grad=True)
    x = torch.randn(50, 3, 2, 2, requires_grad=True)
    penalty = zero_centred(x, a / 2 * x.square().flatten(1).sum(1))
    mean_square = float(x.detach().square().flatten(1).sum(1).mean())
    assert penalty.item() == pytest.approx(1.5**2 * mean_square, rel=1e-5)
    penalty.backward()
    assert a.grad.item() == pytest.approx(2 * 1.5 * mean_square, rel=1e-5)


def test_gradient_penalty_looks_where_mix_says():
    """Check D(x) = |x|^2 / 2, of gradient x, whose penalty shows the point: mix 1 is real, 0 is fake."""
    disc = lambda x: x.square().flatten(1).sum(1) / 2  # noqa: E731
    real, fake = torch.full((1, 1), 3.0), torch.full((1, 1), 11.0)
    for mix, point in ((1.0, 3.0), (0.0, 11.0), (0.25, 9.0)):
        found = gradient_penalty(disc, real, fake, torch.tensor([mix]))
        assert found.item() == pytest.approx((point - 1) ** 2, rel=1e-6)


def test_lazy_penalties_have_the_same_mean():
    every, fourth = Penalty(weight=0.5, interval=1), Penalty(weight=0.5, interval=4)
    assert sum(every.weight_at(k) for k in range(12)) == sum(fourth.weight_at(k) for k in range(12)) == 6
    assert [fourth.weight_at(k) for k in range(5)] == [2, 0, 0, 0, 2]
    assert Penalty(weight=0.0, interval=1).weight_at(0) == 0


def test_learning_rate_decay():
    rates = {
        decay: [Adam(lr=2.0, betas=(0.0, 0.9), decay=decay).at(progress=p)["lr"] for p in (0, 0.5, 1)]
        for decay in ("none", "linear", "cosine")
    }
    assert rates["none"] == [2, 2, 2]
    assert rates["linear"] == [2, 1, 0]
    assert rates["cosine"] == pytest.approx([2, 1, 0])


def test_what_moves_over_the_burn_in():
    """Check half of the way at half of the burn-in, and a quarter at a third: (1 - cos(pi / 3)) / 2."""
    adam = Adam(lr=2e-4, lr_final=5e-5, betas=(0.0, 0.9), beta2_final=0.99, decay="none")
    places = [adam.at(progress=0.1, burnt_in=b) for b in (0, 1 / 3, 0.5, 1)]
    assert [place["lr"] for place in places] == pytest.approx([2e-4, 1.625e-4, 1.25e-4, 5e-5])
    assert [place["betas"] for place in places] == [(0, pytest.approx(b)) for b in (0.9, 0.9225, 0.945, 0.99)]
    penalty = Penalty(weight=0.05, final=0.005, interval=2)
    assert [penalty.weight_at(0, burnt_in=b) for b in (0, 1)] == pytest.approx([0.1, 0.01])
    assert penalty.weight_at(1, burnt_in=0.5) == 0
    assert ramp(0.0, 0.55, 0.0) == 0
    assert ramp(3.0, None, 0.7) == 3


def test_half_life_of_the_average():
    """Check that after one half-life half of the old average is left, whatever the number of steps."""
    for images in (10, 50, 100):
        decay = ema.decay(images=images, halflife=1000, images_seen=10**9, ramp=0.05)
        assert decay ** (1000 / images) == pytest.approx(0.5)
    assert ema.decay(images=50, halflife=1000, images_seen=1000, ramp=0.05) == 0.5  # 5 % of 1,000 is 50
    assert ema.decay(images=50, halflife=1000, images_seen=1000, ramp=0) == pytest.approx(0.5**0.05)
    assert ema.decay(images=50, halflife=0, images_seen=1000, ramp=0) == 0  # no average


def test_the_average_of_weights_and_the_copy_of_buffers():
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    nn.init.constant_(net[0].weight, 1.0)
    average = ema.averaged(net)
    nn.init.constant_(net[0].weight, 5.0)
    net[1].running_mean.fill_(7.0)
    ema.Average(average, net).update(decay=0.75)
    assert average[0].weight.item() == 2.0  # 0.75 * 1 + 0.25 * 5
    assert average[1].running_mean.item() == 7.0
    assert not average.training
    assert not any(parameter.requires_grad for parameter in average.parameters())
