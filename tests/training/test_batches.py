"""The stream of batches: every image once an epoch, and the same from wherever it starts."""

from types import SimpleNamespace

import pytest
import torch

from resgan.data.dataset import Dataset
from resgan.training.batches import Batches, DataModule


def numbered(count: int) -> torch.Tensor:
    """Make images (count, 1, 2, 2) whose first column is their number, and whose second is 255 less that."""
    numbers = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)
    return torch.cat([numbers, 255 - numbers], dim=3).repeat(1, 1, 2, 1)


def stream(start=0, *, stop=60, size=6, seed=0, flip=False, count=20, labels=None) -> list:
    data = numbered(count)
    return list(Batches(data, size=size, start=start, stop=stop, seed=seed, flip=flip, labels=labels))


def which(batches: list[torch.Tensor]) -> list[int]:
    """Return the numbers of the images, mirrored or not."""
    values = ((torch.cat(batches) + 1) * 127.5).round().long()
    return values.amin(dim=(1, 2, 3)).tolist()


def test_every_image_once_an_epoch():
    seen = which(stream())
    assert len(seen) == 60
    epochs = [seen[k : k + 20] for k in (0, 20, 40)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("flip", [True, False])
def test_a_stream_that_starts_later_is_the_rest(flip):
    whole = stream(flip=flip)
    for batch in range(10):
        rest = stream(start=6 * batch, flip=flip)
        assert len(rest) == 10 - batch
        assert all(torch.equal(a, b) for a, b in zip(rest, whole[batch:], strict=True))


def test_the_seed_decides():
    assert which(stream(seed=0)) == which(stream(seed=0))
    assert which(stream(seed=0)) != which(stream(seed=1))


def test_batches_may_be_larger_than_the_data():
    (batch,) = stream(stop=50, size=50)
    assert len(batch) == 50
    assert sorted(which([batch])[:20]) == list(range(20))


def test_flips():
    plain, mirrored = torch.cat(stream()), torch.cat(stream(flip=True))
    flipped = [not torch.equal(a, b) for a, b in zip(plain, mirrored, strict=True)]
    assert all(torch.equal(a.flip(-1) if f else a, b) for a, b, f in zip(plain, mirrored, flipped, strict=True))
    assert 15 <= sum(flipped) <= 45  # 60 fair coins: 30 +- 3.9, four of these
    assert flipped[:20] != flipped[20:40]  # drawn again in every epoch


def test_points_are_given_as_they_are():
    points = torch.randn(10, 2)
    (batch,) = Batches(points, size=10, start=0, stop=10, seed=0, flip=False)
    assert torch.equal(batch.sort(0)[0], points.sort(0)[0])
    assert batch.dtype == torch.float32


# Labels

LABELS = 1000 - 7 * torch.arange(20)  # of the images 0 to 19


@pytest.mark.parametrize("size", [6, 20, 50])  # 6 and 50 run across the ends of epochs
@pytest.mark.parametrize("flip", [True, False])
def test_labels_follow_their_samples(size, flip):
    for samples, labels in stream(stop=120, size=size, flip=flip, labels=LABELS):
        assert labels.dtype == torch.int64
        assert labels.tolist() == [1000 - 7 * k for k in which([samples])]


@pytest.mark.parametrize("flip", [True, False])
def test_labels_leave_the_samples_as_they_are(flip):
    plain, labelled = stream(flip=flip), stream(flip=flip, labels=LABELS)
    assert all(torch.equal(a, b) for a, (b, _) in zip(plain, labelled, strict=True))


def test_labelled_stream_that_starts_later_is_the_rest():
    whole = stream(labels=LABELS)
    for batch in range(10):
        rest = stream(start=6 * batch, labels=LABELS)
        for (samples, labels), (expected, expected_labels) in zip(rest, whole[batch:], strict=True):
            assert torch.equal(samples, expected)
            assert torch.equal(labels, expected_labels)


def test_a_single_batch_is_what_the_stream_gives():
    batches = Batches(numbered(20), size=6, start=0, stop=60, seed=0, flip=True, labels=LABELS)
    samples, labels = batches.batch(18)
    expected, expected_labels = stream(flip=True, labels=LABELS)[3]
    assert torch.equal(samples, expected)
    assert torch.equal(labels, expected_labels)


def module_of(*, on_device=False, **options) -> DataModule:
    images = numbered(20)
    data = Dataset(name="n", train=images, holdout=images[:0], reference=images, split="train", labels=LABELS)
    run = {"batch_size": 6, "images_seen": 6, "total_images": 60, "seeds": [0], "flip": False}
    return DataModule(data, on_device=on_device, **run, **options)


def test_data_module_gives_labels_on_request_alone():
    assert all(torch.equal(a, b) for a, b in zip(module_of().train_dataloader(), stream(start=6), strict=True))
    labelled = list(module_of(conditional=True).train_dataloader())
    for (samples, labels), (expected, expected_labels) in zip(labelled, stream(start=6, labels=LABELS), strict=True):
        assert torch.equal(samples, expected)
        assert torch.equal(labels, expected_labels)


@pytest.mark.parametrize(("on_device", "where"), [(True, "meta"), (False, "cpu")])
def test_labels_move_with_the_data(on_device, where):
    module = module_of(conditional=True, on_device=on_device)
    module.trainer = SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device("meta")))
    batches = module.train_dataloader()
    assert (batches.data.device.type, batches.labels.device.type) == (where, where)
