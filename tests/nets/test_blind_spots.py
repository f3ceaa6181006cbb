"""No block, norm or join hides contrast, or a shift of colour, from one arm and not from the other."""

import itertools
from typing import get_args

import pytest
import torch
from helpers.networks import make_network

from resgan.nets import layers
from resgan.nets.blocks import BLOCKS
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.options.choices import Join
from resgan.probes.response import halved, relative_response, shift

KINDS = [
    (kind, norm) for kind, norm in itertools.product(BLOCKS, layers.NORMS) if kind != "bottleneck" or norm == "none"
]
IMAGES = torch.rand(16, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
POINTS, LATENTS = (torch.randn(16, dim, generator=torch.Generator().manual_seed(0)) for dim in (2, 16))
CHANGES = {  # the network, the shape of its samples, its input and the change
    "lab D, contrast": (LabDiscriminator, (3, 16, 16), IMAGES, halved),
    "lab D, colour": (LabDiscriminator, (3, 16, 16), IMAGES, shift),
    "lab G, contrast": (LabGenerator, (3, 16, 16), LATENTS, halved),
    "mlp D, contrast": (MlpDiscriminator, (2,), POINTS, halved),
    "mlp D, shift": (MlpDiscriminator, (2,), POINTS, shift),
    "mlp G, contrast": (MlpGenerator, (2,), LATENTS, halved),
}


def response(change: str, *, residual: bool, **options) -> float:
    network, shape, x, changed = CHANGES[change]
    options |= {"blocks": 2, "width": 32, "residual": residual} | ({"latent_dim": 16} if " G" in change else {})
    return relative_response(make_network(network, shape=shape, **options), x, changed(x))


@pytest.mark.parametrize(("kind", "norm"), KINDS)
def test_a_plain_network_sees_what_a_residual_one_sees(kind, norm):
    """Check that the response of each arm, relative to the spread of its outputs, is at least 0.1 of the other's."""
    for change, join in itertools.product(CHANGES, get_args(Join)):
        if kind == "bottleneck" and "mlp" in change:
            continue
        plain, residual = (response(change, residual=r, block=kind, norm=norm, join=join) for r in (False, True))
        if norm == "batch" and max(plain, residual) < 1e-3:
            continue  # the whole batch changes, and so its statistics: hidden from both arms
        assert plain > residual / 10, (change, join)
        assert residual > plain / 10, (change, join)


@pytest.mark.parametrize("norm", ["pixel", "group", "layer"])
def test_norms_inside_the_branch_hide_the_contrast_from_the_plain_arm_alone(norm):
    """Without a first bias, a plain D(x) = D(x / 2), except for the eps of the norm, 1e-5 or less."""
    options = {"norm": norm, "norm_place": "branch", "first_bias": False, "join": "sum"}
    plain, residual = (response("lab D, contrast", residual=r, **options) for r in (False, True))
    assert plain < 0.01
    assert residual > 0.3


def test_the_response_of_networks_whose_answer_is_known():
    x = torch.tensor([[-1.0], [1.0], [3.0]])
    identity, sign = torch.nn.Identity(), torch.sign
    # The spread of (-1, 1, 3) about its mean is sqrt(8 / 3), and halving moves them by (.5, .5, 1.5).
    expected = (11 / 4 / 3) ** 0.5 / (8 / 3) ** 0.5
    assert relative_response(identity, x, halved(x)) == pytest.approx(expected, rel=1e-6)
    assert relative_response(sign, x, halved(x)) == 0
    images = torch.zeros(2, 3, 4, 4)
    assert shift(images)[0, :, 0, 0].tolist() == [0.5, 0, -0.5]
    assert shift(images[:, :1])[0, 0, 0, 0] == 0.5
