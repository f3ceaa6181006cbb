"""Training with Lightning's Trainer, which only runs the steps; the callbacks save and log."""

import contextlib
import logging
import os
import warnings

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment

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
    """Train from the GAN's current state to the end of its run, or until its recorder finds it diverged."""
    quieten()
    if accelerator != "cuda":
        # Lightning turns this on; each optimiser step then looks for NVIDIA's library, 0.3 ms where there is none.
        os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "0"
    trainer = pl.Trainer(
        accelerator=accelerator,
        devices=[torch.cuda.current_device()] if accelerator == "cuda" else 1,
        plugins=[LightningEnvironment()],  # not what torchrun or SLURM set: base/processes.py joins the processes
        precision=precision,
        deterministic=deterministic,
        max_epochs=1,  # the remaining batches are one long epoch
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
    """Silence Lightning's advice: it is for automatic optimisation and loaders with workers, not used here."""
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", module=name)
