"""Sampling: sample i depends on seed i only."""

import copy
import math

import pytest
import torch
from helpers.networks import make_network
from helpers.precisions import Noting, precisions

from resgan.base.errors import OptionsError
from resgan.nets.generator import LabGenerator
from resgan.nets.sampling import CHUNK, generate, labels, latents, slerp, with_norm_mode
from resgan.options.seeds import parse_seeds

SMALL = {"shape": (3, 16, 16), "latent_dim": 6, "residual": True, "block": "preact", "blocks": 1, "width": 8,
         "spectral": False, "join": "sum", "init": "he", "seed": 0}  # fmt: skip


@pytest.fixture(scope="module")
def generator():
    return make_network(LabGenerator, **SMALL, norm="batch")


def test_samples_do_not_depend_on_their_neighbours(generator):
    together = generate(generator, latents(range(100), dim=6))
    for seeds in ([7], [99], [98, 3, 7]):
        alone = generate(generator, latents(seeds, dim=6))
        assert all(torch.equal(alone[k], together[seed]) for k, seed in enumerate(seeds))
    assert not torch.equal(together[3], together[7])


def test_generating_leaves_the_network_as_it_was(generator):
    generator.train()
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    generate(generator, latents(range(3), dim=6))
    assert torch.equal(torch.rand(3), expected)  # no draw from the global generator
    assert generator.training
    assert all(torch.equal(value, before[key]) for key, value in generator.state_dict().items())


def test_latents():
    many = latents(range(2000), dim=6)
    assert abs(many.std() - 1) < 4 / math.sqrt(2 * 12_000)
    cut = latents(range(2000), dim=6, truncation=0.5)
    assert cut.abs().max() <= 0.5
    # The variance of a normal cut off at +-t is 1 - 2 t phi(t) / (2 Phi(t) - 1): 0.0799 at 0.5.
    assert cut.var().item() == pytest.approx(0.0799, rel=0.04)
    assert torch.equal(latents([5], dim=6, truncation=0.5)[0], cut[5])
    assert latents([], dim=6).shape == (0, 6)


def test_small_seeds_have_the_latents_they_always_had():
    """Check that seeds below 2^32 use torch's own generator, so that a seed once noted gives the same sample."""
    for seed in (0, 5, 2**31, 2**32 - 1):
        generator = torch.Generator().manual_seed(seed)
        assert torch.equal(latents([seed], dim=6)[0], torch.randn(6, generator=generator))
        generator.manual_seed(seed)
        cut = torch.nn.init.trunc_normal_(torch.empty(6), a=-0.7, b=0.7, generator=generator)
        assert torch.equal(latents([seed], dim=6, truncation=0.7)[0], cut)


LARGE = [2**32 + 5, 2**32, 2**32 + 1, 2**33 + 5, 2**40 + 5, 2**62 + 5, 2**63 - 1, 2**63, 2**64 + 5, 2**65 + 5]


def test_every_bit_of_a_seed_counts():
    """Check large seeds: torch uses the last 32 bits alone, so 5 and 5 + 2^32 would give one sample."""
    seeds = [5, 0, 1, 2**32 - 1, *LARGE]
    for truncation in (None, 0.7):
        z = latents(seeds, dim=6, truncation=truncation)
        assert torch.isfinite(z).all()
        assert len(z.unique()) == z.numel()  # no number occurs twice, not even at another place
        assert torch.equal(latents(LARGE[:1], dim=6, truncation=truncation)[0], z[4])  # whatever seeds are beside it
    assert z.abs().max() <= 0.7
    # Two of a thousand classes agree by chance once in a thousand times: three of 64 pairs would be a wonder.
    low = labels(range(64), shares=[0.001] * 1000)
    high = labels(range(2**32, 2**32 + 64), shares=[0.001] * 1000)
    assert (low == high).sum() <= 2


def test_negative_seeds_are_refused():
    """Check that -1 is not taken for 2^32 - 1, as torch takes it."""
    for seeds in ([-1], [0, -(2**40)]):
        for draw in (lambda given: latents(given, dim=2), lambda given: labels(given, shares=[0.5, 0.5])):
            with pytest.raises(OptionsError, match=f"seeds={seeds[-1]}: expected whole numbers of 0 or more"):
                draw(seeds)


def test_large_seeds_are_normal_and_independent_of_their_neighbours():
    """Check moments and correlations of 12,000 numbers, within four standard errors."""
    z = latents(range(2**40, 2**40 + 2000), dim=6)
    assert z.dtype == torch.float32
    assert abs(z.mean()) < 4 / math.sqrt(12_000)
    assert abs(z.std() - 1) < 4 / math.sqrt(2 * 12_000)
    assert abs((z[1:] * z[:-1]).mean()) < 4 / math.sqrt(12_000)
    cut = latents(range(2**40, 2**40 + 2000), dim=6, truncation=0.5)
    assert cut.dtype == torch.float32
    assert cut.abs().max() <= 0.5
    assert abs(cut.mean()) < 4 * 0.283 / math.sqrt(12_000)
    assert cut.var().item() == pytest.approx(0.0799, rel=0.04)  # as for small seeds
    # NumPy may change its streams between versions; then this fails, and samples of large seeds change.
    torch.testing.assert_close(latents([2**32], dim=2)[0], torch.tensor([0.45598465, -2.1591032]))


def test_slerp():
    a, b = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 2.0])
    walk = slerp(a, b, steps=3)
    torch.testing.assert_close(walk.norm(dim=1), torch.full((3,), 2.0))
    angles = torch.atan2(walk[:, 1], walk[:, 0])
    torch.testing.assert_close(angles, torch.tensor([0.0, 30.0, 60.0]) * math.pi / 180)
    torch.testing.assert_close(slerp(a, a, steps=2), torch.stack([a, a]))


def test_seeds():
    assert parse_seeds("0-3") == [0, 1, 2, 3]
    assert parse_seeds("5, 1,8-9") == [5, 1, 8, 9]
    for wrong in ("", "a", "3-1", "1,,2", "-1", "0-99999999999"):
        with pytest.raises(OptionsError, match="seeds="):
            parse_seeds(wrong)


# Norm modes


@pytest.fixture
def shifted(generator):
    """A generator with running statistics that do not belong to its weights."""
    moved = copy.deepcopy(generator).eval()
    for module in moved.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.running_mean += 0.5
            module.running_var *= 3
    return moved


def test_running_statistics_are_the_generator_as_it_is(shifted):
    assert with_norm_mode(shifted, "running", dim=6) is shifted


@pytest.mark.parametrize("mode", ["batch", "recomputed"])
def test_other_modes_do_not_look_at_running_statistics(generator, shifted, mode):
    z = latents(range(70), dim=6)
    before = {key: value.clone() for key, value in shifted.state_dict().items()}
    found = generate(with_norm_mode(shifted, mode, dim=6), z)
    assert torch.equal(found, generate(with_norm_mode(generator, mode, dim=6), z))
    assert not torch.allclose(found, generate(shifted, z), atol=0.01)
    assert all(torch.equal(value, before[key]) for key, value in shifted.state_dict().items())


def test_batch_mode_is_training_mode(generator):
    """Compare with torch's own training mode on a whole batch; samples depend on the others in it."""
    z = latents(range(CHUNK), dim=6)
    found = generate(with_norm_mode(generator, "batch", dim=6), z)
    with torch.no_grad():
        assert torch.equal(found, copy.deepcopy(generator).train()(z))
    alone = generate(with_norm_mode(generator, "batch", dim=6), z[:1])
    assert not torch.allclose(alone, found[:1], atol=1e-3)


def test_recomputed_statistics_are_plain_averages_over_all_batches(shifted):
    """Compare with the inputs of the first batch norm, from a hook, whatever its statistics had counted before."""
    norms = [m for m in shifted.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
    norms[0].num_batches_tracked += 1000
    seen = []
    hook = norms[0].register_forward_hook(lambda module, given, out: seen.append(given[0]))
    changed = with_norm_mode(shifted, "recomputed", dim=6)  # a copy keeps the hook
    hook.remove()
    assert len(seen) == 100
    assert all(len(x) == CHUNK for x in seen)
    found = next(m for m in changed.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm))
    means = torch.stack([x.mean((0, 2, 3)) for x in seen]).mean(0)
    variances = torch.stack([x.var((0, 2, 3)) for x in seen]).mean(0)
    torch.testing.assert_close(found.running_mean, means, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.running_var, variances, rtol=1e-4, atol=1e-5)
    assert len({float(x[0, 0, 0, 0]) for x in seen}) == 100  # fresh latents in every batch


def test_samples_are_computed_without_tf32(tf32):
    """Check samples, and the statistics by which they are normalised."""
    net = Noting(make_network(LabGenerator, **SMALL, norm="batch"))
    z = latents(range(3), dim=6)
    with torch.autocast("cpu", torch.bfloat16):
        found = generate(net, z)
    assert torch.equal(found, generate(net.net, z))
    assert [set(settings.values()) for settings in net.seen()] == [{"ieee"}]
    net.notes.clear()
    net.__deepcopy__ = lambda memo: net  # notes of a copy would be lost
    with_norm_mode(net, "recomputed", dim=6)
    assert [set(settings.values()) for settings in net.seen()] == [{"ieee"}] * 100
    assert precisions() == tf32


def test_a_generator_without_batch_norm_has_one_mode():
    plain = make_network(LabGenerator, **SMALL, norm="pixel")
    z = latents(range(5), dim=6)
    for mode in ("batch", "recomputed"):
        assert torch.equal(generate(with_norm_mode(plain, mode, dim=6), z), generate(plain, z))
