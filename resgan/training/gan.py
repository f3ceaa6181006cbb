"""The GAN as a LightningModule, with the steps of the game. It is given its networks and builds nothing."""

import functools
from contextlib import nullcontext

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from resgan.base.device import full_precision
from resgan.base.processes import ALONE, Processes
from resgan.nets.blocks import annealed_blocks
from resgan.nets.layers import synchronise_norms
from resgan.nets.skips import skips_that_stop, stopped
from resgan.training import ema
from resgan.training.augment import adapted, r_t, r_v
from resgan.training.checkpoints import State
from resgan.training.losses import LOSSES, PAIRED
from resgan.training.penalties import gradient_penalty, zero_centred
from resgan.training.randomness import StackedRandomness, StepRandomness
from resgan.training.schedules import Adam, Augmentation, Penalty, ramp
from resgan.training.settings import Setting, beside


class GAN(pl.LightningModule):
    """The LightningModule that trains G against D. Its only clock is `images_seen`, the real images shown to D.

    All randomness of a step is derived from (seed, images_seen), so a run continued from its state is the same run.

    It may also be a stack of GANs (training/stack.py): then all tensors of a step have one more dimension in front, S.

    Several processes may train it together (`join`): each has its share of every batch. All that is random is drawn
    for the whole batch, so that the step is that of one process.
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
        ema_kimg_final: float | None = None,  # after the burn-in; None: constant
        burn_in: int = 0,  # images over which settings with a final value move to it
        generator_batch: int | None = None,  # latents in a G step; None: batch_size
        augmentation: Augmentation | None = None,
        randomness: StackedRandomness | None = None,  # of a stack; None: that of the seed
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
        self.ema_kimg, self.ema_kimg_final, self.ema_ramp = ema_kimg, ema_kimg_final, ema_ramp
        self.batch_size, self.total_images = batch_size, total_images
        self.seed = seed
        self.burn_in = burn_in
        self.generator_batch = generator_batch or batch_size
        self.paired = loss in PAIRED
        self.augmentation = augmentation
        self.randomness = randomness or StepRandomness(seed, latent_dim=latent_dim, augmentation=augmentation)
        # The adaptive p is a tensor, since it follows D's logits, which stay on the device.
        self.register_buffer("augment_p", torch.tensor(augmentation.p if augmentation else 0.0))
        self.processes = ALONE
        self.images_seen = 0
        self.losses: dict[str, Tensor] = {}  # of the last step, left on the device: reading them is a sync
        # Both networks, perhaps compiled, for steps without second derivatives. A tuple hides them from torch.nn.
        self._once = (generator, disc)
        # Controls of the skip (nets/skips.py) and annealed joins; usually there are none.
        self._stopping = tuple(skips_that_stop(net) for net in (generator, disc))
        self._annealed = (*annealed_blocks(generator), *annealed_blocks(disc))
        self._disc_parameters = list(disc.parameters())
        self._adams = (generator_adam.optimiser(generator), disc_adam.optimiser(disc))

    def compile_networks(self, *, backend: str = "inductor") -> None:
        """Compile both networks with torch.compile, except for D's steps with penalties.

        Those take second derivatives, which compiled code does not have (pytorch/pytorch#91469).
        """
        # Shapes change only where G's batch size differs from D's, so each shape is compiled once.
        generator, disc = (torch.compile(net, backend=backend, dynamic=False) for net in (self.generator, self.disc))
        self._once = (generator, disc)

    def join(self, processes: Processes) -> None:
        """Train as one of several processes from here on; all of them must be in the same state."""
        self.processes = processes
        for net in (self.generator, self.disc):
            synchronise_norms(net, processes)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        return list(self._adams)

    def on_fit_start(self) -> None:
        """Move `step` of Adam to the device, where fused Adam reads it: Lightning moves all other state."""
        for adam in self._adams:
            for parameter, state in adam.state.items():
                state["step"] = state["step"].to(parameter.device)

    # One step.

    def training_step(self, batch: Tensor | tuple[Tensor, Tensor], batch_idx: int) -> None:
        """Run one step on a batch: real samples, with labels (N,) where the networks are class-conditional.

        Of several processes each is given its share.
        """
        real, *labels = [batch] if isinstance(batch, Tensor) else batch
        for block in self._annealed:
            block.anneal(ramp(1.0, block.options.skip_final, self.burnt_in()))
        self.discriminator_step(real, *labels)
        if (self.images_seen // self.batch_size + 1) % self.disc_steps == 0:
            self.generator_step(real, *labels)
            self.update_average()
        self.processes.average(list(self.losses.values()))  # those of this step, and earlier ones, which are equal
        self.images_seen += self.batch_size

    def discriminator_step(self, real: Tensor, *labels: Tensor) -> None:
        """Descend by grad L(D') + r1/2 grad E |grad D(x)|^2 + ..., where D' is D with its skips stopped.

        Stopped skips only change the gradient of the loss L of the game with respect to D's weights: D' has the values
        of D, and the penalties, and what G receives, are those of D and its own gradient.
        """
        step, burnt_in = self.images_seen // self.batch_size, self.burnt_in()
        r1, r2, gp = (penalty.weight_at(step, burnt_in=burnt_in) for penalty in (self.r1, self.r2, self.gp))
        penalised = any(map(is_applied, (r1, r2, gp)))
        optimiser, (generator, disc) = self._optimiser(1), self._once
        disc = self.disc if penalised else disc

        with torch.no_grad():
            fake = generator(self.latents("disc", self.batch_size), *labels).to(real.dtype)  # bfloat16 under bf16-mixed
        real, fake = real.detach().requires_grad_(is_applied(r1)), fake.requires_grad_(is_applied(r2))

        # Second derivatives need full precision, in the forward and in the backward pass.
        with full_precision(self.device.type) if penalised else nullcontext():
            shown_real, shown_fake = self.augmented(real, "real"), self.augmented(fake, "fake")
            with stopped(self._stopping[1]):
                real_logits, fake_logits = in_float32(disc(shown_real, *labels)), in_float32(disc(shown_fake, *labels))
            loss = total = self.disc_loss(real_logits, fake_logits)
            if self._stopping[1] and (is_applied(r1) or is_applied(r2)):
                real_logits, fake_logits = in_float32(disc(shown_real, *labels)), in_float32(disc(shown_fake, *labels))
            if is_applied(r1):
                self.losses["r1"] = (penalty := zero_centred(real, real_logits)).detach()
                total = total + beside(r1 / 2, penalty) * penalty
            if is_applied(r2):
                self.losses["r2"] = (penalty := zero_centred(fake, fake_logits)).detach()
                total = total + beside(r2 / 2, penalty) * penalty
            if is_applied(gp):
                labelled_disc, mix = lambda x: disc(x, *labels), self.mix(self.batch_size)
                self.losses["gp"] = (penalty := gradient_penalty(labelled_disc, shown_real, shown_fake, mix)).detach()
                total = total + beside(gp, penalty) * penalty

            # Before the step, which shifts all of D's logits: those compared are by the same D.
            self.adapt(step, real_logits.detach(), fake_logits.detach())
            self._descend(optimiser, total)
        self.losses["loss_d"] = loss.detach()

    def generator_step(self, real: Tensor, *labels: Tensor) -> None:
        optimiser, (generator, disc) = self._optimiser(0), self._once
        self._freeze_disc(True)  # gradients of its weights would be computed and thrown away
        try:
            fake_labels = [self.labels_for(each, self.generator_batch) for each in labels]
            with stopped(self._stopping[0]):
                fake = generator(self.latents("generator", self.generator_batch), *fake_labels)
            fake_logits = in_float32(disc(self.augmented(fake, "generator's fake"), *fake_labels))
            real_logits = fake_logits  # unused by the loss
            if self.paired:
                with torch.no_grad():
                    real_logits = in_float32(disc(self.augmented(real, "generator's real"), *labels))
            loss = self.generator_loss(real_logits, fake_logits)
            self._descend(optimiser, loss)
        finally:
            self._freeze_disc(False)
        self.losses["loss_g"] = loss.detach()

    def update_average(self) -> None:
        decay = ema.decay(
            images=self.batch_size * self.disc_steps,
            halflife=1000 * ramp(self.ema_kimg, self.ema_kimg_final, self.burnt_in()),
            images_seen=self.images_seen + self.batch_size,
            ramp=self.ema_ramp,
        )
        self._average.update(decay=decay)

    # What D is shown.

    def augmented(self, images: Tensor, purpose: str) -> Tensor:
        """Augment images as D sees them, by draws that (seed, purpose, images_seen) decides."""
        if self.augmentation is None:
            return images
        p = self.augment_p if self.augmentation.adapts else self.augmentation.p_at(self.burnt_in())
        return self.randomness.augmented(images, purpose, p=p, images_seen=self.images_seen, processes=self.processes)

    @torch.no_grad()
    def adapt(self, step: int, real_logits: Tensor, fake_logits: Tensor) -> None:
        """Update the augmentation probability from D's logits on this batch and on a held-out one."""
        augmentation = self.augmentation
        if augmentation is None or not augmentation.adapts or step % augmentation.INTERVAL:
            return
        real_logits, fake_logits = self.processes.gather(real_logits), self.processes.gather(fake_logits)
        if augmentation.adapt == "r_t":
            measure = r_t(real_logits)
        else:
            held_out = in_float32(self.disc(*self.held_out(self.batch_size)))
            measure = r_v(real_logits, self.processes.gather(held_out), fake_logits)
        self.augment_p = adapted(
            self.augment_p,
            measure=measure,
            target=augmentation.target,
            images=self.batch_size * augmentation.INTERVAL,
            length=augmentation.length,
        )
        self.losses["augment_p"], self.losses[augmentation.adapt] = self.augment_p, measure

    def held_out(self, count: int) -> tuple[Tensor, Tensor | None]:
        """Draw held-out images, augmented like the others, and their labels; (seed, images_seen) decides."""
        drawn = self.randomness.held_out(count, images_seen=self.images_seen)
        images, labels = (None if each is None else self.processes.share(each).to(self.device) for each in drawn)
        assert images is not None
        return self.augmented(images, "held out"), labels

    # What a step is made of.

    @functools.cached_property
    def _average(self) -> ema.Average:
        return ema.Average(self.generator_ema, self.generator)

    def burnt_in(self, images_seen: int | None = None) -> float:
        """Return the share of the burn-in that is done, from 0 to 1, at a place of the run; None: where it stands."""
        seen = self.images_seen if images_seen is None else images_seen
        return min(1.0, seen / self.burn_in) if self.burn_in else 1.0

    def learning_rates(self, images_seen: int) -> dict[str, float]:
        """Return the learning rate of each network at a place of the run."""
        progress, burnt_in = min(1.0, images_seen / self.total_images), self.burnt_in(images_seen)
        adams = {"generator": self.generator_adam, "disc": self.disc_adam}
        return {name: float(adam.at(progress=progress, burnt_in=burnt_in)["lr"]) for name, adam in adams.items()}

    def latents(self, purpose: str, count: int) -> Tensor:
        """Draw standard normal latents (count, latent_dim), decided by (seed, purpose, images_seen)."""
        drawn = self.randomness.latents(purpose, count, images_seen=self.images_seen)
        return self.processes.share(drawn).to(self.device, non_blocking=True)

    def labels_for(self, labels: Tensor, count: int) -> Tensor:
        """Return `count` labels of a batch, starting over where it has fewer."""
        return self.processes.share(repeated(self.processes.gather(labels), count))

    def mix(self, count: int) -> Tensor:
        """Draw where between real and fake the gradient penalty is taken: uniform on [0, 1], (count,)."""
        drawn = self.randomness.mix(count, images_seen=self.images_seen)
        return self.processes.share(drawn).to(self.device, non_blocking=True)

    def _optimiser(self, index: int) -> torch.optim.Adam:
        """Return the optimiser of the generator (0) or the discriminator (1), with its current settings."""
        optimiser, adam = self._adams[index], (self.generator_adam, self.disc_adam)[index]
        if adam.moves:
            settings = adam.at(progress=self.images_seen / self.total_images, burnt_in=self.burnt_in())
            for group in optimiser.param_groups:
                group.update(settings)
        return optimiser

    def _descend(self, optimiser: torch.optim.Adam, loss: Tensor) -> None:
        """Take a step along the gradient, averaged over the processes."""
        # Not through Lightning's wrappers: on one device they add only a count of steps that nothing reads.
        optimiser.zero_grad(set_to_none=True)
        loss.sum().backward()  # over a stack: each member has its own weights
        if self.processes.count > 1:
            gradients = [p.grad for group in optimiser.param_groups for p in group["params"] if p.grad is not None]
            self.processes.average(gradients)
        optimiser.step()
        torch.clear_autocast_cache()  # it holds bfloat16 weights from before the step

    def _freeze_disc(self, frozen: bool) -> None:
        for parameter in self._disc_parameters:
            parameter.requires_grad_(not frozen)

    # What continues a run.

    def training_state(self) -> State:
        """Return plain data and tensors; with them and the options, the run goes on as if it had not stopped."""
        return {
            "images_seen": self.images_seen,
            "generator": self.generator.state_dict(),
            "generator_ema": self.generator_ema.state_dict(),
            "disc": self.disc.state_dict(),
            "generator_adam": self._adams[0].state_dict(),
            "disc_adam": self._adams[1].state_dict(),
            "augment_p": self.augment_p,
        }

    def load_training_state(self, state: State) -> None:
        self.images_seen = state["images_seen"]
        self.generator.load_state_dict(state["generator"])
        self.generator_ema.load_state_dict(state["generator_ema"])
        self.disc.load_state_dict(state["disc"])
        self._adams[0].load_state_dict(state["generator_adam"])
        self._adams[1].load_state_dict(state["disc_adam"])
        self.augment_p = state.get("augment_p", self.augment_p).to(self.device)  # earlier checkpoints have none


def is_applied(weight: Setting) -> bool:
    """Is a penalty of this weight part of the loss? In a stack, for all members or for none."""
    return isinstance(weight, Tensor) or weight > 0


def in_float32(logits: Tensor) -> Tensor:
    """Convert bfloat16 logits, as autocast leaves them, to float32; float32 and float64 stay as they are."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def repeated(labels: Tensor, count: int) -> Tensor:
    """Return `count` labels of a batch, starting over where it has fewer."""
    return labels[..., torch.arange(count, device=labels.device) % labels.shape[-1]]
