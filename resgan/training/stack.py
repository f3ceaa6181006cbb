"""Several GANs trained as one: the same step with one more dimension, (S, ...), in front.

Small networks are dominated by the overhead of launching operations; a stack pays it once for all its members. They
may differ in the options that builders/stacking.py lists. The state of each can be taken out at any time, and equals
that of a run trained alone, up to rounding.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from resgan.nets import layers
from resgan.nets.blocks import Block
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator, Trunk
from resgan.training.checkpoints import State
from resgan.training.gan import GAN
from resgan.training.settings import common, of_member


class Stack(nn.Module):
    """S networks that differ in weights and joins only: (S, N, ...) to (S, N, ...), each slice by its own network.

    Its state is that of one network, with a dimension S in front of every tensor.
    """

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.net = copy.deepcopy(nets[0])
        each = [dict(net.named_parameters()) for net in nets]
        for name, parameter in list(self.net.named_parameters()):
            owner, _, last = name.rpartition(".")
            stacked = torch.stack([parameters[name].detach() for parameters in each])
            setattr(self.net.get_submodule(owner), last, nn.Parameter(stacked, parameter.requires_grad))
        for name, _ in list(self.net.named_buffers()):
            owner, _, last = name.rpartition(".")
            setattr(self.net.get_submodule(owner), last, torch.stack([net.get_buffer(name) for net in nets]))
        mix_joins(self.net, nets)
        self.broadcasts = broadcasts(self.net)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        if self.broadcasts and labels is None:
            return self.net(x)
        tensors = {**dict(self.net.named_parameters()), **dict(self.net.named_buffers())}
        given = (x,) if labels is None else (x, labels)
        return vmap(lambda own, *given: functional_call(self.net, own, given))(tensors, *given)

    def state_dict(self, *args: Any, **options: Any) -> State:
        return self.net.state_dict(*args, **options)

    def load_state_dict(self, state_dict: Mapping[str, Any], *args: Any, **options: Any) -> Any:
        return self.net.load_state_dict(state_dict, *args, **options)


def broadcasts(stacked: nn.Module) -> bool:
    """Can the network take (S, N, ...) directly? That is the same function, with less overhead than vmap.

    True for perceptrons of linear maps, joins and activations alone: norms, and tensors elsewhere, need vmap.
    """
    parts = (MlpGenerator, MlpDiscriminator, Trunk, Block, nn.ModuleList, nn.Identity, layers.Linear)
    tensors = [name for name, _ in (*stacked.named_parameters(), *stacked.named_buffers())]
    owners = {name: stacked.get_submodule(name.rpartition(".")[0]) for name in tensors}
    of_maps = all(isinstance(owner, layers.Linear) or name.endswith(".mixed") for name, owner in owners.items())
    return of_maps and all(isinstance(part, parts) for part in stacked.modules())


def mix_joins(stacked: nn.Module, nets: Sequence[nn.Module]) -> None:
    """Give the blocks of a stack the join weights of each network (S, 2), where these differ.

    Blocks with equal joins stay as they are: one number costs less than one for each network.
    """
    for name, block in stacked.named_modules():
        if isinstance(block, Block):
            weights = [net.get_submodule(name).join_weights for net in nets]  # type: ignore[union-attr]
            if len(set(weights)) > 1:
                block.mixed = torch.tensor(weights, dtype=next(block.parameters()).dtype)


# From the states of runs to that of their stack, and back.

SETTINGS = ("lr", "betas")  # of Adam, where each member may have its own


def stack_states(states: Sequence[Any], *, name: str = "") -> Any:
    """Stack states of one structure: tensors get a dimension S in front. Counts, equal in all, stay one number."""
    first = states[0]
    if isinstance(first, dict):
        return {key: stack_states([state[key] for state in states], name=str(key)) for key in first}
    if isinstance(first, list | tuple):
        return type(first)(stack_states(items, name=name) for items in zip(*states, strict=True))
    if name in SETTINGS:
        return common(states)
    if isinstance(first, Tensor) and name != "step":  # Adam's count of steps
        return torch.stack(list(states))
    return first


def unstack_state(state: Any, place: int, *, name: str = "") -> Any:
    """Return the state of the member at `place`."""
    if isinstance(state, dict):
        return {key: unstack_state(value, place, name=str(key)) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(unstack_state(item, place, name=name) for item in state)
    if name in SETTINGS:
        return of_member(state, place)
    if isinstance(state, Tensor):
        return (state if name == "step" else state[place]).clone()
    return state


def load_stacked(stack: GAN, gans: Sequence[GAN]) -> None:
    """Load the states of the GANs, all after equally many images, into their stack."""
    stack.load_training_state(stack_states([gan.training_state() for gan in gans]))
    known = set.intersection(*(set(gan.losses) for gan in gans))  # lazy penalties: from the last step that had them
    stack.losses = {name: torch.stack([gan.losses[name] for gan in gans]) for name in gans[0].losses if name in known}


def stand_in(gan: GAN, other: GAN) -> None:
    """Give a GAN that has diverged the state of another member, so that their stack goes on with as many members.

    A member's bits depend on how many there are, and not on the values of the others. Its settings stay its own, since
    they decide how the stack computes.
    """
    own, state = gan.training_state(), copy.deepcopy(other.training_state())
    for adam in ("generator_adam", "disc_adam"):
        state[adam]["param_groups"] = own[adam]["param_groups"]
    gan.load_training_state(state)
    gan.losses = dict(other.losses)


def unstack_losses(stack: GAN, gans: Mapping[int, GAN]) -> None:
    """Copy images_seen and the losses of the stack to its GANs, by their places; their weights stay as they were."""
    each = {name: losses.cpu() for name, losses in stack.losses.items()}
    for place, gan in gans.items():
        gan.images_seen, gan.losses = stack.images_seen, unstack_state(each, place)


def unstack_into(stack: GAN, gans: Mapping[int, GAN]) -> None:
    """Copy the state of the stack to its GANs, by their places."""
    state = stack.training_state()
    for place, gan in gans.items():
        gan.to(stack.device)
        gan.load_training_state(unstack_state(state, place))
        gan.losses = unstack_state(stack.losses, place)
