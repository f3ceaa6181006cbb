"""From names to classes: the one place where plain data becomes networks, data, and a GAN."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from resgan import sampling
from resgan.data import gaussians, shapes
from resgan.data.dataset import Dataset
from resgan.data.folder import load_folder
from resgan.data.torchvision_sets import load_torchvision
from resgan.images import to_float
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.options import (
    Disc,
    Folder,
    Gaussians,
    Generator,
    OptionsError,
    Shapes,
    Torchvision,
    TrainOptions,
)
from resgan.training import checkpoints
from resgan.training.gan import GAN, Adam, Penalty

GENERATORS: dict[str, type[nn.Module]] = {"lab": LabGenerator, "mlp": MlpGenerator}
DISCRIMINATORS: dict[str, type[nn.Module]] = {"lab": LabDiscriminator, "mlp": MlpDiscriminator}

# Options of a network's group that say how it is trained, not what it is.
TRAINING = {"lr", "betas", "decay", "ema_kimg", "ema_ramp", "steps"}


# Networks, from plain data alone.


def spec_of(options: TrainOptions, dataset: Dataset) -> dict[str, Any]:
    """What a checkpoint must hold to be opened again: plain data from which `build_networks` makes both networks."""
    return {"data": dataset.name, **spec_of_networks(options, dataset.shape)}


def spec_of_networks(options: TrainOptions, shape: tuple[int, ...]) -> dict[str, Any]:
    """What both networks are; `shape` is that of one sample."""
    return {
        "shape": list(shape),
        "seed": options.seed,
        "generator": options.generator.model_dump(exclude=TRAINING),
        "disc": options.disc.model_dump(exclude=TRAINING),
    }


def build_networks(spec: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
    """(generator, discriminator). Raises OptionsError where an option does not fit the images."""
    return (
        build_network(GENERATORS, spec["generator"], shape=tuple(spec["shape"]), seed=spec["seed"]),
        build_network(DISCRIMINATORS, spec["disc"], shape=tuple(spec["shape"]), seed=spec["seed"]),
    )


def build_network(table: dict[str, type[nn.Module]], options: dict[str, Any], **given: Any) -> nn.Module:
    arguments = {key: value for key, value in options.items() if key != "name"}
    try:
        return table[options["name"]](**arguments, **given)
    except ValueError as error:
        raise OptionsError(f"{'generator' if table is GENERATORS else 'disc'}.{error}") from error


def count(gan: GAN, spec: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Parameters, and floating point operations of one forward pass of one sample, of both networks."""
    inputs = {
        "generator": (gan.generator, torch.zeros(1, gan.latent_dim)),
        "disc": (gan.disc, torch.zeros(1, *spec["shape"])),
    }
    return {
        "parameters": {name: sum(p.numel() for p in net.parameters()) for name, (net, _) in inputs.items()},
        "flops": {name: flops(net, sample) for name, (net, sample) in inputs.items()},
    }


def flops(net: nn.Module, sample: Tensor) -> int:
    """Of one forward pass; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net.eval()(sample)
    net.train()
    return counter.get_total_flops()


# Data.


def build_dataset(options: Gaussians | Shapes | Folder | Torchvision, *, seed: int, progress: bool) -> Dataset:
    """Raises DataError."""
    match options:
        case Gaussians():
            return gaussians.load_gaussians(modes=options.modes, size=options.size, seed=seed)
        case Shapes():
            return shapes.load_shapes(size=options.size, seed=seed)
        case Folder():
            return load_folder(
                options.path,
                size=options.size,
                channels=options.channels,
                holdout=options.holdout,
                seed=seed,
                progress=progress,
            )
        case Torchvision():
            return load_torchvision(options.name, root=options.root, download=options.download)


def as_floats(samples: Tensor) -> Tensor:
    """Samples of a data set as D sees them."""
    return to_float(samples) if samples.dtype == torch.uint8 else samples


# A GAN to train.


def build_gan(options: TrainOptions, spec: dict[str, Any]) -> GAN:
    generator, disc = build_networks(spec)
    if options.trainer.channels_last and len(spec["shape"]) == 3:
        generator, disc = (net.to(memory_format=torch.channels_last) for net in (generator, disc))  # type: ignore[call-overload]
    loss = options.loss
    return GAN(
        generator=generator,
        disc=disc,
        latent_dim=options.generator.latent_dim,
        loss=loss.name,
        r1=Penalty(weight=loss.r1, interval=loss.r1_interval),
        r2=Penalty(weight=loss.r2, interval=loss.r2_interval),
        gp=Penalty(weight=loss.gp, interval=loss.gp_interval),
        generator_adam=build_adam(options.generator),
        disc_adam=build_adam(options.disc),
        disc_steps=options.disc.steps,
        ema_kimg=options.generator.ema_kimg,
        ema_ramp=options.generator.ema_ramp,
        batch_size=options.batch_size,
        total_images=round_to_batches(options),
        seed=options.seed,
    )


def build_adam(options: Generator | Disc) -> Adam:
    first, second = options.betas
    return Adam(lr=options.lr, betas=(float(first), float(second)), decay=options.decay)


def round_to_batches(options: TrainOptions) -> int:
    """The length of a run in images, whole batches: the last one is complete."""
    return -(-round(1000 * options.total_kimg) // options.batch_size) * options.batch_size


# A GAN to use.


@dataclass(frozen=True)
class TrainedGan:
    """What a checkpoint holds: both networks in eval mode, and what they were trained as."""

    generator: nn.Module  # averaged weights
    generator_raw: nn.Module  # the weights of the last step
    disc: nn.Module
    spec: dict[str, Any]
    images_seen: int

    def sample(
        self,
        seeds: Iterable[int],
        *,
        truncation: float | None = None,  # cut the normal of the latents at +- this
        averaged: bool = True,  # False: the raw weights
    ) -> Tensor:
        """Images (N, C, H, W), float32 in [-1, 1], or points (N, 2); each depends on its seed only."""
        return self.generate(self.latents(seeds, truncation=truncation), averaged=averaged)

    def latents(self, seeds: Iterable[int], *, truncation: float | None = None) -> Tensor:
        """(N, latent_dim)."""
        return sampling.latents(list(seeds), dim=self.spec["generator"]["latent_dim"], truncation=truncation)

    def generate(self, z: Tensor, *, averaged: bool = True) -> Tensor:
        """Samples of latents (N, latent_dim)."""
        return sampling.generate(self.generator if averaged else self.generator_raw, z)


def load_gan(path: str | Path, *, device: str = "cpu") -> TrainedGan:
    """Open a checkpoint; the file is all it needs. Raises checkpoints.CheckpointError."""
    state = checkpoints.load(Path(path))
    spec = state["spec"]
    raw, disc = build_networks(spec)
    averaged, _ = build_networks(spec)
    raw.load_state_dict(state["generator"])
    averaged.load_state_dict(state["generator_ema"])
    disc.load_state_dict(state["disc"])
    averaged, raw, disc = (net.eval().requires_grad_(False).to(device) for net in (averaged, raw, disc))
    return TrainedGan(averaged, raw, disc, spec, state["images_seen"])
