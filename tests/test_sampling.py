"""Sample i depends on seed i only."""

import math

import pytest
import torch

from resgan.nets.generator import LabGenerator
from resgan.options import OptionsError
from resgan.sample import parse_seeds
from resgan.sampling import generate, latents, slerp


@pytest.fixture(scope="module")
def generator():
    return LabGenerator(shape=(3, 16, 16), latent_dim=6, residual=True, block="preact", blocks=1, width=8,
                        norm="batch", spectral=False, join="sum", init="he", seed=0)  # fmt: skip


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
