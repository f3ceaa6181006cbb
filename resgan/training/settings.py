"""A setting of a GAN or of a stack of them (training/stack.py): one number, or one for each member."""

from collections.abc import Sequence

import torch
from torch import Tensor

Setting = float | Tensor  # (S,) in float64 on the CPU where the members of a stack differ in it


def common(values: Sequence[float]) -> Setting:
    """Return one number where all values are equal, else (S,)."""
    return values[0] if len(set(values)) == 1 else torch.tensor(values, dtype=torch.float64)


def of_member(setting: Setting, place: int) -> float:
    return float(setting[place]) if isinstance(setting, Tensor) else setting


def beside(setting: Setting, tensor: Tensor) -> Setting:
    """Reshape a setting to broadcast over a tensor (S, ...), in its dtype and on its device."""
    return setting.to(tensor).view(-1, *(1,) * (tensor.ndim - 1)) if isinstance(setting, Tensor) else setting
