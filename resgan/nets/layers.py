"""The layers both networks are made of, and an initialisation keyed by name.

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

from resgan.base.rng import derive_seed, make_generator
from resgan.nets import looks_linear
from resgan.options.choices import FanIn, Init, Norm

SLOPE = 0.2  # of every leaky ReLU
GROUPS = 8  # of group normalisation, where the width allows


def activation(x: Tensor) -> Tensor:
    """Leaky ReLU, never in place: a block needs its input again when it adds it back."""
    return F.leaky_relu(x, SLOPE)


class Conv3x3(nn.Conv2d):
    """A 3x3 convolution, padded by a ring of zeros. `size`: the side of its maps in pixels, where it is known."""

    size: int | None = None

    def __init__(self, width_in: int, width_out: int, *, groups: int = 1) -> None:
        super().__init__(width_in, width_out, kernel_size=3, padding=1, groups=groups)


def conv3x3(width_in: int, width_out: int) -> Conv3x3:
    return Conv3x3(width_in, width_out)


def set_map_size(net: nn.Module, size: int) -> None:
    """Note in every 3x3 convolution of a part of a network how large its maps are."""
    for module in net.modules():
        if isinstance(module, Conv3x3):
            module.size = size


def conv1x1(width_in: int, width_out: int) -> nn.Conv2d:
    return nn.Conv2d(width_in, width_out, kernel_size=1)


class Linear(nn.Linear):
    """A linear map of features (N, F); with weights (S, F', F) and biases (S, F'), S of them, of (S, N, F)."""

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.ndim == 3:
            return torch.baddbmm(self.bias.unsqueeze(1), input, self.weight.transpose(1, 2))
        return super().forward(input)


def linear(width_in: int, width_out: int) -> Linear:
    return Linear(width_in, width_out)


def unbiased(width_in: int, width_out: int) -> nn.Linear:
    return nn.Linear(width_in, width_out, bias=False)


class FrozenMap(nn.Module):
    """Q x at each pixel, or of features, with an orthogonal map Q that never learns: in the state, not a parameter."""

    weight: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.eye(width))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight[:, :, None, None]) if x.ndim == 4 else F.linear(x, self.weight)


def upsample(x: Tensor) -> Tensor:
    """Nearest neighbour, twice the size."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def downsample(x: Tensor) -> Tensor:
    """Mean of 2 x 2 pixels, half the size."""
    return F.avg_pool2d(x, kernel_size=2)


# Resampling and the 3x3 convolution `layer` beside it as one 4x4 of stride 2: 4 multiply-adds in place of 9.


def upsampled_conv(x: Tensor, layer: nn.Conv2d | nn.Linear) -> Tensor:
    """layer(upsample(x)) for a 3x3 convolution of padding 1: neighbours that are copies share a sum of weights."""
    weight = sum_2x2_shifts(layer.weight.flip(2, 3)).transpose(0, 1)
    return F.conv_transpose2d(x, weight, layer.bias, stride=2, padding=1)


def downsampled_conv(x: Tensor, layer: nn.Conv2d | nn.Linear) -> Tensor:
    """downsample(layer(x)) likewise: the mean of four places is taken of the weights."""
    return F.conv2d(x, sum_2x2_shifts(layer.weight) / 4, layer.bias, stride=2, padding=1)


@runtime_checkable
class Fusable(Protocol):
    """A module that computes resampling and convolution as one, or one after the other."""

    fused: bool


def fuse(net: nn.Module, fused: bool) -> None:
    """Turn fused resampling and convolution on or off."""
    for module in fusable(net):
        module.fused = fused


@contextlib.contextmanager
def unfused(net: nn.Module) -> Iterator[None]:
    """One after the other, for counts and for looking inside."""
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
    """Sums over 2 x 2 shifts: (out, in, 3, 3) to (out, in, 4, 4)."""
    rows = F.pad(weight, (0, 0, 0, 1)) + F.pad(weight, (0, 0, 1, 0))
    return F.pad(rows, (0, 1)) + F.pad(rows, (1, 0))


class PixelNorm(nn.Module):
    """x / sqrt(mean_c x^2 + 1e-8) at each pixel (Karras et al. 2018, section 4.2). No parameters."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalisation (Ioffe & Szegedy 2015) of (N, C, H, W) maps and of (N, F) features alike."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in (2, 4):
            raise ValueError(f"expected (N, F) or (N, C, H, W), got {tuple(input.shape)}")


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
    """A norm; with `classes`, a class-conditional one."""
    return ClassNorm(norm, width, classes=classes) if classes else NORMS[norm](width)


def normalise(norm: nn.Module, x: Tensor, labels: Tensor | None) -> Tensor:
    """norm(x), or norm(x, labels) of a class-conditional norm."""
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
                # Where the power iteration starts: by name, since one arm may have projections that the other has not.
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
    fan_in: FanIn = "nominal",  # effective: without the taps of a 3x3 that fall on its padding
) -> None:
    """Draw each weight from a generator seeded by (seed, network, its name); biases are zero.

    So the same seed gives the same weights in every arm, and at every depth to the layers that both depths have
    (but for `fixup`, whose scale is that of the depth).
    """
    for name, module in net.named_modules():
        if isinstance(module, WITH_WEIGHTS):
            name = f"{name}.weight".removeprefix(".")
            generator = make_generator(seed, network, name)
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, generator=generator)  # a code, as large as the latent it stands beside
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
    """Rescale the weights of a branch, once they are drawn, as the initialisation asks.

    zero_last  the last one is zero: a residual block begins as the identity (Zhang et al. 2019, Fixup, rule 1)
    fixup      that, and the others times L^(-1 / (2m - 2)), with L blocks of m layers (the same, rule 2; R3GAN too)
    dirac      all are the identity, so that a plain block begins as near to it as its activations let it: a(a(x)) for
               preact without norm (Zagoruyko and Komodakis 2017, DiracNets). It tells "begins near the identity" from
               "has a path around"
    looks_linear  [[V, -V], [-V, V]] / 1.2, V orthogonal: a plain preact block of mirrored input begins as an isometry
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
    """Fill a weight (out, in / groups, ...) with that of the identity.

    From few to many channels each is copied as often as there is room, from many to few the first ones are kept.
    """
    if weight.ndim == 2:
        nn.init.eye_(weight)
    else:
        out, per_group = weight.shape[:2]
        nn.init.dirac_(weight, groups=max(1, out // per_group))


def draw_bias(layer: nn.Linear | nn.Conv2d, *, seed: int, network: str) -> None:
    """For the first layer: as its weights, as if the input had one more number, which is always 1.

    Otherwise a norm that divides by the length hides the size of the input: D(2x) = D(x), G(2z) = G(z).
    """
    sd = nn.init.calculate_gain("leaky_relu", SLOPE) / math.sqrt(inputs_of_output(layer))
    assert layer.bias is not None
    nn.init.normal_(layer.bias, std=sd, generator=make_generator(seed, network, "first bias"))


def effective_share(layer: nn.Module) -> float:
    """The share of the variance that a layer of random weights keeps, in the long run, in spite of its zero padding.

    A 3x3 on maps of s x s pixels takes their variances to the sums over 3 x 3 neighbours, over 9. The largest
    eigenvalue of this map is ((1 + 2 cos(pi / (s + 1))) / 3)^2: .76 a layer at 4 pixels, .92 at 8, .98 at 16. (The mean
    share of the taps that fall inside, .69 at 4, is that of one layer only: variances come to be larger in the middle.)
    """
    if not isinstance(layer, Conv3x3) or layer.size is None:
        return 1.0
    return ((1 + 2 * math.cos(math.pi / (layer.size + 1))) / 3) ** 2


def inputs_of_output(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> float:
    """The fan-in: how many numbers one output is a weighted sum of, those of the padding included."""
    if isinstance(layer, nn.ConvTranspose2d):  # whose weight is (in, out, ...); a stride leaves gaps between inputs
        return layer.weight[:, 0].numel() / math.prod(layer.stride)
    return layer.weight[0].numel()


@torch.no_grad()
def draw_weight(weight: Tensor, generator: torch.Generator, *, scheme: Init, fan_in: float) -> None:
    """Fill a weight (out, in, ...) in place.

    he          normal, variance 2 / ((1 + 0.2^2) fan_in): keeps the size of a leaky ReLU's signal (He et al. 2015)
    glorot      normal, variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)
    orthogonal  orthogonal rows or columns with the gain of the leaky ReLU (Saxe et al. 2014)
    zero_last, fixup, dirac, looks_linear   as he; `rescale_branch_init` does the rest
    matched     as he; `match_variances` in matched.py does the rest, where there are data
    """
    match scheme:
        case "he" | "zero_last" | "fixup" | "dirac" | "looks_linear" | "matched":
            gain = nn.init.calculate_gain("leaky_relu", SLOPE)
            nn.init.normal_(weight, std=gain / math.sqrt(fan_in), generator=generator)
        case "glorot":
            nn.init.xavier_normal_(weight, generator=generator)
        case "orthogonal":
            nn.init.orthogonal_(weight, nn.init.calculate_gain("leaky_relu", SLOPE), generator=generator)
