"""The scale of signals and gradients at initialisation: neither arm begins dead, however deep."""

import statistics
from functools import cache

import pytest
import torch
from helpers.networks import make_network

from resgan.nets import layers
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.probes.scale import scales

INPUTS = {
    LabGenerator: torch.randn(2, 16, generator=torch.Generator().manual_seed(0)),
    LabDiscriminator: torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)),
}


@cache
def medians(
    network, blocks: int, width: int, residual: bool, fan_in: str = "effective", seeds: int = 16
) -> dict[str, tuple]:
    """Return by block the medians over seeds of the rms of its output, and of the gradient there."""
    found: dict[str, list] = {}
    for seed in range(seeds):
        options = {"blocks": blocks, "width": width, "residual": residual, "fan_in": fan_in, "seed": seed}
        for scale in scales(make_network(network, shape=(3, 16, 16), **options), INPUTS[network]):
            if ".blocks." in scale.name:
                found.setdefault(scale.name, []).append((scale.rms, scale.gradient))
    return {name: tuple(map(statistics.median, zip(*each, strict=True))) for name, each in found.items()}


def against_first_block(found: dict[str, tuple], *, stage: int) -> tuple[list[float], list[float]]:
    """Return the rms and the gradients at the blocks of a stage, as multiples of those at its first block."""
    rms, gradients = zip(*(each for name, each in found.items() if name.startswith(f"stages.{stage}.")), strict=True)
    return [value / rms[0] for value in rms], [value / gradients[0] for value in gradients]


# At width 32, the default, 32 plain layers in a row lose about half of their scale in the median, and none in the mean:
# the factor of each layer scatters by about sqrt(2 / width) (Hanin & Rolnick 2018). At width 64 it is half as much.
@pytest.mark.parametrize(("blocks", "width"), [(2, 32), (8, 32), pytest.param(16, 64, marks=pytest.mark.slow)])
@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("network", INPUTS)
def test_signals_and_gradients_keep_their_scale_in_both_arms(network, residual, blocks, width):
    found = medians(network, blocks, width, residual)
    for stage in range(3):
        for ratios in against_first_block(found, stage=stage):
            assert len(ratios) == blocks
            assert max(ratios) < 2
            assert min(ratios) > 1 / 2


@pytest.mark.parametrize(("network", "stage"), [(LabGenerator, 0), (LabDiscriminator, 2)])  # maps of 4 x 4 pixels
def test_a_start_that_counts_the_padding_among_its_inputs_does_not(network, stage):
    """Check that 32 layers at 4 x 4 pixels, which keep .76 of the variance each, keep .76^16 = .013 of the scale."""
    rms, gradients = against_first_block(medians(network, 16, 32, False, "nominal", seeds=4), stage=stage)
    assert rms[-1] < 0.05
    assert max(gradients) > 20  # it grows on the way back, relative to the last block of the network


@pytest.mark.parametrize("size", [1, 2, 4, 16])
def test_the_share_that_a_padded_convolution_keeps(size):
    """Compare with the map of variances from one layer's pixels to the next: the sum of 3 x 3 neighbours, over 9."""
    line = torch.ones(size, size, dtype=torch.float64).tril(1).triu(-1) / 3
    largest = torch.linalg.eigvalsh(torch.kron(line, line)).max()
    layer = layers.conv3x3(2, 2)
    assert layers.effective_share(layer) == 1  # maps of unknown size
    layers.set_map_size(layer, size)
    torch.testing.assert_close(torch.tensor(layers.effective_share(layer), dtype=torch.float64), largest)


@pytest.mark.parametrize("init", ["he", "orthogonal", "glorot"])
def test_the_correction_is_a_factor_on_each_padded_layer_and_on_no_other(init):
    nominal, effective = (
        make_network(LabDiscriminator, shape=(3, 16, 16), width=8, init=init, fan_in=fan_in).state_dict()
        for fan_in in ("nominal", "effective")
    )
    sizes = {"from_image": 16, "stages.0": 16, "stages.1": 8, "stages.2": 4}
    for name, weight in effective.items():
        size = next((size for start, size in sizes.items() if name.startswith(start)), None)
        factor = 1.0
        if size and name.endswith("weight"):
            factor = 3 / (1 + 2 * torch.tensor(torch.pi / (size + 1)).cos())
        torch.testing.assert_close(weight, nominal[name] * factor)
