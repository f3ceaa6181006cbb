"""Controls of the skip in a step: which gradients they stop, and how a factor moves. And dead starts."""

import json

import pytest
import torch
from helpers.networks import make_network
from helpers.options import TINY, options_of
from torch import Tensor
from torch.nn.functional import leaky_relu, linear, softplus

from resgan.builders.data import build_dataset, mixed_batch
from resgan.builders.gan import build_gan
from resgan.builders.networks import build_networks, spec_of
from resgan.builders.trained_gan import load_gan
from resgan.experiment.session import train
from resgan.experiment.study import Job
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.report.records import read_runs
from resgan.training import checkpoints
from resgan.training.gan import GAN
from resgan.training.schedules import Adam, Penalty

OFF, ON = Penalty(weight=0.0, interval=1), Penalty(weight=3.0, interval=1)
REAL = torch.randn(10, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def make_gan(*, generator: dict | None = None, disc: dict | None = None, **changes) -> GAN:
    """Make a GAN with two blocks in each network, whose _descend keeps the gradients for inspection."""
    network = {"shape": (2,), "residual": True, "blocks": 2, "width": 6, "join": "stable", "seed": 3}
    adam = Adam(lr=0.01, betas=(0.0, 0.9), decay="none")
    options = {
        "generator": make_network(MlpGenerator, latent_dim=3, **network | (generator or {})),
        "disc": make_network(MlpDiscriminator, **network | (disc or {})),
        "latent_dim": 3,
        "loss": "relativistic",
        "r1": ON,
        "r2": OFF,
        "gp": OFF,
        "generator_adam": adam,
        "disc_adam": adam,
        "disc_steps": 1,
        "ema_kimg": 0.01,
        "ema_ramp": 0.0,
        "batch_size": 10,
        "total_images": 1000,
        "seed": 5,
    } | changes
    gan = GAN(**options)
    gan._descend = lambda optimiser, loss: loss.backward()
    latents = gan.latents
    gan.latents = lambda *which: latents(*which).double()
    return gan


def logits(w: dict[str, Tensor], x: Tensor, *, skip) -> Tensor:
    """Compute D of two blocks, x + F / sqrt 2, by hand, with skip(x) in place of x."""

    def layer(name: str, x: Tensor) -> Tensor:
        return linear(x, w[f"trunk.{name}.weight"], w[f"trunk.{name}.bias"])

    x = layer("first", x)
    for k in (0, 1):
        f = layer(f"blocks.{k}.layer2", leaky_relu(layer(f"blocks.{k}.layer1", leaky_relu(x, 0.2)), 0.2))
        x = skip(x) + f / 2**0.5
    return layer("last", leaky_relu(x, 0.2)).squeeze(1)


def weights_of(net: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone().requires_grad_() for name, p in net.named_parameters()}


# kind: (what the loss differentiates, what the function is)
SKIPS = {
    "forward": (lambda x: x.detach(), lambda x: x),
    "gradient": (lambda x: x - x.detach(), lambda x: 0 * x),
}


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("penalty", ["r1", "r2", "gp", None])
@pytest.mark.parametrize("kind", SKIPS)
def test_in_d_a_stopped_skip_acts_in_its_own_gradient_of_the_loss_alone(kind, penalty):
    """Compute D's step by hand: the loss through the stopped skip, the penalty through the intact function."""
    gan = make_gan(disc={"skip": kind}, **{"r1": OFF, **({penalty: ON} if penalty else {})})
    with torch.no_grad():
        fake = gan.generator(gan.latents("disc", 10))
    mix = gan.mix(10).double().unsqueeze(1)
    gan.discriminator_step(REAL)

    stopping, intact = SKIPS[kind]
    w = weights_of(gan.disc)
    where = {"r1": REAL, "r2": fake, "gp": mix * REAL + (1 - mix) * fake}.get(penalty)
    loss = softplus(logits(w, fake, skip=stopping) - logits(w, REAL, skip=stopping)).mean()
    total = loss
    if where is not None:
        where = where.clone().requires_grad_()
        (slope,) = torch.autograd.grad(logits(w, where, skip=intact).sum(), where, create_graph=True)
        size = slope.square().sum(1)
        value = (size.sqrt() - 1).square().mean() if penalty == "gp" else size.mean()
        total = loss + (3 if penalty == "gp" else 1.5) * value
        assert gan.losses[penalty].item() == pytest.approx(value.item(), rel=1e-6)
    wanted = torch.autograd.grad(total, list(w.values()), retain_graph=True)
    assert gan.losses["loss_d"].item() == pytest.approx(loss.item(), rel=1e-9)
    for (name, parameter), gradient in zip(gan.disc.named_parameters(), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-6, atol=1e-9, msg=name)
    # With the gradient of the intact function in the loss, the result differs.
    exact = softplus(logits(w, fake, skip=intact) - logits(w, REAL, skip=intact)).mean()
    assert exact.item() == pytest.approx(loss.item(), rel=1e-9)
    other = torch.autograd.grad(total - loss + exact, list(w.values()))
    assert not torch.allclose(other[0], wanted[0], rtol=1e-2)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("kind", SKIPS)
def test_g_receives_the_gradient_of_the_intact_d(kind):
    """Compare with a D that is the same function without the control, in G's gradients and in the penalties."""
    same = {"forward": {}, "gradient": {"skip_scale": 0.0}}[kind]  # F / sqrt L is 0 x + F / sqrt L
    one, other = make_gan(disc={"skip": kind}), make_gan(disc=same)
    for gan in (one, other):
        gan.generator_step(REAL)
    for mine, theirs in zip(one.generator.parameters(), other.generator.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)
        assert mine.grad.any()
    for gan in (one, other):
        gan.discriminator_step(REAL)
    for name in ("r1", "loss_d"):
        torch.testing.assert_close(one.losses[name], other.losses[name])
    assert not torch.allclose(one.disc.trunk.first.weight.grad, other.disc.trunk.first.weight.grad, rtol=1e-2)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("kind", SKIPS)
def test_in_g_a_stopped_skip_acts_in_its_step(kind):
    """Compute G's step by hand: samples of the function, and gradients in the weights through the stopped skip."""
    gan = make_gan(generator={"skip": kind})
    z, w = gan.latents("generator", 10), weights_of(gan.generator)
    stopping, intact = SKIPS[kind]
    torch.testing.assert_close(gan.generator(z), generated(w, z, skip=intact))
    gan.generator_step(REAL)
    with torch.no_grad():
        real_logits = gan.disc(REAL)
    loss = softplus(real_logits - gan.disc(generated(w, z, skip=stopping))).mean()
    for (name, parameter), wanted in zip(
        gan.generator.named_parameters(), torch.autograd.grad(loss, list(w.values())), strict=True
    ):
        torch.testing.assert_close(parameter.grad, wanted, msg=name)


def generated(w: dict[str, Tensor], z: Tensor, *, skip) -> Tensor:
    """Compute G of two blocks by hand: D's trunk, with two outputs."""
    both = [logits(w | {f"trunk.last.{p}": w[f"trunk.last.{p}"][k : k + 1] for p in ("weight", "bias")}, z, skip=skip)
            for k in (0, 1)]  # fmt: skip
    return torch.stack(both, dim=1)


# A join that moves.


@pytest.mark.usefixtures("in_float64")
def test_a_join_moves_by_a_cosine_and_the_average_has_that_of_its_moment():
    gan = make_gan(generator={"skip_final": 0.0}, disc={"skip_final": 0.5}, burn_in=100, disc_steps=2)
    shares = []
    for step in range(12):
        gan.training_step(REAL, step)
        nets = (gan.generator, gan.disc, gan.generator_ema)
        shares.append([net.trunk.blocks[1].share.item() for net in nets])
    # (1 + cos(pi t)) / 2 at t = 0, .1, ..., 1: half of the way at t = .5.
    by_hand = [(1 + torch.tensor(torch.pi * min(k, 10) / 10).cos().item()) / 2 for k in range(12)]
    assert [g for g, _, _ in shares] == pytest.approx(by_hand)
    assert [d for _, d, _ in shares] == pytest.approx([0.5 + half / 2 for half in by_hand])
    averaged = [by_hand[k - (k + 1) % 2] if k else 1.0 for k in range(12)]  # G steps once in two steps of D
    assert [a for *_, a in shares] == pytest.approx(averaged)
    state = gan.training_state()
    assert state["generator_ema"]["trunk.blocks.0.share"] == pytest.approx(by_hand[-1])
    assert not any("share" in name for name, _ in gan.named_parameters())


def trained(*overrides: str) -> tuple[GAN, dict]:
    options = check(TrainOptions, options_of(*TINY, *overrides))
    dataset = build_dataset(options.data, seed=0, progress=False)
    spec = spec_of(options, dataset)
    gan = build_gan(options, spec, dataset)
    for step in range(4):
        gan.training_step(mixed_batch(dataset, 50, labelled=False)[0], step)
    return gan, spec


def test_a_checkpoint_has_the_share_of_its_moment(tmp_path):
    """Check that a checkpoint needs nothing but its file: it has the current share, and the map of its seed."""
    gan, spec = trained(
        "generator.skip_final=0.2", "generator.skip=orthogonal", "burn_in_kimg=0.3", "disc.skip_scale=0"
    )
    checkpoints.save(tmp_path / "a.ckpt", {**gan.training_state(), "spec": spec})
    loaded = load_gan(tmp_path / "a.ckpt")
    z = torch.randn(5, 4)
    for net, found in ((gan.generator, loaded.generator_raw), (gan.generator_ema, loaded.generator)):
        assert torch.equal(net(z), found(z))
        # The fourth step of 50 images is at half of the burn-in of 300.
        assert found.trunk.blocks[0].share.item() == pytest.approx(0.6)


# Starts that are dead in one arm.


def test_a_start_that_is_dead_is_scored_as_dead(tmp_path):
    """Check that plain networks whose branches end in zero are constant, and that no weight inside them moves.

    Such a run trains, is scored and reported. (Its one point may lie in a mode: the grid of 9 has one at the origin.)
    """
    dead = [f"{net}.{o}" for net in ("generator", "disc") for o in ("blocks=2", "residual=false")]
    path = tmp_path / "runs" / "dead" / "0"
    given = options_of(*TINY, *dead, "generator.init=zero_last", "disc.init=fixup", f"run_dir={path}")
    train(check(TrainOptions, given), Job(overrides=[], arguments=[], sweep_dir=None))
    result = json.loads((path / "result.json").read_text())
    scores = result["scores"]
    assert result["status"] == "finished"
    assert scores["variance_ratio"] == pytest.approx(0, abs=1e-6)
    assert scores["modes"] <= 1
    assert scores["tv"] >= 1 - 1 / 9 - 1e-6  # 1, or one mode of nine
    assert result["start"] == {"logit_spread": 0, "input_gradient": 0}
    [record] = read_runs([tmp_path / "runs"])
    assert record.collapsed
    loaded = load_gan(path / "checkpoints" / "final.ckpt")
    begun = build_networks(loaded.spec)
    for net, at_start in zip((loaded.generator_raw, loaded.disc), begun, strict=True):
        moved = {key for key, value in at_start.state_dict().items() if not torch.equal(value, net.state_dict()[key])}
        assert moved <= {"trunk.blocks.1.layer2.bias", "trunk.last.weight", "trunk.last.bias"}
