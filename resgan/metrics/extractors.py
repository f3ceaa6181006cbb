"""Extractors by name: which network, with which weights, and how it is called."""

import hashlib

import torch
from torch import Tensor, nn

from resgan.base.own_code import describe, load_named
from resgan.base.plain_data import PlainData
from resgan.metrics import dinov2, inception
from resgan.metrics.cifarnet import CifarNet
from resgan.metrics.features import Extractor, ExtractorError
from resgan.metrics.weight_files import is_known, read_weights

TRAINED_ON = {"cifarnet": "cifar10-jpeg", "inception": "imagenet-2015-12-05"}
RESIZE = {
    "cifarnet": "bilinear-antialias-32",
    "inception": "tf1-bilinear-299",
    "dinov2": "bicubic-antialias-224",
    "pixels": "none",
    "module": "its own",
}
CLEAN = "clean-bicubic-299"
MOST_PIXELS = 64 * 64 * 3  # limit of the extractor `pixels`: a covariance of more takes over 1.2 GB


class Pixels(nn.Module):
    """uint8 (N, C, H, W) -> the images themselves in [-1, 1], (N, C H W)."""

    def forward(self, images: Tensor) -> Tensor:
        values = images.flatten(1)
        if values.shape[1] > MOST_PIXELS:
            raise ExtractorError(
                f"metrics.extractor=pixels: images have {values.shape[1]} values; expected at most {MOST_PIXELS}"
            )
        return values.float() / 127.5 - 1


def load_extractor(name: str, *, weights: str | None = None, clean: bool = False) -> Extractor:
    """Load the extractor `name`. Raises ExtractorError, one line, for an unknown name or a file that cannot be used.

    cifarnet   shipped with the package
    inception  Inception-v3 of 2015; without `weights`, its verified file is fetched (96 MB) and kept in the cache;
               else `weights` is a file, or "random" for tests; `clean`: the clean resize
    dinov2     `weights` is one of the authors' files, or "random" for tests
    pixels     the images themselves
    module     a user-defined network: `weights` is file.py:NAME, where NAME() makes a module that takes
               uint8 (N, 3, H, W) and returns (N, d)

    Other weights than those a name stands for are accepted; their hash then becomes part of the extractor's name.
    """
    if name not in RESIZE:
        raise ExtractorError(
            f"metrics.extractor={name}: there is no such extractor; expected one of {', '.join(RESIZE)}"
        )
    if clean and name != "inception":
        raise ExtractorError(f"metrics.resize=clean: is for inception; {name} has a fixed resize")
    if name == "pixels":
        return make_extractor("pixels", Pixels(), digest="none", trained_on="nothing", resize="none")
    if name == "module":
        return load_module(weights)
    if weights == "random":
        return random_extractor(name, clean=clean)
    if name == "inception":
        inception.theirs()  # missing, it is missing before anything is fetched
    file = read_weights(name, weights)
    state, digest = file.state(), file.sha256
    known = is_known(name, digest)
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights are drawn, then overwritten
            module = build(name, state, clean=clean)
    except (RuntimeError, TypeError, KeyError) as error:
        raise ExtractorError(f"metrics.weights: {file.path} is of another network, not {name}") from error
    plain = "clean_" * clean + full_name(name, state)
    return make_extractor(
        plain if known else f"{plain}_{digest[:8]}",
        module,
        digest=digest,
        trained_on=TRAINED_ON[name] if known else "unknown",
        resize=CLEAN if clean else RESIZE[name],
        kind=name,
    )


def make_extractor(
    name: str, module: nn.Module, *, digest: str, trained_on: str, resize: str, kind: str | None = None
) -> Extractor:
    """Make a frozen extractor with its card."""
    return Extractor(
        name=name,
        module=module.eval().requires_grad_(False),
        head=module.head if isinstance(module, CifarNet | inception.InceptionPool) else None,
        card={
            "extractor": kind or name,
            "trained_on": trained_on,
            "weights_sha256": digest,
            "resize": resize,
            "precision": "float32",
        },
    )


def build(name: str, state: PlainData, *, clean: bool) -> nn.Module:
    """Build the network `name` with the weights `state`; RuntimeError or KeyError where they do not fit."""
    if name == "inception":
        return inception.InceptionPool(state, resize="clean" if clean else "tf1")
    if name == "dinov2":
        return dinov2.DinoV2(state)
    net = CifarNet()
    net.load_state_dict(state)
    return net


def full_name(name: str, state: PlainData) -> str:
    """Return the name, with the size of the network where there are several: "dinov2_large"."""
    return f"{name}_{dinov2.SIZES[dinov2.width_of(state)]}" if name == "dinov2" else name


def random_extractor(name: str, *, clean: bool) -> Extractor:
    """Make an extractor with random weights, always the same: for tests of everything except the values."""
    states = {"inception": inception.random_state, "dinov2": dinov2.random_state}
    if name not in states:
        raise ExtractorError(f"metrics.weights=random: is for {', '.join(states)}, not for {name}")
    state = states[name]()
    module = build(name, state, clean=clean)
    digest = "random, seed 0"
    resize = CLEAN if clean else RESIZE[name]
    return make_extractor(
        "clean_" * clean + f"random_{name}",
        module,
        digest=digest,
        trained_on="nothing",
        resize=resize,
        kind=f"random {name}",
    )


# User-defined networks.


def load_module(where: str | None) -> Extractor:
    """Load the user-defined network file.py:NAME. Its code runs: the user has named it explicitly."""
    make, path = load_named(where, option="metrics.weights", error=ExtractorError)
    name = make.__name__
    try:
        with torch.random.fork_rng(devices=[]):
            module = make()
    except Exception as error:
        raise ExtractorError(f"metrics.weights={where}: {describe(error)}") from error
    if not isinstance(module, nn.Module):
        raise ExtractorError(
            f"metrics.weights={where}: {name}() makes a {type(module).__name__}, not a torch.nn.Module"
        )
    digest = hashlib.sha256(path.read_bytes())
    for key, value in sorted(module.state_dict().items()):
        digest.update(key.encode())
        digest.update(
            value.contiguous().cpu().view(torch.uint8).numpy().tobytes() if value.ndim else str(value).encode()
        )
    shown = digest.hexdigest()
    resize, kind = RESIZE["module"], f"{path.name}:{name}"
    return make_extractor(f"{name}_{shown[:8]}", module, digest=shown, trained_on="unknown", resize=resize, kind=kind)
