"""A step from its images to its gradients: D's images and labels, and the use of its logits.

The networks are the smallest whose outputs depend on every pixel and class. D's input gradient is known, so that the
second implementation here needs no second derivatives.
"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from resgan.base.rng import make_generator
from resgan.training import randomness
from resgan.training.gan import GAN
from resgan.training.schedules import Adam, Augmentation, Penalty

OFF = Penalty(weight=0.0, interval=1)
ADAM = Adam(lr=0.01, betas=(0.0, 0.9), decay="none")


def uniform(*shape: int, seed: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


# No pixel is 0 before the augmentation: reals are in (0.2, 1.2), fakes in (-1, 0). No two pixels are alike.
REAL = 0.2 + uniform(10, 1, 4, 4, seed=0)
LABELS = torch.tensor([3, 0, 1, 1, 2, 0, 3, 2, 1, 0])  # not a palindrome
HOLDOUT = torch.arange(140, 240, 5, dtype=torch.uint8).view(20, 1, 1, 1).expand(-1, 1, 4, 4)  # each of its own grey
HOLDOUT_LABELS = torch.randint(4, (20,), generator=torch.Generator().manual_seed(1))


class Disc(nn.Module):
    """D(x, y) = s_y sum w x^2 / 2, whose gradient is s_y w x; records its images and labels."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(0.5 + uniform(1, 4, 4, seed=2))
        self.s = nn.Parameter(torch.tensor([0.3, 0.8, 1.1, 0.5]))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        self.seen.append((images.detach().clone(), labels))
        return self.s[labels] * (self.w * images.square()).flatten(1).sum(1) / 2


class Generator(nn.Module):
    """A generator of images in (-1, 0), different for every latent and class."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(uniform(3, 16, seed=3) - 0.5)
        self.bias = nn.Parameter(uniform(4, 16, seed=4) - 0.5)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return -torch.sigmoid(z @ self.weight + self.bias[labels]).view(-1, 1, 4, 4)


def augmentation(**changes) -> Augmentation:
    return Augmentation(**({"operations": ("translation", "cutout"), "p": 1.0} | changes))


def held_out(**changes) -> Augmentation:
    options = {"adapt": "r_v", "holdout": HOLDOUT, "holdout_labels": HOLDOUT_LABELS} | changes
    return augmentation(**options)


def make_gan(**changes) -> GAN:
    options = {
        "generator": Generator(),
        "disc": Disc(),
        "latent_dim": 3,
        "loss": "relativistic",
        "r1": OFF,
        "r2": OFF,
        "gp": OFF,
        "generator_adam": ADAM,
        "disc_adam": ADAM,
        "disc_steps": 1,
        "ema_kimg": 1.0,
        "ema_ramp": 0.0,
        "batch_size": 10,
        "total_images": 1000,
        "seed": 5,
        "augmentation": augmentation(),
    } | changes
    gan = GAN(**options)
    gan._descend = lambda optimiser, loss: loss.backward()  # keep the gradients for inspection
    return gan


def are_of(shown: Tensor, pictures: Tensor) -> bool:
    """Is each image made of the pixels of its own source, some of them lost?"""
    own = [torch.isin(one[one != 0], picture).all() for one, picture in zip(shown, pictures, strict=True)]
    return all(own) and bool((shown == 0).flatten(1).any(1).all())


def logits(w: Tensor, s: Tensor, images: Tensor, labels: Tensor = LABELS) -> Tensor:
    return torch.stack([s[y] * (w * x * x).sum() / 2 for x, y in zip(images, labels, strict=True)])


def squared_gradient(w: Tensor, s: Tensor, images: Tensor) -> Tensor:
    """Compute |grad D|^2, the same with respect to the images before augmentation, which moves or drops pixels."""
    return torch.stack([((s[y] * w * x) ** 2).sum() for x, y in zip(images, LABELS, strict=True)])


def test_a_step_of_d_by_hand():
    """Check weights at half of the burn-in: half of the way, and times their interval at steps where they are due."""
    gan = make_gan(
        r1=Penalty(weight=1.0, final=3.0, interval=2),
        r2=Penalty(weight=5.0, final=1.0, interval=3),
        gp=Penalty(weight=7.0, interval=1),
        burn_in=120,
    )
    gan.images_seen = 60  # step 6
    with torch.no_grad():
        made = gan.generator(gan.latents("disc", 10), LABELS)
    gan.discriminator_step(REAL, LABELS)

    assert all(torch.equal(told, LABELS) for _, told in gan.disc.seen)
    (real, _), (fake, _), (between, _) = gan.disc.seen
    assert are_of(real, REAL)
    assert are_of(fake, made)
    # The gradient penalty is taken between the images shown to D, at a different place for each pair.
    place = ((between - fake) * (real - fake)).flatten(1).sum(1) / (real - fake).square().flatten(1).sum(1)
    torch.testing.assert_close(between, fake + place.view(-1, 1, 1, 1) * (real - fake))
    assert ((place >= 0) & (place <= 1)).all()
    assert len(place.unique()) == 10

    w, s = (weight.detach().clone().requires_grad_() for weight in (gan.disc.w, gan.disc.s))
    loss = softplus(logits(w, s, fake) - logits(w, s, real)).mean()
    r1, r2 = (squared_gradient(w, s, images).mean() for images in (real, fake))
    gp = (squared_gradient(w, s, between).sqrt() - 1).square().mean()
    (loss + 2 * 2 * r1 / 2 + 3 * 3 * r2 / 2 + 7 * gp).backward()
    # Sums of a hundred or so numbers of order 1 in float32.
    found = {name: value.item() for name, value in gan.losses.items()}
    wanted = {"loss_d": loss.item(), "r1": r1.item(), "r2": r2.item(), "gp": gp.item()}
    assert found == pytest.approx(wanted, rel=1e-5)
    torch.testing.assert_close(gan.disc.w.grad, w.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gan.disc.s.grad, s.grad, rtol=1e-4, atol=1e-5)


def test_a_relativistic_step_of_g_by_hand():
    """Check that the reals paired with the fakes are of the same classes, and augmented as well."""
    gan = make_gan()
    with torch.no_grad():
        made = gan.generator(gan.latents("generator", 10), LABELS)
    gan.generator_step(REAL, LABELS)
    (fake, _), (real, _) = gan.disc.seen
    assert all(torch.equal(told, LABELS) for _, told in gan.disc.seen)
    assert are_of(fake, made)
    assert are_of(real, REAL)
    wanted = softplus(logits(gan.disc.w, gan.disc.s, real) - logits(gan.disc.w, gan.disc.s, fake)).mean()
    assert gan.losses["loss_g"].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_held_out_pictures_are_shown_and_told_as_the_others_are():
    gan = make_gan(augmentation=held_out())
    batches = []
    for step in range(5):
        gan.disc.seen.clear()
        gan.training_step((REAL, LABELS), step)
        assert len(gan.disc.seen) == (5 if step in (0, 4) else 4)  # every fourth step measures
        if step in (0, 4):
            (real, _), (fake, _), (shown, told) = gan.disc.seen[:3]
            number = (((shown.amax((1, 2, 3)) + 1) * 127.5 - 140) / 5).round().long()  # the grey identifies the image
            assert are_of(shown, HOLDOUT[number] / 127.5 - 1)
            assert torch.equal(told, HOLDOUT_LABELS[number])
            batches.append(number.tolist())
        if step == 0:
            ours, theirs, fakes = (
                logits(gan.disc.w, gan.disc.s, images, labels).mean()
                for images, labels in ((real, LABELS), (shown, told), (fake, LABELS))
            )
            assert ours > fakes  # else the measure is 0
            assert gan.losses["r_v"].item() == pytest.approx(((ours - theirs) / (ours - fakes)).item(), rel=1e-4)
    assert batches[0] != batches[1]
    assert len({*batches[0], *batches[1]}) > 8  # 20 draws of 20 have 12.8 different ones on average


# The labels of these held-out images are their numbers.
DRAWS = {
    "latents": lambda gan: gan.latents("disc", 10),
    "mix": lambda gan: gan.mix(10),
    "augmentation": lambda gan: gan.augmented(REAL, "real"),
    "held out": lambda gan: gan.held_out(10)[1],
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_a_draw_is_decided_by_the_seed_and_the_clock_alone(draw):
    given = held_out(holdout_labels=torch.arange(20))
    gan = make_gan(augmentation=given)
    first = draw(gan)
    torch.manual_seed(123)
    assert torch.equal(draw(gan), first)
    gan.images_seen = 10
    assert not torch.equal(draw(gan), first)
    assert not torch.equal(draw(make_gan(augmentation=given, seed=6)), first)
    assert torch.equal(draw(make_gan(augmentation=given)), first)


def test_no_two_draws_have_the_same_key(monkeypatch):
    """Check the keys of two steps: with equal keys, draws such as latents and the mix would be equal."""
    keys = []
    monkeypatch.setattr(randomness, "make_generator", lambda *key: keys.append(key) or make_generator(*key))
    gan = make_gan(augmentation=held_out(), gp=Penalty(weight=1.0, interval=1))
    for step in range(2):
        gan.training_step((REAL, LABELS), step)
    # Each step: latents of D and of G, mix, four augmented batches; the first also the held-out batch, and its index.
    assert len(keys) == 2 * 7 + 2
    assert len(set(keys)) == len(keys)
    assert {(key[0], key[-1]) for key in keys} == {(5, 0), (5, 10)}  # the seed, and the clock


def test_no_two_batches_share_the_draws_of_their_augmentation():
    """Check real and fake batches of D and G over two steps, which all show the same images here."""
    gan = make_gan(augmentation=held_out(operations=("cutout",)))
    gan.generator.forward = lambda z, labels: -REAL + 0 * gan.generator.weight.sum()  # only the holes distinguish them
    for step in range(2):
        gan.training_step((REAL, LABELS), step)
    holes = [(shown == 0).flatten().tolist() for shown, _ in gan.disc.seen]
    assert len(holes) == 9  # real and fake in D's and in G's step, and once a held-out batch
    assert len(set(map(tuple, holes))) == 9


def test_the_rate_of_g_and_the_average_move_over_the_burn_in():
    """Check a quarter of the way at a third of the burn-in; Adam's first step moves each weight by its rate."""
    gan = make_gan(
        generator_adam=Adam(lr=0.01, lr_final=0.05, betas=(0.0, 0.9), beta2_final=0.98, decay="none"),
        disc_adam=Adam(lr=0.003, betas=(0.0, 0.9), decay="none"),
        disc_steps=2,
        ema_kimg=0.01,
        ema_kimg_final=0.05,
        burn_in=150,
    )
    del gan._descend  # this time the weights move
    gan.images_seen = 50
    held = gan.generator_ema.weight + 1
    gan.generator_ema.weight.copy_(held)
    before = [gan.generator.weight.detach().clone(), gan.disc.w.detach().clone()]
    gan.training_step((REAL, LABELS), 0)
    for old, net, rate in zip(before, (gan.generator.weight, gan.disc.w), (0.02, 0.003), strict=True):
        large = net.grad.abs() > 1e-4  # beside Adam's eps of 1e-8
        assert large.float().mean() > 0.5
        torch.testing.assert_close((net - old)[large], -rate * net.grad.sign()[large], rtol=1e-3, atol=1e-6)
    assert gan._adams[0].param_groups[0]["betas"] == (0.0, pytest.approx(0.92))
    # The half-life is 20 images, as many as D sees in two steps: half of the old average stays.
    torch.testing.assert_close(gan.generator_ema.weight, (held + gan.generator.weight.detach()) / 2)


def test_the_burn_in_is_over_once():
    gan = make_gan(burn_in=120)
    places = []
    for gan.images_seen in (0, 60, 120, 240):  # at twice the length, a cosine would be back at its start
        places.append(gan.burnt_in())
    assert places == [0, 0.5, 1, 1]
    assert make_gan().burnt_in() == 1  # nothing moves


def test_the_average_of_a_young_run_is_short():
    """Check that the half-life is at most a share of the images seen, including this step: 20 of 80."""
    gan = make_gan(ema_ramp=0.25, disc_steps=2)
    gan.images_seen = 70
    gan.generator_ema.weight.add_(1)
    held = gan.generator_ema.weight.clone()
    gan.update_average()
    torch.testing.assert_close(gan.generator_ema.weight, (held + gan.generator.weight.detach()) / 2)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_an_adaptive_p_is_what_d_is_shown_pictures_by(p):
    """Check that D sees images augmented with the current p, not the initial one."""
    gan = make_gan(augmentation=held_out(p=1 - p))
    gan.augment_p.fill_(p)
    gan.discriminator_step(REAL, LABELS)
    assert [bool((shown == 0).any()) for shown, _ in gan.disc.seen] == [p == 1] * 3
