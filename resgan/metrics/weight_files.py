"""Files of extractors' weights: shipped with the package, fetched once and verified, or given by their path."""

import hashlib
import io
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from resgan.base.cache import cache_directory
from resgan.base.console import reason
from resgan.base.download import DownloadError, fetch, read_verified
from resgan.base.plain_data import PlainData
from resgan.base.regular_files import read_regular
from resgan.metrics.features import ExtractorError

# Of the weights that each plain name stands for.
SHA256 = {
    "cifarnet": "e524f95e100f1e7dcd0e94bc560fd548e37882d76f8ac8033a9d9474afcaf49f",
    "inception": "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
}
SHIPPED = Path(__file__).parent / "weights" / "cifarnet.pt"
# TensorFlow's Inception-v3 of 2015-12-05, converted by the authors of torch-fidelity.
INCEPTION_URL = (
    "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
)


@dataclass(frozen=True)
class WeightFile:
    """A file of weights that was read."""

    path: Path
    content: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    def state(self) -> PlainData:
        """Return the state_dict in it, by the loader that runs no code. Raises ExtractorError."""
        try:
            state = torch.load(io.BytesIO(self.content), map_location="cpu", weights_only=True)
        except Exception as error:  # damaged pickles raise almost anything
            raise ExtractorError(
                f"metrics.weights: {self.path} is damaged, or holds more than plain weights, and was not opened"
            ) from error
        if not isinstance(state, dict):
            raise ExtractorError(f"metrics.weights: {self.path} holds no state_dict")
        return state


def is_known(name: str, digest: str) -> bool:
    return SHA256.get(name) == digest


def read_weights(name: str, given: str | None) -> WeightFile:
    """Read the weights of the extractor `name`: the file that was given, or those its name stands for.

    Raises ExtractorError.
    """
    if given == "download" and name != "inception":
        raise ExtractorError(f"metrics.weights=download: is for inception, not for {name}")
    if given not in (None, "download"):
        return read_file(Path(given).expanduser())
    if name == "inception":
        return fetched_inception()
    if name != "cifarnet":
        raise ExtractorError(f"metrics.weights: {name} needs its weights file (docs/scores.md says where it is)")
    shipped = read_file(SHIPPED)
    if not is_known(name, shipped.sha256):
        raise ExtractorError(
            f"{SHIPPED} is not the file resgan ships (sha256 {shipped.sha256[:8]}); install resgan again"
        )
    return shipped


def read_file(path: Path) -> WeightFile:
    try:
        return WeightFile(path, read_regular(path))
    except OSError as error:
        raise ExtractorError(f"metrics.weights: cannot read {path}: {reason(error)}") from error


def fetched_inception() -> WeightFile:
    """Return Inception's weights from the cache, where torch-hub keeps them, or the network. Raises ExtractorError."""
    sha256 = SHA256["inception"]
    path = cache_directory() / "weights" / INCEPTION_URL.rpartition("/")[2]
    # torch-fidelity, torchmetrics and pytorch-fid download the same file there.
    others = Path(torch.hub.get_dir(), "checkpoints").glob("*inception-2015-12-05-6726825d.pth")
    for place in (path, *sorted(others)):
        if (content := read_verified(place, sha256)) is not None:
            return WeightFile(place, content)
    try:
        return WeightFile(path, fetch(INCEPTION_URL, path, sha256=sha256, what="the weights of Inception"))
    except DownloadError as error:
        raise ExtractorError(
            f"metrics.weights: the weights of Inception could not be fetched from {INCEPTION_URL} ({error}); "
            f"save that file as {path}, or give metrics.weights=FILE"
        ) from error
    except OSError as error:
        raise ExtractorError(
            f"metrics.weights: the weights of Inception cannot be kept as {path} ({reason(error)}); "
            "set RESGAN_CACHE to another directory, or give metrics.weights=FILE"
        ) from error
