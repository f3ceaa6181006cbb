"""The layers both networks are made of, and an initialisation keyed by name.

Shapes: N samples, C channels, H x W pixels, F features of a point.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from resgan.keys import keyed_generator

Norm = Literal["none", "batch", "group", "pixel", "layer"]
Init = Literal["he", "glorot", "orthogonal", "zero_last"]

SLOPE = 0.2  # of every leaky ReLU
GROUPS = 8  # of group normalisation, where the width allows


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU, never in place: a block needs its input again when it adds it back."""
    return F.leaky_relu(x, SLOPE)


def conv3x3(width_in: int, width_out: int) -> nn.Module:
    return nn.Conv2d(width_in, width_out, kernel_size=3, padding=1)


def conv1x1(width_in: int, width_out: int) -> nn.Module:
    return nn.Conv2d(width_in, width_out, kernel_size=1)


def linear(width_in: int, width_out: int) -> nn.Module:
    return nn.Linear(width_in, width_out)


def upsample(x: Tensor) -> Tensor:
    """Nearest neighbour, twice the size."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def downsample(x: Tensor) -> Tensor:
    """Mean of 2 x 2 pixels, half the size."""
    return F.avg_pool2d(x, kernel_size=2)


class PixelNorm(nn.Module):
    """x / sqrt(mean_c x^2 + 1e-8) at each pixel (Karras et al. 2018, section 4.2). No parameters."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe & Szegedy 2015) of (N, C, H, W) maps and of (N, F) features alike."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (2, 4):
            raise ValueError(f"expected (N, F) or (N, C, H, W), got {tuple(input.shape)}")


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda width: nn.Identity(),
    "batch": BatchNorm,
    "group": lambda width: nn.GroupNorm(math.gcd(GROUPS, width), width),  # Wu & He 2018
    "pixel": lambda width: PixelNorm(),
    "layer": lambda width: nn.GroupNorm(1, width),  # Ba et al. 2016, over channels and pixels together
}


def add_spectral_norm(net: nn.Module) -> None:
    """Divide every convolution and linear map by its largest singular value (Miyato et al. 2018)."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # only the start of the power iteration; the same in both arms
        for module in list(net.modules()):
            if isinstance(module, nn.Conv2d | nn.Linear):
                spectral_norm(module)


def initialise(
    net: nn.Module,
    *,
    seed: int,
    network: str,  # "generator" or "disc": the two draw different weights
    scheme: Init,  # how the weights are scaled
    last: str = "",  # end of the names of the layers that close a branch; `zero_last` sets them to zero
) -> None:
    """Draw each weight from a generator seeded by (seed, network, its name); biases are zero.

    So the same seed gives the same weights in every arm, and at every depth to the layers that both depths have.
    """
    for name, parameter in net.named_parameters():
        if parameter.ndim >= 2:
            draw(parameter, keyed_generator(seed, network, name), scheme=scheme)
        elif name.endswith("bias"):
            nn.init.zeros_(parameter)
        if scheme == "zero_last" and name.endswith(last):
            nn.init.zeros_(parameter)


def draw_bias(layer: nn.Linear, *, seed: int, network: str) -> None:
    """For the first layer of points: as its weights, as if the input had one more number, which is always 1.

    Otherwise a norm that divides by the length hides how far out a point lies, D(2x) = D(x), from a plain network, and
    not from a residual one, whose trunk goes around the norm.
    """
    sd = nn.init.calculate_gain("leaky_relu", SLOPE) / math.sqrt(layer.in_features)
    nn.init.normal_(layer.bias, std=sd, generator=keyed_generator(seed, network, "first bias"))


@torch.no_grad()
def draw(weight: Tensor, generator: torch.Generator, *, scheme: Init) -> None:
    """Fill a weight (out, in, ...) in place.

    he          normal, variance 2 / ((1 + 0.2^2) fan_in): keeps the size of a leaky ReLU's signal (He et al. 2015)
    glorot      normal, variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)
    orthogonal  orthogonal rows or columns with the gain of the leaky ReLU (Saxe et al. 2014)
    zero_last   as he; `initialise` then sets the layers that close a branch to zero
    """
    match scheme:
        case "he" | "zero_last":
            nn.init.kaiming_normal_(weight, a=SLOPE, generator=generator)
        case "glorot":
            nn.init.xavier_normal_(weight, generator=generator)
        case "orthogonal":
            nn.init.orthogonal_(weight, nn.init.calculate_gain("leaky_relu", SLOPE), generator=generator)
