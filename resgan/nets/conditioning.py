"""Class-conditional inputs and logits; norms with a gain and a bias for each class are layers.ClassNorm."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def check_classes(conditional: str, classes: int) -> None:
    """Raise ValueError where a network is to be class-conditional and the data has no classes."""
    if conditional != "none" and classes < 2:
        raise ValueError(f"conditional={conditional}: this data has no classes; use none")


def required(labels: Tensor | None) -> Tensor:
    """Return the labels. Raises ValueError where there are none."""
    if labels is None:
        raise ValueError("this network is class-conditional: it needs labels (N,)")
    return labels


class LabelEmbedding(nn.Module):
    """Concatenate the latent with a learned embedding of the class, (z, e_y) (Mirza & Osindero 2014)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.code = nn.Embedding(classes, width)

    def forward(self, z: Tensor, labels: Tensor | None) -> Tensor:
        return torch.cat([z, self.code(required(labels))], dim=1)


def append_label_planes(images: Tensor, labels: Tensor | None, *, classes: int) -> Tensor:
    """Append one channel per class to images (N, C, H, W) or points (N, F): ones for the label, else zeros."""
    planes = F.one_hot(required(labels), classes).to(images.dtype).view(-1, classes, *[1] * (images.ndim - 2))
    return torch.cat([images, planes.expand(-1, -1, *images.shape[2:])], dim=1)


def projection_logit(class_logits: Tensor, labels: Tensor | None) -> Tensor:
    """Select v_y . h (N,) from v . h of all classes (N, classes): the projection (Miyato & Koyama 2018, eq. 3)."""
    return class_logits.gather(1, required(labels).view(-1, 1)).squeeze(1)
