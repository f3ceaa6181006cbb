"""Small data sets of torchvision, by its own loaders: fetched on request, or from archives in place."""

from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from resgan.base.console import one_line
from resgan.data.dataset import DataError, Dataset

Sums = dict[str, str]  # official files, relative to the root, and their MD5 sums
Split = tuple[Tensor, Tensor, tuple[str, ...]]  # images, labels int64 (N,), names of the classes if any


def one_archive(dataset: Any) -> Sums:
    return {dataset.filename: dataset.tgz_md5}


def four_files(dataset: Any) -> Sums:
    return {f"{dataset.__name__}/raw/{name}": md5 for name, md5 in dataset.resources}


def one_per_split(dataset: Any) -> Sums:
    return {name: md5 for _, name, md5 in (dataset.split_list[split] for split in ("train", "test"))}


# name: (torchvision's class, its arguments for training and test, the files it reads)
TORCHVISION_SETS: dict[str, tuple[str, dict, dict, Callable[[Any], Sums]]] = {
    "cifar10": ("CIFAR10", {"train": True}, {"train": False}, one_archive),
    "cifar100": ("CIFAR100", {"train": True}, {"train": False}, one_archive),
    "mnist": ("MNIST", {"train": True}, {"train": False}, four_files),
    "fashionmnist": ("FashionMNIST", {"train": True}, {"train": False}, four_files),
    "kmnist": ("KMNIST", {"train": True}, {"train": False}, four_files),
    "svhn": ("SVHN", {"split": "train"}, {"split": "test"}, one_per_split),
    "stl10": ("STL10", {"split": "train"}, {"split": "test"}, one_archive),
}


def load_torchvision(
    name: str,  # a key of TORCHVISION_SETS
    *,
    root: str | Path,  # torchvision's own layout below it; official archives put there are unpacked on first use
    download: bool,  # False: the network is never touched
) -> Dataset:
    """Load the training split, which is also the reference, and the held-out test split: uint8 (N, C, H, W), labels.

    Raises DataError for an unknown name, and files that are missing, cannot be fetched, or are not the official ones.
    """
    if name not in TORCHVISION_SETS:
        raise DataError(f"data.name={name}: expected one of {', '.join(TORCHVISION_SETS)}")
    root = Path(root).expanduser()
    _, train_split, test_split, _ = TORCHVISION_SETS[name]
    train, labels, classes = load_split(name, train_split, root=root, download=download)
    test, test_labels, _ = load_split(name, test_split, root=root, download=download)
    return Dataset(
        name=name,
        train=train,
        holdout=test,
        reference=train,
        split="train",
        classes=classes or numbers(labels, test_labels),
        labels=labels,
        holdout_labels=test_labels,
    )


def load_split(name: str, split: dict, *, root: Path, download: bool) -> Split:
    from torchvision import datasets  # imported here, because it takes a second

    class_name, _, _, official = TORCHVISION_SETS[name]
    dataset = getattr(datasets, class_name)
    files = official(dataset)
    try:
        try:
            return unpack(dataset(root, **split, download=False))
        except RuntimeError:  # torchvision's "not found"
            # It unpacks only with download=True, and then fetches no file whose MD5 sum is right.
            if not download and not all(check_sums(root, files).values()):
                raise
            return unpack(dataset(root, **split, download=True))
    except (RuntimeError, OSError, HTTPException, ValueError, AssertionError, EOFError) as error:
        raise DataError(explain_failure(class_name, files, root=root, download=download, error=error)) from error
    except ImportError as error:
        raise DataError(f"data.name={name}: {error}; pip install {error.name}") from error


def unpack(dataset: Any) -> Split:
    labels = dataset.targets if hasattr(dataset, "targets") else dataset.labels
    classes = tuple(getattr(dataset, "classes", ()))
    return as_images(dataset.data), torch.as_tensor(labels, dtype=torch.int64), classes


def numbers(*labels: Tensor) -> tuple[str, ...]:
    """Name classes without names by their numbers: "0" up to the largest label."""
    return tuple(str(k) for k in range(int(torch.cat(labels).max()) + 1))


def as_images(data: Tensor | np.ndarray) -> Tensor:
    """Convert (N, H, W), (N, H, W, 3) or (N, 3, H, W), of NumPy or torch, to contiguous (N, C, H, W)."""
    images = torch.as_tensor(data)
    if images.ndim == 3:
        images = images.unsqueeze(1)
    elif images.shape[-1] == 3:
        images = images.permute(0, 3, 1, 2)
    return images.contiguous()


def check_sums(root: Path, files: Sums) -> dict[str, bool]:
    from torchvision.datasets.utils import check_integrity

    return {name: check_integrity(root / name, md5) for name, md5 in files.items()}


def explain_failure(class_name: str, files: Sums, *, root: Path, download: bool, error: Exception) -> str:
    """Explain in one line what is wrong, and which files would put it right."""
    reason = one_line(error)
    wanted = [name for name, right in check_sums(root, files).items() if not right]
    damaged = [name for name in wanted if (root / name).exists()]
    if not wanted:
        return (
            f"data.root={root}: {class_name} cannot be read ({reason}), though its archives are sound; "
            "remove what was unpacked from them"
        )
    if download:
        what = f"{class_name} could not be fetched ({reason})"
    elif damaged:
        what = f"{class_name}: {', '.join(damaged)} is not the official file (its MD5 sum differs)"
    else:
        what = f"{class_name} is not there"
    alternative = " yourself" if download else " or set data.download=true"
    return f"data.root={root}: {what}; put {listed(wanted, root=root)}{alternative}"


def listed(names: list[str], *, root: Path) -> str:
    """List files of one folder: "a, b and c into folder"."""
    *most, last = (Path(name).name for name in names)
    files = f"{', '.join(most)} and {last}" if most else last
    return f"{files} into {(root / names[0]).parent}"
