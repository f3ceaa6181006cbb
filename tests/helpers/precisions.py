"""The precision of torch's float32 products, and networks that note it."""

import torch
from torch import Tensor, nn


def precisions() -> dict[str, str]:
    """The settings in force: "ieee" is float32 itself, "tf32" and "bf16" are fewer bits, "none" is left to torch."""
    backends = torch.backends
    return {
        "cuda products": backends.cuda.matmul.fp32_precision,
        "cuda convolutions": backends.cudnn.conv.fp32_precision,
        "cpu products": backends.mkldnn.matmul.fp32_precision,
        "cpu convolutions": backends.mkldnn.conv.fp32_precision,
    }


class Note(torch.autograd.Function):
    """The identity, and a note of the settings on the way there and on the way back."""

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
    """A network, and the settings in force while it was computed and differentiated."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.notes = net, []

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return Note.apply(self.net(x) if labels is None else self.net(x, labels), self.notes)

    def seen(self, *ways: str) -> list[dict[str, str]]:
        return [settings for way, settings in self.notes if way in (ways or ("forward", "backward"))]
