"""The GAN as a LightningModule: what one step of the game is. It is given its networks and builds nothing."""

import functools
import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from resgan.keys import keyed_generator
from resgan.training import ema
from resgan.training.losses import LOSSES
from resgan.training.penalties import gradient_penalty, zero_centred

Decay = Literal["none", "linear", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam for one network, and how its learning rate falls from `lr` to 0 over the run."""

    lr: float
    betas: tuple[float, float]
    decay: Decay

    def optimiser(self, net: nn.Module) -> torch.optim.Adam:
        return torch.optim.Adam(net.parameters(), lr=self.lr, betas=self.betas, fused=True)

    def lr_at(self, progress: float) -> float:
        """The learning rate when `progress`, from 0 to 1, of the run is done."""
        match self.decay:
            case "none":
                return self.lr
            case "linear":
                return self.lr * (1 - progress)
            case "cosine":
                return self.lr * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True, kw_only=True)
class Penalty:
    """A penalty of weight `weight`, applied every `interval` D steps with `interval` times its weight."""

    weight: float
    interval: int

    def weight_at(self, step: int) -> float:
        """The weight at D step `step`; 0 where it is not applied (Karras et al. 2020, appendix B)."""
        return self.weight * self.interval if self.weight and step % self.interval == 0 else 0.0


class GAN(pl.LightningModule):
    """Generator against discriminator. The only clock is `images_seen`, the real images D was shown.

    All that is random in a step is derived from (seed, images_seen): a run continued from its state is the same run.
    """

    def __init__(
        self,
        *,
        generator: nn.Module,
        disc: nn.Module,
        latent_dim: int,
        loss: str,  # a name in losses.LOSSES
        r1: Penalty,  # on real samples, weight gamma: gamma / 2 E |grad D|^2
        r2: Penalty,  # on fakes, likewise
        gp: Penalty,  # between them, weight lambda: lambda E (|grad D| - 1)^2
        generator_adam: Adam,
        disc_adam: Adam,
        disc_steps: int,  # D steps for one G step
        ema_kimg: float,  # half-life of the averaged generator, in thousands of images
        ema_ramp: float,  # the half-life never exceeds this share of images_seen; 0 for no limit
        batch_size: int,
        total_images: int,  # length of the run
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.disc = generator, disc
        self.generator_ema = ema.averaged(generator)
        self.latent_dim = latent_dim
        self.disc_loss, self.generator_loss = LOSSES[loss]
        self.r1, self.r2, self.gp = r1, r2, gp
        self.generator_adam, self.disc_adam = generator_adam, disc_adam
        self.disc_steps = disc_steps
        self.ema_halflife, self.ema_ramp = 1000 * ema_kimg, ema_ramp
        self.batch_size, self.total_images = batch_size, total_images
        self.seed = seed
        self.images_seen = 0
        self.losses: dict[str, Tensor] = {}  # of the last step, left on the device: reading them is a sync
        self._disc_parameters = list(disc.parameters())
        self._adams = (generator_adam.optimiser(generator), disc_adam.optimiser(disc))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return list(self._adams)

    # One step.

    def training_step(self, real: Tensor, batch_idx: int) -> None:
        self.discriminator_step(real)
        if (self.images_seen // self.batch_size + 1) % self.disc_steps == 0:
            self.generator_step(real)
            self.update_average()
        self.images_seen += len(real)

    def discriminator_step(self, real: Tensor) -> None:
        step = self.images_seen // self.batch_size
        r1, r2, gp = (penalty.weight_at(step) for penalty in (self.r1, self.r2, self.gp))
        optimiser = self._optimiser(1)

        with torch.no_grad():
            fake = self.generator(self.latents("disc", len(real)))
        real, fake = real.detach().requires_grad_(r1 > 0), fake.requires_grad_(r2 > 0)

        # Second derivatives are taken in full precision.
        with self._full_precision() if r1 or r2 or gp else nullcontext():
            real_logits, fake_logits = self.disc(real), self.disc(fake)
            loss = total = self.disc_loss(real_logits, fake_logits)
            if r1:
                self.losses["r1"] = (penalty := zero_centred(real, real_logits)).detach()
                total = total + r1 / 2 * penalty
            if r2:
                self.losses["r2"] = (penalty := zero_centred(fake, fake_logits)).detach()
                total = total + r2 / 2 * penalty
            if gp:
                mix = self.mix(len(real))
                self.losses["gp"] = (penalty := gradient_penalty(self.disc, real, fake, mix)).detach()
                total = total + gp * penalty

        self._descend(optimiser, total)
        self.losses["loss_d"] = loss.detach()

    def generator_step(self, real: Tensor) -> None:
        optimiser = self._optimiser(0)
        self._freeze_disc(True)  # its weights' gradients would be computed and thrown away
        try:
            fake_logits = self.disc(self.generator(self.latents("generator", len(real))))
            with torch.no_grad():
                real_logits = self.disc(real)
            loss = self.generator_loss(real_logits, fake_logits)
            self._descend(optimiser, loss)
        finally:
            self._freeze_disc(False)
        self.losses["loss_g"] = loss.detach()

    def update_average(self) -> None:
        images = self.batch_size * self.disc_steps
        decay = ema.decay(
            images=images,
            halflife=self.ema_halflife,
            images_seen=self.images_seen + self.batch_size,
            ramp=self.ema_ramp,
        )
        self._average.update(decay=decay)

    # What a step is made of.

    @functools.cached_property
    def _average(self) -> ema.Average:
        return ema.Average(self.generator_ema, self.generator)

    def latents(self, purpose: str, count: int) -> Tensor:
        """Standard normal (count, latent_dim), decided by (seed, purpose, images_seen)."""
        generator = keyed_generator(self.seed, purpose, self.images_seen)
        return torch.randn(count, self.latent_dim, generator=generator).to(self.device, non_blocking=True)

    def mix(self, count: int) -> Tensor:
        """Uniform on [0, 1] (count,): where between real and fake the gradient penalty looks."""
        generator = keyed_generator(self.seed, "mix", self.images_seen)
        return torch.rand(count, generator=generator).to(self.device, non_blocking=True)

    def _optimiser(self, index: int) -> torch.optim.Adam:
        """The generator's (0) or the discriminator's (1), at the learning rate of this moment."""
        optimiser, adam = self._adams[index], (self.generator_adam, self.disc_adam)[index]
        if adam.decay != "none":
            for group in optimiser.param_groups:
                group["lr"] = adam.lr_at(self.images_seen / self.total_images)
        return optimiser

    def _descend(self, optimiser: torch.optim.Adam, loss: Tensor) -> None:
        # Not through Lightning's wrappers: on one device they add nothing but a count of steps that nobody reads.
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()

    def _freeze_disc(self, frozen: bool) -> None:
        for parameter in self._disc_parameters:
            parameter.requires_grad_(not frozen)

    def _full_precision(self) -> AbstractContextManager:
        return torch.autocast(self.device.type, enabled=False)

    # What continues a run.

    def training_state(self) -> dict[str, Any]:
        """Plain data and tensors; with it and the options the run goes on as if it had not stopped."""
        return {
            "images_seen": self.images_seen,
            "generator": self.generator.state_dict(),
            "generator_ema": self.generator_ema.state_dict(),
            "disc": self.disc.state_dict(),
            "generator_adam": self._adams[0].state_dict(),
            "disc_adam": self._adams[1].state_dict(),
        }

    def load_training_state(self, state: dict[str, Any]) -> None:
        self.images_seen = state["images_seen"]
        self.generator.load_state_dict(state["generator"])
        self.generator_ema.load_state_dict(state["generator_ema"])
        self.disc.load_state_dict(state["disc"])
        self._adams[0].load_state_dict(state["generator_adam"])
        self._adams[1].load_state_dict(state["disc_adam"])
