"""Resampling fused with a convolution is the same function, and trains the same."""

import copy
import itertools
from collections.abc import Sequence

import pytest
import torch
from helpers.options import options_of

from resgan.builders.data import build_dataset, mixed_batch
from resgan.builders.gan import build_gan
from resgan.builders.networks import build_networks, flops, spec_of, spec_of_networks
from resgan.nets import layers
from resgan.nets.blocks import Block, annealed_blocks
from resgan.nets.skips import Skip, skips_that_stop, stopped
from resgan.options.train import TrainOptions
from resgan.options.validation import check

# In float64, sums in another order differ in the 13th digit or so.
CLOSE = {"rtol": 1e-9, "atol": 1e-9}
LAST = torch.channels_last


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_one_convolution_for_two(size):
    """Compare at the borders too, where a convolution pads with zeros and not with copies."""
    layer = layers.conv3x3(3, 4).double()
    x = noise(2, 3, size, size)
    torch.testing.assert_close(layers.upsampled_conv(x, layer), layer(layers.upsample(x)), **CLOSE)
    x = layers.upsample(x) + noise(2, 3, 2 * size, 2 * size)
    torch.testing.assert_close(layers.downsampled_conv(x, layer), layers.downsample(layer(x)), **CLOSE)


KINDS = [
    (kind, norm, join, residual)
    for kind, norm, join, residual in itertools.product(
        ("preact", "postact", "stylegan2", "bottleneck"),
        ("none", "batch", "group", "pixel"),
        ("stable", "sum", "scaled", "gated"),
        (True, False),
    )
    if kind != "bottleneck" or norm == "none"
]


def networks(*overrides: str) -> list[tuple[torch.nn.Module, torch.Tensor]]:
    given = check(TrainOptions, options_of(*overrides, "generator.width=[16,16,8]", "disc.width=[16,16,8]"))
    generator, disc = build_networks(spec_of_networks(given, (3, 16, 16), classes={}))
    return [(generator.double(), noise(5, given.generator.latent_dim)), (disc.double(), noise(5, 3, 16, 16))]


def assert_the_same_function(net: torch.nn.Module, x: torch.Tensor, stopping: Sequence[Skip] = ()) -> None:
    """Compare outputs, gradients, and the running statistics afterwards."""
    with stopped(stopping):
        other = copy.deepcopy(net)
        layers.fuse(net, True)
        layers.fuse(other, False)
        net.zero_grad()
        fused, plain = net(x), other(x)
    torch.testing.assert_close(fused, plain, **CLOSE)
    signs = torch.sign(noise(*fused.shape))
    (fused * signs).sum().backward()
    (plain * signs).sum().backward()
    for (name, mine), theirs in zip(net.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, **CLOSE, msg=name)
    for (name, mine), theirs in zip(net.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE, msg=name)


@pytest.mark.parametrize(
    ("kind", "norm", "join", "residual"),
    [pytest.param(*one, marks=pytest.mark.slow if number % 4 in (1, 2) else ()) for number, one in enumerate(KINDS)],
)
def test_lab_networks(kind, norm, join, residual):
    place = "trunk" if join in ("stable", "gated") else "branch"
    values = {"block": kind, "norm": norm, "norm_place": place, "join": join, "residual": str(residual).lower()}
    for net, x in networks(*(f"{n}.{key}={value}" for n in ("generator", "disc") for key, value in values.items())):
        assert_the_same_function(net, x)


@pytest.mark.parametrize("option", [
    "skip=orthogonal", "skip=forward", "skip=gradient", "skip_scale=0.7", "skip_final=0.5", "inner=3"
])  # fmt: skip
def test_controls(option):
    """Compare networks with controls of the skip, also while these are stopped."""
    burn_in = ["burn_in_kimg=1"] if "final" in option else []
    both = [f"{n}.{o}" for n in ("generator", "disc") for o in (option, "blocks=2")]
    for net, x in networks(*both, *burn_in):
        for block in annealed_blocks(net):
            block.share.fill_(0.3)
        for skips in ([], skips_that_stop(net)):
            assert_the_same_function(net, x, skips)


@pytest.mark.parametrize("blocks", [0, 2])
def test_lab_networks_with_image_skips_and_other_depths(blocks):
    for net, x in networks(
        *(f"{n}.{o}" for n in ("generator", "disc") for o in (f"blocks={blocks}", "image_skips=true"))
    ):
        assert_the_same_function(net, x)


@pytest.mark.parametrize("upsample", ["nearest", "bilinear"])
@pytest.mark.parametrize("residual", ["true", "false"])
@pytest.mark.parametrize("projection", ["skip", "trunk"])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_resnet_of_sngan(upsample, residual, projection, norm):
    both = (f"residual={residual}", f"projection={projection}", "width=16")
    overrides = [f"{network}.{o}" for network in ("generator", "disc") for o in both]
    overrides += [f"generator.upsample={upsample}", f"disc.norm={norm}", "disc.spectral=false"]
    given = check(TrainOptions, options_of("generator=sngan", "disc=sngan", *overrides))
    generator, disc = build_networks(spec_of_networks(given, (3, 32, 32), classes={}))
    assert_the_same_function(generator.double(), noise(3, 128))
    assert_the_same_function(disc.double(), noise(3, 3, 32, 32))


@pytest.mark.parametrize("networks", [
    [],
    pytest.param(
        ["generator=sngan", "disc=sngan", "disc.steps=1", "data.size=32", "loss=hinge", "loss.r1=0", "loss.r2=0"],
        marks=pytest.mark.slow,
    ),
    ["generator.norm=batch", "disc.block=postact"],
])  # fmt: skip
@pytest.mark.parametrize("option", ["trainer.fused", "trainer.channels_last"])
def test_training_is_the_same(networks, option):
    """Compare losses of eight steps in float64, and of only two in float32: Adam amplifies rounding."""
    assert_same_losses(networks, option, steps=2, dtype=torch.float32, tolerance=1e-4)
    assert_same_losses(networks, option, steps=8, dtype=torch.float64, tolerance=1e-8)


def assert_same_losses(networks, option, *, steps, dtype, tolerance):
    losses = []
    for value in ("true", "false"):
        given = check(TrainOptions, options_of(*networks, "generator.width=16", "disc.width=16", f"{option}={value}"))
        dataset = build_dataset(given.data, seed=0, progress=False)
        gan = build_gan(given, spec_of(given, dataset), dataset).to(dtype)
        weight = gan.generator.to_image.weight
        fused, last = layers.fusable(gan.generator)[0].fused, weight.is_contiguous(memory_format=LAST)
        assert {"trainer.fused": fused, "trainer.channels_last": last}[option] == (value == "true")
        real, seen = mixed_batch(dataset, given.batch_size, labelled=False)[0].to(dtype), []
        latents = gan.latents
        gan.latents = lambda *of, latents=latents: latents(*of).to(dtype)
        for k in range(steps):
            gan.training_step(real, k)
            seen.append([float(gan.losses[name]) for name in ("loss_d", "loss_g")])
        losses.append(torch.tensor(seen, dtype=torch.float64))
    assert losses[0].std() > 1e-3  # the losses move
    torch.testing.assert_close(losses[0], losses[1], rtol=tolerance, atol=tolerance)


def test_what_looks_inside_sees_every_block():
    """Check that hooks of blocks fire, and that the count of operations is that of unfused layers."""
    given = check(TrainOptions, options_of("generator.width=8", "generator.blocks=1"))
    generator, _ = build_networks(spec_of_networks(given, (3, 16, 16), classes={}))
    seen = []
    for name, module in generator.named_modules():
        if isinstance(module, Block):
            module.register_forward_hook(lambda *_, name=name: seen.append(name))
    with layers.unfused(generator):
        generator(torch.randn(2, given.generator.latent_dim))
    assert len(seen) == 3
    assert all(module.fused for module in layers.fusable(generator))
    assert flops(generator, torch.zeros(1, given.generator.latent_dim)) == sum(
        [2 * 16 * 8 * 16, *(2 * 18 * 8 * 8 * size**2 for size in (4, 8, 16)), 18 * 8 * 3 * 256]
    )
