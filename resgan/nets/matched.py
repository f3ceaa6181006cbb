"""The matched start: the variance of each block set on data (Mishkin & Matas 2016, LSUV, block by block)."""

import torch
from torch import Tensor, nn

from resgan.nets.blocks import Block
from resgan.nets.layers import unfused


@torch.no_grad()
def match_variances(net: nn.Module, *inputs: Tensor) -> None:
    """Scale the last layer of every branch so that its plain block keeps the variance of its input.

    inputs: a batch (N, ...), and labels (N,) where the network is class-conditional. The variance is that of all values
    in the batch; where a norm stands on the trunk, the input is what it gives. Blocks are taken in their order, each on
    what those before it, scaled already, make of the batch.

    So a plain network without norms keeps the variance from block to block (LSUV sets it to 1, by layers). In a
    residual one every branch has the variance of its input, and the join decides what becomes of the sum. Since later
    blocks are given other inputs there, the weights of the arms differ by a factor a block, all else being equal. A
    branch whose output is constant is left as it is.
    """
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    hooks = [module.register_forward_pre_hook(match_block) for module in net.modules() if isinstance(module, Block)]
    try:
        with unfused(net):
            net(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for name, buffer in net.named_buffers():  # running statistics have moved
            buffer.copy_(before[name])


def match_block(block: nn.Module, given: tuple[Tensor, ...]) -> None:
    """Scale a block's last layer, given its input (and labels). The branch is homogeneous in it: biases are zero."""
    assert isinstance(block, Block)
    x = block.normalised(*given)
    plain = block.after(block.branch(x, *given[1:]))
    factor = (x.var() / plain.var()).sqrt()
    if factor.isfinite():
        block.get_submodule(block.branch_layers[-1]).get_parameter("weight").mul_(factor)
