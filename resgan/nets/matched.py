"""The matched start: the variance of each block set on data (Mishkin & Matas 2016, LSUV, block by block)."""

import torch
from torch import Tensor, nn

from resgan.nets.blocks import Block
from resgan.nets.layers import unfused


@torch.no_grad()
def match_variances(net: nn.Module, *inputs: Tensor) -> None:
    """Scale the last layer of every branch so that the plain block keeps the variance of its input.

    inputs: a batch (N, ...), and labels (N,) where the network is class-conditional. The variance is taken over all
    values in the batch; where a norm is on the trunk, the input is the norm's output. Blocks are scaled in order, each
    on the output of the blocks before it, which are scaled already.

    So a plain network without norms keeps the variance from block to block (LSUV sets it to 1, layer by layer). In a
    residual network every branch has the variance of its input, and the join determines that of the sum. Its later
    blocks see other inputs, so the weights of the two arms differ by one factor per block, all else being equal. A
    branch whose output is constant is left unchanged.
    """
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    hooks = [module.register_forward_pre_hook(match_block) for module in net.modules() if isinstance(module, Block)]
    try:
        with unfused(net):
            net(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for name, buffer in net.named_buffers():  # the forward pass has moved running statistics
            buffer.copy_(before[name])


def match_block(block: nn.Module, given: tuple[Tensor, ...]) -> None:
    """Scale a block's last layer, given its input (and labels). The branch is homogeneous in it: biases are zero."""
    assert isinstance(block, Block)
    x = block.normalised(*given)
    plain = block.after(block.branch(x, *given[1:]))
    factor = (x.var() / plain.var()).sqrt()
    if factor.isfinite():
        block.get_submodule(block.branch_layers[-1]).get_parameter("weight").mul_(factor)
