"""The processes that train one run together. Every method here does nothing where there is only one.

Each holds the same weights, and takes its share of a batch that is drawn for all: process r of R has rows r N/R to
(r + 1) N/R. What must be equal everywhere, such as gradients and the answer to "stop now?", is exchanged.
"""

import contextlib
import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

PATIENCE = datetime.timedelta(hours=2)  # of a process that waits for the others, as while the first reads the data


class ProcessLost(Exception):
    """Raised where another process of the run has ended."""


@dataclass(frozen=True)
class Place:
    """The place of a process among those of its run, before they have joined."""

    number: int  # from 0; the first alone writes
    count: int
    local: int  # number on its machine, which is that of its GPU
    address: str  # where they meet: tcp://host:port, or env:// for MASTER_ADDR and MASTER_PORT


class Processes:
    """The processes of a run, seen from one of them."""

    def __init__(self, number: int = 0, count: int = 1) -> None:
        self.number, self.count = number, count

    def __deepcopy__(self, memo: dict[int, Any]) -> "Processes":
        return self  # copies of a network belong to the same processes

    @property
    def first(self) -> bool:
        return self.number == 0

    # Shares of a batch.

    def share(self, batch: Tensor) -> Tensor:
        """Return this process's rows: an equal part, or one row more in the first processes."""
        return batch if self.count == 1 else batch.tensor_split(self.count)[self.number]

    def gather(self, share: Tensor) -> Tensor:
        """Return the whole batch from equal shares, without a gradient."""
        if self.count == 1:
            return share
        parts = [torch.empty_like(share) for _ in range(self.count)]
        with exchanging():
            dist.all_gather(parts, share.detach().contiguous())
        return torch.cat(parts)

    # What is made equal.

    def mean(self, value: Tensor) -> Tensor:
        """Return the mean over the processes; it can be differentiated any number of times."""
        return value if self.count == 1 else Sum.apply(value) / self.count

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, all in one exchange."""
        if self.count == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        with exchanging():
            dist.all_reduce(flat)
        flat /= self.count
        for tensor, mean in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(mean.view_as(tensor))

    def largest(self, number: int) -> int:
        """Return the largest of the numbers that the processes give."""
        if self.count == 1:
            return number
        found = torch.tensor(int(number))
        with exchanging():
            dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return int(found)

    def from_first(self, content: Any = None) -> Any:
        """Return what the first process gives: plain data and tensors."""
        if self.count == 1:
            return content
        box = [content]
        with exchanging():
            dist.broadcast_object_list(box, src=0)
        return box[0]

    def wait_for_first(self) -> None:
        """Wait until the first process has left: what was sent to it is lost if this one closes its connections."""
        with contextlib.suppress(ProcessLost):
            self.from_first()


ALONE = Processes()


class Sum(torch.autograd.Function):
    """The sum over the processes. Its gradient is the sum of their gradients, and so on."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        with exchanging():
            dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return Sum.apply(*gradients)


@contextlib.contextmanager
def exchanging() -> Iterator[None]:
    """Raise ProcessLost where an exchange fails: the other side has closed its connection."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLost(" ".join(str(error).split())) from error


@contextlib.contextmanager
def joined(place: Place, *, accelerator: str) -> Iterator[Processes]:
    """Join the other processes, and leave them at the end.

    No object holds their group, since its connections are closed with the last reference: the others wait for that.
    """
    if accelerator == "cuda":
        torch.cuda.set_device(place.local)
    with exchanging():
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if accelerator == "cuda" else "gloo",  # by where a tensor lies
            init_method=place.address,
            rank=place.number,
            world_size=place.count,
            timeout=PATIENCE,
        )
    try:
        yield Processes(place.number, place.count)
    finally:
        dist.destroy_process_group()
