"""The device that tensors live on, and the precision it computes in."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from resgan.base.errors import OptionsError


def find_accelerator(option: str, name: str) -> str:
    """Resolve "auto" and "gpu" to "cpu", "cuda" or "mps". Raises OptionsError where the machine has no such thing."""
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    wanted = {"auto": next(kind for kind in has if has[kind]), "gpu": "cuda"}.get(name, name)
    if not has[wanted]:
        raise OptionsError(f"{option}={name}: this machine has none; valid are auto, cpu")
    return wanted


def has_bfloat16(accelerator: str) -> bool:
    """Check for matrix hardware that multiplies bfloat16, so that bf16-mixed pays: tensor cores, or AMX tiles.

    CUDA from compute capability 8.0 on, and processors with AMX. AVX-512 alone does not count, though it may have a
    product of bfloat16: with it steps of the lab networks were 1.02 times as fast at batch 8 and 1.13 to 1.32
    times at 32 (docs/performance.md), too little to give up float32 unasked. Nor does Apple's MPS, not measured.
    """
    if accelerator == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False) and torch.cuda.get_device_capability() >= (8, 0)
    return accelerator == "cpu" and torch.cpu._is_amx_tile_supported()  # private; older versions have no other


def synchronise(device: str) -> None:
    """Wait for the work given to a CUDA device; the CPU has none outstanding."""
    if device == "cuda":
        torch.cuda.synchronize()


# Precision.


def old_switch() -> str | None:
    """`torch.get_float32_matmul_precision()`, or None: torch does not answer once the new ones were used."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """float32 that is float32: no autocast, TF32 or bfloat16 products inside; all settings restored after."""
    backends: Any = torch.backends  # its switches are made at run time, out of a type checker's sight
    kinds = (backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul)
    old, before = old_switch(), [kind.fp32_precision for kind in kinds]
    if old:  # turned along with the new ones, since some of torch refuses to run where the two disagree
        torch.set_float32_matmul_precision("highest")
    for kind in kinds:
        kind.fp32_precision = "ieee"
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        if old:  # first, since it turns the new ones too
            torch.set_float32_matmul_precision(old)
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision
