"""The looks-linear start: a plain network is affine, and each of its blocks an isometry."""

import itertools

import pytest
import torch
from helpers.networks import make_network
from helpers.options import options_of

from resgan.base.errors import OptionsError
from resgan.nets import layers
from resgan.nets.blocks import Block
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.options.train import TrainOptions
from resgan.options.validation import check

pytestmark = pytest.mark.usefixtures("in_float64")

CLASSES = 3
PICTURES, POINTS = {"shape": (3, 16, 16)}, {"shape": (2,)}
# Several blocks per stage, widths that grow and shrink, image skips, classes: all layers outside the blocks.
NETWORKS = {
    "lab G": (LabGenerator, PICTURES, {"blocks": 3, "width": 8}),
    "lab G, every part": (
        LabGenerator, PICTURES, {"blocks": [2, 1, 3], "width": [12, 6, 8], "image_skips": True, "conditional": "norm"},
    ),
    "lab G, concat": (LabGenerator, PICTURES, {"blocks": 1, "width": 8, "conditional": "concat", "join": "gated"}),
    "lab D": (LabDiscriminator, PICTURES, {"blocks": 3, "width": 8}),
    "lab D, every part": (
        LabDiscriminator, PICTURES,
        {"blocks": [2, 1, 3], "width": [12, 6, 8], "image_skips": True, "conditional": "projection"},
    ),
    "lab D, image skips": (LabDiscriminator, PICTURES, {"blocks": 1, "width": 8, "image_skips": True}),
    "mlp G": (MlpGenerator, POINTS, {"blocks": 5, "width": 8}),
    "mlp D": (MlpDiscriminator, POINTS, {"blocks": 5, "width": 8, "conditional": "projection"}),
}  # fmt: skip


def make(name: str, init: str = "looks_linear", **changes) -> torch.nn.Module:
    network, shape, options = NETWORKS[name]
    classes = {"classes": CLASSES} if "conditional" in options else {}
    latent = {"latent_dim": 5} if " G" in name else {}
    return make_network(network, **({"residual": False, "init": init} | shape | options | classes | latent | changes))


def inputs(name: str, *, seed: int) -> tuple[torch.Tensor, ...]:
    _, shape, options = NETWORKS[name]
    size = (5,) if " G" in name else shape["shape"]
    x = torch.randn(6, *size, generator=torch.Generator().manual_seed(seed))
    return (x, torch.arange(6) % CLASSES) if "conditional" in options else (x,)


def bend(net: torch.nn.Module, name: str) -> float:
    """Measure f(x + 2 (y - x)) - f(x) - 2 (f(y) - f(x)), relative to the spread of f(y) - f(x); affine: 0."""
    (x, *labels), (y, *_) = inputs(name, seed=0), inputs(name, seed=1)
    with torch.no_grad():
        at_x, at_y, beyond = (net(place, *labels) for place in (x, y, 2 * y - x))
    return float((beyond - (2 * at_y - at_x)).norm() / (at_y - at_x).norm())


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_plain_network_is_affine_at_the_start(name, fused):
    """Check a residual network too: where its branches are linear, their sum with the identity is."""
    for residual in (False, True):
        net = make(name, residual=residual)
        layers.fuse(net, fused)
        assert bend(net, name) < 1e-12  # rounding of some hundred numbers of order 1 is 1e-14 or so
        # And not because it is constant: outputs differ between samples, at the scale of the trunk.
        assert net(*inputs(name, seed=0)).std(0).min() > 0.01


@pytest.mark.parametrize("init", ["he", "orthogonal", "dirac"])
@pytest.mark.parametrize("name", NETWORKS)
def test_with_other_starts_it_is_not(name, init):
    assert bend(make(name, init), name) > 0.01


@pytest.mark.parametrize("name", NETWORKS)
def test_blocks_are_isometries_of_mirrored_inputs(name):
    """Check |F(x)| = |x|, and that the trunk arrives mirrored: its halves are each other's negative."""
    seen = []
    net = make(name)
    for module in net.modules():
        if isinstance(module, Block):
            module.register_forward_hook(lambda block, given, output: seen.append((block, given[0], output)))
    with layers.unfused(net), torch.no_grad():
        net(*inputs(name, seed=0))
        assert len(seen) >= 3
        for block, x, y in seen:
            for trunk in (x, y):
                first, second = trunk.chunk(2, dim=1)
                torch.testing.assert_close(first, -second, rtol=0, atol=1e-12)
            torch.testing.assert_close(y.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1), rtol=1e-12, atol=0)
            assert not torch.allclose(y, x, atol=0.1)  # F is not the identity
            other = block.branch(x.abs(), *inputs(name, seed=0)[1:])
            assert not torch.allclose(other.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1), rtol=1e-3)


@pytest.mark.parametrize("name", ["lab G", "lab D", "mlp G"])
def test_weights_are_those_of_both_arms_and_of_every_depth(name):
    plain, residual, deeper = make(name), make(name, residual=True), make(name, blocks=6)
    for key, value in plain.state_dict().items():
        assert torch.equal(value, residual.state_dict()[key])
        assert torch.equal(value, deeper.state_dict()[key])
    weights = [block.layer1.weight for block in plain.modules() if isinstance(block, Block)]
    assert not any(torch.allclose(a, b) for a, b in itertools.combinations(weights, 2))
    assert not torch.allclose(weights[0], make(name, seed=1).state_dict()[next(
        key for key, value in plain.state_dict().items() if torch.equal(value, weights[0])
    )])  # fmt: skip


def test_outside_the_blocks_it_keeps_the_size_of_he():
    """Check that half of the first layer is He's, and the last keeps the variance, times 2 / (1 + 0.2^2) / 2 = .96."""
    he, mirrored = (make("mlp G", init, width=512, blocks=0) for init in ("he", "looks_linear"))
    assert torch.equal(mirrored.trunk.first.weight[:256], he.trunk.first.weight[:256])
    assert torch.equal(mirrored.trunk.first.bias[256:], -he.trunk.first.bias[:256])
    z = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(0))
    ratio = mirrored(z).square().mean() / mirrored.trunk.first(z).square().mean()
    # The mean of 2 rows of 256 weights, squared: sd sqrt(2 / 512) = .06, four of them.
    assert ratio.item() == pytest.approx(1 / 1.04, abs=0.25)


@pytest.mark.parametrize(("options", "said"), [
    (["generator.block=postact"], "generator.init=looks_linear: needs block=preact, without"),
    (["generator.norm=pixel", "generator.width=31"], "needs norm=none, an even width, without"),
    (["generator.width=[8,8,7]"], "needs an even width"),
    (["generator.spectral=true"], "needs spectral=false"),
    (["generator.inner=3"], "needs inner=1"),
    (["generator.branch_scale=0.1"], "needs branch_scale=1"),
    (["generator.layer_scale=0.1"], "needs layer_scale=null"),
    (["data=gaussians", "generator.width=33"], "needs an even width"),
])  # fmt: skip
def test_it_is_refused_where_it_would_be_something_else(options, said):
    with pytest.raises(OptionsError, match=r"generator\.init=looks_linear") as caught:
        check(TrainOptions, options_of("generator.init=looks_linear", *options))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_odd_width_that_gets_past_the_options_is_refused_by_the_network():
    with pytest.raises(ValueError, match="init=looks_linear: mirrors halves"):
        make("mlp G", width=7)
