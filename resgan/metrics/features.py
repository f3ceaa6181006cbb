"""Feature extractors: what turns pictures into the vectors that Frechet distances compare.

Both sides of a distance must come through the same extractor at the same precision, so an extractor
carries its card (what it is, exactly) and shuts out the caller's autocast and TF32.
Nothing here downloads anything.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from resgan.metrics.cifarnet import CifarNet

# sha256 of the weights each plain name stands for; of Inception the 8 digits that end the official file's
# name (torch-hub's convention: weights-inception-2015-12-05-6726825d.pth).
SHA256 = {
    "cifarnet": "e524f95e100f1e7dcd0e94bc560fd548e37882d76f8ac8033a9d9474afcaf49f",
    "inception": "6726825d",
}
TRAINED_ON = {"cifarnet": "cifar10-jpeg", "inception": "imagenet-2015-12-05"}
RESIZE = {"cifarnet": "bilinear-antialias-32", "inception": "tf1-bilinear-299"}
SHIPPED = Path(__file__).parent / "weights" / "cifarnet.pt"


class ExtractorError(ValueError):
    """An extractor that cannot be used; the message is one line that names the file or option."""


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


def as_rgb(images: Tensor) -> Tensor:
    """uint8 (N, 1 or 3, H, W) to (N, 3, H, W), grey repeated; ExtractorError for anything else."""
    if images.dtype != torch.uint8 or images.ndim != 4:
        given = f"{images.dtype} {tuple(images.shape)}"
        raise ExtractorError(f"an extractor takes uint8 (N, C, H, W), got {given}")
    if images.shape[1] not in (1, 3):
        raise ExtractorError(f"an extractor takes 1 or 3 channels, got {images.shape[1]}")
    return images.expand(-1, 3, -1, -1)


@dataclass(frozen=True, eq=False, kw_only=True)
class Extractor:
    """Pictures to features. Not an nn.Module, so that it never enters a checkpoint or leaves eval mode."""

    name: str  # what scores call it: "cifarnet", "inception", "inception_0123abcd"
    module: nn.Module  # uint8 (N, 3, H, W) -> (N, d); eval mode, no gradients
    card: dict[str, str | int]  # extractor, trained_on, weights_sha256, resize, precision

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """uint8 (N, C, H, W), C = 1 or 3, on the module's device -> float32 features (N, d)."""
        images = as_rgb(images)
        with full_precision(images.device.type):
            return self.module(images).float()

    def to(self, device: torch.device | str) -> "Extractor":
        """Move the module, in place."""
        self.module.to(device)
        return self


class InceptionPool(nn.Module):
    """torch-fidelity's Inception-v3 (2015): uint8 (N, 3, H, W) -> the last average pool, (N, 2048)."""

    def __init__(self, state: dict[str, Any]) -> None:
        super().__init__()
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision built for another torch
            reason = str(error).partition("\n")[0]
            raise ExtractorError(
                f"inception needs torch-fidelity, pip install 'resgan[inception]' ({reason})"
            ) from error
        # torch-fidelity opens files with weights_only=False: it gets a copy of what passed the safe loader.
        copy = io.BytesIO()
        torch.save(state, copy)
        copy.seek(0)
        self.net = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=copy)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)[0]


def build(name: str, state: dict[str, Any]) -> nn.Module:
    """The network `name` with the weights `state`; RuntimeError where they do not fit."""
    if name == "inception":
        return InceptionPool(state)
    net = CifarNet()
    net.load_state_dict(state)
    return net


def read_weights(path: Path) -> tuple[dict[str, Any], str]:
    """A file's state_dict, by the loader that runs no code, and the file's sha256."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ExtractorError(f"metrics.weights: cannot read {path}: {error.strerror}") from error
    try:
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception as error:  # damaged pickles raise almost anything
        raise ExtractorError(
            f"metrics.weights: {path} is damaged, or holds more than plain weights, and was not opened"
        ) from error
    if not isinstance(state, dict):
        raise ExtractorError(f"metrics.weights: {path} holds no state_dict")
    return state, hashlib.sha256(data).hexdigest()


def is_known(name: str, digest: str) -> bool:
    return digest.startswith(SHA256[name])


def load_extractor(name: str, *, weights: Path | None = None) -> Extractor:
    """The extractor "cifarnet" (shipped with the package) or "inception" (`weights` is its file).

    Weights other than those the name stands for are welcome, and put their hash into the extractor's
    name. ExtractorError, one line, for an unknown name or a file that cannot be used.
    """
    if name not in SHA256:
        raise ExtractorError(f"no extractor {name!r}; there are {', '.join(SHA256)}")
    if weights is None and name != "cifarnet":
        raise ExtractorError(f"metrics.weights: {name} needs its weights file; nothing is downloaded")
    path = weights or SHIPPED
    state, digest = read_weights(path)
    known = is_known(name, digest)
    if weights is None and not known:
        raise ExtractorError(f"{path} is not the file resgan shipped (sha256 {digest[:8]}); install it anew")
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights are drawn, then overwritten
            module = build(name, state)
    except (RuntimeError, TypeError) as error:
        raise ExtractorError(f"metrics.weights: {path} holds another network than {name}") from error
    return Extractor(
        name=name if known else f"{name}_{digest[:8]}",
        module=module.eval().requires_grad_(False),
        card={
            "extractor": name,
            "trained_on": TRAINED_ON[name] if known else "unknown",
            "weights_sha256": digest,
            "resize": RESIZE[name],
            "precision": "float32",
        },
    )


def score_name(extractor: Extractor, *, count: int, split: str) -> str:
    """What the distance of `count` fakes to the reference `split` may be called.

    "fid10k_full" only for the verified Inception-2015 weights, otherwise "fd_cifarnet_10k_full";
    "full" is the whole of what D was shown or more ("train", "all"), any other split keeps its name.
    """
    fakes = f"{count // 1000}k" if count % 1000 == 0 else str(count)
    reference = "full" if split in ("train", "all") else split
    is_fid = extractor.name == "inception" and is_known("inception", str(extractor.card["weights_sha256"]))
    return f"fid{fakes}_{reference}" if is_fid else f"fd_{extractor.name}_{fakes}_{reference}"
