"""Class-conditional GANs: the networks, a step, a checkpoint, samples."""

import copy

import numpy as np
import pytest
import torch
from helpers.options import options_of
from torch.nn import functional as F

from resgan.base.errors import OptionsError
from resgan.builders.data import build_dataset, mixed_batch
from resgan.builders.gan import build_gan
from resgan.builders.networks import build_networks, spec_of
from resgan.builders.trained_gan import load_gan
from resgan.nets import conditioning, layers
from resgan.nets.sampling import classes_at, labels, with_norm_mode
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training import checkpoints
from resgan.training.gan import repeated

CLASSES = 24  # of data=shapes
SMALL = ["generator.width=8", "disc.width=8", "metrics=exact", "metrics.samples=50", "loss=hinge"]
KINDS = [("norm", "projection"), ("concat", "concat"), ("norm", "concat"), ("concat", "projection")]


def built(*overrides: str):
    given = check(TrainOptions, options_of(*SMALL, *overrides))
    dataset = build_dataset(given.data, seed=given.seed, progress=False)
    return given, dataset, spec_of(given, dataset)


def told(g: str, d: str, *overrides: str):
    return built(f"generator.conditional={g}", f"disc.conditional={d}", *overrides)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# The parts, by hand.


@pytest.mark.parametrize("norm", ["none", "batch", "group", "pixel", "layer"])
@pytest.mark.parametrize("shape", [(6, 4, 3, 3), (6, 4)])
def test_a_norm_with_a_gain_and_a_bias_for_each_class(norm, shape):
    made = layers.make_norm(norm, 4, classes=3)
    x, y = noise(*shape), torch.tensor([0, 2, 1, 1, 0, 2])
    affine_free = layers.NORMS[norm](4, affine=False)
    assert torch.equal(made(x, y), affine_free(x))  # gains begin at one and biases at zero
    with torch.no_grad():
        made.gain.copy_(torch.arange(12.0).view(3, 4))
        made.bias.copy_(-torch.arange(12.0).view(3, 4))
    found, plain = made(x, y), affine_free(x)
    for n in range(6):
        for c in range(4):
            k = float(4 * y[n] + c)
            torch.testing.assert_close(found[n, c], k * plain[n, c] - k)
    with pytest.raises(ValueError, match="needs labels"):
        layers.normalise(made, x, None)


def test_planes_and_codes():
    images, y = noise(2, 3, 4, 4), torch.tensor([1, 0])
    found = conditioning.append_label_planes(images, y, classes=2)
    assert torch.equal(found[:, :3], images)
    assert torch.equal(found[0, 3:].mean((1, 2)), torch.tensor([0.0, 1.0]))
    assert torch.equal(found[1, 3:].mean((1, 2)), torch.tensor([1.0, 0.0]))
    assert conditioning.append_label_planes(noise(2, 5), y, classes=2)[0].tolist()[5:] == [0, 1]
    code = conditioning.LabelEmbedding(2, 5)
    z = noise(2, 5)
    assert torch.equal(code(z, y), torch.cat([z, code.code.weight[[1, 0]]], 1))


def test_the_projection_is_an_inner_product():
    """Check D(x, y) = w . h + v_y . h for every class, from two networks that share all else."""
    _, _, spec = told("norm", "projection")
    _, disc = build_networks(spec)
    images = noise(3, 3, 16, 16)
    seen = {}
    disc.to_logit.register_forward_hook(lambda module, given, made: seen.update(h=given[0]))
    for y in (torch.tensor([0, 7, 23]), torch.tensor([5, 5, 5])):
        logits = disc(images, y)
        expected = disc.to_logit(seen["h"]).squeeze(1) + (disc.to_class.weight[y] * seen["h"]).sum(1)
        torch.testing.assert_close(logits, expected)


# Networks.

OTHERS = {
    "lab": [], "mlp": ["generator=mlp", "disc=mlp", "generator.blocks=1", "disc.blocks=1"],
}  # fmt: skip


@pytest.mark.parametrize("network", OTHERS)
@pytest.mark.parametrize(("g", "d"), KINDS)
@pytest.mark.parametrize("norm", ["none", "pixel", "batch"])
def test_the_class_reaches_both_networks_and_nothing_else_changes(network, g, d, norm):
    _, dataset, spec = told(g, d, *OTHERS[network], f"generator.norm={norm}")
    generator, disc = (net.eval() for net in build_networks(spec))
    with torch.no_grad():  # the norms of all classes begin alike
        for module in generator.modules():
            if isinstance(module, layers.ClassNorm):
                module.bias.copy_(noise(*module.bias.shape))
    z, one, other = noise(4, spec["generator"]["latent_dim"]), torch.full((4,), 3), torch.full((4,), 11)
    mixed = torch.tensor([3, 11, 3, 11])
    a, b, ab = generator(z, one), generator(z, other), generator(z, mixed)
    assert a.shape == (4, *dataset.shape)
    assert (a - b).flatten(1).abs().amax(1).min() > 1e-4
    torch.testing.assert_close(ab[::2], a[::2])  # each sample uses its own class
    torch.testing.assert_close(ab[1::2], b[1::2])
    assert (disc(a, one) - disc(a, other)).abs().min() > 1e-6
    for net, x in ((generator, z), (disc, a)):
        with pytest.raises(ValueError, match="needs labels"):
            net(x)


@pytest.mark.parametrize(("g", "d"), KINDS)
def test_both_arms_own_the_same(g, d):
    arms = [told(g, d, f"generator.residual={r}", f"disc.residual={r}")[2] for r in ("true", "false")]
    for one, other in zip(*(build_networks(spec) for spec in arms), strict=True):
        assert list(one.state_dict()) == list(other.state_dict())
        assert all(
            torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
        )


# A step.


def test_a_step_by_hand():
    """Compute a hinge step with the labels of the batch, which start over for G's larger batch."""
    given, dataset, spec = told(
        "concat", "projection", "batch_size=4", "generator.batch_size=6", "loss.r1=0", "loss.r2=0"
    )
    gan = build_gan(given, spec, dataset)
    generator, disc = copy.deepcopy(gan.generator), copy.deepcopy(gan.disc)
    real, y = mixed_batch(dataset, 4, labelled=True)
    y = torch.tensor([0, 5, 9, 20])
    gan._descend = lambda optimiser, loss: loss.backward()  # keep the gradients for inspection
    gan.discriminator_step(real, y)
    fake = generator(gan.latents("disc", 4), y).detach()
    expected = F.relu(1 - disc(real, y)).mean() + F.relu(1 + disc(fake, y)).mean()
    assert gan.losses["loss_d"].item() == pytest.approx(expected.item(), rel=1e-5)
    gan.generator_step(real, y)
    again = torch.tensor([0, 5, 9, 20, 0, 5])
    expected = -disc(generator(gan.latents("generator", 6), again), again).mean()
    assert gan.losses["loss_g"].item() == pytest.approx(expected.item(), rel=1e-5)
    expected.backward()
    for mine, other in zip(gan.generator.parameters(), generator.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-4, atol=1e-6)


def test_labels_from_the_front_again():
    assert repeated(torch.tensor([4, 2, 9]), 7).tolist() == [4, 2, 9, 4, 2, 9, 4]
    assert repeated(torch.tensor([4, 2, 9]), 2).tolist() == [4, 2]


# Samples.


def test_the_class_of_a_seed():
    """Check that classes follow the shares of the data, and depend on the seed alone."""
    shares = [0.5, 0.2, 0.0, 0.3]
    many = labels(range(4000), shares=shares)
    counts = torch.bincount(many, minlength=4) / 4000
    # Shares of 4,000 draws have a standard deviation sqrt(p (1 - p) / 4000) < 0.008; four of these.
    assert (counts - torch.tensor(shares)).abs().max() < 0.032
    assert counts[2] == 0
    assert torch.equal(labels([17, 3], shares=shares), many[[17, 3]])
    assert classes_at(torch.tensor([0.0, 0.49, 0.5, 0.69, 0.71, 1.0]), shares).tolist() == [0, 0, 1, 1, 3, 3]


def test_a_checkpoint_knows_its_classes(tmp_path):
    given, dataset, spec = told("norm", "projection", "generator.norm=batch")
    gan = build_gan(given, spec, dataset)
    with torch.no_grad():
        for net in (gan.generator, gan.generator_ema):
            net.stages[0].blocks[0].norm.bias.copy_(noise(CLASSES, 8))
    checkpoints.save(tmp_path / "a.ckpt", {"spec": spec, **gan.training_state()})
    loaded = load_gan(tmp_path / "a.ckpt")
    assert loaded.classes[:2] == ["horizontal-red", "horizontal-green"]
    by_name, by_number = loaded.sample(range(3), label="horizontal-green"), loaded.sample(range(3), label=1)
    assert torch.equal(by_name, by_number)
    assert loaded.class_number("1") == loaded.class_number(np.int64(1)) == 1  # the command line gives text
    assert not torch.equal(by_name, loaded.sample(range(3), label=2))
    # Without a class, the seed decides it.
    drawn = loaded.labels(range(3))
    alone = [loaded.sample([k], label=int(y)) for k, y in enumerate(drawn)]
    assert torch.equal(loaded.sample(range(3)), torch.cat(alone))
    for wrong in (24, -1, "24", "-1", "dog"):
        with pytest.raises(OptionsError, match=f"class={wrong}: expected 0 to 23"):
            loaded.sample([0], label=wrong)
    # The statistics of its norms can be recomputed.
    remade = with_norm_mode(loaded.generator, "recomputed", dim=16, shares=list(loaded.spec["classes"].values()))
    assert not torch.equal(remade.stages[0].blocks[0].norm.norm.running_mean, torch.zeros(8))


def test_a_class_of_a_gan_that_was_told_none(tmp_path):
    given, dataset, spec = built()
    gan = build_gan(given, spec, dataset)
    checkpoints.save(tmp_path / "a.ckpt", {"spec": spec, **gan.training_state()})
    loaded = load_gan(tmp_path / "a.ckpt")
    assert loaded.classes == []
    with pytest.raises(OptionsError, match="class=3: this GAN was trained without classes"):
        loaded.sample([0], label=3)


# Refusals.


@pytest.mark.parametrize(("overrides", "said"), [
    (["generator.conditional=norm"], "generator.conditional=norm with disc.conditional=none: make both"),
    (["disc.conditional=concat"], "generator.conditional=none with disc.conditional=concat: make both"),
    (["generator.conditional=projection"], "generator.conditional=projection: expected"),
    (["generator=dcgan", "generator.width=64", "disc.conditional=concat"], "make both networks"),
])  # fmt: skip
def test_options_that_do_not_fit(overrides, said):
    with pytest.raises(OptionsError) as error:
        check(TrainOptions, options_of(*overrides))
    assert said in str(error.value)


def test_data_without_classes():
    given, dataset, _ = built()
    values = given.model_dump(by_alias=True)
    values["generator"]["conditional"], values["disc"]["conditional"] = "norm", "projection"
    unlabelled = copy.copy(dataset)
    object.__setattr__(unlabelled, "labels", None)
    with pytest.raises(OptionsError, match=r"generator\.conditional=norm: data=smooth_shapes16 has no classes"):
        spec_of(check(TrainOptions, values), unlabelled)
