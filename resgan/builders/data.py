"""Data sets from their options, and their properties, some of them known without reading any data."""

from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

from resgan.base.cache import cache_directory
from resgan.base.errors import OptionsError
from resgan.base.images import to_float
from resgan.base.rng import make_generator
from resgan.data import gaussians, shapes, shapes_hard
from resgan.data.dataset import Dataset
from resgan.data.folder import check_different, find_side, load_folder, source_name
from resgan.data.labels import read_labels
from resgan.data.limits import Limits
from resgan.data.sources import open_source
from resgan.data.torchvision_sets import load_torchvision
from resgan.options.data import DataSet, Folder, Gaussians, Shapes, ShapesHard, Torchvision
from resgan.options.train import TrainOptions


def build_dataset(options: DataSet, *, seed: int, progress: bool) -> Dataset:
    """Load or draw the data set. Raises DataError."""
    match options:
        case Gaussians():
            return gaussians.load_gaussians(modes=options.modes, size=options.size, seed=seed)
        case Shapes():
            return shapes.load_shapes(size=options.size, count=options.count, withhold=options.withhold, seed=seed)
        case ShapesHard():
            return shapes_hard.load_shapes_hard(size=options.size, seed=seed)
        case Folder():
            dataset = load_folder(
                options.path,
                size=options.size,
                channels=options.channels,
                holdout=options.holdout,
                seed=seed,
                fit=options.fit,
                enlarge=options.enlarge,
                labels=options.labels,
                limits=options.limits,
                progress=progress,
                cache_directory=cache_directory() if options.cache else None,
            )
            check_different(dataset.train, Path(options.path).expanduser(), limits=options.limits)
            return dataset
        case Torchvision():
            return load_torchvision(options.name, root=options.root, download=options.download)
    raise TypeError(f"no loader for {type(options).__name__}")


def mixed_batch(dataset: Dataset, count: int, *, labelled: bool) -> list[Tensor]:
    """Draw training samples as D sees them, and their labels: the same ones for every run on the data set.

    They are shuffled, since many data sets are sorted by class, and repeat where there are fewer than `count`.
    """
    order = torch.randperm(len(dataset.train), generator=make_generator("mixed batch"))
    index = order[torch.arange(count) % len(order)]
    labels = [dataset.labels[index]] if labelled and dataset.labels is not None else []
    samples = dataset.train[index]
    return [to_float(samples) if samples.dtype == torch.uint8 else samples, *labels]


# Classes.


def is_conditional(options: TrainOptions) -> bool:
    """Are the networks class-conditional?"""
    return getattr(options.generator, "conditional", "none") != "none"


def class_shares(options: TrainOptions, dataset: Dataset) -> dict[str, float]:
    """Return the classes of class-conditional networks and their shares of the training data; else none.

    Raises OptionsError where the data has no classes.
    """
    if not is_conditional(options):
        return {}
    if dataset.labels is None:
        refuse_no_classes(options, dataset.name, ())
    assert dataset.labels is not None
    counts = torch.bincount(dataset.labels, minlength=len(dataset.classes))
    return dict(zip(dataset.classes, (counts / counts.sum()).tolist(), strict=True))


def refuse_no_classes(options: TrainOptions, name: str, classes: tuple[str, ...]) -> None:
    if not classes:
        raise OptionsError(
            f"generator.conditional={getattr(options.generator, 'conditional', 'none')}: data={name} has no classes "
            "(a folder has them where every image is in a subfolder, or from data.labels=labels.csv); use none"
        )


def reals_to_show(dataset: Dataset, count: int, *, by_class: bool) -> Tensor:
    """Draw training samples, by a fixed key, to show beside generated ones; they repeat where there are fewer.

    by_class: sample k is of class k % classes, as in the grid of a class-conditional GAN; else classes are mixed.
    """
    order = torch.randperm(len(dataset.train), generator=make_generator("reals"))
    if not by_class or dataset.labels is None:
        return dataset.train[order[torch.arange(count) % len(order)]]
    members = [order[dataset.labels[order] == label] for label in range(len(dataset.classes))]
    members = [places if len(places) else order for places in members]  # all of a class may be held out
    rows = [divmod(k, len(members)) for k in range(count)]
    return dataset.train[torch.stack([members[label][row % len(members[label])] for row, label in rows])]


# Before images are decoded: of those at a path, headers and labels are read.


def expected_shape(data: DataSet) -> tuple[int, ...]:
    """Return the shape of one sample. Raises DataError where images at a path have no common one."""
    if isinstance(data, Folder) and data.size is None:
        side = find_side(data.path, progress=False, limits=data.limits)
        return (data.channels, side, side)
    assert data.sample_shape is not None
    return data.sample_shape


def expected_class_shares(options: TrainOptions) -> dict[str, float]:
    """Return `class_shares`, of data that is not at a path with numbers as names and equal shares. Raises UserError."""
    if not is_conditional(options):
        return {}
    if isinstance(options.data, Folder):
        source = open_source(Path(options.data.path).expanduser(), Limits(options.data.limits))
        labels = read_labels(source, options.data.labels)
        refuse_no_classes(options, source_name(source.path), labels.classes)
        counts = Counter(labels.numbers.values())
        return {name: counts[number] / len(source.names) for number, name in enumerate(labels.classes)}
    count = options.data.class_count
    assert count is not None
    return {str(k): 1 / count for k in range(count)}
