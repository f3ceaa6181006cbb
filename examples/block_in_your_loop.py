"""resgan's block in a loop of your own: the same network plain and residual, on a regression.

python examples/block_in_your_loop.py [STEPS]
"""

import sys

import torch
from torch import Tensor, nn

import resgan


def network(*, residual: bool, blocks: int = 16, width: int = 32) -> nn.Sequential:
    """Features (N, 2) to (N, 1). Both arms have the same parameters, with the same values at the same seed."""
    torch.manual_seed(0)
    options = resgan.BlockOptions(residual=residual, depth=blocks)
    trunk = [resgan.Preact(width, options, layer=nn.Linear) for _ in range(blocks)]
    return nn.Sequential(nn.Linear(2, width), *trunk, nn.Linear(width, 1))


def loss_after(steps: int, *, residual: bool) -> float:
    net = network(residual=residual)
    adam = torch.optim.Adam(net.parameters(), lr=1e-3)
    average = network(residual=residual)
    ema = resgan.Average(average, net)
    random = torch.Generator().manual_seed(0)
    for _ in range(steps):
        x = torch.rand(256, 2, generator=random) * 4 - 2
        loss = nn.functional.mse_loss(net(x), target(x))
        adam.zero_grad()
        loss.backward()
        adam.step()
        ema.update(decay=0.99)
    x = torch.rand(2000, 2, generator=random) * 4 - 2
    return nn.functional.mse_loss(average(x), target(x)).item()


def target(x: Tensor) -> Tensor:
    return (3 * x).sin().prod(1, keepdim=True)


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    for residual in (False, True):
        print(f"residual={residual}: error {loss_after(steps, residual=residual):.4f}")
    x = torch.randn(5, 32)
    block = resgan.Preact(32, residual=True, join="sum", layer=nn.Linear)
    assert torch.equal(block(x), resgan.join(x, block.branch(x), residual=True))


if __name__ == "__main__":
    main()
