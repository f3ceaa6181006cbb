"""Checks of a checkpoint's content, as typed and bounded data, before a network is built from it or takes it over."""

import math
import re
from collections.abc import Mapping
from typing import TypeGuard

import torch
from torch import Tensor, nn

from resgan.base.errors import OptionsError
from resgan.base.plain_data import flat, format_value
from resgan.builders.networks import Spec, build_outline
from resgan.options.spec import check_spec
from resgan.runs.history import completed_spec
from resgan.training.checkpoints import CheckpointError, State, check_plain
from resgan.training.gan import GAN
from resgan.training.schedules import Adam

NETWORKS = {"generator": "generator", "generator_ema": "averaged generator", "disc": "disc"}  # by key of the state
ADAMS = {"generator_adam": "generator", "disc_adam": "disc"}
WANDB_ID = re.compile(r"[^\s/\\#?%:]{1,128}")
FLAGS = ("fused", "foreach", "capturable", "differentiable")  # of Adam: how it computes, not what
MOST_IMAGES = 2**53


# The spec.


def read_spec(state: State) -> Spec:
    """Return the spec of a state in today's names. Raises CheckpointError."""
    spec = state.get("spec")
    if not isinstance(spec, dict) or not all(isinstance(spec.get(network), dict) for network in ("generator", "disc")):
        raise CheckpointError("has no spec of its networks")
    check_plain(spec, tensors=False)
    if not all(isinstance(key, str) for key in (*spec, *spec["generator"], *spec["disc"])):
        raise CheckpointError("its spec has names that are no text")
    try:
        completed = completed_spec(spec)
        check_spec(completed)
    except OptionsError as error:
        raise CheckpointError(f"its spec is not valid: {error}") from error
    return completed


def check_same_networks(spec: Spec, here: Spec) -> None:
    """Refuse a checkpoint of other networks, even where the same weights fit both. Raises CheckpointError."""
    theirs, ours = (comparable(one) for one in (spec, here))
    if other := next((name for name in {**ours, **theirs} if theirs.get(name) != ours.get(name)), None):
        values = [format_value(one[other]) if other in one else "missing" for one in (theirs, ours)]
        raise CheckpointError(f"is of another run: {other} is {values[0]} there and {values[1]} here")


def comparable(spec: Spec) -> Spec:
    networks = {network: dict(spec[network]) for network in ("generator", "disc")}
    if networks["generator"]["name"] == "module":  # a user-defined class, whose file may change
        networks["generator"].pop("latent_dim")
    for options in networks.values():
        options.pop("sha256", None)
    return flat({"shape": list(spec["shape"]), **networks})


# Weights.


def check_weights(state: State, network: str, spec: Spec) -> None:
    """Refuse weights that are not those of a network of the spec, before it is built. Raises CheckpointError."""
    keys = ("disc",) if network == "disc" else ("generator", "generator_ema")
    blocks = spec[network].get("blocks", 0)
    most = max(blocks, default=0) if isinstance(blocks, list) else blocks
    for key in keys:
        weights = state.get(key)
        if not isinstance(weights, dict) or most > len(weights):  # a block has at least one weight
            raise CheckpointError(f"its {NETWORKS[key]} has other weights than its spec says")
    try:
        expected = build_outline(spec, network).state_dict()
    except Exception as error:  # sizes beyond all bounds raise several kinds
        raise CheckpointError(f"its spec is not valid: {error}") from error
    for key in keys:
        check_tensors(state[key], expected, what=NETWORKS[key])


def check_tensors(found: object, expected: Mapping[str, Tensor], *, what: str, exactly: bool = True) -> None:
    """Refuse tensors of other names, dtypes or shapes, or with NaN or infinity in them. Raises CheckpointError.

    exactly: False for the weights of a user-defined class, which may itself translate other names and shapes.
    """
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise CheckpointError(f"its {what} has no weights by name")
    if strange := next((name for name, value in found.items() if not is_dense(value)), None):
        raise CheckpointError(f"its {what} has no ordinary tensor at {strange}")
    common = [name for name in expected if name in found]
    others = differences(expected, found) if exactly else []
    others += [f"{name} is {dtype_of(found[name])} there and {dtype_of(expected[name])} here"
               for name in common if found[name].dtype != expected[name].dtype]  # fmt: skip
    if others:
        more = f", and {len(others) - 1} more" if len(others) > 1 else ""
        raise CheckpointError(f"its {what} has other weights: {others[0]}{more}")
    if wrong := next((name for name in common if not bool(torch.isfinite(found[name]).all())), None):
        raise CheckpointError(f"its {what} has weights that are not finite (NaN or infinity), such as {wrong}")


def is_dense(value: object) -> TypeGuard[Tensor]:
    """Is the value a tensor that holds all its numbers? A view of one number may be as large as it likes."""
    return (
        type(value) is Tensor
        and value.layout is torch.strided
        and not value.is_meta
        and value.numel() * value.element_size() <= value.untyped_storage().nbytes()
    )


def dtype_of(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def differences(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> list[str]:
    """List the weights that only one of two networks has, and those of other shapes."""
    found = [f"{name} is missing there" for name in ours if name not in theirs]
    found += [f"{name} is missing here" for name in theirs if name not in ours]
    shapes = {name: (tuple(theirs[name].shape), tuple(ours[name].shape)) for name in ours if name in theirs}
    return found + [f"{name} is {a} there and {b} here" for name, (a, b) in shapes.items() if a != b]


# Counters.


def images_seen(state: State) -> int:
    """Return the images that a state has seen. Raises CheckpointError."""
    seen = state.get("images_seen")
    if type(seen) is not int or not 0 <= seen < MOST_IMAGES:
        raise CheckpointError(f"images_seen={seen}: expected a whole number")
    return seen


def is_number(value: object, *, least: float = -math.inf) -> TypeGuard[float]:
    return isinstance(value, int | float) and type(value) is not bool and least <= value < math.inf


# The state of training.


def continue_from(state: State, gan: GAN, spec: Spec) -> None:
    """Put a GAN where a state of its own run left it. Raises CheckpointError, before anything is changed."""
    check_same_networks(read_spec(state), spec)
    seen = images_seen(state)
    if seen % gan.batch_size or seen > gan.total_images:
        raise CheckpointError(
            f"images_seen={seen}: expected a multiple of batch_size={gan.batch_size}, at most {gan.total_images}"
        )
    for key, network in NETWORKS.items():
        own = spec["disc" if key == "disc" else "generator"]["name"] == "module"
        check_tensors(state.get(key), getattr(gan, key).state_dict(), what=network, exactly=not own)
    for (key, network), optimiser in zip(ADAMS.items(), gan.configure_optimizers(), strict=True):
        check_adam(state.get(key), optimiser, getattr(gan, key), what=f"Adam of {network}")
    check_records(state, gan)
    try:
        gan.load_training_state(state)
    except Exception as error:  # a user-defined class may refuse weights in any way
        raise CheckpointError(f"its state does not fit this run ({error})") from error
    gan.losses = dict(state["losses"])


def check_records(state: State, gan: GAN) -> None:
    """Refuse what is no loss, probability of augmentation, time, or id of a run of W&B. Raises CheckpointError."""
    losses = state.get("losses")
    if not isinstance(losses, dict) or not all(isinstance(name, str) for name in losses):
        raise CheckpointError("has no losses")
    if wrong := next((name for name, loss in losses.items() if not is_scalar(loss)), None):
        raise CheckpointError(f"losses: expected a finite number at {wrong}")
    p = state.get("augment_p", gan.augment_p)  # earlier checkpoints have none
    if not is_scalar(p) or p.dtype != gan.augment_p.dtype or not 0 <= float(p) <= 1:
        raise CheckpointError("augment_p: expected a number from 0 to 1")
    if not is_number(state.get("seconds", 0.0), least=0):
        raise CheckpointError("seconds: expected a number, 0 or more")
    wandb_id = state.get("wandb_id")
    if wandb_id is not None and not (isinstance(wandb_id, str) and WANDB_ID.fullmatch(wandb_id)):
        raise CheckpointError("wandb_id: expected the id of a run of W&B")


def is_scalar(value: object) -> TypeGuard[Tensor]:
    """Is the value a tensor () with a finite number?"""
    return is_dense(value) and value.shape == () and value.is_floating_point() and math.isfinite(value)


def check_adam(found: object, optimiser: torch.optim.Optimizer, adam: Adam, *, what: str) -> None:
    """Refuse a state of Adam that is not of this optimiser, with its moments and settings. Raises CheckpointError."""
    [own] = optimiser.state_dict()["param_groups"]
    groups = found.get("param_groups") if isinstance(found, dict) else None
    if not (isinstance(groups, list) and len(groups) == 1 and isinstance(groups[0], dict)):
        raise CheckpointError(f"has no {what}")
    assert isinstance(found, dict)
    group = groups[0]
    free = (*FLAGS, *(("lr", "betas") if adam.moves else ()))
    if not {"lr", "betas", "params"} <= group.keys() <= own.keys():
        raise CheckpointError(f"its {what} has other settings")
    if other := next((name for name in group if not is_same(group[name], own[name], value_too=name not in free)), None):
        raise CheckpointError(f"its {what} has other settings: {other} is {group[other]}")
    check_moments(found.get("state"), optimiser, what=what)


def is_same(there: object, here: object, *, value_too: bool) -> bool:
    """Compare two settings of Adam; value_too: False where any value of the same type will do."""
    if isinstance(here, list | tuple):
        return isinstance(there, list | tuple) and len(there) == len(here) and all(
            is_same(a, b, value_too=value_too) for a, b in zip(there, here, strict=True)
        )  # fmt: skip
    if isinstance(here, bool | None):
        return isinstance(there, bool | None) and (there == here or not value_too)
    if not (is_number(there, least=0) and is_number(here)):
        return False
    return not value_too or math.isclose(there, here, rel_tol=1e-6)


def check_moments(found: object, optimiser: torch.optim.Optimizer, *, what: str) -> None:
    """Refuse moments of other shapes than the weights, and steps that are no counts. Raises CheckpointError."""
    parameters = optimiser.param_groups[0]["params"]
    if not isinstance(found, dict) or not found.keys() <= set(range(len(parameters))):
        raise CheckpointError(f"its {what} is of other weights")
    for place, moments in found.items():
        like = parameters[place].detach()
        step = moments.get("step") if isinstance(moments, dict) else None
        if not is_scalar(step) or step < 0 or step % 1:
            raise CheckpointError(f"its {what} has no count of steps")
        check_tensors(moments, {"step": step, "exp_avg": like, "exp_avg_sq": like}, what=f"{what} at weight {place}")
        if bool((moments["exp_avg_sq"] < 0).any()):
            raise CheckpointError(f"its {what} has a mean of squares below 0")


# Networks.


def load_weights(net: nn.Module, weights: Mapping[str, Tensor], *, what: str) -> None:
    """Load checked weights into a network. Raises CheckpointError where its class refuses them."""
    try:
        net.load_state_dict(weights)
    except Exception as error:
        raise CheckpointError(f"the weights of {what} do not fit its class ({error})") from error
