"""The proofs that `residual` changes one thing: whether the input is added back."""

import itertools
import math
from typing import get_args

import pytest
import torch
from helpers.networks import make_network
from helpers.options import options_of

from resgan.nets import layers
from resgan.nets.blocks import BLOCKS, Block, branches, join
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.options.choices import Join

KINDS = tuple(BLOCKS)
JOINS = get_args(Join)
NORMS = tuple(layers.NORMS)
SHAPE = (3, 16, 16)


def make_block(layer=layers.conv3x3, *, seed=0, scheme="he", kind="preact", **options) -> Block:
    made = BLOCKS[kind](8, layer=layer, **({"residual": True} | options))
    layers.initialise(made, seed=seed, network="generator", scheme=scheme, branches=branches(made))
    return made


def samples(layer, *, seed=0) -> torch.Tensor:
    shape = (4, 8, 6, 6) if layer is layers.conv3x3 else (4, 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


COMBINATIONS = [
    (kind, how, norm, place, layer)
    for kind, how, norm, place, layer in itertools.product(
        KINDS, JOINS, NORMS, ("trunk", "branch"), (layers.conv3x3, layers.linear)
    )
    if (norm != "none" or place == "trunk") and (kind != "bottleneck" or (norm == "none" and layer is layers.conv3x3))
]


@pytest.mark.parametrize(("kind", "how", "norm", "place", "layer"), COMBINATIONS)
@pytest.mark.parametrize("residual", [True, False])
def test_a_block_is_the_join_of_its_input_and_its_branch(kind, how, norm, place, layer, residual):
    """Compare with join(x, F(x)), or join(n(x), F(n(x))) where a norm is on the trunk."""
    block = make_block(layer, residual=residual, kind=kind, join=how, norm=norm, norm_place=place, depth=4)
    x = samples(layer)
    before = x.clone()
    found = block(x)
    trunk = layers.NORMS[norm](8)(x) if place == "trunk" else x
    expected = join(trunk, block.branch(trunk), residual=residual, join=how, gate=block.gate, depth=4)
    expected = layers.activation(expected) if kind == "postact" else expected
    assert torch.equal(found, expected)
    assert torch.equal(x, before)  # an in-place activation would show here


@pytest.mark.parametrize(
    ("kind", "norm", "place", "layer"),
    [(k, n, p, y) for k, h, n, p, y in COMBINATIONS if h == "sum" and k != "postact"],
)
@pytest.mark.parametrize("factor", [{}, {"branch_scale": 0.3}, {"layer_scale": 0.1}])
def test_residual_is_x_plus_plain(kind, norm, place, layer, factor):
    """Check y = x + F(x), bit for bit, with two blocks built separately."""
    options = {"kind": kind, "norm": norm, "norm_place": place, **factor}
    residual, plain = (make_block(layer, residual=r, **options) for r in (True, False))
    x = samples(layer)
    trunk = layers.NORMS[norm](8)(x) if place == "trunk" else x
    assert torch.equal(residual(x), trunk + plain(x))


def test_joins_by_hand():
    """Check the worked example [2.0, 1.5, 0.8] + [0.3, -0.1, 0.2] of the tutorials."""
    x, y = torch.tensor([2.0, 1.5, 0.8]), torch.tensor([0.3, -0.1, 0.2])
    gate = torch.tensor(0.5)
    # Sums of two float32 near 2 are exact to half a unit in the last place, 1.2e-7.
    close = {"rtol": 0, "atol": 2.4e-7}
    torch.testing.assert_close(join(x, y, residual=True), torch.tensor([2.3, 1.4, 1.0]), **close)
    torch.testing.assert_close(
        join(x, y, residual=True, join="scaled"), torch.tensor([2.3, 1.4, 1.0]) / math.sqrt(2), **close
    )
    torch.testing.assert_close(
        join(x, y, residual=True, join="gated", gate=gate), torch.tensor([2.15, 1.45, 0.9]), **close
    )
    torch.testing.assert_close(
        join(x, y, residual=True, join="stable", depth=4), torch.tensor([2.15, 1.45, 0.9]), **close
    )
    for how in ("stable", "sum", "scaled"):
        assert torch.equal(join(x, y, residual=False, join=how, depth=4), y)
    assert torch.equal(join(x, y, residual=False, join="gated", gate=gate), 0.5 * y)


def networks(residual: bool, *, seed=3, **options):
    given = {"block": "preact", "blocks": 2, "width": 8, "norm": "group", "join": "sum", "init": "he"} | options
    given |= {"spectral": options.get("spectral", False), "seed": seed, "residual": residual}
    return {
        "lab G": make_network(LabGenerator, shape=SHAPE, latent_dim=5, **given),
        "lab D": make_network(LabDiscriminator, shape=SHAPE, **given),
        "mlp G": make_network(MlpGenerator, shape=(2,), latent_dim=5, **given),
        "mlp D": make_network(MlpDiscriminator, shape=(2,), **given),
    }


@pytest.mark.parametrize("how", JOINS)
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("spectral", [True, False])
def test_both_arms_own_the_same_parameters_with_the_same_values(how, norm, spectral):
    options = {"join": how, "norm": norm, "spectral": spectral}
    for name, residual in networks(True, **options).items():
        plain = networks(False, **options)[name].state_dict()
        assert list(residual.state_dict()) == list(plain), name
        for key, value in residual.state_dict().items():
            assert torch.equal(value, plain[key]), (name, key)


def test_the_switch_reaches_every_block():
    """Check that the arms are different functions, and the same function without blocks."""
    z, images = torch.randn(2, 5), torch.randn(2, *SHAPE)
    for name, x in (("lab G", z), ("lab D", images), ("mlp G", z)):
        on, off = networks(True)[name], networks(False)[name]
        assert not torch.equal(on(x), off(x)), name
        assert torch.equal(networks(True, blocks=0)[name](x), networks(False, blocks=0)[name](x)), name
        blocks = [module for module in on.modules() if isinstance(module, Block)]
        assert all(block.residual for block in blocks)
        assert len(blocks) == (6 if "lab" in name else 2)


def test_weights_do_not_depend_on_depth_or_on_the_global_seed():
    torch.manual_seed(1)
    shallow = networks(True, blocks=1)["lab G"].state_dict()
    torch.manual_seed(2)
    deep = networks(False, blocks=3)["lab G"].state_dict()
    assert set(shallow) < set(deep)
    assert all(torch.equal(value, deep[key]) for key, value in shallow.items())


def test_weights_depend_on_seed_network_and_name():
    generator, other = networks(True, seed=3)["lab G"], networks(True, seed=4)["lab G"]
    first, second = generator.stages[0].blocks[0], generator.stages[0].blocks[1]
    assert not torch.equal(first.layer1.weight, other.stages[0].blocks[0].layer1.weight)
    assert not torch.equal(first.layer1.weight, second.layer1.weight)
    assert not torch.equal(first.layer1.weight, first.layer2.weight)
    disc = networks(True, seed=3)["lab D"]
    assert not torch.equal(first.layer1.weight, disc.stages[0].blocks[0].layer1.weight)


@pytest.mark.parametrize("how", ["stable", "sum", "gated"])
@pytest.mark.parametrize("layer", [layers.conv3x3, layers.linear])
def test_a_block_with_a_zero_branch_changes_no_bit(how, layer):
    """Check nested function classes: the deeper network contains the shallower one."""
    x = samples(layer)
    assert torch.equal(make_block(layer, join=how, scheme="zero_last")(x), x)
    # A postact block has an activation after the join: the identity where x >= 0, and only there.
    postact = make_block(layer, join=how, scheme="zero_last", kind="postact")
    assert torch.equal(postact(x.abs()), x.abs())
    assert not torch.equal(postact(-x.abs()), -x.abs())
    # Scaled and plain blocks do not nest.
    assert not torch.equal(make_block(layer, join="scaled", scheme="zero_last")(x), x)
    assert torch.equal(make_block(layer, join=how, scheme="zero_last", residual=False)(x), torch.zeros_like(x))
    if layer is layers.conv3x3:
        for kind in ("bottleneck", "stylegan2"):
            assert torch.equal(make_block(join=how, scheme="zero_last", kind=kind)(x), x)


def test_an_inserted_zero_block_leaves_a_whole_network_as_it_was():
    z = torch.randn(3, 5)
    shallow = networks(True, blocks=1, norm="none")["lab G"]
    deep = networks(True, blocks=2, norm="none")["lab G"]
    for stage in deep.stages:
        torch.nn.init.zeros_(stage.blocks[1].layer2.weight)
    assert torch.equal(shallow(z), deep(z))


@pytest.mark.parametrize("network", ["generator", "disc"])
@pytest.mark.parametrize("kind", ["lab", "mlp"])
def test_the_configurations_of_two_arms_differ_in_one_key(network, kind):
    from resgan.runs.configuration import differences

    data = ["data=gaussians"] if kind == "mlp" else []
    on, off = (options_of(*data, f"{network}.residual={value}") for value in ("true", "false"))
    assert differences(on, off) == [f"{network}.residual was true, is false"]


# Factors on the branch, and initial weights of blocks


def test_factors_on_the_branch():
    """Check a fixed factor, a learned one of the block, and one of each channel: all on F alone, in both arms."""
    x = samples(layers.conv3x3)
    plain = make_block(residual=False)(x)
    assert torch.equal(make_block(residual=False, branch_scale=0.3)(x), 0.3 * plain)
    assert torch.equal(make_block(residual=True, branch_scale=0.3)(x), x + 0.3 * plain)
    channels = make_block(residual=True, layer_scale=0.5)
    with torch.no_grad():
        channels.gate.copy_(torch.arange(8.0))
    assert torch.equal(channels(x), x + torch.arange(8.0).view(8, 1, 1) * plain)
    points = make_block(layers.linear, residual=False, layer_scale=0.5)
    with torch.no_grad():
        points.gate.copy_(torch.arange(8.0))
    z = samples(layers.linear)
    assert torch.equal(points(z), torch.arange(8.0) * make_block(layers.linear, residual=False)(z))
    assert [name for name, _ in channels.named_parameters() if "gate" in name] == ["gate"]


def test_fixup_is_its_rule():
    """Check L = 6 blocks: of m = 2 layers, first times 6^(-1/2), last 0; of m = 3, the first two times 6^(-1/4)."""
    for kind, m, power in (("preact", 2, -1 / 2), ("bottleneck", 3, -1 / 4)):
        options = {"residual": True, "block": kind, "blocks": 2, "norm": "none", "join": "sum", "spectral": False}
        he, fixup = (
            make_network(LabGenerator, shape=SHAPE, latent_dim=5, width=8, init=init, seed=0, **options).state_dict()
            for init in ("he", "fixup")
        )
        for key, value in fixup.items():
            if f"layer{m}.weight" in key:
                assert not value.any()
            elif "blocks" in key and "weight" in key:
                torch.testing.assert_close(value, he[key] * 6**power)
            else:
                assert torch.equal(value, he[key])


@pytest.mark.parametrize("kind", KINDS)
def test_dirac_begins_as_near_the_identity_as_activations_let_it(kind):
    x = samples(layers.conv3x3)
    found = make_block(residual=False, scheme="dirac", kind=kind)(x)
    assert torch.equal(found, layers.activation(layers.activation(x)))
    positive = x.abs()
    assert torch.equal(make_block(residual=False, scheme="dirac", kind=kind)(positive), positive)
    if kind != "bottleneck":
        z = samples(layers.linear)
        expected = layers.activation(layers.activation(z))
        assert torch.equal(make_block(layers.linear, residual=False, scheme="dirac", kind=kind)(z), expected)


def test_a_bottleneck_by_hand():
    """Check 1x1 to twice the width, 3x3 in groups of 4, 1x1 back: the weights, and the output against plain torch."""
    block = make_block(residual=True, kind="bottleneck", group_size=4)
    shapes = {name: tuple(p.shape) for name, p in block.named_parameters()}
    assert shapes == {
        "layer1.weight": (16, 8, 1, 1),
        "layer1.bias": (16,),
        "layer2.weight": (16, 4, 3, 3),
        "layer2.bias": (16,),
        "layer3.weight": (8, 16, 1, 1),
    }
    x = samples(layers.conv3x3)
    w = {name: p.detach() for name, p in block.named_parameters()}
    y = torch.einsum("oi,nihw->nohw", w["layer1.weight"][:, :, 0, 0], x)
    y = torch.where(y > 0, y, 0.2 * y)
    padded = torch.nn.functional.pad(y, (1, 1, 1, 1))
    z = torch.zeros_like(y)
    for o in range(16):  # each output sees the four channels of its group
        for c in range(4):
            for i, j in itertools.product(range(3), range(3)):
                z[:, o] += w["layer2.weight"][o, c, i, j] * padded[:, o // 4 * 4 + c, i : i + 6, j : j + 6]
    z = torch.where(z > 0, z, 0.2 * z)
    expected = x + torch.einsum("oi,nihw->nohw", w["layer3.weight"][:, :, 0, 0], z)
    torch.testing.assert_close(block(x), expected, rtol=1e-5, atol=1e-5)


def test_what_does_not_make_a_block():
    with pytest.raises(ValueError, match="group_size=5: does not divide 2 x width, 16"):
        make_block(kind="bottleneck", group_size=5)
    with pytest.raises(ValueError, match="for images; use preact"):
        make_block(layers.linear, kind="bottleneck")
    with pytest.raises(ValueError, match="norm=pixel: block=bottleneck"):
        make_block(kind="bottleneck", norm="pixel")


def test_the_switch_is_read_in_one_place():
    from pathlib import Path

    import resgan

    code = "".join(path.read_text() for path in (Path(resgan.__file__).parent / "nets").rglob("*.py"))
    assert code.count("self.residual") == 2  # kept once, read once
    assert code.count("residual=self.residual") == 1
