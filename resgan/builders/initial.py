"""Weights to begin a run from: those of another run's checkpoint."""

from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from resgan.base.errors import OptionsError
from resgan.base.plain_data import PlainData
from resgan.training import checkpoints
from resgan.training.checkpoints import CheckpointError, State
from resgan.training.gan import GAN

NETWORKS = {"generator": "generator", "generator_ema": "averaged generator", "disc": "disc"}  # by key of the state


def load_initial(gan: GAN, where: str, *, optimisers: bool) -> PlainData:
    """Load the weights of a checkpoint into both networks and the average, and Adam's moments if asked for.

    Learning rates and all else stay as the options say, and the run begins at 0 images. Returns what was loaded, for
    provenance.json. Raises OptionsError for a file that cannot be used, or for networks of other shapes.
    """
    try:
        path = checkpoints.find(Path(where).expanduser())
        state = checkpoints.load(path)
    except CheckpointError as error:
        raise OptionsError(str(error).replace("ckpt=", "init_from=", 1)) from None
    for key, name in NETWORKS.items():
        net = getattr(gan, key)
        if other := differences(net.state_dict(), state[key]):
            more = f", and {len(other) - 1} more" if len(other) > 1 else ""
            raise OptionsError(f"init_from={path}: its {name} has other weights: {other[0]}{more}")
        net.load_state_dict(state[key])
    if optimisers:
        for optimiser, key in zip(gan.configure_optimizers(), ("generator_adam", "disc_adam"), strict=True):
            load_moments(optimiser, state[key])
    return {"path": str(path), "sha256": sha256(path.read_bytes()).hexdigest(), "images_seen": state["images_seen"]}


def differences(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> list[str]:
    """List the weights that only one of two networks has, and those of other shapes."""
    found = [f"{name} is missing there" for name in ours if name not in theirs]
    found += [f"{name} is missing here" for name in theirs if name not in ours]
    shapes = {name: (tuple(theirs[name].shape), tuple(ours[name].shape)) for name in ours if name in theirs}
    return found + [f"{name} is {a} there and {b} here" for name, (a, b) in shapes.items() if a != b]


def load_moments(optimiser: torch.optim.Optimizer, state: State) -> None:
    """Load Adam's moments, and keep the learning rate and the betas."""
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state["state"], "param_groups": groups})
