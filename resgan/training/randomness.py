"""Random draws of a step, each decided by (seed, purpose, images seen), so that a run continues exactly."""

from collections.abc import Sequence

import torch
from torch import Tensor

from resgan.base.images import to_float
from resgan.base.processes import ALONE, Processes
from resgan.base.rng import make_generator
from resgan.training.augment import augment
from resgan.training.schedules import Augmentation


class StepRandomness:
    """The random draws of one seed."""

    def __init__(self, seed: int, *, latent_dim: int, augmentation: Augmentation | None = None) -> None:
        self.seed, self.latent_dim, self.augmentation = seed, latent_dim, augmentation

    def latents(self, purpose: str, count: int, *, images_seen: int) -> Tensor:
        """Draw standard normal latents (count, latent_dim)."""
        random = make_generator(self.seed, purpose, images_seen)
        return torch.randn(count, self.latent_dim, generator=random)

    def mix(self, count: int, *, images_seen: int) -> Tensor:
        """Draw uniformly on [0, 1] (count,)."""
        return torch.rand(count, generator=make_generator(self.seed, "mix", images_seen))

    def augmented(
        self, images: Tensor, purpose: str, *, p: Tensor | float, images_seen: int, processes: Processes = ALONE
    ) -> Tensor:
        """Augment images (N, C, H, W), this process's share of a batch, as D sees them."""
        if self.augmentation is None:
            return images
        random = make_generator(self.seed, "augment", purpose, images_seen)
        return augment(images, operations=self.augmentation.operations, p=p, random=random, processes=processes)

    def held_out(self, count: int, *, images_seen: int) -> tuple[Tensor, Tensor | None]:
        """Draw held-out images (count, C, H, W), mirrored like the training images, and their labels."""
        assert self.augmentation is not None
        assert self.augmentation.holdout is not None
        images, labels = self.augmentation.holdout, self.augmentation.holdout_labels
        random = make_generator(self.seed, "holdout", images_seen)
        index, mirror = torch.randint(len(images), (count,), generator=random), torch.rand(count, generator=random)
        chosen = to_float(images[index])
        if self.augmentation.flip:
            chosen = torch.where(mirror.view(-1, 1, 1, 1) < 0.5, chosen.flip(3), chosen)
        return chosen, None if labels is None else labels[index]


class StackedRandomness:
    """The random draws of several seeds, each as if it were alone, stacked to (S, ...)."""

    def __init__(self, each: Sequence["StepRandomness | StackedRandomness"]) -> None:
        self.each = each

    def latents(self, purpose: str, count: int, *, images_seen: int) -> Tensor:
        return torch.stack([seed.latents(purpose, count, images_seen=images_seen) for seed in self.each])

    def mix(self, count: int, *, images_seen: int) -> Tensor:
        return torch.stack([seed.mix(count, images_seen=images_seen) for seed in self.each])

    def augmented(
        self, images: Tensor, purpose: str, *, p: Tensor | float, images_seen: int, processes: Processes = ALONE
    ) -> Tensor:
        assert processes.count == 1  # a stack is one process
        probabilities = p if isinstance(p, Tensor) else [p] * len(self.each)
        given = zip(self.each, images, probabilities, strict=True)
        return torch.stack([seed.augmented(x, purpose, p=own, images_seen=images_seen) for seed, x, own in given])

    def held_out(self, count: int, *, images_seen: int) -> tuple[Tensor, Tensor | None]:
        images, labels = zip(*(seed.held_out(count, images_seen=images_seen) for seed in self.each), strict=True)
        return torch.stack(images), None if labels[0] is None else torch.stack(labels)
