"""CifarNet: the small classifier whose last feature map measures images where nothing may be downloaded."""

import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 32  # pixels; the size of the images it was trained on
FEATURES = 96


def conv_block(width_in: int, width_out: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution 3x3, BatchNorm, ReLU: (N, width_in, H, W) -> (N, width_out, H / stride, W / stride)."""
    conv = nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(width_out), nn.ReLU())


def resize(images: Tensor, *, side: int = SIDE) -> Tensor:
    """Resize (N, C, H, W) to (N, C, side, side): bilinear, antialiased; unchanged where the size fits."""
    if images.shape[2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", align_corners=False, antialias=True)


class CifarNet(nn.Module):
    """uint8 RGB images of any size -> 96 features: the last block's channels, averaged over the image."""

    def __init__(self, *, classes: int = 10) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            conv_block(3, 16),  # 32x32
            conv_block(16, 48, stride=2),  # 16x16
            conv_block(48, FEATURES, stride=2),  # 8x8
            conv_block(FEATURES, FEATURES),
        )
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> features (N, 96)."""
        x = resize(images.float()) / 127.5 - 1  # (N, 3, 32, 32)
        x = self.blocks(x)  # (N, 96, 8, 8)
        return x.mean(dim=(2, 3))  # (N, 96)

    def classify(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> logits (N, classes); used in training only."""
        return self.head(self.forward(images))
