"""A GAN to train, or a stack of them, from the options."""

from collections.abc import Sequence

import torch
from torch import nn

from resgan.base.errors import OptionsError
from resgan.base.rng import make_generator
from resgan.builders.data import mixed_batch
from resgan.builders.networks import Spec, build_networks
from resgan.data.dataset import Dataset
from resgan.nets import layers
from resgan.nets.matched import match_variances
from resgan.options.networks import AdamOptions
from resgan.options.train import TrainOptions
from resgan.training.gan import GAN
from resgan.training.randomness import StackedRandomness
from resgan.training.schedules import Adam, Augmentation, Penalty
from resgan.training.settings import common
from resgan.training.stack import Stack, load_stacked

MATCHED_ON = 256  # samples


def build_gan(options: TrainOptions, spec: Spec, dataset: Dataset) -> GAN:
    """Build the networks of a spec, and the GAN that trains them. Raises OptionsError."""
    augmentation = build_augmentation(options, dataset)
    networks = build_networks(spec)
    match_networks(networks, spec, dataset)
    for net in networks:
        layers.fuse(net, options.trainer.fused)
        if options.trainer.channels_last and len(spec["shape"]) == 3:
            net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    generator, disc = networks
    latent_dim = spec["generator"]["latent_dim"]
    return make_gan([options], generator, disc, latent_dim=latent_dim, augmentation=augmentation)


def match_networks(networks: tuple[nn.Module, nn.Module], spec: Spec, dataset: Dataset) -> None:
    """Finish init=matched, which needs data: G on latents drawn from the seed, D on training samples.

    This is not part of `build_networks`, since the networks of a checkpoint have their weights already.
    """
    if "matched" not in (spec["generator"].get("init"), spec["disc"].get("init")):
        return
    samples, *labels = mixed_batch(dataset, MATCHED_ON, labelled=bool(spec["classes"]))
    latents = torch.randn(
        MATCHED_ON, spec["generator"]["latent_dim"], generator=make_generator(spec["seed"], "matched")
    )
    for name, net, given in zip(("generator", "disc"), networks, (latents, samples), strict=True):
        if spec[name].get("init") == "matched":
            match_variances(net, given.to(torch.get_default_dtype()), *labels)


def build_stack(each: Sequence[TrainOptions], gans: Sequence[GAN]) -> GAN:
    """Stack GANs in their current states; their options differ only where builders/stacking.py allows it."""
    generator, disc = Stack([gan.generator for gan in gans]), Stack([gan.disc for gan in gans])
    randomness = StackedRandomness([gan.randomness for gan in gans])
    alike = {"latent_dim": gans[0].latent_dim, "augmentation": gans[0].augmentation}
    stack = make_gan(each, generator, disc, **alike, randomness=randomness)
    load_stacked(stack, gans)
    return stack


def make_gan(
    each: Sequence[TrainOptions],  # of one GAN, or of all members of a stack
    generator: nn.Module,
    disc: nn.Module,
    *,
    latent_dim: int,
    augmentation: Augmentation | None,
    randomness: StackedRandomness | None = None,
) -> GAN:
    options, loss = each[0], each[0].loss
    r1, r2, gp = (common([getattr(one.loss, name) for one in each]) for name in ("r1", "r2", "gp"))
    gan = GAN(
        generator=generator,
        disc=disc,
        latent_dim=latent_dim,
        loss=loss.name,
        r1=Penalty(weight=r1, final=loss.r1_final, interval=loss.r1_interval),
        r2=Penalty(weight=r2, final=loss.r2_final, interval=loss.r2_interval),
        gp=Penalty(weight=gp, interval=loss.gp_interval),
        generator_adam=build_adam([one.generator for one in each]),
        disc_adam=build_adam([one.disc for one in each]),
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
        randomness=randomness,
    )
    if options.trainer.compile:
        gan.compile_networks()
    return gan


def build_adam(each: Sequence[AdamOptions]) -> Adam:
    """Adam for one network, or for all members of a stack."""
    options = each[0]
    first, second = (common([float(one.betas[k]) for one in each]) for k in (0, 1))
    return Adam(
        lr=common([one.lr for one in each]),
        lr_final=options.lr_final,
        betas=(first, second),
        beta2_final=options.beta2_final,
        decay=options.decay,
    )


def build_augmentation(train: TrainOptions, dataset: Dataset) -> Augmentation | None:
    """Build the augmentation, if any. Raises OptionsError where p needs held-out images and there are none."""
    options = train.augment
    if not options.operations:
        return None
    if options.adapt == "r_v" and not len(dataset.holdout):
        raise OptionsError(f"augment.adapt=r_v: {dataset.name} has no held-out images; set data.holdout, e.g. to 0.1")
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
    """Return the length of a run in images, rounded up to whole batches."""
    return -(-round(1000 * options.total_kimg) // options.batch_size) * options.batch_size
