"""A trained GAN, from its checkpoint alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from resgan.base.errors import OptionsError
from resgan.builders.networks import Spec, build_networks
from resgan.nets import sampling
from resgan.runs.history import completed_spec
from resgan.training import checkpoints


@dataclass(frozen=True)
class TrainedGan:
    """Both networks in eval mode, and what they were trained as."""

    generator: nn.Module  # averaged weights
    generator_raw: nn.Module  # the weights of the last step
    disc: nn.Module
    spec: Spec
    images_seen: int

    def sample(
        self,
        seeds: Iterable[int],
        *,
        label: int | str | None = None,  # a class's number or name; None: drawn for each seed, as often as in the data
        truncation: float | None = None,  # cut the normal of the latents at +- this
        averaged: bool = True,  # False: the raw weights
    ) -> Tensor:
        """Images (N, C, H, W), float32 in [-1, 1], or points (N, 2); each depends on its seed, and on its class.

        Raises OptionsError for a class that is not there.
        """
        seeds = list(seeds)
        z, labels = self.latents(seeds, truncation=truncation), self.labels(seeds, label=label)
        return self.generate(z, labels, averaged=averaged)

    @property
    def classes(self) -> list[str]:
        """The names of the classes; none where the GAN is not class-conditional."""
        return list(self.spec.get("classes", {}))

    def latents(self, seeds: Iterable[int], *, truncation: float | None = None) -> Tensor:
        """(N, latent_dim)."""
        return sampling.latents(list(seeds), dim=self.spec["generator"]["latent_dim"], truncation=truncation)

    def labels(self, seeds: Iterable[int], *, label: int | str | None = None) -> Tensor | None:
        """(N,); None where the GAN is not class-conditional. Raises OptionsError."""
        if label is not None:
            return torch.full((len(list(seeds)),), self.class_number(label))
        return sampling.labels(list(seeds), shares=list(self.spec["classes"].values())) if self.classes else None

    def class_number(self, label: int | str) -> int:
        """The number of a class, given by its number or name. Raises OptionsError."""
        if not self.classes:
            raise OptionsError(f"class={label}: this GAN was trained without classes; leave it out")
        given = str(label)
        if given in self.classes:
            return self.classes.index(given)
        if given.isdecimal() and int(given) < len(self.classes):
            return int(given)
        names = ", ".join(self.classes[:12]) + (", ..." if len(self.classes) > 12 else "")
        raise OptionsError(f"class={label}: valid are 0 to {len(self.classes) - 1}, or {names}")

    def generate(self, z: Tensor, labels: Tensor | None = None, *, averaged: bool = True) -> Tensor:
        """Samples of latents (N, latent_dim), and labels (N,) where the GAN is class-conditional."""
        return sampling.generate(self.generator if averaged else self.generator_raw, z, labels)


def load_gan(path: str | Path, *, device: str = "cpu") -> TrainedGan:
    """Open a checkpoint; the file is all it needs. Raises CheckpointError, a ValueError."""
    state = checkpoints.load(Path(path))
    spec = completed_spec(state["spec"])
    raw, disc = build_networks(spec)
    averaged, _ = build_networks(spec)
    raw.load_state_dict(state["generator"])
    averaged.load_state_dict(state["generator_ema"])
    disc.load_state_dict(state["disc"])
    averaged, raw, disc = (net.eval().requires_grad_(False).to(device) for net in (averaged, raw, disc))
    return TrainedGan(averaged, raw, disc, spec, state["images_seen"])
