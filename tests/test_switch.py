"""The proofs that `residual` changes one thing: whether the input is added back."""

import itertools
import math

import pytest
import torch
from conftest import options_of

from resgan.nets import layers
from resgan.nets.blocks import Block, join
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator

KINDS = ("preact", "postact")
JOINS = ("sum", "scaled", "gated")
NORMS = ("none", "batch", "group", "pixel", "layer")
SHAPE = (3, 16, 16)


def make_block(layer=layers.conv3x3, *, seed=0, scheme="he", **options) -> Block:
    block = Block(8, layer=layer, **({"residual": True} | options))
    layers.initialise(block, seed=seed, network="generator", scheme=scheme, last="layer2.weight")
    return block


def samples(layer, *, seed=0) -> torch.Tensor:
    shape = (4, 8, 6, 6) if layer is layers.conv3x3 else (4, 8)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


BLOCKS = list(itertools.product(KINDS, JOINS, NORMS, (layers.conv3x3, layers.linear)))


@pytest.mark.parametrize(("kind", "how", "norm", "layer"), BLOCKS)
@pytest.mark.parametrize("residual", [True, False])
def test_a_block_is_the_join_of_its_input_and_its_branch(kind, how, norm, layer, residual):
    block = make_block(layer, residual=residual, block=kind, how=how, norm=norm)
    x = samples(layer)
    before = x.clone()
    found = block(x)
    expected = join(x, block.branch(x), residual=residual, how=how, gate=block.gate)
    expected = layers.activation(expected) if kind == "postact" else expected
    assert torch.equal(found, expected)
    assert torch.equal(x, before)  # an in-place activation would show here


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("layer", [layers.conv3x3, layers.linear])
def test_residual_is_x_plus_plain(norm, layer):
    """The equation y = x + F(x), bit for bit, from two blocks that were built apart."""
    residual, plain = (make_block(layer, residual=r, norm=norm) for r in (True, False))
    x = samples(layer)
    assert torch.equal(residual(x), x + plain(x))


def test_joins_by_hand():
    """The worked example [2.0, 1.5, 0.8] + [0.3, -0.1, 0.2] of the tutorials."""
    x, y = torch.tensor([2.0, 1.5, 0.8]), torch.tensor([0.3, -0.1, 0.2])
    gate = torch.tensor(0.5)
    # Sums of two float32 near 2 are exact to half a unit in the last place, 1.2e-7.
    close = {"rtol": 0, "atol": 2.4e-7}
    torch.testing.assert_close(join(x, y, residual=True), torch.tensor([2.3, 1.4, 1.0]), **close)
    torch.testing.assert_close(
        join(x, y, residual=True, how="scaled"), torch.tensor([2.3, 1.4, 1.0]) / math.sqrt(2), **close
    )
    torch.testing.assert_close(
        join(x, y, residual=True, how="gated", gate=gate), torch.tensor([2.15, 1.45, 0.9]), **close
    )
    for how in ("sum", "scaled"):
        assert torch.equal(join(x, y, residual=False, how=how), y)
    assert torch.equal(join(x, y, residual=False, how="gated", gate=gate), 0.5 * y)


def networks(residual: bool, *, seed=3, **options):
    given = {"block": "preact", "blocks": 2, "width": 8, "norm": "group", "join": "sum", "init": "he"} | options
    given |= {"spectral": options.get("spectral", False), "seed": seed, "residual": residual}
    return {
        "lab G": LabGenerator(shape=SHAPE, latent_dim=5, **given),
        "lab D": LabDiscriminator(shape=SHAPE, **given),
        "mlp G": MlpGenerator(shape=(2,), latent_dim=5, **given),
        "mlp D": MlpDiscriminator(shape=(2,), **given),
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
    """The arms are different functions, and with no blocks they are the same."""
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


@pytest.mark.parametrize("how", ["sum", "gated"])
@pytest.mark.parametrize("layer", [layers.conv3x3, layers.linear])
def test_a_block_with_a_zero_branch_changes_no_bit(how, layer):
    """Nested function classes: the deeper network contains the shallower one."""
    x = samples(layer)
    assert torch.equal(make_block(layer, how=how, scheme="zero_last")(x), x)
    # After the join of a postact block stands an activation: identity where x >= 0, and only there.
    postact = make_block(layer, how=how, scheme="zero_last", block="postact")
    assert torch.equal(postact(x.abs()), x.abs())
    assert not torch.equal(postact(-x.abs()), -x.abs())
    # Scaled and plain blocks do not nest.
    assert not torch.equal(make_block(layer, how="scaled", scheme="zero_last")(x), x)
    assert torch.equal(make_block(layer, how=how, scheme="zero_last", residual=False)(x), torch.zeros_like(x))


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
    from resgan.runs import differences

    data = ["data=gaussians"] if kind == "mlp" else []
    on, off = (options_of(*data, f"{network}.residual={value}") for value in ("true", "false"))
    assert differences(on, off) == [f"{network}.residual was true, is false"]


def test_the_switch_is_read_in_one_place():
    from pathlib import Path

    import resgan

    code = "".join(path.read_text() for path in Path(resgan.__file__).parent.rglob("*.py"))
    assert code.count("self.residual") == 2  # kept once, read once
    assert code.count("residual=self.residual") == 1
