"""The precision of torch's float32 products, and networks that record it."""

import torch
from torch import Tensor, nn


def precisions() -> dict[str, str]:
    """Return the current settings: "ieee" is full float32, "tf32" and "bf16" have fewer bits, "none" is up to torch."""
    backends = torch.backends
    return {
        "cuda products": backends.cuda.matmul.fp32_precision,
        "cuda convolutions": backends.cudnn.conv.fp32_precision,
        "cpu products": backends.mkldnn.matmul.fp32_precision,
        "cpu convolutions": backends.mkldnn.conv.fp32_precision,
    }


class Note(torch.autograd.Function):
    """The identity, which records the settings in the forward and in the backward pass."""

    @staticmethod
    def forward(ctx, x: Tensor, notes: list) -> Tensor:
        ctx.notes = notes
        notes.append(("forward", precisions()))
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        ctx.notes.append(("backward", precisions()))
        return gradient.clone(), None


class Noting(nn.Module):
    """A network that records the settings in force during its forward and backward passes."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.notes = net, []

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return Note.apply(self.net(x) if labels is None else self.net(x, labels), self.notes)

    def seen(self, *ways: str) -> list[dict[str, str]]:
        return [settings for way, settings in self.notes if way in (ways or ("forward", "backward"))]
