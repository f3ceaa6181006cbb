"""Images: conversion between [-1, 1] floats and uint8, grids, lettering, and files."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from resgan.base.files import write_atomically

CELL = 64  # least side in pixels of an image in a grid
SCATTER = 512  # least side in pixels of a scatter plot
GAP, GAP_GREY = 2, 192  # pixels between cells; a grey unlike the usual backgrounds black, white and mid-grey
TEXT, MARGIN = 16, 6  # pixels: the size of letters, and the space around a line of them


def to_uint8(images: Tensor) -> Tensor:
    """Convert [-1, 1] floats to uint8 by StyleGAN's rule, under which all 256 levels survive a round trip."""
    return (images * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def as_uint8(images: Tensor) -> Tensor:
    """Return uint8 images unchanged, and quantise [-1, 1] floats."""
    return images if images.dtype == torch.uint8 else to_uint8(images)


def to_float(images: Tensor) -> Tensor:
    """Convert uint8 to float32 in [-1, 1]."""
    return images.to(torch.float32) / 127.5 - 1


def grid(images: Tensor, *, columns: int | None = None, gap: int = GAP) -> Tensor:
    """Tile uint8 images (N, C, H, W) into one, (C, rows * (H + gap) + gap, columns * (W + gap) + gap)."""
    count, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = images.new_full((channels, rows * (height + gap) + gap, columns * (width + gap) + gap), GAP_GREY)
    for k, image in enumerate(images):
        top, left = gap + k // columns * (height + gap), gap + k % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return sheet


def scatter(points: Tensor, *, size: int = 256, limit: float = 5.0) -> Tensor:
    """Draw points in the plane (N, 2) as a uint8 image (1, size, size) of the square [-limit, limit]^2."""
    pixels = ((points / limit + 1) / 2 * (size - 1)).round().long()
    inside = ((pixels >= 0) & (pixels < size)).all(dim=1)
    x, y = pixels[inside].unbind(1)
    plot = torch.full((1, size, size), 255, dtype=torch.uint8)
    plot[0, size - 1 - y, x] = 0
    return plot


def to_image(samples: Tensor, *, columns: int | None = None) -> Tensor:
    """Show samples in one uint8 image: a grid of enlarged images (N, C, H, W), or a scatter plot of points (N, 2)."""
    samples = samples.detach().cpu()
    if samples.ndim == 2:
        return enlarge(scatter(samples), least=SCATTER)
    return grid(enlarge(as_uint8(samples)), columns=columns)


def enlarge(images: Tensor, *, least: int = CELL) -> Tensor:
    """Repeat the pixels of (..., H, W) until the shorter side has at least `least`, without mixing colours."""
    return repeat_pixels(images, enlargement(images.shape, least=least))


def enlargement(shape: Sequence[int], *, least: int = CELL) -> int:
    """Return the factor by which (..., H, W) is enlarged until the shorter side has at least `least` pixels."""
    return max(1, math.ceil(least / min(shape[-2:])))


def repeat_pixels(images: Tensor, times: int) -> Tensor:
    """Enlarge (..., H, W) by a whole factor; each pixel becomes a block of one colour."""
    return images.repeat_interleave(times, -2).repeat_interleave(times, -1)


def lettering(text: str, *, height: int, width: int | None = None) -> Tensor:
    """Draw a line of text, black on white, as uint8 (1, height, width); by default as wide as the text needs."""
    font = ImageFont.load_default(TEXT)
    strip = Image.new("L", (width or math.ceil(font.getlength(text)) + 2 * MARGIN, height), 255)
    ImageDraw.Draw(strip).text((MARGIN, height / 2), text, fill=0, font=font, anchor="lm")
    return torch.from_numpy(np.array(strip))[None]


def with_row_labels(sheet: Tensor, labels: Sequence[str], *, gap: int = GAP) -> Tensor:
    """Write the labels of a grid's rows on its left: uint8 (C, H, W) to (C, H, W + width of the longest)."""
    channels, height, _ = sheet.shape
    step = (height - gap) // len(labels)
    names = [lettering(label, height=step) for label in labels]
    margin = sheet.new_full((1, height, max(name.shape[2] for name in names)), 255)
    for k, name in enumerate(names):
        margin[:, gap // 2 + k * step :, : name.shape[2]][:, :step] = name
    return torch.cat([margin.expand(channels, -1, -1), sheet], 2)


def with_caption(image: Tensor, text: str) -> Tensor:
    """Write a line of text below an image: uint8 (C, H, W) to (C, H + 28, W)."""
    strip = lettering(text, height=TEXT + 2 * MARGIN, width=image.shape[2])
    return torch.cat([image, strip.expand(image.shape[0], -1, -1)], 1)


def to_array(image: Tensor) -> np.ndarray:
    """Convert uint8 (C, H, W) to (H, W, 3), or to (H, W) for one channel, as Pillow and W&B expect."""
    return image[0].numpy() if image.shape[0] == 1 else image.permute(1, 2, 0).numpy()


def png(image: Tensor) -> bytes:
    """Encode uint8 (C, H, W), C = 1 or 3, as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(to_array(image)).save(buffer, format="PNG")
    return buffer.getvalue()


def save_png(image: Tensor, path: Path) -> None:
    write_atomically(path, png(image))
