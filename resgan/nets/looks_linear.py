"""The looks-linear start (Balduzzi et al. 2017, "The shattered gradients problem", section 4).

For a leaky ReLU a of slope s, a(h) - a(-h) = (1 + s) h. So where the halves of a network's channels or
features are [h, -h], a layer [A, -A] / (1 + s) after an activation gives A h: at the start the network is affine,
however deep.

Each layer is drawn as by init=he, keeps a part of its weights, and derives the others from it:

first    [A, -A], of all inputs: its outputs are mirrored, and so is its bias
branch   [[V, -V], [-V, V]] / (1 + s) after an activation, V orthogonal, on the centre tap of a 3x3: [h, -h] to
         [V h, -V h], an isometry
between  [[A, -A], [-A, A]] / 2, without an activation before it: where the width changes
last     [A, -A] / (1 + s) after an activation, to all outputs: A h
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

Layer = nn.Linear | nn.Conv2d


@torch.no_grad()
def fill_isometry(weight: Tensor, *, slope: float) -> None:
    """Fill the weight (width, width, ...) of a layer in a branch. Raises ValueError for an odd or a changing width.

    V is the orthogonal matrix nearest to a quarter of the drawn weights; for normal weights it is uniform among all.
    """
    out, inputs = weight.shape[:2]
    if out != inputs or out % 2:
        raise ValueError(f"init=looks_linear: mirrors halves of {inputs} channels in {out}; use one even width")
    centre = (slice(None), slice(None), *(size // 2 for size in weight.shape[2:]))
    left, _, right = torch.linalg.svd(weight[centre][: out // 2, : out // 2].double())
    v = (left @ right).to(weight.dtype)
    weight.zero_()
    weight[centre] = torch.cat([torch.cat([v, -v], dim=1), torch.cat([-v, v], dim=1)]) / (1 + slope)


@torch.no_grad()
def mirror(*, first: Iterable[Layer], between: Iterable[Layer], last: Iterable[Layer], slope: float) -> None:
    """Mirror the drawn weights of the layers outside the blocks. Raises ValueError for an odd width."""
    for layer in first:
        mirror_outputs(layer)
    for layer in between:
        mirror_inputs(layer, slope=1.0)  # no activation before it: slope 1
        mirror_outputs(layer)
    for layer in last:
        mirror_inputs(layer, slope=slope)


def mirror_outputs(layer: Layer) -> None:
    for tensor in (layer.weight, layer.bias):
        if tensor is not None:
            half = half_of(len(tensor))
            tensor[half:] = -tensor[:half]


def mirror_inputs(layer: Layer, *, slope: float) -> None:
    half = half_of(layer.weight.shape[1])
    layer.weight[:, half:] = -layer.weight[:, :half]
    layer.weight /= 1 + slope


def half_of(width: int) -> int:
    if width % 2:
        raise ValueError(f"init=looks_linear: mirrors halves of the width; expected an even width, not {width}")
    return width // 2
