"""The batches of a run, as a function of (seed, images seen): what makes a run continue exactly."""

from collections.abc import Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor

from resgan.data.dataset import Dataset
from resgan.images import to_float
from resgan.keys import keyed_generator

Batch = Tensor | tuple[Tensor, Tensor]  # samples, or samples and their labels


class Batches:
    """An endless stream of shuffled epochs, cut into batches; batch k holds places k * size to (k + 1) * size.

    The order of an epoch comes from (seed, epoch), the flip of an image from (seed, epoch, its index): a stream that
    starts anywhere is the rest of the stream that started at nought. Batches run across the ends of epochs.
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
    ) -> None:
        self.data, self.labels, self.size, self.start, self.stop = data, labels, size, start, stop
        self.seed, self.flip = seed, flip
        self._epoch = -1

    def __len__(self) -> int:
        return max(0, -(-(self.stop - self.start) // self.size))

    def __iter__(self) -> Iterator[Batch]:
        for place in range(self.start, self.stop, self.size):
            yield self.batch(place)

    def batch(self, place: int) -> Batch:
        """The samples at places `place` to `place + size`, as floats in [-1, 1], with their labels if there are any."""
        index, flipped = zip(*self._pieces(place), strict=True)
        index, flipped = torch.cat(index), torch.cat(flipped)
        samples = self._samples(index, flipped)
        return samples if self.labels is None else (samples, self.labels[index.to(self.labels.device)])

    def _samples(self, index: Tensor, flipped: Tensor) -> Tensor:
        samples = self.data[index.to(self.data.device)]
        if samples.dtype == torch.uint8:
            samples = to_float(samples)
        if self.flip:
            mirror = flipped.to(samples.device).view(-1, 1, 1, 1)
            samples = torch.where(mirror, samples.flip(-1), samples)
        return samples.contiguous(memory_format=torch.channels_last) if samples.ndim == 4 else samples

    def _pieces(self, place: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The indices and flips of a batch, epoch by epoch."""
        count, wanted = len(self.data), self.size
        while wanted > 0:
            epoch, offset = divmod(place, count)
            self._turn_to(epoch)
            index = self._order[offset : offset + wanted]
            yield index, self._flips[index]
            place, wanted = place + len(index), wanted - len(index)

    def _turn_to(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        count = len(self.data)
        self._epoch = epoch
        self._order = torch.randperm(count, generator=keyed_generator(self.seed, "order", epoch))
        self._flips = torch.rand(count, generator=keyed_generator(self.seed, "flip", epoch)) < 0.5


class DataModule(pl.LightningDataModule):
    """Gives Lightning the batches from where the run stands to its end, as one long epoch."""

    def __init__(
        self,
        dataset: Dataset,
        *,
        batch_size: int,
        images_seen: int,
        total_images: int,
        seed: int,
        flip: bool,
        on_device: bool,  # move the whole set to the accelerator and gather there
        conditional: bool = False,  # give the labels with the samples
    ) -> None:
        super().__init__()
        self.data = dataset.train
        self.labels = dataset.labels if conditional else None
        self.batch_size, self.images_seen, self.total_images = batch_size, images_seen, total_images
        self.seed, self.flip, self.on_device = seed, flip, on_device

    def train_dataloader(self) -> Batches:
        data, labels = self.data, self.labels
        if self.on_device and self.trainer is not None:
            device = self.trainer.strategy.root_device
            data, labels = data.to(device), None if labels is None else labels.to(device)
        return Batches(
            data,
            size=self.batch_size,
            start=self.images_seen,
            stop=self.total_images,
            seed=self.seed,
            flip=self.flip,
            labels=labels,
        )
