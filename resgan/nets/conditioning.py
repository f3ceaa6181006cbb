"""How a network is told the class of a picture, beside norms with a gain and a bias for each (layers.ClassNorm)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ForGenerator = Literal["none", "norm", "concat"]
ForDisc = Literal["none", "projection", "concat"]


def check_classes(conditional: str, classes: int) -> None:
    """Raises ValueError where a network is to be told what the data does not know."""
    if conditional != "none" and classes < 2:
        raise ValueError(f"conditional={conditional}: this data has no classes; valid is none")


def given(labels: Tensor | None) -> Tensor:
    """The labels. Raises ValueError where there are none."""
    if labels is None:
        raise ValueError("this network is told the class: it needs labels (N,)")
    return labels


class WithCode(nn.Module):
    """(z, e_y): a learned code of the class beside the latent (Mirza & Osindero 2014)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.code = nn.Embedding(classes, width)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return torch.cat([z, self.code(given(labels))], dim=1)


def with_planes(images: Tensor, labels: Tensor | None, *, classes: int) -> Tensor:
    """Images (N, C, H, W), or points (N, F), with `classes` more channels: ones in that of the class, else zeros."""
    planes = F.one_hot(given(labels), classes).to(images.dtype).view(-1, classes, *[1] * (images.ndim - 2))
    return torch.cat([images, planes.expand(-1, -1, *images.shape[2:])], dim=1)


def of_class(class_logits: Tensor, labels: Tensor | None) -> Tensor:
    """v_y . h (N,), from v . h for all classes (N, classes): what a projection adds (Miyato & Koyama 2018, eq. 3)."""
    return class_logits.gather(1, given(labels).view(-1, 1)).squeeze(1)
