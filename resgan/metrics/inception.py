"""Inception-v3 of 2015, the network behind FID, KID and IS: torch-fidelity's conversion of it, made faster.

The weights are TensorFlow's of 2015-12-05, the layers torch-fidelity's. Folding each BatchNorm into its convolution,
holding images channels_last, and resizing by two matrices change features by rounding alone.
"""

import io
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resgan.base.plain_data import PlainData
from resgan.metrics.features import library

SIDE = 299  # pixels
LAYERS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1"),
    *("Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d"),
    *("Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool"),
)

Resize = Literal["tf1", "clean"]


def theirs() -> Any:
    """Import torch-fidelity's module. Raises ExtractorError."""
    return library("torch_fidelity.feature_extractor_inceptionv3", extractor="inception", extra="fid")


def clean_resize(images: Tensor, *, side: int) -> Tensor:
    """Resize by Pillow's antialiased bicubic, in floats: Parmar et al. 2022, "On aliased resizing".

    uint8 (N, C, H, W) to float32 (N, C, side, side) in [0, 255].
    """
    size = (side, side)
    resized = F.interpolate(images.float(), size, mode="bicubic", align_corners=False, antialias=True)
    return resized.clamp(0, 255)


def tf1_resize(images: Tensor, *, side: int) -> Tensor:
    """Resize by TensorFlow 1's bilinear, neither antialiased nor centred: uint8 (N, C, H, W) to float32 in [0, 255]."""
    rows, columns = (tf1_weights(length, side, images.device) for length in images.shape[2:])
    return rows @ images.float() @ columns.T


def tf1_weights(before: int, after: int, device: torch.device) -> Tensor:
    """Return the weights (after, before) of the input positions at each output position.

    Output i lies at input i * before / after, between the two nearest inputs; in float32, as in TensorFlow.
    """
    places = torch.arange(after, device=device) * torch.tensor(before / after, dtype=torch.float32, device=device)
    low = places.long()
    high = (low + 1).clamp(max=before - 1)
    share = (places - low).view(-1, 1)
    one_hot = torch.eye(before, device=device)
    return (1 - share) * one_hot[low] + share * one_hot[high]


def fold_norms(net: nn.Module) -> None:
    """Fold into every convolution the BatchNorm after it, in eval mode: W' = W g / s, b' = b - m g / s."""
    for block in net.modules():
        conv, norm = getattr(block, "conv", None), getattr(block, "bn", None)
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            block.conv = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
            block.bn = nn.Identity()


class InceptionPool(nn.Module):
    """uint8 (N, 3, H, W) -> the last average pool, (N, 2048)."""

    def __init__(self, state: PlainData, *, resize: Resize = "tf1") -> None:
        super().__init__()
        # torch-fidelity opens files with weights_only=False: it gets a copy of what passed the safe loader.
        copy = io.BytesIO()
        torch.save(state, copy)
        copy.seek(0)
        layers = ("inception-v3-compat", ["2048"])
        net = theirs().FeatureExtractorInceptionV3(*layers, feature_extractor_weights_path=copy)
        fold_norms(net)
        self.trunk = nn.Sequential(*(net.get_submodule(name) for name in LAYERS)).to(memory_format=torch.channels_last)
        # "Unbiased" logits, those of IS: the last layer without its bias.
        self.head = nn.Linear(2048, 1008, bias=False)
        self.head.weight = net.fc.weight
        self.resize: Resize = resize

    def forward(self, images: Tensor) -> Tensor:
        x = clean_resize(images, side=SIDE) if self.resize == "clean" else tf1_resize(images, side=SIDE)
        x = (x - 128) / 128  # (N, 3, 299, 299), in [-1, 1)
        return self.trunk(x.contiguous(memory_format=torch.channels_last)).flatten(1)  # (N, 2048)


def random_state() -> PlainData:
    """Return weights for tests, always the same: He's gain, since torch's default lets the last features collapse."""
    from unittest import mock

    module = theirs()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        with (
            mock.patch.object(module, "load_state_dict_from_url", return_value={}),
            mock.patch.object(module.FeatureExtractorInceptionV3, "load_state_dict"),
        ):
            net = module.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return net.state_dict()
