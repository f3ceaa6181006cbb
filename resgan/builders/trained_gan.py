"""A trained GAN, from its checkpoint alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from resgan.base.console import say
from resgan.base.errors import OptionsError
from resgan.base.own_code import load_named
from resgan.builders.networks import Spec, build_network
from resgan.builders.own_networks import MakeNetwork
from resgan.builders.saved import check_tensors, check_weights, images_seen, load_weights, read_spec
from resgan.nets import sampling
from resgan.options.checkpoint import CheckpointOptions
from resgan.training import checkpoints


@dataclass(frozen=True)
class TrainedGan:
    """A trained GAN: both networks in eval mode, and the spec of their training."""

    generator: nn.Module  # averaged weights
    generator_raw: nn.Module  # the weights of the last step
    disc: nn.Module | None  # None: a user-defined class, which was not given
    spec: Spec
    images_seen: int

    def sample(
        self,
        seeds: Iterable[int],
        *,
        label: int | str | None = None,  # a class's number or name; None: drawn for each seed by the shares of the data
        truncation: float | None = None,  # truncate the normal latents at +- this
        averaged: bool = True,  # False: the raw weights
    ) -> Tensor:
        """Generate images (N, C, H, W), float32 in [-1, 1], or points (N, 2); each depends on its seed and class.

        Raises OptionsError for an unknown class.
        """
        seeds = list(seeds)
        z, labels = self.latents(seeds, truncation=truncation), self.labels(seeds, label=label)
        return self.generate(z, labels, averaged=averaged)

    @property
    def classes(self) -> list[str]:
        """Return the names of the classes; none where the GAN is not class-conditional."""
        return list(self.spec.get("classes", {}))

    def latents(self, seeds: Iterable[int], *, truncation: float | None = None) -> Tensor:
        """Draw the latents of seeds (N, latent_dim)."""
        return sampling.latents(list(seeds), dim=self.spec["generator"]["latent_dim"], truncation=truncation)

    def labels(self, seeds: Iterable[int], *, label: int | str | None = None) -> Tensor | None:
        """Return the labels of seeds (N,); None where the GAN is not class-conditional. Raises OptionsError."""
        if label is not None:
            return torch.full((len(list(seeds)),), self.class_number(label))
        return sampling.labels(list(seeds), shares=list(self.spec["classes"].values())) if self.classes else None

    def class_numbers(self, given: int | str) -> list[int]:
        """Return the numbers of one class, of several ("cat,dog"), or of all ("all"). Raises OptionsError."""
        text = str(given)
        if text == "all" and self.classes and "all" not in self.classes:
            return list(range(len(self.classes)))
        named = [text] if text in self.classes else text.split(",")  # a name may hold a comma
        return list(dict.fromkeys(self.class_number(name.strip()) for name in named))

    def class_number(self, label: int | str) -> int:
        """Return the number of a class, given by number or name. Raises OptionsError."""
        if not self.classes:
            raise OptionsError(f"class={label}: this GAN was trained without classes; leave it out")
        given = str(label)
        if given in self.classes:
            return self.classes.index(given)
        if given.isdecimal() and int(given) < len(self.classes):
            return int(given)
        names = ", ".join(self.classes[:12]) + (", ..." if len(self.classes) > 12 else "")
        raise OptionsError(f"class={label}: expected 0 to {len(self.classes) - 1}, or {names}")

    def generate(self, z: Tensor, labels: Tensor | None = None, *, averaged: bool = True) -> Tensor:
        """Generate samples from latents (N, latent_dim), and labels (N,) where the GAN is class-conditional.

        Raises OptionsError for samples that are not finite, which no picture shows as such.
        """
        samples = sampling.generate(self.generator if averaged else self.generator_raw, z, labels)
        if not samples.isfinite().all():
            raise OptionsError("samples of this GAN are not finite (NaN or infinity): its weights are too large")
        return samples


def load_gan(
    path: str | Path,
    *,
    device: str = "cpu",
    generator: MakeNetwork | None = None,  # the class, where the generator is user-defined
    disc: MakeNetwork | None = None,
) -> TrainedGan:
    """Open a checkpoint; only user-defined classes have to be given again, since a file never runs code.

    path: a .ckpt file, or a run directory: its final checkpoint, else the newest.
    Raises CheckpointError for a file that is damaged or whose content is not that of a trained GAN, OptionsError where
    a class is missing: both are a ValueError.
    """
    path = checkpoints.find(Path(path))
    state = checkpoints.load(path)
    with checkpoints.named(path):
        spec = read_spec(state)
    if generator is None and is_own(spec, "generator"):
        where = spec["generator"]["path"]
        raise OptionsError(
            f"{path}: its generator is a user-defined class ({where}), and a checkpoint runs no code; give the class, "
            f"as generator.path={where} or load_gan(path, generator=...)"
        )

    def build(network: str, key: str, own: MakeNetwork | None) -> nn.Module:
        net = build_network(spec, network, own=own)
        if is_own(spec, network):  # its code may need real tensors
            check_tensors(state.get(key), net.state_dict(), what=network, exactly=False)
        load_weights(net, state[key], what=network)
        return net.eval().requires_grad_(False).to(device)

    with checkpoints.named(path):
        for network in ("generator", "disc"):
            if not is_own(spec, network):
                check_weights(state, network, spec)
        return TrainedGan(
            generator=build("generator", "generator_ema", generator),
            generator_raw=build("generator", "generator", generator),
            disc=None if disc is None and is_own(spec, "disc") else build("disc", "disc", disc),
            spec=spec,
            images_seen=images_seen(state),
        )


def is_own(spec: Spec, network: str) -> bool:
    """Is the network user-defined?"""
    return spec[network]["name"] == "module"


def load_gan_for(options: CheckpointOptions, path: Path, *, device: str) -> TrainedGan:
    """Open a checkpoint with the classes that a command names; say which, of a directory. Raises OptionsError."""
    if path.is_dir():
        given, path = path, checkpoints.find(path)
        say(f"ckpt={given}: takes {path.relative_to(given)}")
    classes = {
        network: load_named(where, option=f"{network}.path", error=OptionsError)[0]
        for network in ("generator", "disc")
        if (where := getattr(options, network).path) is not None
    }
    return load_gan(path, device=device, **classes)
