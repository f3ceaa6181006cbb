"""The looks-linear start (Balduzzi et al. 2017, "The shattered gradients problem", section 4).

For a leaky ReLU a of slope s, a(h) - a(-h) = (1 + s) h. So where a network carries [h, -h], halves of its channels or
features, a layer [A, -A] / (1 + s) after an activation gives A h: at the start the network is affine, however deep.

A layer of weights W, drawn as He's, keeps a part of them:

first    [A, -A], of all inputs: what it gives is mirrored, its bias too
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
    """For a layer of a branch: its weight (width, width, ...). Raises ValueError for an odd width.

    V is the nearest orthogonal matrix to a quarter of the weights drawn, which for normal ones is uniform among all.
    """
    out, inputs = weight.shape[:2]
    if out != inputs or out % 2:
        raise ValueError(f"init=looks_linear: mirrors halves of {inputs} channels in {out}; valid is one even width")
    centre = (slice(None), slice(None), *(size // 2 for size in weight.shape[2:]))
    left, _, right = torch.linalg.svd(weight[centre][: out // 2, : out // 2].double())
    v = (left @ right).to(weight.dtype)
    weight.zero_()
    weight[centre] = torch.cat([torch.cat([v, -v], dim=1), torch.cat([-v, v], dim=1)]) / (1 + slope)


@torch.no_grad()
def mirror(*, first: Iterable[Layer], between: Iterable[Layer], last: Iterable[Layer], slope: float) -> None:
    """Mirror the layers outside the blocks, once they are drawn. Raises ValueError for an odd width."""
    for layer in first:
        mirror_outputs(layer)
    for layer in between:
        mirror_inputs(layer, slope=1.0)  # as if of the activation x, of slope 1
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
        raise ValueError(f"init=looks_linear: mirrors halves of the width; valid are even widths, not {width}")
    return width // 2
