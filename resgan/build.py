"""From names to classes: the one place where plain data becomes networks, data, and a GAN."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from resgan import sampling
from resgan.cache import cache_directory
from resgan.checking import OptionsError
from resgan.data import gaussians, shapes
from resgan.data.dataset import Dataset
from resgan.data.folder import load_folder
from resgan.data.torchvision_sets import load_torchvision
from resgan.images import to_float
from resgan.nets import layers
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.nets.published.dcgan import DcganDiscriminator, DcganGenerator
from resgan.nets.published.r3gan import R3ganDiscriminator, R3ganGenerator
from resgan.nets.published.resnet import ResnetDiscriminator, ResnetGenerator
from resgan.nets.published.resnet101 import Resnet101Discriminator, Resnet101Generator
from resgan.network_options import Adam as AdamOptions
from resgan.options import Folder, Gaussians, Shapes, Torchvision, TrainOptions
from resgan.training import checkpoints
from resgan.training.draws import StackedDraws
from resgan.training.gan import GAN
from resgan.training.schedules import Adam, Augmentation, Penalty
from resgan.training.stack import Stack, gather

GENERATORS: dict[str, type[nn.Module]] = {
    "lab": LabGenerator,
    "mlp": MlpGenerator,
    "resnet": ResnetGenerator,
    "resnet101": Resnet101Generator,
    "r3gan": R3ganGenerator,
    "dcgan": DcganGenerator,
}
DISCRIMINATORS: dict[str, type[nn.Module]] = {
    "lab": LabDiscriminator,
    "mlp": MlpDiscriminator,
    "resnet": ResnetDiscriminator,
    "resnet101": Resnet101Discriminator,
    "r3gan": R3ganDiscriminator,
    "dcgan": DcganDiscriminator,
}

# Options of a network's group that say how it is trained, not what it is.
TRAINING = {
    *("lr", "lr_final", "betas", "beta2_final", "decay", "steps"),
    *("batch_size", "ema_kimg", "ema_kimg_final", "ema_ramp"),
}


# Networks, from plain data alone.


def spec_of(options: TrainOptions, dataset: Dataset) -> dict[str, Any]:
    """What a checkpoint must hold to be opened again: plain data from which `build_networks` makes both networks."""
    return {"data": dataset.name, **spec_of_networks(options, dataset.shape, classes=classes_of(options, dataset))}


def spec_of_networks(options: TrainOptions, shape: tuple[int, ...], *, classes: dict[str, float]) -> dict[str, Any]:
    """What both networks are; `shape` is that of one sample, `classes` what they are told."""
    return {
        "shape": list(shape),
        "seed": options.seed,
        "generator": options.generator.model_dump(exclude=TRAINING),
        "disc": options.disc.model_dump(exclude=TRAINING),
        "classes": classes,
    }


def is_conditional(options: TrainOptions) -> bool:
    """Are the networks told the class?"""
    return getattr(options.generator, "conditional", "none") != "none"


def classes_of(options: TrainOptions, dataset: Dataset) -> dict[str, float]:
    """What the networks are told: the names of the classes and their shares of the training data; none is no name."""
    if not is_conditional(options):
        return {}
    if dataset.labels is None:
        raise OptionsError(
            f"generator.conditional={options.generator.conditional}: "  # type: ignore[union-attr]
            f"data={dataset.name} has no classes (a folder has them where every picture lies in a subfolder); "
            "valid is none"
        )
    counts = torch.bincount(dataset.labels, minlength=len(dataset.classes))
    return dict(zip(dataset.classes, (counts / counts.sum()).tolist(), strict=True))


def build_networks(spec: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
    """(generator, discriminator). Raises OptionsError where an option does not fit the images."""
    given = {"shape": tuple(spec["shape"]), "seed": spec["seed"], "classes": len(spec.get("classes", {}))}
    return (
        build_network(GENERATORS, spec["generator"], **given),
        build_network(DISCRIMINATORS, spec["disc"], **given),
    )


def build_network(table: dict[str, type[nn.Module]], options: dict[str, Any], **given: Any) -> nn.Module:
    arguments = {key: value for key, value in options.items() if key != "name"}
    try:
        return table[options["name"]](**arguments, **given)
    except ValueError as error:
        raise OptionsError(f"{'generator' if table is GENERATORS else 'disc'}.{error}") from error


def count(spec: dict[str, Any]) -> dict[str, Any]:
    """Parameters, and floating point operations of one forward pass of one sample, of both networks.

    And the same with each switch at its other position: networks of papers lose the projections on their skips.
    """
    other = spec | {net: spec[net] | {"residual": not spec[net]["residual"]} for net in ("generator", "disc")}
    return {**sizes_of(spec), "switched": sizes_of(other)}


def sizes_of(spec: dict[str, Any]) -> dict[str, dict[str, int]]:
    generator, disc = build_networks(spec)
    labels = (torch.zeros(1, dtype=torch.long),) if spec.get("classes") else ()
    inputs = {
        "generator": (generator, torch.zeros(1, spec["generator"]["latent_dim"]), *labels),
        "disc": (disc, torch.zeros(1, *spec["shape"]), *labels),
    }
    return {
        "parameters": {name: sum(p.numel() for p in net.parameters()) for name, (net, *_) in inputs.items()},
        "flops": {name: flops(net, *given) for name, (net, *given) in inputs.items()},
    }


def flops(net: nn.Module, *inputs: Tensor) -> int:
    """Of one forward pass, as it is written down; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad(), layers.unfused(net):
        net.eval()(*inputs)
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
                cache_directory=cache_directory() if options.cache else None,
            )
        case Torchvision():
            return load_torchvision(options.name, root=options.root, download=options.download)


def depends_on_seed(options: Gaussians | Shapes | Folder | Torchvision) -> bool:
    """Has each seed data of its own?"""
    match options:
        case Folder():
            return options.holdout > 0
        case Torchvision():
            return False
    return True


def first_batch(dataset: Dataset, count: int, *, labelled: bool) -> list[Tensor]:
    """So many samples to train on as D sees them, from the front again where there are fewer, and their labels."""
    index = torch.arange(count) % len(dataset.train)
    labels = [dataset.labels[index]] if labelled and dataset.labels is not None else []
    return [as_floats(dataset.train[index]), *labels]


def as_floats(samples: Tensor) -> Tensor:
    """Samples of a data set as D sees them."""
    return to_float(samples) if samples.dtype == torch.uint8 else samples


# A GAN to train.


def build_gan(options: TrainOptions, spec: dict[str, Any], dataset: Dataset) -> GAN:
    """Raises OptionsError."""
    generator, disc = build_networks(spec)
    for net in (generator, disc):
        layers.fuse(net, options.trainer.fused)
    if options.trainer.channels_last and len(spec["shape"]) == 3:
        generator, disc = (net.to(memory_format=torch.channels_last) for net in (generator, disc))  # type: ignore[call-overload]
    return gan_of(options, generator, disc, augmentation=build_augmentation(options, dataset))


def build_stack(options: TrainOptions, gans: Sequence[GAN]) -> GAN:
    """GANs that differ in their seeds only as one, from where they stand."""
    generator, disc = Stack([gan.generator for gan in gans]), Stack([gan.disc for gan in gans])
    draws = StackedDraws([gan.draws for gan in gans])
    stack = gan_of(options, generator, disc, augmentation=gans[0].augmentation, draws=draws)
    gather(stack, gans)
    return stack


def gan_of(
    options: TrainOptions,
    generator: nn.Module,
    disc: nn.Module,
    *,
    augmentation: Augmentation | None,
    draws: StackedDraws | None = None,
) -> GAN:
    loss = options.loss
    gan = GAN(
        generator=generator,
        disc=disc,
        latent_dim=options.generator.latent_dim,
        loss=loss.name,
        r1=Penalty(weight=loss.r1, final=loss.r1_final, interval=loss.r1_interval),
        r2=Penalty(weight=loss.r2, final=loss.r2_final, interval=loss.r2_interval),
        gp=Penalty(weight=loss.gp, interval=loss.gp_interval),
        generator_adam=build_adam(options.generator),
        disc_adam=build_adam(options.disc),
        disc_steps=options.disc.steps,
        ema_kimg=options.generator.ema_kimg,
        ema_kimg_final=options.generator.ema_kimg_final,
        ema_ramp=options.generator.ema_ramp,
        batch_size=options.batch_size,
        total_images=round_to_batches(options),
        seed=options.seed,
        burn_in=round(1000 * options.burn_in_kimg),
        generator_batch=options.generator.batch_size,
        augmentation=augmentation,
        draws=draws,
    )
    if options.trainer.compile:
        gan.compile_networks()
    return gan


def build_adam(options: AdamOptions) -> Adam:
    first, second = options.betas
    return Adam(
        lr=options.lr,
        lr_final=options.lr_final,
        betas=(float(first), float(second)),
        beta2_final=options.beta2_final,
        decay=options.decay,
    )


def build_augmentation(train: TrainOptions, dataset: Dataset) -> Augmentation | None:
    """Raises OptionsError where p is to go by held-out pictures and there are none."""
    options = train.augment
    if not options.operations:
        return None
    if options.adapt == "r_v" and not len(dataset.holdout):
        raise OptionsError(f"augment.adapt=r_v: {dataset.name} has no held-out pictures; set data.holdout, e.g. to 0.1")
    return Augmentation(
        operations=tuple(options.operations),
        p=options.p,
        p_final=options.p_final,
        adapt=options.adapt,
        target=options.target,
        length=1000 * options.adapt_kimg,
        holdout=dataset.holdout,
        holdout_labels=dataset.holdout_labels,
        flip=getattr(train.data, "flip", False),
    )


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
        of_class: int | str | None = None,  # its number or name; None: drawn for each seed, as often as in the data
        truncation: float | None = None,  # cut the normal of the latents at +- this
        averaged: bool = True,  # False: the raw weights
    ) -> Tensor:
        """Images (N, C, H, W), float32 in [-1, 1], or points (N, 2); each depends on its seed, and on its class.

        Raises OptionsError for a class that is not there.
        """
        seeds = list(seeds)
        z, labels = self.latents(seeds, truncation=truncation), self.labels(seeds, of_class=of_class)
        return self.generate(z, labels, averaged=averaged)

    @property
    def classes(self) -> list[str]:
        """What the GAN is told; none where it is told nothing."""
        return list(self.spec.get("classes", {}))

    def latents(self, seeds: Iterable[int], *, truncation: float | None = None) -> Tensor:
        """(N, latent_dim)."""
        return sampling.latents(list(seeds), dim=self.spec["generator"]["latent_dim"], truncation=truncation)

    def labels(self, seeds: Iterable[int], *, of_class: int | str | None = None) -> Tensor | None:
        """(N,); None where the GAN is told nothing. Raises OptionsError."""
        if of_class is not None:
            return torch.full((len(list(seeds)),), self.number_of(of_class))
        return sampling.labels(list(seeds), shares=list(self.spec["classes"].values())) if self.classes else None

    def number_of(self, of_class: int | str) -> int:
        """Of a class by its number or name. Raises OptionsError."""
        if not self.classes:
            raise OptionsError(f"class={of_class}: this GAN was trained without classes; leave it out")
        said = str(of_class)
        if said in self.classes:
            return self.classes.index(said)
        if said.isdecimal() and int(said) < len(self.classes):
            return int(said)
        names = ", ".join(self.classes[:12]) + (", ..." if len(self.classes) > 12 else "")
        raise OptionsError(f"class={of_class}: valid are 0 to {len(self.classes) - 1}, or {names}")

    def generate(self, z: Tensor, labels: Tensor | None = None, *, averaged: bool = True) -> Tensor:
        """Samples of latents (N, latent_dim), and labels (N,) where the GAN is told the class."""
        return sampling.generate(self.generator if averaged else self.generator_raw, z, labels)


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
