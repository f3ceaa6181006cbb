"""Groups of runs that can be trained as one (training/stack.py), by their options."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

from resgan.base.plain_data import flat
from resgan.options.train import TrainOptions
from resgan.runs.configuration import is_bookkeeping

Item = TypeVar("Item")

# Options in which the members of a stack may differ, besides bookkeeping. All others decide the structure of the
# networks, what a step computes, or what is due when.
FREE = (
    "seed",
    "replicate",
    *(f"{net}.{name}" for net in ("generator", "disc") for name in ("lr", "betas", "init", "fan_in", "first_bias")),
)
FREE_WEIGHTS = ("loss.r1", "loss.r2", "loss.gp")  # may differ only where all members have the penalty
FREE_JOINS = ("lab", "mlp")  # networks in which both arms own the same parameters; a learned gate is one more


def structure(options: TrainOptions) -> Hashable:
    """Return a key of all that members of a stack share: runs with equal keys can be trained as one."""
    values = flat(options.model_dump())
    shared = {name: value for name, value in values.items() if name not in FREE and not is_bookkeeping(name)}
    shared |= {name: bool(values[name]) for name in FREE_WEIGHTS}
    for network in ("generator", "disc"):
        if values[f"{network}.name"] in FREE_JOINS:
            shared[f"{network}.join"] = values[f"{network}.join"] == "gated"
            if values[f"{network}.skip_scale"] is None:  # else a factor that learns in one arm only
                shared[f"{network}.residual"] = "any"
    return repr(shared)


def can_be_stacked(options: TrainOptions) -> bool:
    """Can a run be in a stack? Not with user-defined networks, or spectral norms, whose vectors cannot be stacked."""
    return not any(net.name == "module" or net.spectral for net in (options.generator, options.disc))


def stacks_of(
    runs: Sequence[Item], options_of: Callable[[Item], TrainOptions], *, most: int | None
) -> list[list[Item]]:
    """Group runs of one structure, at most `most` in a group (None: any number), in the order of their first runs."""
    groups: dict[Hashable, list[Item]] = {}
    for place, run in enumerate(runs):
        options = options_of(run)
        key = structure(options) if can_be_stacked(options) else place
        groups.setdefault(key, []).append(run)
    size = most or len(runs)
    return [group[first : first + size] for group in groups.values() for first in range(0, len(group), size)]
