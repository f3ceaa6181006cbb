"""The batches of a run, as a function of (seed, images seen), so that a run continues exactly."""

import functools
from collections.abc import Iterator, Sequence

import pytorch_lightning as pl
import torch
from torch import Tensor

from resgan.base.images import to_float
from resgan.base.processes import ALONE, Processes
from resgan.base.rng import make_generator
from resgan.data.dataset import Dataset

Batch = Tensor | tuple[Tensor, Tensor]  # samples, or samples and their labels


def as_batch(tensors: Sequence[Tensor]) -> Batch:
    """Return samples, or samples and labels, in the form that a training step takes."""
    return tensors[0] if len(tensors) == 1 else (tensors[0], tensors[1])


class Batches:
    """An endless stream of shuffled epochs, cut into batches; batch k holds places k * size to (k + 1) * size.

    The order of an epoch comes from (seed, epoch), the flip of an image from (seed, epoch, its index), so a stream
    with any start is the rest of the stream that starts at 0. Batches run across the ends of epochs.
    """

    def __init__(
        self,
        data: Tensor,  # uint8 images (N, C, H, W), or float32 points (N, 2)
        *,
        size: int,  # samples in a batch
        start: int,  # images seen
        stop: int,  # images to have seen at the end
        seed: int,
        flip: bool,  # mirror each image with probability 1/2
        labels: Tensor | None = None,  # int64 (N,), to come with the samples
        processes: Processes = ALONE,  # each reads its share of every batch
    ) -> None:
        self.processes = processes
        self.data, self.labels, self.size, self.start, self.stop = data, labels, size, start, stop
        self.seed, self.flip = seed, flip
        self._epoch = -1

    def __len__(self) -> int:
        return max(0, -(-(self.stop - self.start) // self.size))

    def __iter__(self) -> Iterator[Batch]:
        for place in range(self.start, self.stop, self.size):
            yield self.batch(place)

    def batch(self, place: int) -> Batch:
        """Return the samples at places `place` to `place + size`, as floats in [-1, 1], with labels if any.

        Of several processes, each returns its share of them.
        """
        index, flipped = joined(*self._pieces(place))
        index, flipped = self.processes.share(index), None if flipped is None else self.processes.share(flipped)
        samples = self._samples(index, flipped)
        return samples if self.labels is None else (samples, self.labels[index.to(self.labels.device)])

    def _samples(self, index: Tensor, flipped: Tensor | None) -> Tensor:
        samples = self.data[index.to(self.data.device)]
        if samples.dtype == torch.uint8:
            samples = to_float(samples)
        if flipped is not None:
            mirror = flipped.to(samples.device).view(-1, 1, 1, 1)
            samples = torch.where(mirror, samples.flip(-1), samples)
        return samples.contiguous(memory_format=torch.channels_last) if samples.ndim == 4 else samples

    def _pieces(self, place: int) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Yield the indices of a batch, and which of them are mirrored, epoch by epoch."""
        count, wanted = len(self.data), self.size
        while wanted > 0:
            epoch, offset = divmod(place, count)
            self._turn_to(epoch)
            index = self._order[offset : offset + wanted]
            yield index, self._flips[index] if self.flip else None
            place, wanted = place + len(index), wanted - len(index)

    def _turn_to(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        count = len(self.data)
        self._epoch = epoch
        self._order = torch.randperm(count, generator=make_generator(self.seed, "order", epoch))
        self._flips = torch.rand(count, generator=make_generator(self.seed, "flip", epoch)) < 0.5


def joined(first: tuple[Tensor, Tensor | None], *more: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    """Concatenate pieces. Nearly always there is only one, and a copy would slow down small networks."""
    if not more:
        return first
    index, flipped = zip(first, *more, strict=True)
    return torch.cat(index), None if flipped[0] is None else torch.cat(flipped)


class StackedBatches:
    """The streams of several seeds, stacked: batches are (S, N, ...)."""

    def __init__(self, streams: Sequence[Batches]) -> None:
        self.streams = streams

    def __len__(self) -> int:
        return len(self.streams[0])

    def __iter__(self) -> Iterator[Batch]:
        for batches in zip(*self.streams, strict=True):
            if isinstance(batches[0], Tensor):
                yield torch.stack(batches)
            else:
                samples, labels = zip(*batches, strict=True)
                yield torch.stack(samples), torch.stack(labels)


class DataModule(pl.LightningDataModule):
    """Provide Lightning with the remaining batches of the run, as one long epoch."""

    def __init__(
        self,
        *datasets: Dataset,  # one for each seed
        batch_size: int,
        images_seen: int,
        total_images: int,
        seeds: Sequence[int],
        flip: bool,
        on_device: bool,  # move the whole set to the accelerator and gather there
        conditional: bool = False,  # give the labels with the samples
        processes: Processes = ALONE,
    ) -> None:
        super().__init__()
        self.processes = processes
        self.datasets, self.seeds, self.conditional = datasets, seeds, conditional
        self.batch_size, self.images_seen, self.total_images = batch_size, images_seen, total_images
        self.flip, self.on_device = flip, on_device

    def train_dataloader(self) -> Batches | StackedBatches:
        on_device = functools.cache(self.where_it_is_read)  # a data set that seeds share is moved once
        streams = [
            Batches(
                on_device(dataset.train),
                size=self.batch_size,
                start=self.images_seen,
                stop=self.total_images,
                seed=seed,
                flip=self.flip,
                labels=None if dataset.labels is None or not self.conditional else on_device(dataset.labels),
                processes=self.processes,
            )
            for dataset, seed in zip(self.datasets, self.seeds, strict=True)
        ]
        return streams[0] if len(streams) == 1 else StackedBatches(streams)

    def where_it_is_read(self, data: Tensor) -> Tensor:
        if self.on_device and self.trainer is not None:
            return data.to(self.trainer.strategy.root_device)
        return data
