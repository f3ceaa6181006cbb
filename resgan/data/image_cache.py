"""Decoded images on disk: found by a key of their content, checked, and mapped when they are used again.

<cache>/pictures/<key>.npy: uint8 (N, C, H, W) in the order of names, as numpy.load reads it, followed by a seal.
<cache>/pictures/<key>.json: how many images were of which size before: [[width, height, count], ...].
"""

import json
import math
import os
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from resgan.base.cache import say_corrupt, store, used

SEAL = 32  # bytes: blake2b of the key and all before the seal, so that damage and entries of other keys are noticed
BLOCK = 2**24  # bytes that are hashed or written at a time


class ImageCache:
    """The cache entry of one key."""

    def __init__(self, cache: Path, key: str) -> None:
        self.path = cache / "pictures" / f"{key}.npy"
        self.sizes = self.path.with_suffix(".json")
        self.key = key

    def read(self, shape: tuple[int, ...]) -> Tensor | None:
        """Map the images: processes share the pages, copied on write. None where there is no valid entry."""
        try:
            with open(self.path, "rb") as file:
                images = self._map(file, shape)
            used(self.path)
            return images
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            say_corrupt(self.path, error)
            return None

    def _map(self, file: IO[bytes], shape: tuple[int, ...]) -> Tensor:
        start = npy_header(shape)
        length = len(start) + math.prod(shape)
        if (found := os.fstat(file.fileno()).st_size) != length + SEAL:
            raise ValueError(f"{found} bytes and not {length + SEAL}")
        seal = self._new_seal()
        for place in range(0, length, BLOCK):
            seal.update(file.read(min(BLOCK, length - place)))
        if file.read() != seal.digest():
            raise ValueError("not what was written")
        # "c": copy on write, because torch warns of tensors that cannot be written to
        return torch.from_numpy(np.memmap(file, dtype=np.uint8, mode="c", offset=len(start), shape=shape))

    def write(self, images: Tensor, rows: Tensor) -> None:
        """Write the entry; `rows` are the places in `images`, in the order of names."""

        def write_to(file: IO[bytes]) -> None:
            seal = self._new_seal()
            for part in parts(images, rows):
                seal.update(part)
                file.write(part)
            file.write(seal.digest())

        store(self.path, write_to, option="RESGAN_CACHE")

    def read_sizes(self) -> Counter[tuple[int, int]] | None:
        """Return how many images were of each (width, height); None where it is not known."""
        try:
            return Counter({(width, height): count for width, height, count in json.loads(self.sizes.read_text())})
        except (OSError, ValueError, TypeError):
            return None

    def write_sizes(self, sizes: Counter[tuple[int, int]]) -> None:
        """Write the sizes beside the entry, if that could be written."""
        if self.path.is_file():
            content = json.dumps([[*size, count] for size, count in sorted(sizes.items())])

            def write_to(file: IO[bytes]) -> None:
                file.write(content.encode())

            store(self.sizes, write_to, option="RESGAN_CACHE")

    def _new_seal(self) -> blake2b:
        return blake2b(self.key.encode(), digest_size=SEAL)


def parts(images: Tensor, rows: Tensor) -> Iterator[bytes]:
    yield npy_header(tuple(images.shape))
    for some in rows.split(max(1, BLOCK // images[0].numel())):
        yield images[some].numpy().tobytes()


def npy_header(shape: tuple[int, ...]) -> bytes:
    header = BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return header.getvalue()
