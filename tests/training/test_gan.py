"""One step of the game: which weights move, by which gradient, and what decides it."""

import copy

import pytest
import torch
from helpers.networks import make_network

from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.training.gan import GAN
from resgan.training.schedules import Adam, Augmentation, Penalty

OFF = Penalty(weight=0.0, interval=1)


def make_gan(**changes) -> GAN:
    network = {"shape": (2,), "residual": True, "block": "preact", "blocks": 1, "width": 8, "norm": "batch",
               "spectral": False, "join": "sum", "init": "he", "seed": 0}  # fmt: skip
    adam = Adam(lr=0.01, betas=(0.0, 0.9), decay="none")
    options = {
        "generator": make_network(MlpGenerator, latent_dim=3, **network),
        "disc": make_network(MlpDiscriminator, **network),
        "latent_dim": 3,
        "loss": "relativistic",
        "r1": OFF,
        "r2": OFF,
        "gp": OFF,
        "generator_adam": adam,
        "disc_adam": adam,
        "disc_steps": 1,
        "ema_kimg": 1.0,
        "ema_ramp": 0.0,
        "batch_size": 10,
        "total_images": 1000,
        "seed": 5,
    } | changes
    return GAN(**options)


def weights(net: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach().clone() for parameter in net.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


REAL = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("step", "moves", "stays"), [
    ("discriminator_step", "disc", "generator"), ("generator_step", "generator", "disc")
])  # fmt: skip
def test_a_step_moves_one_network(step, moves, stays):
    gan = make_gan(r1=Penalty(weight=1.0, interval=1))
    before = weights(getattr(gan, moves)), weights(getattr(gan, stays))
    getattr(gan, step)(REAL)
    assert not same(before[0], weights(getattr(gan, moves)))
    assert same(before[1], weights(getattr(gan, stays)))
    assert all(p.grad is None for p in getattr(gan, stays).parameters())
    assert all(p.requires_grad for p in gan.disc.parameters())
    assert not REAL.requires_grad


def test_the_first_step_of_adam_by_hand():
    """Check that each weight moves by lr against its gradient: with beta1 = 0, Adam's first step is lr * g / |g|."""
    gan = make_gan(loss="wasserstein")
    disc = copy.deepcopy(gan.disc)
    with torch.no_grad():
        fake = copy.deepcopy(gan.generator)(gan.latents("disc", 10))
    loss = disc(fake).mean() - disc(REAL).mean()
    # D sees the real samples first; the order affects only running statistics, which training does not use.
    loss.backward()
    before = weights(gan.disc)
    gan.discriminator_step(REAL)
    for old, new, reference in zip(before, gan.disc.parameters(), disc.parameters(), strict=True):
        large = reference.grad.abs() > 1e-4  # beside eps = 1e-8
        torch.testing.assert_close((new - old)[large], -0.01 * reference.grad.sign()[large], rtol=1e-3, atol=1e-7)


def test_d_steps_per_g_step_and_the_clock():
    gan = make_gan(disc_steps=3)
    moved = []
    for k in range(7):
        before = weights(gan.generator)
        gan.training_step(REAL, k)
        moved.append(not same(before, weights(gan.generator)))
    assert moved == [False, False, True, False, False, True, False]
    assert gan.images_seen == 70


def test_penalties_are_applied_at_their_interval():
    gan = make_gan(
        r1=Penalty(weight=1.0, interval=2), r2=Penalty(weight=1.0, interval=3), gp=Penalty(weight=1.0, interval=1)
    )
    seen = []
    for k in range(6):
        gan.losses.clear()
        gan.training_step(REAL, k)
        seen.append({"r1", "r2", "gp"} & set(gan.losses))
    assert seen == [{"r1", "r2", "gp"}, {"gp"}, {"r1", "gp"}, {"r2", "gp"}, {"r1", "gp"}, {"gp"}]


def test_a_penalty_weight_of_gamma_is_gamma_over_two():
    """Check that the step of gamma = 2 is the step of the loss plus E |grad D|^2."""
    gan = make_gan(r1=Penalty(weight=2.0, interval=1))
    disc = copy.deepcopy(gan.disc)
    with torch.no_grad():
        fake = copy.deepcopy(gan.generator)(gan.latents("disc", 10))
    real = REAL.clone().requires_grad_()
    real_logits, fake_logits = disc(real), disc(fake)
    (gradient,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    total = torch.nn.functional.softplus(fake_logits - real_logits).mean() + gradient.square().sum(1).mean()
    expected = torch.autograd.grad(total, list(disc.parameters()))
    gan._descend = lambda optimiser, loss: loss.backward()  # keep the gradients for inspection
    gan.discriminator_step(REAL)
    for parameter, wanted in zip(gan.disc.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, wanted, rtol=1e-4, atol=1e-6)


def test_latents_are_derived():
    gan = make_gan()
    first = gan.latents("disc", 10)
    torch.manual_seed(123)
    torch.rand(5)
    assert torch.equal(first, gan.latents("disc", 10))
    assert not torch.equal(first, gan.latents("generator", 10))
    gan.images_seen = 10
    assert not torch.equal(first, gan.latents("disc", 10))
    assert not torch.equal(first, make_gan(seed=6).latents("disc", 10))
    assert abs(torch.cat([gan.latents(str(k), 1000) for k in range(10)]).std() - 1) < 0.02  # 30,000: sd 0.004


def test_learning_rate_falls_with_the_clock():
    gan = make_gan(disc_adam=Adam(lr=0.01, betas=(0.0, 0.9), decay="linear"))
    gan.images_seen = 250
    gan.discriminator_step(REAL)
    assert gan._adams[1].param_groups[0]["lr"] == pytest.approx(0.0075)


def test_a_state_continues_bit_for_bit():
    options = {"r1": Penalty(weight=1.0, interval=2), "gp": Penalty(weight=1.0, interval=3), "disc_steps": 2}
    whole = make_gan(**options)
    for k in range(4):
        whole.training_step(REAL, k)
    state = copy.deepcopy(whole.training_state())
    for k in range(4, 9):
        whole.training_step(REAL, k)
    torch.manual_seed(99)
    continued = make_gan(**options)
    continued.load_training_state(state)
    for k in range(5):
        continued.training_step(REAL, k)
    assert continued.images_seen == whole.images_seen
    for a, b in zip(whole.state_dict().values(), continued.state_dict().values(), strict=True):
        assert torch.equal(a, b)


# Augmentation

PICTURES = {
    "shape": (3, 8, 8), "residual": True, "block": "preact", "blocks": 1, "width": 8, "norm": "none", "spectral": False,
    "join": "sum", "init": "he", "seed": 0,
}  # fmt: skip
REAL_PICTURES = torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1


def picture_gan(augmentation: Augmentation | None, **changes) -> GAN:
    networks = {
        "generator": make_network(LabGenerator, latent_dim=3, **PICTURES),
        "disc": make_network(LabDiscriminator, **PICTURES),
    }
    return make_gan(**networks, augmentation=augmentation, **changes)


def seen_by(disc: torch.nn.Module) -> list[torch.Tensor]:
    """Record what D is given from now on."""
    seen: list[torch.Tensor] = []
    disc.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach().clone()))
    return seen


def test_d_is_shown_augmented_pictures_only_real_and_fake_in_both_steps():
    gan = picture_gan(Augmentation(operations=("cutout",), p=1.0))
    seen = seen_by(gan.disc)
    gan.training_step(REAL_PICTURES, 0)
    assert len(seen) == 4  # relativistic: G's step uses the real ones too
    for pictures in seen:
        assert ((pictures == 0).flatten(1).sum(1) >= 3 * 2 * 2).all()  # a window of 4 x 4, half of it inside at least
    holes = [(pictures == 0).all(1) for pictures in seen]
    assert not any(torch.equal(a, b) for k, a in enumerate(holes) for b in holes[:k])  # each with its own draws
    again = picture_gan(Augmentation(operations=("cutout",), p=1.0))
    seen_again = seen_by(again.disc)
    torch.manual_seed(5)
    again.training_step(REAL_PICTURES, 0)
    assert all(torch.equal(a, b) for a, b in zip(seen, seen_again, strict=True))


def test_penalties_go_through_the_augmentation():
    """Check that R1 is that of D(augmented x) with respect to x: what was cut out has no gradient."""
    gan = picture_gan(Augmentation(operations=("cutout",), p=1.0), r1=Penalty(weight=1.0, interval=1))
    real = REAL_PICTURES.clone().requires_grad_()
    shown = gan.augmented(real, "real")
    (gradient,) = torch.autograd.grad(gan.disc(shown).sum(), real)
    assert not gradient[(shown == 0).all(1, keepdim=True).expand_as(gradient)].any()
    expected = gradient.square().flatten(1).sum(1).mean()
    gan.discriminator_step(REAL_PICTURES)
    assert gan.losses["r1"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_p_moves_over_the_burn_in():
    gan = picture_gan(Augmentation(operations=("cutout",), p=0.0, p_final=1.0), burn_in=1000)
    shares = []
    for gan.images_seen in (0, 500, 1000, 5000):
        pictures = gan.augmented(torch.ones(400, 3, 8, 8), "real")
        shares.append(float((pictures == 0).flatten(1).any(1).float().mean()))
    assert shares == [0, pytest.approx(0.5, abs=0.1), 1, 1]  # of 400: sd 0.025, four of them


@pytest.mark.parametrize(("adapt", "logits", "up"), [
    ("r_t", (1.0, None, -1.0), True),  # all training images above zero
    ("r_t", (-1.0, None, -2.0), False),
    ("r_v", (2.0, 0.1, 0.0), True),  # held-out images rated as fakes: (2 - 0.1) / 2
    ("r_v", (2.0, 1.9, 0.0), False),  # as training images
    ("r_v", (1002.0, 1000.1, 1000.0), True),  # the zero of D means nothing
])  # fmt: skip
def test_p_follows_how_much_d_overfits(adapt, logits, up):
    real, holdout, fake = logits
    augmentation = Augmentation(operations=("cutout",), p=0.5, adapt=adapt, target=0.6, length=4000,
                                holdout=torch.full((3, 3, 8, 8), 255, dtype=torch.uint8))  # fmt: skip
    gan = picture_gan(augmentation)
    gan.disc.forward = lambda images, labels=None: torch.full((len(images),), holdout)
    for step in range(5):
        gan.adapt(step, torch.full((10,), real), torch.full((10,), fake))
    # p moves at steps 0 and 4, each time by 4 steps of 10 images of 4,000: 0.01.
    assert gan.augment_p.item() == pytest.approx(0.52 if up else 0.48)
    state = copy.deepcopy(gan.training_state())
    other = picture_gan(augmentation)
    other.load_training_state(state)
    assert torch.equal(other.augment_p, gan.augment_p)


def test_losses_that_do_not_pair_spare_d_the_real_pictures():
    for loss, looks in (("hinge", 1), ("relativistic", 2)):
        gan = picture_gan(None, loss=loss)
        seen = seen_by(gan.disc)
        gan.generator_step(REAL_PICTURES)
        assert len(seen) == looks


def test_a_larger_batch_for_the_generator():
    gan = picture_gan(None, loss="hinge", generator_batch=25)
    seen = seen_by(gan.disc)
    gan.training_step(REAL_PICTURES, 0)
    assert [len(pictures) for pictures in seen] == [10, 10, 25]
    assert gan.images_seen == 10


def test_rates_penalties_and_the_average_move_over_the_burn_in():
    gan = make_gan(
        burn_in=100,
        disc_adam=Adam(lr=0.01, lr_final=0.03, betas=(0.0, 0.9), decay="none"),
        ema_kimg=1.0,
        ema_kimg_final=0.0,
    )
    gan.images_seen = 50
    gan.discriminator_step(REAL)
    assert gan._adams[1].param_groups[0]["lr"] == pytest.approx(0.02)
    gan.images_seen = 100  # at the end the half-life is 0: the average is the generator
    gan.generator_step(REAL)
    gan.update_average()
    assert same(weights(gan.generator), weights(gan.generator_ema))
