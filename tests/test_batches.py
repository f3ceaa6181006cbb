"""The stream of batches: every image once an epoch, and the same from wherever it starts."""

import pytest
import torch

from resgan.data.module import Batches


def numbered(count: int) -> torch.Tensor:
    """Images (count, 1, 2, 2) whose first column says which they are, and whose second is 255 less that."""
    numbers = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)
    return torch.cat([numbers, 255 - numbers], dim=3).repeat(1, 1, 2, 1)


def stream(start=0, *, stop=60, size=6, seed=0, flip=False, count=20) -> list[torch.Tensor]:
    return list(Batches(numbered(count), size=size, start=start, stop=stop, seed=seed, flip=flip))


def which(batches: list[torch.Tensor]) -> list[int]:
    """Which images, mirrored or not."""
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
