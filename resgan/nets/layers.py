"""The layers of both networks, and their initialisation, keyed by name.

Shapes: N samples, C channels, H x W pixels, F features of a point.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from resgan.base.processes import ALONE, Processes
from resgan.base.rng import derive_seed, make_generator
from resgan.nets import looks_linear
from resgan.options.choices import FanIn, Init, Norm

SLOPE = 0.2  # of every leaky ReLU
GROUPS = 8  # of group normalisation, where the width allows


def activation(x: Tensor) -> Tensor:
    """Apply the leaky ReLU, never in place: a block needs its input again for the join."""
    return F.leaky_relu(x, SLOPE)


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution, with zero padding of 1. `size`: the side of its maps in pixels, where known."""

    size: int | None = None

    def __init__(self, width_in: int, width_out: int, *, groups: int = 1) -> None:
        super().__init__(width_in, width_out, kernel_size=3, padding=1, groups=groups)


def conv3x3(width_in: int, width_out: int) -> Conv3x3:
    return Conv3x3(width_in, width_out)


def set_map_size(net: nn.Module, size: int) -> None:
    """Set the size of the maps, in pixels, of every 3x3 convolution in a module."""
    for module in net.modules():
        if isinstance(module, Conv3x3):
            module.size = size


def conv1x1(width_in: int, width_out: int) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, kernel_size=1)


class Linear(nn.Linear):
    """A linear map of features (N, F); with weights (S, F', F) and biases (S, F'), S maps of (S, N, F)."""

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.ndim == 3:
            return torch.baddbmm(self.bias.unsqueeze(1), input, self.weight.transpose(1, 2))
        return super().forward(input)


def linear(width_in: int, width_out: int) -> Linear:
    return Linear(width_in, width_out)


def unbiased(width_in: int, width_out: int) -> nn.Linear:
    return nn.Linear(width_in, width_out, bias=False)


class FrozenMap(nn.Module):
    """Apply an orthogonal map Q, a buffer that never learns, to features or at each pixel."""

    weight: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[:, :, None, None]) if x.ndim == 4 else F.linear(x, self.weight)


def upsample(x: Tensor) -> Tensor:
    """Upsample to twice the size, by nearest neighbour."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def downsample(x: Tensor) -> Tensor:
    """Downsample to half the size, by the mean of 2 x 2 pixels."""
    return F.avg_pool2d(x, kernel_size=2)


# Resampling fused with the adjacent 3x3 convolution `layer` into one 4x4 of stride 2: 4 multiply-adds, not 9.


def upsampled_conv(x: Tensor, layer: nn.Conv2d | nn.Linear) -> Tensor:
    """Compute layer(upsample(x)) for a 3x3 convolution with padding 1: copied neighbours share a sum of weights."""
    weight = sum_2x2_shifts(layer.weight.flip(2, 3)).transpose(0, 1)
    return F.conv_transpose2d(x, weight, layer.bias, stride=2, padding=1)


def downsampled_conv(x: Tensor, layer: nn.Conv2d | nn.Linear) -> Tensor:
    """Compute downsample(layer(x)) likewise: the mean over four pixels is folded into the weights."""
    return F.conv2d(x, sum_2x2_shifts(layer.weight) / 4, layer.bias, stride=2, padding=1)


@runtime_checkable
class Fusable(Protocol):
    """A module that computes resampling and convolution fused, or one after the other."""

    fused: bool


def fuse(net: nn.Module, fused: bool) -> None:
    """Turn fused resampling and convolution on or off."""
    for module in fusable(net):
        module.fused = fused


@contextlib.contextmanager
def unfused(net: nn.Module) -> Iterator[None]:
    """Turn fusing off in this context, to count operations and to look inside blocks."""
    before = [(module, module.fused) for module in fusable(net)]
    fuse(net, False)
    try:
        yield
    finally:
        for module, fused in before:
            module.fused = fused


def fusable(net: nn.Module) -> list[Fusable]:
    return [module for module in net.modules() if isinstance(module, Fusable)]


def sum_2x2_shifts(weight: Tensor) -> Tensor:
    """Sum a kernel over 2 x 2 shifts: (out, in, 3, 3) to (out, in, 4, 4)."""
    rows = F.pad(weight, (0, 0, 0, 1)) + F.pad(weight, (0, 0, 1, 0))
    return F.pad(rows, (0, 1)) + F.pad(rows, (1, 0))


class PixelNorm(nn.Module):
    """x / sqrt(mean_c x^2 + 1e-8) at each pixel (Karras et al. 2018, section 4.2). No parameters."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe & Szegedy 2015) of (N, C, H, W) maps and of (N, F) features alike.

    Where several processes share a batch, mean and variance in training are those of the whole batch.
    """

    processes: Processes = ALONE

    def forward(self, input: Tensor) -> Tensor:
        if self.processes.count == 1 or not self.training:
            return super().forward(input)
        over = [dim for dim in range(input.ndim) if dim != 1]
        shape = (1, -1, *(1,) * (input.ndim - 2))
        mean = self.processes.mean(input.mean(over))
        centred = input - mean.view(shape)
        variance = self.processes.mean(centred.square().mean(over))
        self._track(mean.detach(), variance.detach(), count=self.processes.count * input.numel() // input.shape[1])
        normalised = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.weight is None:
            return normalised
        return normalised * self.weight.view(shape) + self.bias.view(shape)

    def _track(self, mean: Tensor, variance: Tensor, *, count: int) -> None:
        """Move the running statistics as nn.BatchNorm2d does, by the unbiased variance of `count` values."""
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * count / (count - 1), self.momentum)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (2, 4):
            raise ValueError(f"expected (N, F) or (N, C, H, W), got {tuple(input.shape)}")


def synchronise_norms(net: nn.Module, processes: Processes) -> None:
    """Let the batch norms of a network normalise over the batches of all processes; over their own with ALONE."""
    for module in net.modules():
        if isinstance(module, BatchNorm):
            module.processes = processes


# width, affine (a learned gain and bias for each channel) -> norm
NORMS: dict[str, Callable[..., nn.Module]] = {
    "none": lambda width, affine=True: nn.Identity(),
    "batch": lambda width, affine=True: BatchNorm(width, affine=affine),
    "group": lambda width, affine=True: nn.GroupNorm(math.gcd(GROUPS, width), width, affine=affine),  # Wu & He 2018
    "pixel": lambda width, affine=True: PixelNorm(),
    "layer": lambda width, affine=True: nn.GroupNorm(1, width, affine=affine),  # Ba et al. 2016, over C, H and W
}


class ClassNorm(nn.Module):
    """gain_y norm(x) + bias_y: a gain and a bias for each class y (Dumoulin et al. 2017; Miyato & Koyama 2018)."""

    def __init__(self, norm: Norm, width: int, *, classes: int) -> None:
        super().__init__()
        self.norm = NORMS[norm](width, affine=False)
        self.gain = nn.Parameter(torch.ones(classes, width))
        self.bias = nn.Parameter(torch.zeros(classes, width))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        shape = (*labels.shape, -1, *(1,) * (x.ndim - 2))
        return self.gain[labels].view(shape) * self.norm(x) + self.bias[labels].view(shape)


def make_norm(norm: Norm, width: int, *, classes: int = 0) -> nn.Module:
    """Make a norm; with `classes`, a class-conditional one."""
    return ClassNorm(norm, width, classes=classes) if classes else NORMS[norm](width)


def normalise(norm: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """Apply a norm to x, with the labels where it is class-conditional."""
    if not isinstance(norm, ClassNorm):
        return norm(x)
    if labels is None:
        raise ValueError("this network is class-conditional: it needs labels (N,)")
    return norm(x, labels)


def add_spectral_norm(net: nn.Module) -> None:
    """Divide every convolution and linear map by its largest singular value (Miyato et al. 2018)."""
    with torch.random.fork_rng(devices=[]):
        for name, module in list(net.named_modules()):
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                # Seed the power iteration by name, since one arm may have projections that the other lacks.
                torch.manual_seed(derive_seed("power iteration", name))
                spectral_norm(module)


# Fills a weight in place, given its name and a generator.
Scheme = Callable[[str, Tensor, torch.Generator], None]
WITH_WEIGHTS = nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding


def initialise(
    net: nn.Module,
    *,
    seed: int,
    network: str,  # "generator" or "disc": the two draw different weights
    scheme: Init | Scheme,
    branches: Sequence[Sequence[str]] = (),  # the names of the weights of each branch, in their order
    fan_in: FanIn = "nominal",  # effective: corrected for zero padding, see `effective_share`
) -> None:
    """Draw each weight from a generator seeded by (seed, network, its name); biases are zero.

    So the same seed gives the same weights in both arms, and to the layers that networks of two depths share (except
    for `fixup`, whose scale depends on the depth). On the meta device there is nothing to draw.
    """
    if next(net.parameters()).is_meta:
        return
    for name, module in net.named_modules():
        if isinstance(module, WITH_WEIGHTS):
            name = f"{name}.weight".removeprefix(".")
            generator = make_generator(seed, network, name)
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, generator=generator)  # as large as the latent it is concatenated with
            elif callable(scheme):
                scheme(name, module.weight, generator)
            else:
                draw_weight(module.weight, generator, scheme=scheme, fan_in=inputs_of_output(module))
                if fan_in == "effective":
                    with torch.no_grad():
                        module.weight /= math.sqrt(effective_share(module))
            if isinstance(bias := getattr(module, "bias", None), Tensor):
                nn.init.zeros_(bias)
        elif isinstance(module, FrozenMap):
            nn.init.orthogonal_(module.weight, generator=make_generator(seed, network, f"{name}.weight"))
    if not callable(scheme):
        rescale_branches(net, scheme=scheme, branches=branches)


def rescale_branches(net: nn.Module, *, scheme: Init, branches: Sequence[Sequence[str]]) -> None:
    """Apply the part of an initialisation that treats each branch as a whole."""
    parameters = dict(net.named_parameters())
    for names in branches:
        rescale_branch_init([parameters[name] for name in names], scheme=scheme, blocks=len(branches))


@torch.no_grad()
def rescale_branch_init(weights: Sequence[Tensor], *, scheme: Init, blocks: int) -> None:
    """Rescale the drawn weights of one branch, as the initialisation requires.

    zero_last  the last one is zero: a residual block begins as the identity (Zhang et al. 2019, Fixup, rule 1)
    fixup      as zero_last, and the others times L^(-1 / (2m - 2)), with L blocks of m layers (rule 2; R3GAN too)
    dirac      all are the identity, so that a plain block begins as near it as its activations allow: a(a(x)) for
               preact without norm (Zagoruyko and Komodakis 2017, DiracNets). It separates "begins near the identity"
               from "has a skip"
    looks_linear  [[V, -V], [-V, V]] / 1.2, V orthogonal: a plain preact block begins as an isometry on mirrored input
               (Balduzzi et al. 2017); the rest of the network has to be mirrored too, see looks_linear.py
    """
    if scheme == "dirac":
        for weight in weights:
            fill_identity(weight)
    if scheme == "looks_linear":
        for weight in weights:
            looks_linear.fill_isometry(weight, slope=SLOPE)
    if scheme in ("zero_last", "fixup"):
        nn.init.zeros_(weights[-1])
    if scheme == "fixup":
        for weight in weights[:-1]:
            weight *= blocks ** (-1 / (2 * len(weights) - 2))


def fill_identity(weight: Tensor) -> None:
    """Fill a weight (out, in / groups, ...) with the identity.

    A convolution to more channels repeats them as often as they fit, a linear map to more features leaves the rest 0;
    to fewer, both keep the first ones.
    """
    if weight.ndim == 2:
        nn.init.eye_(weight)
    else:
        out, per_group = weight.shape[:2]
        nn.init.dirac_(weight, groups=max(1, out // per_group))


def draw_bias(layer: nn.Linear | nn.Conv2d, *, seed: int, network: str) -> None:
    """Draw the bias of the first layer like its weights, as if the input had one more feature, always 1.

    With a zero bias, a norm that divides by the length hides the scale of the input: D(2x) = D(x), G(2z) = G(z).
    """
    sd = nn.init.calculate_gain("leaky_relu", SLOPE) / math.sqrt(inputs_of_output(layer))
    assert layer.bias is not None
    nn.init.normal_(layer.bias, std=sd, generator=make_generator(seed, network, "first bias"))


def effective_share(layer: nn.Module) -> float:
    """Return the share of the variance that a layer of random weights keeps, in the long run, despite zero padding.

    A 3x3 convolution on s x s pixels maps the variance of each to the sum over its 3 x 3 neighbours, divided by 9. The
    largest eigenvalue of this map is ((1 + 2 cos(pi / (s + 1))) / 3)^2: .76 per layer at 4 pixels, .92 at 8, .98 at 16.
    (The mean share of taps inside the map, .69 at 4, holds for one layer only: variances grow larger in the middle.)
    """
    if not isinstance(layer, Conv3x3) or layer.size is None:
        return 1.0
    return ((1 + 2 * math.cos(math.pi / (layer.size + 1))) / 3) ** 2


def inputs_of_output(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> float:
    """Return the fan-in: the number of inputs, padding included, that one output is a weighted sum of."""
    if isinstance(layer, nn.ConvTranspose2d):  # its weight is (in, out, ...); a stride leaves gaps between inputs
        return layer.weight[:, 0].numel() / math.prod(layer.stride)
    return layer.weight[0].numel()


@torch.no_grad()
def draw_weight(weight: Tensor, generator: torch.Generator, *, scheme: Init, fan_in: float) -> None:
    """Fill a weight (out, in, ...) in place.

    he          normal, variance 2 / ((1 + 0.2^2) fan_in): keeps the signal's scale through leaky ReLUs (He et al. 2015)
    glorot      normal, variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)
    orthogonal  orthogonal rows or columns with the gain of the leaky ReLU (Saxe et al. 2014)
    zero_last, fixup, dirac, looks_linear   as he; `rescale_branch_init` does the rest
    matched     as he; `match_variances` in matched.py does the rest, on data
    """
    match scheme:
        case "he" | "zero_last" | "fixup" | "dirac" | "looks_linear" | "matched":
            gain = nn.init.calculate_gain("leaky_relu", SLOPE)
            nn.init.normal_(weight, std=gain / math.sqrt(fan_in), generator=generator)
        case "glorot":
            nn.init.xavier_normal_(weight, generator=generator)
        case "orthogonal":
            nn.init.orthogonal_(weight, nn.init.calculate_gain("leaky_relu", SLOPE), generator=generator)
