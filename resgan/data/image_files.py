"""Samples from elsewhere: images or points at a path, from a folder, an archive or an npz."""

import math
import re
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from resgan.base.console import reason, say_once
from resgan.data.archives import PIECE, files_of, open_member, open_zip
from resgan.data.dataset import DataError
from resgan.data.folder import free_memory, load_folder
from resgan.data.limits import USUAL, Limits, TooLarge, in_gib
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
    limits: float = 1.0,  # factor on what is read at most, see `Limits`
    cache_directory: Path | None = None,  # where decoded images of folders and archives are kept; None: nowhere
) -> Tensor:
    """Load images of a folder, zip, tar or npz as uint8 (N, C, H, W), or points of an npz as float32 (N, 2).

    An npz is read from its array `samples`, `arr_0`, `images` or `x`, or its only one: uint8 (N, H, W, C) or (N, H, W),
    or floats (N, 2). Folders and archives are read as `data=folder` reads them. Raises DataError.
    """
    path = Path(path).expanduser()
    if path.suffix == ".npz":
        return load_npz(path, option=option, limits=Limits(limits))
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
            limits=limits,
            cache_directory=cache_directory,
        )
    except DataError as error:  # it names options of data=folder, which have other names here
        said = str(error).replace("data.path=", f"{option}=")
        raise DataError(re.sub(r"\bdata\.(size|fit|enlarge|limits)\b", r"\1", said)) from None
    if loaded.note:
        say_once(loaded.note)
    return loaded.train


def load_npz(path: Path, *, option: str, limits: Limits = USUAL) -> Tensor:
    where = f"{option}={path}"
    try:
        with open_zip(path, limits) as archive:
            info = find_array(files_of(archive), where)
            array = read_array(archive, info, limits, where=where)
    except FileNotFoundError:
        raise DataError(f"{where}: there is no such file or folder") from None
    except TooLarge as error:
        raise DataError(f"{where}: {str(error).replace('data.limits', 'limits')}") from error
    except DataError:
        raise
    except Exception as error:  # headers of damaged files raise nearly everything
        raise DataError(f"{where}: cannot be read as an npz ({reason(error)})") from error
    return as_samples(array, where=where)


def find_array(members: dict[str, ZipInfo], where: str) -> ZipInfo:
    """Find the array of samples, by its name or as the only one. Raises DataError."""
    arrays = {name.removesuffix(".npy"): info for name, info in members.items() if name.endswith(".npy")}
    names = [name for name in KEYS if name in arrays] or list(arrays)
    if not names:
        raise DataError(f"{where}: holds no arrays")
    if len(names) != 1 and names[0] not in KEYS:
        raise DataError(f"{where}: holds {', '.join(names)}; name the right one {KEYS[0]}")
    return arrays[names[0]]


def read_array(archive: ZipFile, info: ZipInfo, limits: Limits, *, where: str) -> np.ndarray:
    """Read an array of an npz; what its header says is checked before anything is allocated. Raises DataError."""
    with open_member(archive, info) as file:
        version = npy.read_magic(file)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_columns, dtype = read_header(file)
        check_form(shape, dtype, where=where)
        count = math.prod(shape)
        size = count * dtype.itemsize
        if file.tell() + size != info.file_size:
            raise OSError(f"{info.file_size - file.tell():,} bytes for {dtype} {shape}")
        limits.check_unpacked(size)
        if 2 * size > (free := free_memory()):  # with the tensor that is made of it
            raise DataError(f"{where} takes {in_gib(2 * size)}, and {in_gib(free)} of memory are free")
        array = np.empty(count, dtype)
        content = array.view(np.uint8)
        for start in range(0, size, PIECE):
            part = file.read(min(PIECE, size - start))
            content[start : start + len(part)] = np.frombuffer(part, np.uint8)
        if file.read(1):
            raise OSError("longer than its header says")
    return array.reshape(shape[::-1]).T if by_columns else array.reshape(shape)


def check_form(shape: tuple[int, ...], dtype: np.dtype, *, where: str) -> None:
    """Check for images or points, two or more. Raises DataError."""
    points = len(shape) == 2 and shape[1] == 2 and np.issubdtype(dtype, np.floating)
    channels = (1,) if len(shape) == 3 else shape[3:]
    are_images = dtype == np.uint8 and channels in ((1,), (3,)) and min(shape) > 0
    if not (points or are_images) or shape[0] < 2:
        raise DataError(
            f"{where}: holds {dtype} {shape}; expected two or more images, uint8 (N, H, W, 3), "
            "(N, H, W, 1) or (N, H, W), or points, floats (N, 2)"
        )


def as_samples(array: np.ndarray, *, where: str) -> Tensor:
    """Convert uint8 images or finite points to tensors. Raises DataError for other arrays."""
    check_form(array.shape, array.dtype, where=where)
    if array.dtype == np.uint8:
        array = array[..., None] if array.ndim == 3 else array
        return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
    with np.errstate(over="ignore"):
        points = array.astype(np.float32)
    if lost := int((~np.isfinite(points)).any(axis=1).sum()):
        raise DataError(f"{where}: {lost} points are not finite, or beyond the range of float32")
    return torch.from_numpy(points)
