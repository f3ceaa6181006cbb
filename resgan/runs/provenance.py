"""Provenance of a run: code, versions, machine, command."""

import datetime
import platform
import shlex
import subprocess
from importlib.metadata import version
from pathlib import Path

import resgan
from resgan.base.plain_data import PlainData


def provenance(*, accelerator: str, arguments: list[str]) -> PlainData:
    """Describe one session of a run; each start or continuation is a session."""
    import torch

    device = torch.cuda.get_device_name() if accelerator == "cuda" else platform.processor() or platform.machine()
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", "-m", "resgan.train", *arguments]),
        "resgan": resgan.__version__,
        "git": git_state(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "pytorch_lightning": version("pytorch-lightning"),
        "device": f"{accelerator}: {device}",
        "threads": torch.get_num_threads(),
    }


def git_state() -> PlainData | None:
    """Return the commit of the checkout that the package runs from, and if it has uncommitted changes; else None."""
    here = Path(resgan.__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"commit": commit, "dirty": bool(changes)}
