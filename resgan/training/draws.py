"""What is random in a step, each draw decided by (seed, its purpose, images seen): a run continues exactly."""

from collections.abc import Sequence

import torch
from torch import Tensor

from resgan.images import to_float
from resgan.keys import keyed_generator
from resgan.training.augment import augment
from resgan.training.schedules import Augmentation


class Draws:
    """Those of one seed."""

    def __init__(self, seed: int, *, latent_dim: int, augmentation: Augmentation | None = None) -> None:
        self.seed, self.latent_dim, self.augmentation = seed, latent_dim, augmentation

    def latents(self, purpose: str, count: int, *, images_seen: int) -> Tensor:
        """Standard normal (count, latent_dim)."""
        random = keyed_generator(self.seed, purpose, images_seen)
        return torch.randn(count, self.latent_dim, generator=random)

    def mix(self, count: int, *, images_seen: int) -> Tensor:
        """Uniform on [0, 1] (count,)."""
        return torch.rand(count, generator=keyed_generator(self.seed, "mix", images_seen))

    def augmented(self, images: Tensor, purpose: str, *, p: Tensor | float, images_seen: int) -> Tensor:
        """Images (N, C, H, W) as D sees them."""
        if self.augmentation is None:
            return images
        random = keyed_generator(self.seed, "augment", purpose, images_seen)
        return augment(images, operations=self.augmentation.operations, p=p, random=random)

    def held_out(self, count: int, *, images_seen: int) -> tuple[Tensor, Tensor | None]:
        """Pictures that D never learns from (count, C, H, W), mirrored as the others are, and their labels."""
        assert self.augmentation is not None
        assert self.augmentation.holdout is not None
        pictures, labels = self.augmentation.holdout, self.augmentation.holdout_labels
        random = keyed_generator(self.seed, "holdout", images_seen)
        index, mirror = torch.randint(len(pictures), (count,), generator=random), torch.rand(count, generator=random)
        chosen = to_float(pictures[index])
        if self.augmentation.flip:
            chosen = torch.where(mirror.view(-1, 1, 1, 1) < 0.5, chosen.flip(3), chosen)
        return chosen, None if labels is None else labels[index]


class StackedDraws:
    """Those of several seeds, each what it is alone; with one more dimension (S, ...) in front."""

    def __init__(self, draws: Sequence["Draws | StackedDraws"]) -> None:
        self.draws = draws

    def latents(self, purpose: str, count: int, *, images_seen: int) -> Tensor:
        return torch.stack([draws.latents(purpose, count, images_seen=images_seen) for draws in self.draws])

    def mix(self, count: int, *, images_seen: int) -> Tensor:
        return torch.stack([draws.mix(count, images_seen=images_seen) for draws in self.draws])

    def augmented(self, images: Tensor, purpose: str, *, p: Tensor | float, images_seen: int) -> Tensor:
        each = p if isinstance(p, Tensor) else [p] * len(self.draws)
        told = zip(self.draws, images, each, strict=True)
        return torch.stack([draws.augmented(x, purpose, p=own, images_seen=images_seen) for draws, x, own in told])

    def held_out(self, count: int, *, images_seen: int) -> tuple[Tensor, Tensor | None]:
        pictures, labels = zip(*(draws.held_out(count, images_seen=images_seen) for draws in self.draws), strict=True)
        return torch.stack(pictures), None if labels[0] is None else torch.stack(labels)
