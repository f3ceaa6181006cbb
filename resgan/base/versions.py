"""The versions that --version prints."""

import platform
from importlib.metadata import PackageNotFoundError, version

import resgan

PACKAGES = ("torch", "pytorch-lightning", "hydra-core", "torchmetrics", "wandb")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide what a run computes and records."""
    return {"python": platform.python_version(), **{name: installed(name) for name in PACKAGES}}


def installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def version_text() -> str:
    """Return resgan's version, and one line for each of the others."""
    return "\n".join([f"resgan {resgan.__version__}", *(f"{name} {value}" for name, value in versions().items())])
