"""resgan's Frechet distance in a Lightning module of your own, in one process or several: the number is the same.

python examples/frechet_in_your_module.py [PROCESSES]
"""

import sys

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import resgan


def real_images(count: int) -> Tensor:
    """Stands for your data: uint8 images (N, 3, 16, 16)."""
    noise = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    return (127.5 + 40 * noise).clamp(0, 255).to(torch.uint8)


class YourModule(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(nn.Linear(8, 3 * 16 * 16), nn.Tanh(), nn.Unflatten(1, (3, 16, 16)))
        # FID: extractor="inception", whose weights are fetched once (96 MB)
        self.frechet = resgan.FrechetDistance(real_images(256), extractor="cifarnet")

    def validation_step(self, batch: list[Tensor], batch_idx: int) -> None:
        self.frechet.update(self.generator(batch[0]))  # floats in [-1, 1], or uint8
        self.log("frechet", self.frechet)  # Lightning computes it over all processes, and resets it


def main() -> None:
    processes = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    pl.seed_everything(0, verbose=False)
    latents = DataLoader(TensorDataset(torch.randn(256, 8)), batch_size=32)
    trainer = pl.Trainer(
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
    )
    [found] = trainer.validate(YourModule(), latents, verbose=False)
    if trainer.is_global_zero:
        print(f"frechet {found['frechet']:.15g}")


if __name__ == "__main__":
    main()
