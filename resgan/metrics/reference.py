"""Real side of a comparison: computed once for each data set and extractor, and cached on disk.

An entry is found by a fingerprint of the images, the extractor's card and how it is fed, so that a changed image,
weight or option never gets the numbers of another. All arms and seeds of a study share an entry.
"""

import hashlib
import json
import zipfile
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from resgan.base.cache import say_corrupt, store, used
from resgan.metrics.features import CHUNK, Extractor, extract
from resgan.metrics.frechet import Moments, MomentSums
from resgan.metrics.precision_recall import neighbour_distances

PART = 4096  # rows of features that are summed together
FORMAT = 1  # version of the files, part of the fingerprint

Arrays = dict[str, np.ndarray]


class Reference:
    """Moments, features and distances to neighbours of a set of images, each computed on first use.

    On disk: <extractor>-<fingerprint>.{moments,features,nearest}.npz. The first holds `mu` and `sigma` under the
    names that pytorch-fid reads.
    """

    def __init__(
        self,
        extractor: Extractor,
        images: Tensor,  # uint8 (M, C, H, W)
        *,
        cache: Path,
        progress: str | None = None,  # label of a progress bar; None: no bar
    ) -> None:
        self.extractor, self.images, self.cache, self.progress = extractor, images, cache, progress

    @property
    def count(self) -> int:
        return len(self.images)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all that the numbers depend on."""
        what = {"format": FORMAT, "card": self.extractor.card, "together": CHUNK, "shape": list(self.images.shape)}
        digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
        for part in self.images.split(1024):
            digest.update(part.contiguous().numpy().tobytes())
        return digest.hexdigest()

    @cached_property
    def moments(self) -> Moments:
        found = self._stored("moments", self._make_moments)
        mean, cov = (torch.from_numpy(found[name]) for name in ("mu", "sigma"))
        moments = Moments(count=int(found["count"]), mean=mean, cov=cov)
        vars(moments)["root"] = torch.from_numpy(found["root"])  # where cached_property looks for it
        return moments

    @cached_property
    def features(self) -> Tensor:
        """Features (M, d), float32."""
        return torch.from_numpy(self._stored("features", lambda: {"features": self._extracted.numpy()})["features"])

    @cached_property
    def neighbours(self) -> Tensor:
        """Distances to the nearest five others: (M, 5) float64."""
        found = self._stored("nearest", lambda: {"distances": neighbour_distances(self.features).numpy()})
        return torch.from_numpy(found["distances"])

    @cached_property
    def _extracted(self) -> Tensor:
        return extract(self.extractor, self.images, progress=self.progress)

    def _make_moments(self) -> Arrays:
        moments = moments_of(self._extracted)
        arrays = {"mu": moments.mean, "sigma": moments.cov, "root": moments.root}
        return {name: tensor.numpy() for name, tensor in arrays.items()} | {"count": np.array(moments.count)}

    def path(self, kind: str) -> Path:
        return self.cache / f"{self.extractor.name}-{self.fingerprint[:24]}.{kind}.npz"

    def _stored(self, kind: str, make: Callable[[], Arrays]) -> Arrays:
        """Load arrays from the cache; make and store those that are missing or damaged."""
        path = self.path(kind)
        if path.exists():
            try:
                arrays = self._read(path)
                used(path)
                return arrays
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
                say_corrupt(path, error)
        arrays = make()
        store(
            path,
            lambda file: np.savez(file, fingerprint=np.array(self.fingerprint), **arrays),  # type: ignore[arg-type]
            option="metrics.cache",
        )
        return arrays

    def _read(self, path: Path) -> Arrays:
        with np.load(path, allow_pickle=False) as file:  # a zip, whose checksums numpy compares as it reads
            arrays = {name: file[name] for name in file.files}
        if str(arrays.pop("fingerprint")) != self.fingerprint:
            raise ValueError("it belongs to other images")
        return arrays


def moments_of(features: Tensor) -> Moments:
    """Moments of features (N, d), summed in float64."""
    sums = MomentSums()
    for part in features.split(PART):
        sums.add(part)
    return sums.moments()
