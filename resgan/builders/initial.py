"""Weights to begin a run from: those of another run's checkpoint."""

from hashlib import sha256
from pathlib import Path

import torch

from resgan.base.errors import OptionsError
from resgan.base.plain_data import PlainData
from resgan.builders.saved import ADAMS, NETWORKS, check_moments, check_tensors, images_seen, load_weights
from resgan.training import checkpoints
from resgan.training.checkpoints import CheckpointError, State
from resgan.training.gan import GAN


def load_initial(gan: GAN, where: str, *, optimisers: bool) -> PlainData:
    """Load the weights of a checkpoint into both networks and the average, and Adam's moments if asked for.

    Learning rates and all else stay as the options say, and the run begins at 0 images. Returns what was loaded, for
    provenance.json. Raises OptionsError for a file that cannot be used, or for networks of other shapes.
    """
    try:
        path = checkpoints.find(Path(where).expanduser())
        with checkpoints.named(path):
            content = checkpoints.read(path)
            state = checkpoints.unpack(content)
            seen = images_seen(state)
            load_networks(gan, state)
            if optimisers:
                for optimiser, (key, network) in zip(gan.configure_optimizers(), ADAMS.items(), strict=True):
                    load_moments(optimiser, state.get(key), network=network)
    except CheckpointError as error:
        raise OptionsError(str(error).replace("ckpt=", "init_from=", 1)) from None
    return {"path": str(path), "sha256": sha256(content).hexdigest(), "images_seen": seen}


def load_networks(gan: GAN, state: State) -> None:
    """Load the weights of both networks and of the average, all of which must fit. Raises CheckpointError."""
    for key, name in NETWORKS.items():
        check_tensors(state.get(key), getattr(gan, key).state_dict(), what=name)
    for key, name in NETWORKS.items():
        load_weights(getattr(gan, key), state[key], what=name)


def load_moments(optimiser: torch.optim.Optimizer, state: object, *, network: str) -> None:
    """Load Adam's moments, and keep the learning rate and the betas. Raises CheckpointError."""
    moments = state.get("state") if isinstance(state, dict) else None
    check_moments(moments, optimiser, what=f"Adam of {network}")
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": moments, "param_groups": groups})
