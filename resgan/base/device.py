"""The device that tensors live on, and the precision of its computations."""

import getpass
import itertools
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import IO, Any

import torch

from resgan.base.console import say_once
from resgan.base.errors import OptionsError
from resgan.base.files import try_lock


def find_accelerator(option: str, name: str) -> str:
    """Resolve "auto" and "gpu" to "cpu", "cuda" or "mps". Raises OptionsError if the machine has no such device."""
    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    wanted = {"auto": next(kind for kind in has if has[kind]), "gpu": "cuda"}.get(name, name)
    if not has[wanted]:
        raise OptionsError(f"{option}={name}: this machine has none; use auto or cpu")
    if wanted == "mps":
        say_fallbacks()
    return wanted


@cache
def say_fallbacks() -> None:
    """Say in one line what MPS lacks and the CPU computes in its place: torch's own warning of it is three lines long.

    `resgan/__init__.py` switches this on (PYTORCH_ENABLE_MPS_FALLBACK), before torch is imported.
    """
    show = warnings.showwarning

    def say_or_show(message: Warning | str, *rest: Any) -> None:
        if found := re.match(r"The operator '(\S+)' is not currently supported on the MPS backend", str(message)):
            say_once(f"mps: has no {found[1]}, which is computed on the CPU")
        else:
            show(message, *rest)

    warnings.showwarning = say_or_show


def has_float64(device_type: str) -> bool:
    """Check for float64, which Apple's MPS has not."""
    return device_type != "mps"


_claims: list[IO[str]] = []  # open files, each locked until the process ends


def take_gpu() -> None:
    """Make a GPU that no other process of this user has taken the current one, until this process ends.

    Where all are taken, it is one of those that the fewest have.
    """
    if not _claims and torch.cuda.device_count() > 1:
        uuids = [str(torch.cuda.get_device_properties(k).uuid) for k in range(torch.cuda.device_count())]
        torch.cuda.set_device(claim(uuids, Path(tempfile.gettempdir()) / f"resgan-gpus-{getpass.getuser()}"))


def claim(names: Sequence[str], directory: Path) -> int:
    """Claim one of these names by a lock in a directory; return its number."""
    for turn in itertools.count():
        for number, name in enumerate(names):
            if (file := try_lock(directory / f"{name}-{turn}")) is not None:
                _claims.append(file)
                return number
    raise AssertionError  # a turn without a claim follows sooner or later


def has_bfloat16(accelerator: str) -> bool:
    """Check for hardware on which bf16-mixed pays: matrix units for bfloat16, that is tensor cores or AMX tiles.

    True on CUDA from compute capability 8.0, and on processors with AMX. AVX-512 alone does not count, even where it
    multiplies bfloat16: with it steps of the lab networks were 1.02 times as fast at batch 8 and 1.13 to 1.32 times
    at 32 (docs/performance.md), too little to give up float32 by default. Nor does Apple's MPS, which is not measured.
    """
    if accelerator == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False) and torch.cuda.get_device_capability() >= (8, 0)
    return accelerator == "cpu" and torch.cpu._is_amx_tile_supported()  # private: older versions have no public one


def synchronise(device: str) -> None:
    """Wait until a CUDA device has finished its work; the CPU never has any pending."""
    if device == "cuda":
        torch.cuda.synchronize()


# Precision.


def old_switch() -> str | None:
    """Return `torch.get_float32_matmul_precision()`, or None: torch raises once the newer settings have been used."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None


@contextmanager
def full_precision(device_type: str) -> Iterator[None]:
    """Compute in true float32 inside, without autocast, TF32 or bfloat16 products; restore all settings afterwards."""
    backends: Any = torch.backends  # its settings are created at run time, so type checkers do not see them
    kinds = (backends.cudnn.conv, backends.cuda.matmul, backends.mkldnn.conv, backends.mkldnn.matmul)
    old, before = old_switch(), [kind.fp32_precision for kind in kinds]
    if old:  # set together with the newer settings, since parts of torch refuse to run where the two disagree
        torch.set_float32_matmul_precision("highest")
    for kind in kinds:
        kind.fp32_precision = "ieee"
    try:
        with torch.autocast(device_type, enabled=False):
            yield
    finally:
        if old:  # first, since it sets the newer ones too
            torch.set_float32_matmul_precision(old)
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision
