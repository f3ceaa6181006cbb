"""Layers and whole networks: shapes, mirrors, scales."""

import math

import pytest
import torch
from helpers import plain_networks as plain
from helpers.comparing import agree, disturbed
from helpers.networks import make_network

from resgan.nets import layers
from resgan.nets.blocks import Block
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.nets.stages import per_stage, sizes

OPTIONS = {"residual": True, "block": "preact", "blocks": 1, "norm": "none", "spectral": False, "join": "sum",
           "init": "he", "seed": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("size", "expected"), [(16, [4, 8, 16]), (32, [4, 8, 16, 32]), (28, [7, 14, 28]), (48, [6, 12, 24, 48]), (5, [5])]
)
def test_resolutions(size, expected):
    assert sizes(size) == expected


@pytest.mark.parametrize("size", [5, 16, 28, 48])
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes(size, channels):
    shape = (channels, size, size)
    generator = make_network(LabGenerator, shape=shape, latent_dim=7, width=8, **OPTIONS)
    disc = make_network(LabDiscriminator, shape=shape, width=8, **OPTIONS)
    images = generator(torch.randn(2, 7))
    assert images.shape == (2, *shape)
    assert disc(images).shape == (2,)


def test_the_networks_mirror_each_other():
    """Check, with one width per stage, that both have the same blocks at each resolution, in opposite order."""
    widths = [24, 16, 8]
    generator = make_network(LabGenerator, shape=(3, 16, 16), latent_dim=7, width=widths, **OPTIONS)
    disc = make_network(LabDiscriminator, shape=(3, 16, 16), width=widths, **OPTIONS)
    of = [[b.layer1.weight.shape for b in net.modules() if isinstance(b, Block)] for net in (generator, disc)]
    assert of[0] == of[1][::-1]
    assert [shape[0] for shape in of[0]] == widths
    assert disc(generator(torch.randn(2, 7))).shape == (2,)


def test_one_width_needs_no_transition():
    generator = make_network(LabGenerator, shape=(3, 16, 16), latent_dim=7, width=8, **OPTIONS)
    assert not any("to_width" in name for name, _ in generator.named_parameters())


def test_a_wrong_number_of_widths_or_blocks():
    with pytest.raises(ValueError, match=r"width=\[8, 8\].*3 stages"):
        per_stage("width", [8, 8], 3)
    with pytest.raises(ValueError, match=r"blocks=\[1\].*3 stages"):
        make_network(LabDiscriminator, shape=(3, 16, 16), **(OPTIONS | {"blocks": [1]}))


def test_blocks_of_each_stage():
    """Check one number per stage, lowest resolution first, in both networks; the join gets the sum."""
    options = OPTIONS | {"blocks": [1, 0, 3], "width": 8, "join": "stable"}
    generator = make_network(LabGenerator, shape=(3, 16, 16), **options)
    disc = make_network(LabDiscriminator, shape=(3, 16, 16), **options)
    assert [len(stage.blocks) for stage in generator.stages] == [1, 0, 3]
    assert [len(stage.blocks) for stage in disc.stages] == [3, 0, 1]
    assert {
        block.options.depth for net in (generator, disc) for block in net.modules() if isinstance(block, Block)
    } == {4}


def test_parameter_counts_by_hand():
    """Count for width 8, 1 block per stage, 16 x 16 RGB, latent 7; a 3 x 3 convolution has 9 ab + b parameters."""
    conv, stages = 9 * 8 * 8 + 8, 3
    generator = make_network(LabGenerator, shape=(3, 16, 16), latent_dim=7, width=8, **OPTIONS)
    disc = make_network(LabDiscriminator, shape=(3, 16, 16), width=8, **OPTIONS)
    counts = [sum(p.numel() for p in net.parameters()) for net in (generator, disc)]
    assert counts[0] == (7 + 1) * 128 + stages * 2 * conv + (9 * 8 * 3 + 3)
    assert counts[1] == (9 * 3 * 8 + 8) + stages * 2 * conv + (128 + 1)


def test_up_and_down_sampling():
    x = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    up = layers.upsample(x)
    assert torch.equal(up[0, 0, :2], torch.tensor([[1.0, 1.0, 2.0, 2.0]] * 2))
    assert torch.equal(layers.downsample(up), x)
    assert layers.downsample(x).item() == 2.5


def test_pixel_norm_by_hand():
    x = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    expected = x / math.sqrt((9 + 16) / 2)
    torch.testing.assert_close(layers.PixelNorm()(x), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("norm", ["batch", "group", "layer"])
@pytest.mark.parametrize("shape", [(64, 16, 5, 5), (256, 16)])
def test_norms_give_zero_mean_and_unit_variance_over_what_they_pool(norm, shape):
    x = 3 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    y = layers.NORMS[norm](16)(x)
    pooled = {"batch": y.transpose(0, 1).flatten(1), "group": y.reshape(shape[0] * 8, -1), "layer": y.flatten(1)}[norm]
    # eps = 1e-5 beside a variance of about 4 moves the result by 1e-6; groups of two features can be close together.
    torch.testing.assert_close(pooled.mean(1), torch.zeros(len(pooled)), atol=1e-4, rtol=0)
    if not (norm == "group" and len(shape) == 2):
        torch.testing.assert_close(pooled.var(1, unbiased=False), torch.ones(len(pooled)), atol=1e-3, rtol=0)


def test_he_initialisation_keeps_the_scale():
    """Check that He's variance keeps a mean square over 20 plain layers, within the noise of the width."""
    x = torch.randn(256, 512, generator=torch.Generator().manual_seed(1))
    start = x.square().mean()
    for k in range(20):
        weight = torch.empty(512, 512)
        layers.draw_weight(weight, torch.Generator().manual_seed(k), scheme="he", fan_in=512)
        x = layers.activation(x) @ weight.T
    # Each layer multiplies by about 1 +- sqrt(2 / 512), 20 of them by 1 +- 0.3.
    assert 0.4 < x.square().mean() / start < 2.5


def test_initialisations_have_the_variance_they_name():
    shape, fan_in, fan_out = (64, 32, 3, 3), 32 * 9, 64 * 9
    gain = 2 / (1 + 0.2**2)
    for scheme, variance in (("he", gain / fan_in), ("glorot", 2 / (fan_in + fan_out))):
        weight = torch.empty(shape)
        layers.draw_weight(weight, torch.Generator().manual_seed(0), scheme=scheme, fan_in=fan_in)
        # The variance of 18,432 numbers has a standard deviation of sqrt(2 / 18432) = 1 %; four of these.
        assert abs(weight.var() / variance - 1) < 0.042
    rows = torch.empty(64, 288)
    layers.draw_weight(rows, torch.Generator().manual_seed(0), scheme="orthogonal", fan_in=288)
    torch.testing.assert_close(rows @ rows.T, gain * torch.eye(64), atol=1e-5, rtol=0)


def test_spectral_norm_bounds_every_layer():
    disc = make_network(LabDiscriminator, shape=(3, 16, 16), width=8, **(OPTIONS | {"spectral": True}))
    for _ in range(30):
        disc(torch.randn(2, 3, 16, 16))  # each pass is a step of the power iteration
    weights = [m.weight for m in disc.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    assert len(weights) == 8
    for weight in weights:
        assert abs(torch.linalg.matrix_norm(weight.detach().flatten(1), ord=2) - 1) < 0.01


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
def test_mlp_networks(shape):
    generator = make_network(MlpGenerator, shape=shape, latent_dim=3, width=8, **OPTIONS)
    disc = make_network(MlpDiscriminator, shape=shape, width=8, **OPTIONS)
    samples = generator(torch.randn(5, 3))
    assert samples.shape == (5, *shape)
    assert disc(samples).shape == (5,)


# A second implementation, in float64.

BLOCKS = [  # every kind, factor on the branch, place of a norm, and join
    {"block": "preact", "norm": "batch", "norm_place": "branch", "join": "sum"},
    {"block": "preact", "norm": "group", "norm_place": "trunk", "join": "stable"},
    {"block": "preact", "norm": "none", "join": "stable", "layer_scale": 0.3},
    {"block": "postact", "norm": "group", "norm_place": "branch", "join": "scaled", "branch_scale": 0.5},
    {"block": "postact", "norm": "batch", "norm_place": "trunk", "join": "stable"},
    {"block": "stylegan2", "norm": "pixel", "norm_place": "trunk", "join": "gated"},
    {"block": "stylegan2", "norm": "group", "norm_place": "branch", "join": "sum"},
    {"block": "bottleneck", "norm": "none", "join": "sum", "branch_scale": 0.3},
]
WAYS = [("none", "none"), ("norm", "projection"), ("concat", "concat")]  # of class-conditioning G and D
LABELS = torch.tensor([0, 2, 1, 1])


def noise64(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("image_skips", [True, False])
@pytest.mark.parametrize(("way_g", "way_d"), WAYS)
@pytest.mark.parametrize("block", BLOCKS)
def test_the_lab_networks_by_a_second_implementation(block, way_g, way_d, image_skips, residual):
    wiring = {"residual": residual, "blocks": [2, 0, 1], "image_skips": image_skips, "group_size": 4, **block}
    options = {"shape": (3, 16, 16), "width": [24, 16, 8], "spectral": False, "init": "he", "seed": 0}
    if block["block"] == "bottleneck" and way_g == "norm":
        way_g = "none"  # it has no norm for the class

    ours = disturbed(make_network(LabGenerator, latent_dim=7, conditional=way_g, classes=3, **wiring, **options))
    z = noise64(4, 7)
    expected = plain.lab_generator(ours.state_dict(), z, LABELS, conditional=way_g, **wiring)
    agree(ours(z, LABELS), expected)

    ours = disturbed(make_network(LabDiscriminator, conditional=way_d, classes=3, **wiring, **options))
    images = noise64(4, 3, 16, 16)
    wiring |= {"conditional": way_d, "classes": 3}
    agree(ours(images, LABELS), plain.lab_discriminator(ours.state_dict(), images, LABELS, **wiring))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("shape", [(2,), (3, 4, 4)])
@pytest.mark.parametrize(("way_g", "way_d"), WAYS)
@pytest.mark.parametrize("block", BLOCKS[:-1])  # a bottleneck is for images
def test_the_perceptrons_by_a_second_implementation(block, way_g, way_d, shape, residual):
    wiring = {"residual": residual, "blocks": 2, **block}
    options = {"shape": shape, "width": 16, "spectral": False, "init": "he", "seed": 0}

    ours = disturbed(make_network(MlpGenerator, latent_dim=7, conditional=way_g, classes=3, **wiring, **options))
    z = noise64(4, 7)
    expected = plain.mlp_generator(ours.state_dict(), z, LABELS, conditional=way_g, **wiring)
    agree(ours(z, LABELS), expected.view(4, *shape))

    ours = disturbed(make_network(MlpDiscriminator, conditional=way_d, classes=3, **wiring, **options))
    samples = noise64(4, *shape)
    wiring |= {"conditional": way_d, "classes": 3}
    agree(ours(samples, LABELS), plain.mlp_discriminator(ours.state_dict(), samples, LABELS, **wiring))


@pytest.mark.parametrize("norm", ["none", "pixel", "layer", "group"])
@pytest.mark.parametrize("residual", [True, False])
def test_no_norm_hides_from_either_arm_how_far_out_a_point_lies(norm, residual):
    """Check at the start: a norm divides by length, so with zero biases D(2x) = D(x) in the plain arm alone."""
    options = OPTIONS | {"residual": residual, "norm": norm, "blocks": 4, "width": 64}
    disc = make_network(MlpDiscriminator, shape=(2,), **options)
    generator = make_network(MlpGenerator, shape=(2,), latent_dim=2, **options)
    x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for net in (disc, generator):
            here, further = net(x), net(2 * x)
            assert (further - here).abs().mean() > 0.1 * here.std()
