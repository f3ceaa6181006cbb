"""The device that tensors live on."""

import torch

from resgan.base.errors import OptionsError


def find_accelerator(option: str, name: str) -> str:
    """Resolve "auto" and "gpu" to "cpu", "cuda" or "mps". Raises OptionsError where the machine has no such thing."""
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    wanted = {"auto": next(kind for kind in has if has[kind]), "gpu": "cuda"}.get(name, name)
    if not has[wanted]:
        raise OptionsError(f"{option}={name}: this machine has none; valid are auto, cpu")
    return wanted


def synchronise(device: str) -> None:
    """Wait for the work given to a CUDA device; the CPU has none outstanding."""
    if device == "cuda":
        torch.cuda.synchronize()
