"""Train CifarNet, the feature extractor that resgan ships, and print its accuracy.

    python scripts/train_extractor.py --data DIR --out cifarnet.pt

DIR holds `train/<class>/*` and `test/<class>/*`, 32x32 images in any format Pillow reads.
The result is a plain state_dict that opens with `torch.load(weights_only=True)`. If the file
replaces the shipped one, change SHA256 in resgan/metrics/extractors.py with it.
"""

import argparse
import hashlib
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from resgan.metrics.cifarnet import SIDE, CifarNet

PAD = 4  # largest random shift in pixels, as in He et al. 2015, section 4.2


def read_folder(folder: Path) -> tuple[Tensor, Tensor]:
    """Read images uint8 (N, 3, 32, 32) and labels int64 (N,) from `folder/<class>/*`, in sorted order."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    files = [(path, label) for label, cls in enumerate(classes) for path in sorted(cls.iterdir())]
    if not files:
        raise SystemExit(f"error: --data: no images in {folder}/<class>/")
    pixels = np.stack([np.asarray(Image.open(path).convert("RGB")) for path, _ in files])
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
    return images, torch.tensor([label for _, label in files])


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image with probability 1/2 and shift it by up to PAD pixels, in one gather."""
    count = len(images)
    padded = F.pad(images.float(), (PAD,) * 4, mode="reflect")  # (N, 3, 40, 40)
    row, column = torch.randint(2 * PAD + 1, (2, count, 1), generator=generator)
    mirror = torch.randint(2, (count, 1), generator=generator).bool()
    steps = torch.arange(SIDE)
    rows = (row + steps)[:, :, None]  # (N, 32, 1)
    columns = (column + torch.where(mirror, steps.flip(0), steps))[:, None, :]  # (N, 1, 32)
    picked = padded[torch.arange(count)[:, None, None], :, rows, columns]  # (N, 32, 32, 3)
    return picked.permute(0, 3, 1, 2)


def train(net: CifarNet, images: Tensor, labels: Tensor, *, epochs: int, batch: int, seed: int) -> None:
    """Train by Nesterov SGD with one learning-rate cycle (Smith 2018), on cross-entropy with smoothed labels."""
    generator = torch.Generator().manual_seed(seed)
    steps = len(images) // batch
    optimizer = torch.optim.SGD(net.parameters(), momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.2, total_steps=steps * epochs, pct_start=0.25)
    net.train()
    for epoch in range(epochs):
        start, total = time.perf_counter(), 0.0
        order = torch.randperm(len(images), generator=generator)
        for chosen in order[: steps * batch].split(batch):
            logits = net.classify(augment(images[chosen], generator))
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1}: loss {total / steps:.3f}, {time.perf_counter() - start:.0f} s", flush=True)


@torch.inference_mode()
def accuracy(net: CifarNet, images: Tensor, labels: Tensor) -> float:
    """Return the share of images whose largest logit is their label's, in float32 and evaluation mode."""
    net.eval()
    guesses = torch.cat([net.classify(batch).argmax(1) for batch in images.split(500)])
    return (guesses == labels).double().mean().item()


def save(net: nn.Module, path: Path) -> str:
    """Write the state_dict and return the file's sha256."""
    torch.save({name: value.contiguous() for name, value in net.state_dict().items()}, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    verbatim = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=verbatim)
    parser.add_argument("--data", type=Path, required=True, help="holds train/<class>/ and test/<class>/")
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    net = CifarNet().to(memory_format=torch.channels_last)
    images, labels = read_folder(args.data / "train")
    start = time.perf_counter()
    train(net, images, labels, epochs=args.epochs, batch=args.batch, seed=args.seed)
    print(f"trained on {len(images):,} images in {time.perf_counter() - start:.0f} s")

    print(f"test accuracy {accuracy(net, *read_folder(args.data / 'test')):.4f}")
    print(f"parameters {sum(p.numel() for p in net.parameters()):,}")
    print(f"sha256 {save(net, args.out)}")


if __name__ == "__main__":
    main()
