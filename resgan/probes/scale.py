"""The scale of the signal on its way through a network, and of the gradient on its way back."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from resgan.base.rng import make_generator
from resgan.nets.blocks import Block
from resgan.nets.layers import unfused

LAYERS = nn.Linear | nn.Conv2d | nn.ConvTranspose2d


@dataclass(frozen=True)
class Scale:
    """The scale of the output of one layer or block, over a batch."""

    name: str
    shape: tuple[int, ...]  # of one sample
    rms: float  # root mean square of the values
    gradient: float  # norm of the gradient there, mean over samples, as a multiple of that at the last block


def places(net: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the blocks, and the layers with weights outside them."""
    inside = {id(part) for block in net.modules() if isinstance(block, Block) for part in block.modules()}
    for name, module in net.named_modules():
        if isinstance(module, Block) or (isinstance(module, LAYERS) and id(module) not in inside):
            yield name, module


def scales(net: nn.Module, *inputs: Tensor) -> list[Scale]:
    """Measure scales in the order of computation, from inputs (and labels). The network is left as it was.

    The gradient is that of the sum of the outputs with fixed random signs.
    """
    seen: list[tuple[str, nn.Module, Tensor]] = []

    def keep(name: str, module: nn.Module, given: tuple, output: Tensor) -> None:
        output.retain_grad()
        seen.append((name, module, output))

    hooks = [module.register_forward_hook(partial(keep, name)) for name, module in places(net)]
    before = {key: value.clone() for key, value in net.state_dict().items()}
    try:
        with torch.enable_grad(), unfused(net):
            outputs = net(*inputs)
            signs = torch.randint(2, outputs.shape, generator=make_generator(0, "signs")) * 2 - 1
            (outputs * signs).sum().backward()
    finally:
        for hook in hooks:
            hook.remove()
        net.load_state_dict(before)  # the forward pass has moved running statistics
        net.zero_grad()
    norms = [0.0 if output.grad is None else float(output.grad.flatten(1).norm(dim=1).mean()) for *_, output in seen]
    last = max((k for k, (_, module, _) in enumerate(seen) if isinstance(module, Block)), default=len(seen) - 1)
    return [
        Scale(name, tuple(output.shape[1:]), float(output.detach().square().mean().sqrt()), norm / (norms[last] or 1.0))
        for (name, _, output), norm in zip(seen, norms, strict=True)
    ]
