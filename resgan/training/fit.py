"""Lightning's Trainer as we use it: it runs the steps; counting, saving and logging are the callbacks'."""

import logging
import os
import warnings
from typing import Any, Literal

import pytorch_lightning as pl

from resgan.training.callbacks import Diverged
from resgan.training.gan import GAN


def play(
    gan: GAN,
    data: pl.LightningDataModule,
    *,
    callbacks: list[pl.Callback],
    accelerator: str,  # "cpu", "cuda" or "mps"
    precision: Any,  # "32-true" or "bf16-mixed"
    deterministic: bool,
) -> Literal["finished", "diverged"]:
    """Train from where the GAN stands to its end."""
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
    try:
        trainer.fit(gan, data)
    except Diverged:
        return "diverged"
    return "finished"


def quieten() -> None:
    """Lightning's advice is for automatic optimisation and for loaders with workers; none of it fits here."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=name)
