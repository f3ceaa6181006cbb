"""DINOv2: a self-supervised vision transformer whose features see more than Inception's.

Oquab et al. 2023, "DINOv2"; as a measure of generators: Stein et al. 2023, "Exposing flaws of generative model
evaluation metrics". The network is timm's, the weights are the authors' files (dinov2_vitl14_pretrain.pth and so on).
Images are resized by antialiased bicubic interpolation in floats, and position embeddings by the authors' rule.
"""

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resgan.base.plain_data import PlainData
from resgan.metrics.features import library

SIDE, PATCH = 224, 14  # pixels
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, by channel
SIZES = {384: "small", 768: "base", 1024: "large"}  # features -> size of the transformer


class DinoV2(nn.Module):
    """uint8 (N, 3, H, W) -> the normalised class token, (N, 384), (N, 768) or (N, 1024)."""

    def __init__(self, state: PlainData) -> None:
        super().__init__()
        self.net = transformer(SIZES[width_of(state)], side=SIDE)
        kept = {key: value for key, value in state.items() if key != "mask_token"}  # used in training only
        self.net.load_state_dict(kept | {"pos_embed": resample_positions(state["pos_embed"], side=SIDE // PATCH)})

    def forward(self, images: Tensor) -> Tensor:
        size = (SIDE, SIDE)
        x = F.interpolate(images.float(), size, mode="bicubic", align_corners=False, antialias=True)
        mean, sd = (x.new_tensor(channel).view(1, 3, 1, 1) for channel in (MEAN, SD))
        return self.net((x / 255 - mean) / sd)


def transformer(size: str, *, side: int) -> nn.Module:
    """Make timm's transformer, untrained, for images of `side` pixels. Raises ExtractorError."""
    timm = library("timm", extractor="dinov2", extra="dinov2")
    return timm.create_model(f"vit_{size}_patch{PATCH}_dinov2", pretrained=False, img_size=side, num_classes=0)


def width_of(state: PlainData) -> int:
    """Return the number of features of the transformer in a state_dict; RuntimeError where it holds none."""
    positions = state.get("pos_embed")
    if not isinstance(positions, Tensor) or positions.ndim != 3 or positions.shape[-1] not in SIZES:
        raise RuntimeError(f"no state_dict of DINOv2 with {', '.join(map(str, SIZES))} features")
    return positions.shape[-1]


def resample_positions(positions: Tensor, *, side: int) -> Tensor:
    """Resample position embeddings (1, 1 + M^2, d) to (1, 1 + side^2, d): bicubic, as in the authors' code.

    The scale is (side + 0.1) / M, and sets the sampling points.
    """
    one, grid = positions[:, :1], positions[:, 1:]
    before = round(grid.shape[1] ** 0.5)
    if before == side:
        return positions
    square = grid.unflatten(1, (before, before)).permute(0, 3, 1, 2)  # (1, d, M, M)
    scale = (side + 0.1) / before
    resized = F.interpolate(square, scale_factor=(scale, scale), mode="bicubic")  # (1, d, side, side)
    return torch.cat([one, resized.flatten(2).mT], dim=1)


def random_state(size: str = "small") -> PlainData:
    """Weights for tests, always the same, under the names of the authors' files."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = transformer(size, side=518).state_dict()
        # As initialised, every branch is scaled by 1e-5, and features of different images would hardly differ.
        scales = {key: torch.ones_like(value) for key, value in state.items() if re.search(r"\.ls\d\.gamma$", key)}
    return state | scales | {"mask_token": torch.zeros(1, width_of(state))}
