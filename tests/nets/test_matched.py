"""The matched initialisation: plain blocks keep the variance of their inputs on data."""

from functools import cache

import pytest
import torch
from helpers.networks import make_network
from helpers.options import options_of

from resgan.base.errors import OptionsError
from resgan.base.rng import make_generator
from resgan.builders.data import build_dataset, mixed_batch
from resgan.builders.gan import build_gan
from resgan.builders.networks import build_networks, spec_of
from resgan.data.dataset import Dataset
from resgan.nets.blocks import Block
from resgan.nets.generator import LabGenerator
from resgan.nets.layers import unfused
from resgan.nets.matched import match_variances
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training.gan import GAN

PICTURES = ["data.count=300", "generator.width=8", "disc.width=8"]
RUNS = {
    "points": ["data=gaussians", "data.size=2000", "generator.blocks=6", "disc.blocks=6"],
    "pictures": [*PICTURES, "generator.width=[8,6,8]", "generator.blocks=2", "disc.blocks=2"],
    "pictures, batch norms, classes": [
        *PICTURES, "generator.norm=batch", "generator.conditional=norm", "disc.norm=pixel",
        "disc.conditional=projection",
    ],
    "postact": [*PICTURES, "generator.block=postact", "disc.block=stylegan2"],
}  # fmt: skip


@cache
def options_and_data(run: str) -> tuple[TrainOptions, Dataset]:
    options = check(TrainOptions, options_of(*RUNS[run]))
    return options, build_dataset(options.data, seed=0, progress=False)


def gan_of(run: str, *, residual: bool, init: str = "matched", seed: int = 0) -> tuple[GAN, dict, list]:
    """Build a GAN; returns it, its spec, and what its networks are matched on: latents from the seed, data samples."""
    options, dataset = options_and_data(run)
    both = {f"{net}.{key}": v for net in ("generator", "disc") for key, v in (("init", init), ("residual", residual))}
    options = options.with_values(both | {"seed": seed})
    spec = spec_of(options, dataset)
    samples, *labels = mixed_batch(dataset, 256, labelled=bool(spec["classes"]))
    latents = torch.randn(256, options.generator.latent_dim, generator=make_generator(seed, "matched"))
    return build_gan(options, spec, dataset), spec, [(latents, *labels), (samples, *labels)]


def variances(net: torch.nn.Module, given: tuple) -> list[tuple[float, float, float]]:
    """Return the variances of each block's trunk, of its branch, and of the plain block's output."""
    found = []

    def look(block: Block, inputs: tuple, output: torch.Tensor) -> None:
        trunk = block.normalised(*inputs)
        branch = block.branch(trunk, *inputs[1:])
        found.append((trunk.var().item(), branch.var().item(), block.after(branch).var().item()))

    hooks = [module.register_forward_hook(look) for module in net.modules() if isinstance(module, Block)]
    with torch.no_grad(), unfused(net):
        net(*given)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("run", RUNS)
def test_branches_keep_the_variance(run, residual):
    gan, _, inputs = gan_of(run, residual=residual)
    he, _, _ = gan_of(run, residual=residual, init="he")
    for matched, before, given in zip((gan.generator, gan.disc), (he.generator, he.disc), inputs, strict=True):
        found = variances(matched, given)
        assert len(found) >= 3
        for trunk, _, plain in found:
            assert plain == pytest.approx(trunk, rel=1e-4)  # sums of 10^5 numbers in float32
        assert any(abs(plain / trunk - 1) > 0.05 for trunk, _, plain in variances(before, given))
        if run == "points" and not residual:  # then every block's output has the variance of the first one's input
            assert [trunk for trunk, _, _ in found] == pytest.approx([found[0][0]] * len(found), rel=1e-3)


@pytest.mark.parametrize("run", ["points", "pictures"])
def test_arms_differ_by_a_factor_a_block(run):
    """Check that arms differ from He's weights by a factor in the last layer of a branch, equal in the first block."""
    arms, he = [gan_of(run, residual=r)[0] for r in (True, False)], gan_of(run, residual=True, init="he")[0]
    for network in ("generator", "disc"):
        on, off, drawn = (getattr(gan, network).state_dict() for gan in (*arms, he))
        factors = []
        for key, value in drawn.items():
            if not key.endswith("layer2.weight"):
                assert torch.equal(on[key], value)
                assert torch.equal(off[key], value)
                continue
            each = [(arm[key].flatten() @ value.flatten() / value.square().sum()).item() for arm in (on, off)]
            for arm, factor in zip((on, off), each, strict=True):
                torch.testing.assert_close(arm[key], factor * value)
            factors.append(each)
        assert factors[0][0] == pytest.approx(factors[0][1], rel=1e-6)
        assert any(abs(a / b - 1) > 0.01 for a, b in factors[1:])


def test_the_seed_decides_it_and_checkpoints_are_not_matched_again():
    one, spec, _ = gan_of("points", residual=False)
    torch.manual_seed(1)
    again, other = gan_of("points", residual=False)[0], gan_of("points", residual=False, seed=1)[0]
    he = gan_of("points", residual=False, init="he")[0]
    generator, disc = build_networks(spec)  # as for a checkpoint
    for net, rebuilt in (("generator", generator), ("disc", disc)):
        state = getattr(one, net).state_dict()
        for key, value in state.items():
            assert torch.equal(value, getattr(again, net).state_dict()[key])
            assert torch.equal(rebuilt.state_dict()[key], getattr(he, net).state_dict()[key])
        key = "trunk.blocks.3.layer2.weight"
        assert not torch.equal(state[key], getattr(other, net).state_dict()[key])
    assert torch.equal(one.generator_ema.state_dict()[key], one.generator.state_dict()[key])


def test_running_statistics_and_branches_that_are_constant_stay():
    net = make_network(LabGenerator, shape=(3, 8, 8), width=8, norm="batch", init="matched", blocks=2)
    with torch.no_grad():
        net.stages[0].blocks[1].layer1.weight.zero_()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    match_variances(net, torch.randn(32, 16, generator=torch.Generator().manual_seed(0)))
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {f"stages.{stage}.blocks.{k}.layer2.weight" for stage, k in ((0, 0), (1, 0), (1, 1))}
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize(("option", "said"), [
    ("disc.spectral=true", "needs spectral=false"), ("disc.norm=pixel disc.norm_place=branch", "needs norm_place=trunk")
])  # fmt: skip
def test_it_is_refused_where_a_factor_changes_nothing(option, said):
    with pytest.raises(OptionsError, match=f"disc.init=matched: {said}"):
        check(TrainOptions, options_of("disc.init=matched", *option.split()))
