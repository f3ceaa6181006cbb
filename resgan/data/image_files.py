"""Samples from elsewhere: images or points at a path, from a folder, an archive or an npz."""

import re
import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resgan.base.console import say_once
from resgan.data.dataset import DataError
from resgan.data.folder import load_folder
from resgan.options.choices import Fit

KEYS = ("samples", "arr_0", "images", "x")  # of an npz: ours, NumPy's own, and those that others use


def load_images(
    path: str | Path,
    *,
    option: str,  # the option that named the path, for messages
    size: int | None,  # pixels; None: as they are. An npz is taken as it is
    channels: int,
    progress: bool,
    fit: Fit = "crop",
    enlarge: bool = False,
    cache_directory: Path | None = None,  # where decoded images of folders and archives are kept; None: nowhere
) -> Tensor:
    """Load images of a folder, zip, tar or npz as uint8 (N, C, H, W), or points of an npz as float32 (N, 2).

    An npz is read from its array `samples`, `arr_0`, `images` or `x`, or its only one: uint8 (N, H, W, C) or (N, H, W),
    or floats (N, 2). Folders and archives are read as `data=folder` reads them. Raises DataError.
    """
    path = Path(path).expanduser()
    if path.suffix == ".npz":
        return load_npz(path, option=option)
    try:
        loaded = load_folder(
            path,
            size=size,
            channels=channels,
            holdout=0.0,
            seed=0,
            fit=fit,
            enlarge=enlarge,
            labels="none",
            progress=progress,
            cache_directory=cache_directory,
        )
    except DataError as error:  # it names options of data=folder, which have other names here
        said = str(error).replace("data.path=", f"{option}=")
        raise DataError(re.sub(r"\bdata\.(size|fit|enlarge)\b", r"\1", said)) from None
    if loaded.note:
        say_once(loaded.note)
    return loaded.train


def load_npz(path: Path, *, option: str) -> Tensor:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = [name for name in KEYS if name in file.files] or file.files
            if len(names) != 1 and names[0] not in KEYS:
                raise DataError(f"{option}={path}: holds {', '.join(names)}; name the right one {KEYS[0]}")
            array = file[names[0]]
    except FileNotFoundError:
        raise DataError(f"{option}={path}: there is no such file or folder") from None
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{option}={path}: cannot be read ({' '.join(str(error).split())})") from error
    return as_samples(array, where=f"{option}={path}")


def as_samples(array: np.ndarray, *, where: str) -> Tensor:
    """Convert uint8 images or finite points to tensors. Raises DataError for other arrays."""
    points = array.ndim == 2 and array.shape[1] == 2 and np.issubdtype(array.dtype, np.floating)
    are_images = array.dtype == np.uint8 and (array.ndim == 3 or (array.ndim == 4 and array.shape[3] in (1, 3)))
    if not (points or are_images) or len(array) < 2:
        raise DataError(
            f"{where}: holds {array.dtype} {array.shape}; expected two or more images, uint8 (N, H, W, 3), "
            "(N, H, W, 1) or (N, H, W), or points, floats (N, 2)"
        )
    if points:
        if not np.isfinite(array).all():
            raise DataError(f"{where}: {int((~np.isfinite(array)).any(axis=1).sum())} points are not finite")
        return torch.from_numpy(array.astype(np.float32))
    array = array[..., None] if array.ndim == 3 else array
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
