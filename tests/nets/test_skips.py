"""Controls of the skip, and wider branches, each compared with its equation."""

import itertools

import pytest
import torch
from helpers.networks import make_network
from helpers.options import options_of
from torch.autograd.functional import jacobian
from torch.autograd.gradcheck import GradcheckError

from resgan.base.errors import OptionsError
from resgan.builders.networks import count, spec_of_networks
from resgan.nets import layers
from resgan.nets.blocks import BLOCKS, Block, branches
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.nets.skips import skips_that_stop, stopped
from resgan.options.train import TrainOptions
from resgan.options.validation import check

pytestmark = pytest.mark.usefixtures("in_float64")

CONTROLS = {
    "orthogonal": {"skip": "orthogonal"},
    "forward": {"skip": "forward"},
    "gradient": {"skip": "gradient"},
    "beta": {"skip_scale": 0.7},
    "annealed": {"skip_final": 0.5},
    "orthogonal, beta": {"skip": "orthogonal", "skip_scale": 0.7},
    "forward, annealed": {"skip": "forward", "skip_final": 0.0},
}


def make_block(layer=layers.linear, *, kind="preact", width=6, **options) -> Block:
    made = BLOCKS[kind](width, layer=layer, **({"residual": True, "join": "sum"} | options))
    layers.initialise(made, seed=0, network="generator", scheme="he", branches=branches(made))
    return made


def samples(layer=layers.linear, width=6) -> torch.Tensor:
    shape = (3, width, 4, 4) if layer is layers.conv3x3 else (3, width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", ["preact", "postact", "stylegan2"])
@pytest.mark.parametrize("layer", [layers.linear, layers.conv3x3])
@pytest.mark.parametrize("how", ["sum", "stable", "scaled"])
def test_values(kind, layer, how):
    """Compare y = s(x) + F, (s(x) + F) / sqrt 2, s(x) + F / sqrt L with plain torch.

    s is that of each control; annealed to .9, the block is .9 y + .1 F.
    """
    x = samples(layer)
    plain = make_block(layer, kind=kind, residual=False)
    f = plain.branch(x)
    for name, options in CONTROLS.items():
        block = make_block(layer, kind=kind, join=how, depth=4, **options)
        annealed = name.endswith("annealed")
        if annealed:
            block.share.fill_(0.9)
        q = block.carry.map.weight if "orthogonal" in name else None
        s = {
            "orthogonal": lambda x, q=q: torch.einsum("ij,nj...->ni...", q, x),
            "forward": lambda x: x,
            "gradient": lambda x: 0 * x,
            "beta": lambda x: 0.7 * x,
            "annealed": lambda x: x,
            "orthogonal, beta": lambda x, q=q: 0.7 * torch.einsum("ij,nj...->ni...", q, x),
            "forward, annealed": lambda x: x,
        }[name](x)
        y = {"sum": s + f, "stable": s + f / 2, "scaled": (s + f) / 2**0.5}[how]
        y = 0.9 * y + 0.1 * f if annealed else y
        for skips in ([], skips_that_stop(block)):
            with stopped(skips):
                torch.testing.assert_close(block(x), plain.after(y), msg=name)


@pytest.mark.parametrize("name", CONTROLS)
def test_plain_networks_own_a_control_and_do_not_use_it(name):
    """Check equal names, values and counts in both arms; no bit of a plain network's output depends on it."""
    options = {"blocks": 2, "width": 8, "residual": False, "latent_dim": 5, "shape": (3, 16, 16)}
    on, off, without = (
        make_network(LabGenerator, **options | more)
        for more in (CONTROLS[name] | {"residual": True}, CONTROLS[name], {})
    )
    z = torch.randn(3, 5)
    assert torch.equal(off(z), without(z))
    assert not torch.equal(on(z), off(z))
    assert list(on.state_dict()) == list(off.state_dict())
    assert all(torch.equal(value, off.state_dict()[key]) for key, value in on.state_dict().items())
    own = set(off.state_dict()) - set(without.state_dict())
    wanted = {"orthogonal": "carry.map.weight", "beta": "carry.beta", "annealed": "share"}
    kinds = [kind for kind in wanted if kind in name]
    assert own == {f"stages.{s}.blocks.{k}.{wanted[kind]}" for s in range(3) for k in range(2) for kind in kinds}
    learned = {key for key, _ in off.named_parameters()} - {key for key, _ in without.named_parameters()}
    assert learned == {
        key for key in own if key.endswith("beta")
    }  # neither a frozen map nor the share of an annealed join


@pytest.mark.parametrize("how", ["sum", "stable", "scaled"])
def test_an_annealed_join_begins_as_the_residual_block_and_ends_as_the_plain_one(how):
    """Compare to the last bit; a plain block is the same at any time."""
    x = samples()
    block = make_block(join=how, depth=4, skip_final=0.0)
    plain = make_block(join=how, depth=4, skip_final=0.0, residual=False)
    at = {}
    for share in (1.0, 0.3, 0.0):
        block.share.fill_(share)
        plain.share.fill_(share)
        at[share] = block(x)
        assert torch.equal(plain(x), make_block(join=how, depth=4, residual=False)(x))
    assert torch.equal(at[1.0], make_block(join=how, depth=4)(x))
    assert torch.equal(at[0.0], plain(x))
    assert not torch.allclose(at[0.3], at[0.0])


# Gradients.


def test_gradients_by_jacobians():
    """Check stopped skips: J_F of x + F with forward, 1 + J_F of F with gradient; not stopped, the Jacobian of y."""
    x, one = samples()[0], torch.eye(6)
    j = jacobian(lambda x: make_block(residual=False)(x[None])[0], x)
    for kind, while_stopped, intact in (("forward", j, one + j), ("gradient", one + j, j)):
        block = make_block(skip=kind)
        torch.testing.assert_close(jacobian(lambda x: block(x[None])[0], x), intact)  # noqa: B023
        with stopped(skips_that_stop(block)):
            torch.testing.assert_close(jacobian(lambda x: block(x[None])[0], x), while_stopped)  # noqa: B023
        torch.testing.assert_close(jacobian(lambda x: block(x[None])[0], x), intact)  # noqa: B023
    assert not torch.allclose(j, one + j)
    q = make_block(skip="orthogonal").carry.map.weight
    torch.testing.assert_close(jacobian(lambda x: make_block(skip="orthogonal")(x[None])[0], x), q + j)


def test_where_nothing_is_stopped_gradients_are_those_of_the_function():
    """Compare with finite differences of a whole D."""
    x = torch.randn(2, 2, generator=torch.Generator().manual_seed(1), requires_grad=True)
    for kind in ("forward", "gradient"):
        net = make_network(MlpDiscriminator, shape=(2,), width=6, blocks=2, residual=True, skip=kind)
        assert torch.autograd.gradcheck(net, (x,))
        with stopped(skips_that_stop(net)), pytest.raises(GradcheckError):
            torch.autograd.gradcheck(net, (x,))


def test_a_skip_stays_stopped_no_longer_than_it_was_asked_for():
    block = make_block(skip="forward")
    with pytest.raises(KeyError), stopped([block.carry]):
        raise KeyError
    assert not block.carry.stopped
    assert skips_that_stop(make_block(skip="orthogonal", skip_scale=1.0)) == []


def test_beta_learns_by_how_the_gradient_lies_to_x():
    """Check d loss / d beta = sum of x times the gradient that comes back."""
    block, x, back = make_block(skip_scale=0.0), samples(), samples().flip(0)
    block(x).backward(back)
    torch.testing.assert_close(block.carry.beta.grad, (x * back).sum())
    assert make_block(skip_scale=0.0, residual=False).carry.beta.grad is None


# The frozen map.


def test_the_map_is_orthogonal_and_decided_by_seed_network_and_name():
    given = {"shape": (3, 16, 16), "width": 8, "skip": "orthogonal"}
    net, deeper, other = (
        make_network(LabDiscriminator, **given | m) for m in ({"blocks": 2}, {"blocks": 4}, {"seed": 1})
    )
    maps = {name: b for name, b in net.named_buffers() if "map" in name}
    assert len(maps) == 6
    for q in maps.values():
        torch.testing.assert_close(q @ q.T, torch.eye(8))
    assert all(torch.equal(q, deeper.state_dict()[name]) for name, q in maps.items())
    assert not any(torch.allclose(a, b) for a, b in itertools.combinations(maps.values(), 2))
    name = "stages.0.blocks.0.carry.map.weight"
    assert not torch.allclose(maps[name], other.state_dict()[name])
    generator = make_network(LabGenerator, **given)
    assert not torch.allclose(maps[name], generator.state_dict()[name])


def test_its_product_is_counted_where_it_is_computed():
    """Count products with 8 x 8 numbers per block, two operations each; and no parameter."""
    both = [f"{net}.{o}" for net in ("generator", "disc") for o in ("blocks=3", "width=8", "skip=orthogonal")]
    given = check(TrainOptions, options_of("data=gaussians", *both))
    found = count(spec_of_networks(given, (2,), classes={}))
    for net in ("generator", "disc"):
        assert found["flops"][net] - found["switched"]["flops"][net] == 3 * 2 * 64
        assert found["parameters"][net] == found["switched"]["parameters"][net]


# A wider branch.


def as_residual(plain: Block, residual: Block, *, kind: str) -> None:
    """Give a wider plain block the weights that make it the residual one: those of the branch, and a path for x.

    postact: x = (a(x) - a(-x)) / (1 + s), with two more widths inside.
    preact: the branch sees a(x) alone, whose inverse is again a leaky ReLU: x = -a(-a(x)) / s, with one more width.
    """
    s, width = layers.SLOPE, residual.layer1.weight.shape[0]
    one = torch.zeros_like(residual.layer1.weight)
    centre = (slice(None), slice(None), *(size // 2 for size in one.shape[2:]))
    one[centre] = torch.eye(width)
    into, out_of = {"postact": ([one, -one], [one / (1 + s), -one / (1 + s)]), "preact": ([-one], [-one / s])}[kind]
    with torch.no_grad():
        for net in (plain.layer1, plain.layer2):
            net.weight.zero_()
        used = (1 + len(into)) * width
        plain.layer1.weight[:used] = torch.cat([residual.layer1.weight, *into])
        plain.layer2.weight[:, :used] = torch.cat([residual.layer2.weight, *out_of], dim=1)
        plain.layer1.bias[:width], plain.layer2.bias[:] = residual.layer1.bias, residual.layer2.bias


@pytest.mark.parametrize("layer", [layers.linear, layers.conv3x3])
@pytest.mark.parametrize(("kind", "inner"), [("postact", 3), ("preact", 2), ("preact", 3)])
def test_a_wider_plain_block_contains_the_residual_one(kind, inner, layer):
    residual, plain = make_block(layer, kind=kind), make_block(layer, kind=kind, residual=False, inner=inner)
    with torch.no_grad():
        residual.layer1.bias.normal_(generator=torch.Generator().manual_seed(1))
        residual.layer2.bias.normal_(generator=torch.Generator().manual_seed(2))
    as_residual(plain, residual, kind=kind)
    x = samples(layer)
    torch.testing.assert_close(plain(x), residual(x))
    assert not torch.allclose(plain(x), make_block(layer, kind=kind, residual=False)(x))


@pytest.mark.parametrize("network", [MlpGenerator, MlpDiscriminator])
def test_the_inner_width_is_that_of_the_branch_alone(network):
    net = make_network(network, shape=(2,), width=6, blocks=2, inner=3, norm="layer")
    shapes = {name: tuple(p.shape) for name, p in net.named_parameters() if "blocks.1." in name}
    assert shapes == {
        "trunk.blocks.1.norm.weight": (6,),
        "trunk.blocks.1.norm.bias": (6,),
        "trunk.blocks.1.layer1.weight": (18, 6),
        "trunk.blocks.1.layer1.bias": (18,),
        "trunk.blocks.1.layer2.weight": (6, 18),
        "trunk.blocks.1.layer2.bias": (6,),
    }
    # He's variance depends on each layer's own inputs.
    wide = make_network(network, shape=(2,), width=64, blocks=1, inner=3).trunk.blocks[0]
    for layer, inputs in ((wide.layer1, 64), (wide.layer2, 192)):
        # 12288 weights: sd of a variance sqrt(2 / 12288) = .013, four of them.
        assert layer.weight.var().item() * inputs * 1.04 / 2 == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(("options", "said"), [
    ("block=bottleneck inner=3", "inner=3: block=bottleneck has an inner width of its own; use 1"),
    ("inner=0", "inner=0: expected at least 1"),
    ("skip=gradient skip_scale=1.0", "skip_scale=1: skip=gradient carries the value 0"),
    ("skip_scale=0.5 skip_final=0.0", "skip_scale=0.5 with skip_final=0: use one factor on the skip"),
    ("skip_final=-1.0", "skip_final=-1.0: expected at least 0"),
    ("skip=backward", "skip=backward: expected 'identity', 'orthogonal', 'forward' or 'gradient'"),
    ("skip_final=0.0", "skip_final: needs burn_in_kimg"),
])  # fmt: skip
def test_what_makes_no_sense_is_refused(options, said):
    with pytest.raises(OptionsError) as caught:
        check(TrainOptions, options_of(*(f"disc.{option}" for option in options.split())))
    assert f"disc.{said}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_norm_inside_a_wider_branch_has_no_place():
    with pytest.raises(ValueError, match="norm_place=branch: inner=3 has no place for norms inside"):
        make_block(inner=3, norm="layer", norm_place="branch")
