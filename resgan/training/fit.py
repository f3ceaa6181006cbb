"""Lightning's Trainer as we use it: it runs the steps; counting, saving and logging are the callbacks'."""

import contextlib
import logging
import os
import warnings

import pytorch_lightning as pl

from resgan.options.choices import Precision
from resgan.training.gan import GAN
from resgan.training.recorder import Diverged


def fit(
    gan: GAN,  # or a stack of them
    data: pl.LightningDataModule,
    *,
    callbacks: list[pl.Callback],
    accelerator: str,  # "cpu", "cuda" or "mps"
    precision: Precision,
    deterministic: bool,
) -> None:
    """Train from where the GAN stands to its end, or until it has diverged: its recorder knows."""
    quieten()
    if accelerator != "cuda":
        # Lightning sets it, and then every step of an optimiser looks for NVIDIA's library: 0.3 ms where there is none.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=1,
        precision=precision,
        deterministic=deterministic,
        max_epochs=1,  # the stream of batches is one long epoch, from where the run stands to its end
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    with contextlib.suppress(Diverged):
        trainer.fit(gan, data)


def quieten() -> None:
    """Lightning's advice is for automatic optimisation and for loaders with workers; none of it fits here."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=name)
