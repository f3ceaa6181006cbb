"""Published networks: their counts, a second implementation of each, and their switch."""

import re

import pytest
import torch
from helpers import plain_networks as plain
from helpers.comparing import agree, disturbed
from torch import nn

from resgan.base.errors import OptionsError
from resgan.builders.networks import build_network, build_networks, count
from resgan.nets.blocks import Block, join

PAPER = {"residual": True, "spectral": False, "init": "published"}
RESNET_G = {"name": "resnet", "projection": "skip", "width": None, "upsample": "nearest", "norm": "batch",
            "latent_dim": 128, **PAPER}  # fmt: skip
RESNET_D = {"name": "resnet", "projection": "skip", "width": None, "pool": "sum", "norm": "none", **PAPER}
DEEP_G = {"name": "resnet101", "projection": "skip", "width": 64, "norm": "batch", "latent_dim": 128, **PAPER}
DEEP_D = {"name": "resnet101", "projection": "skip", "width": 64, "norm": "layer", **PAPER}
R3GAN_G = {"name": "r3gan", "width": 768, "blocks": 2, "group_size": 16, "norm": "none", "latent_dim": 64, **PAPER}
R3GAN_D = {"name": "r3gan", "width": 768, "blocks": 2, "group_size": 16, "norm": "none", **PAPER}
DCGAN_G = {"name": "dcgan", "projection": "skip", "width": 1024, "norm": "batch", "latent_dim": 100, **PAPER}
DCGAN_D = {"name": "dcgan", "projection": "skip", "width": 512, "norm": "batch", **PAPER}

# The same, narrow: (G, D, pixels).
NARROW = {
    "resnet 32": (RESNET_G | {"width": 16}, RESNET_D | {"width": 16}, 32),
    "resnet 48": (RESNET_G | {"width": 16}, RESNET_D | {"width": 32}, 48),
    "resnet 64": (RESNET_G | {"width": 32}, RESNET_D | {"width": 32}, 64),
    "resnet101": (DEEP_G | {"width": 8}, DEEP_D | {"width": 8}, 64),
    "r3gan": (R3GAN_G | {"width": 16, "init": "he"}, R3GAN_D | {"width": 16, "init": "he"}, 16),
    "dcgan": (DCGAN_G | {"width": 32}, DCGAN_D | {"width": 32}, 32),
}
PROJECTED = [name for name in NARROW if name != "r3gan"]


def generator(options: dict, size: int, *, classes: int = 0) -> nn.Module:
    return build_network(spec_of_one("generator", options, size, classes), "generator")


def disc(options: dict, size: int, *, classes: int = 0) -> nn.Module:
    return build_network(spec_of_one("disc", options, size, classes), "disc")


def spec_of_one(network: str, options: dict, size: int, classes: int) -> dict:
    shares = {str(k): 1 / classes for k in range(classes)}
    return {"shape": [3, size, size], "seed": 0, network: options, "classes": shares}


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def noise64(*shape: int) -> torch.Tensor:
    return noise(*shape).double()


# Counts.


@pytest.mark.parametrize(("size", "g", "d"), [
    # SNGAN's, counted in mimicry's classes; for 32 pixels by hand too: 128 * 4096 + 4096, three blocks of 2 * 590,080
    # + 2 * 512 + 65,792, 512, 6,915; and 151,680 + 311,680 + 2 * 295,168 + 129.
    (32, 4_276_739, 1_053_825),
    (48, 4_878_083, 10_141_441),
    (64, 12_220_675, 10_141_441),
])  # fmt: skip
def test_counts_of_sngan(size, g, d):
    assert parameters(generator(RESNET_G, size)) == g
    assert parameters(disc(RESNET_D, size)) == d


def test_counts_of_sngan_with_batch_norm_in_place_of_spectral_norm():
    """Compare with the logs of PyTorch-StudioGAN, 1,055,879 on CIFAR-10: eight norms of 128 channels, one of 3."""
    assert parameters(disc(RESNET_D | {"norm": "batch"}, 32)) == 1_053_825 + 8 * 256 + 6 == 1_055_879


def test_counts_of_the_101_layers():
    """Compare with the rewrite, which has as many layers as its name says."""
    assert parameters(generator(DEEP_G, 64)) == parameters(plain.WganGp101Generator()) == 9_189_587
    assert parameters(disc(DEEP_D, 64)) == parameters(plain.WganGp101Discriminator()) == 7_618_801
    for net in (generator(DEEP_G, 64), disc(DEEP_D, 64)):
        layers = [name for name, m in net.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
        assert len([name for name in layers if "shortcut" not in name]) == 101


@pytest.mark.parametrize(("classes", "g", "d"), [(0, 20_732_160, 20_683_776), (10, 20_781_952, 21_280_512)])
def test_counts_of_r3gan(classes, g, d):
    """Compare with the authors' classes (brownvc/R3GAN, the preset CIFAR10), with and without --cond."""
    told = ({"conditional": "concat"}, {"conditional": "projection"}) if classes else ({}, {})
    assert parameters(generator(R3GAN_G | told[0], 32, classes=classes)) == g
    assert parameters(disc(R3GAN_D | told[1], 32, classes=classes)) == d


def test_counts_of_dcgan():
    """Compare with the classes of pytorch-gan-collections, which are plain."""
    assert parameters(generator(DCGAN_G | {"residual": False}, 32)) == 11_429_632
    assert parameters(disc(DCGAN_D | {"residual": False}, 32)) == 4_309_441


# A second implementation, in float64.

RESNET_NAMES = [
    (r"^base\.", "linear."), (r"^to_logit\.", "linear."), (r"^to_image\.", "conv."), (r"^norm\.", "bn."),
    (r"\.norm(\d)", r".bn\1"), (r"\.layer(\d)", r".conv\1"), (r"\.(shortcut|trunk)\.layer", r".\1"),
    (r"\.(shortcut|trunk)\.norm", ".bn0"), (r"^with_code\.", ""),
]  # fmt: skip
DCGAN_NAMES = [
    (r"^base\.", "linear."), (r"^to_logit\.", "linear."), (r"^base_norm", "bn"), (r"\.norm", ".bn"),
    (r"\.(shortcut|trunk)\.layer", r".\1"), (r"\.layer", ".conv"),
]  # fmt: skip
R3GAN_NAMES = [
    (r"^to_basis", "linear"), (r"^to_logit", "linear"), (r"^to_image", "to_rgb"), (r"^from_image", "from_rgb"),
    (r"^to_width", "transitions"), (r"^stages\.(\d)\.blocks", r"stages.\1"), (r"\.layer(\d)", r".conv\1"),
]  # fmt: skip


def renamed(net: nn.Module, names: list) -> dict[str, torch.Tensor]:
    """Return our weights under the names of the rewrite."""
    found = {}
    for name, value in net.state_dict().items():
        for pattern, instead in names:
            name = re.sub(pattern, instead, name)
        found[name] = value
    return found


# Miyato et al. 2018, tables 4 and 5, and for 64 pixels mimicry. G: the widest channels over those of the dense layer
# and of each block, and pixels of the base. D: the widest channels over those of each block, and the number that halve.
TABLES = {
    32: ((1, 1, 1, 1), 4, (1, 1, 1, 1), 2),
    48: ((1, 2, 4, 8), 6, (16, 8, 4, 2, 1), 4),
    64: ((1, 2, 4, 8, 16), 4, (16, 8, 4, 2, 1), 5),
}


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("projection", ["skip", "trunk"])
@pytest.mark.parametrize(("size", "upsample"), [(32, "nearest"), (32, "bilinear"), (48, "nearest"), (64, "nearest")])
def test_the_generator_of_sngan_by_a_second_implementation(size, projection, upsample, residual):
    shares, base, _, _ = TABLES[size]
    options = {"upsample": upsample, "residual": residual}
    ours = disturbed(generator(RESNET_G | options | {"width": 32, "projection": projection}, size))
    widths = [32 // share for share in shares]
    other = plain.SnganGenerator(widths, base, on_trunk=projection == "trunk", **options).double()
    other.load_state_dict(renamed(ours, RESNET_NAMES))
    z = noise64(3, 128)
    agree(ours(z), other(z))
    agree(ours.eval()(z), other.eval()(z))  # uses the running statistics of that pass


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("projection", ["skip", "trunk"])
@pytest.mark.parametrize(
    ("size", "norm", "pool"),
    [(32, "none", "sum"), (32, "none", "mean"), (32, "batch", "sum"), (48, "batch", "sum"), (64, "none", "sum")],
)
def test_the_discriminator_of_sngan_by_a_second_implementation(size, projection, norm, pool, residual):
    """Check it also with a mean instead of the sum, as in WGAN-GP, and with batch norms, as in PyTorch-StudioGAN."""
    _, _, shares, halvings = TABLES[size]
    options = {"pool": pool, "residual": residual}
    ours = disturbed(disc(RESNET_D | options | {"width": 32, "projection": projection, "norm": norm}, size))
    widths, norms = [32 // share for share in shares], norm == "batch"
    other = plain.SnganDiscriminator(widths, halvings, norm=norms, on_trunk=projection == "trunk", **options).double()
    other.load_state_dict(renamed(ours, RESNET_NAMES))
    images = noise64(3, 3, size, size)
    agree(ours(images), other(images))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("ways", [("norm", "projection"), ("concat", "concat")])
def test_sngan_is_told_the_class_as_in_a_second_implementation(ways, residual):
    """Compare the networks for 48 pixels, whose stages differ in width."""
    labels = torch.tensor([0, 2, 1, 1, 0])
    options = {"width": 32, "residual": residual}
    ours = disturbed(generator(RESNET_G | options | {"conditional": ways[0]}, 48, classes=3))
    how = {"norm": "classes", "concat": "codes"}[ways[0]]
    other = plain.SnganGenerator([32, 16, 8, 4], 6, residual=residual, **{how: 3}).double()
    other.load_state_dict(renamed(ours, RESNET_NAMES))
    agree(ours(noise64(5, 128), labels), other(noise64(5, 128), labels))

    ours = disturbed(disc(RESNET_D | options | {"conditional": ways[1]}, 48, classes=3))
    how = {"projection": "classes", "concat": "planes"}[ways[1]]
    other = plain.SnganDiscriminator([2, 4, 8, 16, 32], 4, residual=residual, **{how: 3}).double()
    other.load_state_dict(renamed(ours, RESNET_NAMES))
    agree(ours(noise64(5, 3, 48, 48), labels), other(noise64(5, 3, 48, 48), labels))


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("projection", ["skip", "trunk"])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_dcgan_by_a_second_implementation(norm, projection, residual):
    """Compare both arms; the plain one with projection=skip is the original."""
    size, base = 48, 3
    options = {"width": 32, "projection": projection, "norm": norm, "residual": residual}
    given = {"norm": norm == "batch", "residual": residual, "on_trunk": projection == "trunk"}
    ours = disturbed(generator(DCGAN_G | options, size))
    other = plain.DcganGenerator(32, base, 100, **given).double()
    other.load_state_dict(renamed(ours, DCGAN_NAMES))
    agree(ours(noise64(3, 100)), other(noise64(3, 100)))

    ours = disturbed(disc(DCGAN_D | options, size))
    other = plain.DcganDiscriminator(32, base, **given).double()
    other.load_state_dict(renamed(ours, DCGAN_NAMES))
    agree(ours(noise64(3, 3, size, size)), other(noise64(3, 3, size, size)))


def test_the_block_of_r3gan_by_a_second_implementation():
    from resgan.nets import layers
    from resgan.nets.blocks import Bottleneck

    for residual in (True, False):
        ours = disturbed(Bottleneck(32, layer=layers.conv3x3, group_size=16, residual=residual))
        other = plain.R3ganBlock(32, 4, residual=residual).double()
        other.load_state_dict(renamed(ours, R3GAN_NAMES + [(r"^layer", "conv")]))
        x = noise64(2, 32, 8, 8)
        agree(ours(x), other(x))


@pytest.mark.parametrize("classes", [0, 3])
def test_r3gan_by_a_second_implementation(classes):
    widths, labels = [32, 32, 16], torch.tensor([0, 2, 1, 1]) if classes else None
    told = ({"conditional": "concat"}, {"conditional": "projection"}) if classes else ({}, {})
    options = {"width": widths, "latent_dim": 8, "group_size": 16}
    groups = [2 * width // 16 for width in widths]

    ours = disturbed(generator(R3GAN_G | options | told[0], 16, classes=classes))
    weights = renamed(ours, R3GAN_NAMES)
    if classes:
        weights["embed.weight"] = weights.pop("with_code.code.weight").T
    other = plain.R3ganGenerator(widths, groups, [2, 2, 2], 8, embedding=8 if classes else 0, classes=classes).double()
    other.load_state_dict(weights)
    agree(ours(noise64(4, 8), labels), other(noise64(4, 8), labels))

    del options["latent_dim"]
    ours = disturbed(disc(R3GAN_D | options | told[1], 16, classes=classes))
    weights = renamed(ours, R3GAN_NAMES)
    if classes:
        weights["embed.weight"] = weights.pop("to_class.weight").T
    other = plain.R3ganDiscriminator(
        widths, groups, [2, 2, 2], classes=classes, embedding=32 if classes else 0
    ).double()
    other.load_state_dict(weights)
    images = noise64(4, 3, 16, 16)
    agree(ours(images, labels), other(images, labels))


def in_order(ours: nn.Module, other: nn.Module) -> nn.Module:
    """Copy our weights into the rewrite, from front to back, and put its subpixels in our order."""
    mine, theirs = ours.state_dict(), other.state_dict()
    assert len(mine) == len(theirs)
    shortcuts_last = sorted(mine, key=lambda name: (block_of(name), "shortcut" in name))
    for name, key in zip(shortcuts_last, theirs, strict=True):
        value = mine[name]
        if ".shortcut.layer." in name:  # (4 C, ...): ours is C x 4, theirs 4 x C
            value = value.view(-1, 4, *value.shape[1:]).transpose(0, 1).reshape(value.shape)
        theirs[key] = value
    other.load_state_dict(theirs)
    return other


def block_of(name: str) -> int:
    if found := re.match(r"blocks\.(\d+)\.", name):
        return int(found[1])
    return -1 if name.startswith(("base", "from_image")) else 1000


@pytest.mark.parametrize("residual", [True, False])
def test_the_101_layers_by_a_second_implementation(residual):
    ours = disturbed(generator(DEEP_G | {"width": 8, "residual": residual}, 64))
    other = in_order(ours, plain.WganGp101Generator(dim=8, residual=residual).double())
    agree(ours(noise64(3, 128)), other(noise64(3, 128)))
    ours = disturbed(disc(DEEP_D | {"width": 8, "residual": residual}, 64))
    other = in_order(ours, plain.WganGp101Discriminator(dim=8, residual=residual).double())
    images = noise64(3, 3, 64, 64)
    agree(ours(images), other(images))


# The switch.


def blocks_of(net: nn.Module) -> list[Block]:
    return [module for module in net.modules() if isinstance(module, Block)]


def fed(net: nn.Module, x: torch.Tensor) -> list[tuple[Block, torch.Tensor, torch.Tensor]]:
    """Return each block with its input and its output."""
    seen: list[tuple[Block, torch.Tensor, torch.Tensor]] = []
    hooks = [
        b.register_forward_hook(lambda block, given, made: seen.append((block, given[0].clone(), made)))
        for b in blocks_of(net)
    ]
    net.eval()(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("projection", ["skip", "trunk"])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("name", NARROW)
def test_every_block_is_the_join_of_its_skip_and_its_branch(name, residual, projection):
    if name == "r3gan" and projection == "trunk":
        return
    g, d, size = NARROW[name]
    options = {"residual": residual} | ({"projection": projection} if name in PROJECTED else {})
    nets = (
        (generator(g | options, size), noise(2, g["latent_dim"])),
        (disc(d | options, size), noise(2, 3, size, size)),
    )
    for net, x in nets:
        seen = fed(net, x)
        assert seen
        for block, given, made in seen:
            assert block.residual == residual
            trunk = block.trunk(given) if name in PROJECTED else given
            y = block.branch(trunk)
            gate = {} if block.gate is None else {"gate": block.gate}
            assert torch.equal(made, block.after(join(block.skip(trunk), y, residual=residual, **gate)))
            if not residual:
                assert torch.equal(made, block.after(y if block.gate is None else block.gate * y))


@pytest.mark.parametrize("name", NARROW)
def test_both_arms_own_the_same_where_the_projection_is_on_the_trunk(name):
    """Check also that, as published, the plain arm has all parameters except the shortcuts, with the same values."""
    for make, options in ((generator, NARROW[name][0]), (disc, NARROW[name][1])):
        size = NARROW[name][2]
        arms = [make(options | {"residual": residual}, size).state_dict() for residual in (True, False)]
        assert [key for key in arms[0] if "shortcut" not in key] == list(arms[1])
        assert all(torch.equal(arms[0][key], value) for key, value in arms[1].items())
        if name in PROJECTED:
            assert len(arms[1]) < len(arms[0])
            on_trunk = options | {"projection": "trunk"}
            arms = [make(on_trunk | {"residual": residual}, size).state_dict() for residual in (True, False)]
            assert list(arms[0]) == list(arms[1])
            assert all(torch.equal(a, b) for a, b in zip(arms[0].values(), arms[1].values(), strict=True))


@pytest.mark.parametrize("name", PROJECTED)
def test_spectral_norm_is_the_same_in_both_arms(name):
    """Check that one arm's projections change no power iteration in the layers that both arms have."""
    for make, options in ((generator, NARROW[name][0]), (disc, NARROW[name][1])):
        given = options | {"spectral": True, "init": "glorot"}
        arms = [make(given | {"residual": residual}, NARROW[name][2]).state_dict() for residual in (True, False)]
        vectors = [key for key in arms[1] if key.endswith("._u")]
        assert len(vectors) > 2
        assert all(torch.equal(arms[0][key], value) for key, value in arms[1].items())


@pytest.mark.parametrize("name", NARROW)
def test_spectral_norm_bounds_every_layer(name):
    g, d, size = NARROW[name]
    nets = (
        (generator(g | {"spectral": True}, size), noise(2, g["latent_dim"])),
        (disc(d | {"spectral": True}, size), noise(2, 3, size, size)),
    )
    for net, x in nets:
        with torch.no_grad():
            for _ in range(30):
                net(x)  # each pass is a step of the power iteration
        layered = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
        assert len(layered) > 4
        for layer in layered:
            # Rows are outputs, which come second in the weight of a transposed convolution.
            weight = layer.weight.detach()
            rows = weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else weight
            largest = torch.linalg.matrix_norm(rows.flatten(1), ord=2)
            # The iteration comes from below; after k steps, whatever the gap to the next value, to about log(n) / 2k.
            assert 1 - 1e-4 < largest < 1.05


def test_he_initialisation_counts_what_a_transposed_convolution_adds_up():
    """Check a 4x4 of stride 2: each pixel is a sum over 2 x 2 places of each input channel."""
    weight = generator(DCGAN_G | {"width": 256, "init": "he"}, 32).to_image.weight
    assert weight.shape == (32, 3, 4, 4)
    # The variance of 1,536 numbers has a standard deviation of sqrt(2 / 1536) = 4 %; four of these.
    assert abs(weight.var() * (32 * 4) * (1 + 0.2**2) / 2 - 1) < 0.15


def test_both_counts_are_there():
    """Count the 1x1 shortcuts of SNGAN: 3 * (256 * 256 + 256), and (3 + 1) * 128 + (128 + 1) * 128 parameters."""
    spec = {"shape": [3, 32, 32], "seed": 0, "generator": RESNET_G, "disc": RESNET_D | {"residual": False}}
    counts = count(spec)
    assert counts["parameters"] == {"generator": 4_276_739, "disc": 1_053_825 - 17_024}
    assert counts["switched"]["parameters"] == {"generator": 4_276_739 - 197_376, "disc": 1_053_825}
    # A multiply-add is two operations: G at 8, 16 and 32 pixels; D at 16, of 3 and of 128 channels.
    less = 2 * 256 * 256 * (8**2 + 16**2 + 32**2)
    assert counts["flops"]["generator"] - counts["switched"]["flops"]["generator"] == less
    more = 2 * 3 * 128 * 16**2 + 2 * 128 * 128 * 16**2
    assert counts["switched"]["flops"]["disc"] - counts["flops"]["disc"] == more


# Initial weights.


def test_the_start_of_sngan():
    """Check Glorot's uniform: variance 2 / (fan_in + fan_out), twice that in the branches."""
    net = generator(RESNET_G | {"width": 64}, 32)
    block = net.blocks[1]
    for layer, expected in (
        (block.layer1, 4 / (9 * 128)), (block.layer2, 4 / (9 * 128)), (block.shortcut.layer, 2 / 128),
        (net.base, 2 / (128 + 1024)), (net.to_image, 2 / (9 * 67)),
    ):  # fmt: skip
        # The variance of n uniform numbers has a relative error of sqrt(0.8 / n); five of these.
        assert abs(layer.weight.var() / expected - 1) < 5 * (0.8 / layer.weight.numel()) ** 0.5
        assert layer.weight.abs().max() <= (3 * expected) ** 0.5 * 1.0001
        assert not layer.bias.any()


def test_the_start_of_r3gan():
    """Check Fixup: 1 / sqrt(fan_in) outside the branches, He's gain times blocks^(-1/4) inside, zero at their ends."""
    net = generator(R3GAN_G | {"width": 128, "latent_dim": 64, "conditional": "concat"}, 32, classes=10)
    block, blocks = net.stages[1].blocks[0], 8
    gain = (2 / 1.04) ** 0.5 * blocks**-0.25
    for weight, sd in (
        (block.layer1.weight, gain / 128**0.5), (block.layer2.weight, gain / (9 * 16) ** 0.5),
        (net.to_basis.weight, 1 / 128**0.5), (net.to_image.weight, 1 / 128**0.5), (net.basis, 1.0),
        (net.with_code.code.weight, 0.1**0.5),
    ):  # fmt: skip
        # The deviation of n normal numbers has a relative error of 1 / sqrt(2 n); five of these.
        assert abs(weight.std() / sd - 1) < 5 / (2 * weight.numel()) ** 0.5
    assert not any(block.layer3.weight.any() for block in blocks_of(net))
    net = disc(R3GAN_D | {"width": 128, "conditional": "projection"}, 32, classes=10)
    assert abs(net.to_class.weight.std() * (10 * 128) ** 0.5 - 1) < 5 / (2 * 1280) ** 0.5
    assert abs(net.basis.weight.std() * 4 - 1) < 5 / (2 * 2048) ** 0.5


def test_the_start_of_dcgan():
    net = generator(DCGAN_G | {"width": 128, "residual": False}, 32)
    for layer in (net.base, net.blocks[0].layer, net.to_image):
        assert abs(layer.weight.std() / 0.02 - 1) < 5 / (2 * layer.weight.numel()) ** 0.5


# Refusals.


@pytest.mark.parametrize(("options", "size", "said"), [
    (RESNET_G, 16, "generator.name=resnet: made for images of 32, 48, 64 pixels; these have 16"),
    (RESNET_G | {"width": 20}, 64, "generator.width=20: at 64 pixels it must be a multiple of 16"),
    (DEEP_G, 32, "generator.name=resnet101: made for images of 64 pixels; these have 32"),
    (DEEP_G | {"width": 6}, 64, "generator.width=6: must be a multiple of 4"),
    (DCGAN_G, 24, "generator.name=dcgan: made for images of a multiple of 16 pixels; these have 24"),
    (DCGAN_G | {"width": 20}, 32, "generator.width=20: must be a multiple of 8"),
    (R3GAN_G, 28, "generator.name=r3gan: made for images of 4 x 2^k pixels, such as 32 or 64; these have 28"),
    (R3GAN_G | {"width": 20}, 32, "generator.group_size=16: does not divide 2 x width, 40"),
    (RESNET_G | {"conditional": "norm"}, 32, "generator.conditional=norm: this data has no classes; use none"),
])  # fmt: skip
def test_what_cannot_be_is_said_in_one_line(options, size, said):
    with pytest.raises(OptionsError) as error:
        generator(options, size)
    assert str(error.value) == said


def test_resampling_of_r3gan_keeps_a_constant_inside():
    from resgan.nets.published.r3gan import filtered_downsample, filtered_upsample

    ones = torch.ones(1, 2, 8, 8)
    torch.testing.assert_close(filtered_upsample(ones)[:, :, 1:-1, 1:-1], torch.ones(1, 2, 14, 14))
    torch.testing.assert_close(filtered_downsample(ones)[:, :, 1:-1, 1:-1], torch.ones(1, 2, 2, 2))
    # A ramp that rises by one per pixel rises by a half between pixels twice as dense.
    line = torch.arange(8.0).expand(1, 1, 8, 8)
    rises = filtered_upsample(line)[0, 0, 4].diff()[2:-2]
    torch.testing.assert_close(rises, torch.full_like(rises, 0.5))


@pytest.mark.parametrize("name", NARROW)
def test_they_learn(name):
    """Check in both arms that a step against the gradient of a fixed batch lowers the loss: gradients reach all."""
    g, d, size = NARROW[name]
    for residual in (True, False):
        spec = {"shape": [3, size, size], "seed": 0, "generator": g | {"residual": residual},
                "disc": d | {"residual": residual}}  # fmt: skip
        net_g, net_d = build_networks(spec)
        logits = net_d(net_g(noise(4, g["latent_dim"])))
        assert logits.shape == (4,)
        logits.sum().backward()
        for net in (net_g, net_d):
            for key, parameter in net.named_parameters():
                # A bias before a norm has no effect.
                assert parameter.grad is not None, key
                assert parameter.grad.isfinite().all(), key
                assert parameter.ndim < 2 or parameter.grad.any(), key
