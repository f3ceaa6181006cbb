"""Feature extractors: from images to the vectors that distances between sets of images compare.

Both sides of a distance must pass through the same extractor at the same precision, so an extractor
carries its card (what it is, exactly) and disables the caller's autocast and TF32.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from resgan.base.device import full_precision
from resgan.base.errors import UserError
from resgan.base.progress import progress_bar

CHUNK = 64  # images that go through an extractor together


class ExtractorError(UserError):
    """An extractor that cannot be used; the message is one line that names the file or option."""


def library(module: str, *, extractor: str, extra: str) -> Any:
    """Import a module of an optional library, which the extra of this name installs. Raises ExtractorError."""
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
        needed, reason = module.partition(".")[0].replace("_", "-"), str(error).partition("\n")[0]
        raise ExtractorError(f"{extractor} needs {needed}, pip install 'resgan[{extra}]' ({reason})") from error


def as_rgb(images: Tensor) -> Tensor:
    """Expand uint8 (N, 1 or 3, H, W) to (N, 3, H, W), grey repeated; ExtractorError for anything else."""
    if images.dtype != torch.uint8 or images.ndim != 4:
        given = f"{images.dtype} {tuple(images.shape)}"
        raise ExtractorError(f"an extractor takes uint8 (N, C, H, W), got {given}")
    if images.shape[1] not in (1, 3):
        raise ExtractorError(f"an extractor takes 1 or 3 channels, got {images.shape[1]}")
    return images.expand(-1, 3, -1, -1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Extractor:
    """Extractor of features from images. Not an nn.Module, so that it never enters a checkpoint or leaves eval mode."""

    name: str  # in the names of scores: "cifarnet", "inception", "inception_0123abcd"
    module: nn.Module  # uint8 (N, 3, H, W) -> (N, d); eval mode, no gradients
    card: dict[str, str | int]  # extractor, trained_on, weights_sha256, resize, precision
    head: nn.Module | None = None  # of a classifier: (N, d) -> logits (N, classes)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W), C = 1 or 3, on the module's device -> float32 features (N, d)."""
        images = as_rgb(images)
        with full_precision(images.device.type):
            return self.module(images).float()

    def to(self, device: torch.device | str) -> "Extractor":
        """Move the module, in place."""
        self.module.to(device)
        return self

    @property
    def device(self) -> torch.device:
        return next((p.device for p in self.module.parameters()), torch.device("cpu"))


def extract(extractor: Extractor, images: Tensor, *, progress: str | None = None) -> Tensor:
    """Extract features (N, d), float32 on the CPU, from uint8 images (N, C, H, W).

    `progress`: label of a progress bar; None for no bar. Raises ExtractorError for features that are not finite.
    """
    shown = progress is not None
    chunks = progress_bar(images.split(CHUNK), label=progress or "", unit="batches", show=shown)
    features = torch.cat([extractor(chunk.to(extractor.device)).cpu() for chunk in chunks])
    if not features.isfinite().all():
        raise ExtractorError(f"the features of {extractor.name} are not finite: it cannot measure these images")
    return features
