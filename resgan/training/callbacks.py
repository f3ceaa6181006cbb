"""What is written down while a GAN trains, and when: scores, grids, checkpoints, losses, the progress bar."""

import contextlib
import copy
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from tqdm import tqdm

from resgan import images, sampling
from resgan.keys import keyed_generator
from resgan.metrics.scorer import Scorer
from resgan.runs import Run, Stopped, stop_signals
from resgan.training import checkpoints
from resgan.training.gan import GAN
from resgan.training.penalties import gradient
from resgan.training.stack import take_apart
from resgan.training.tracking import Tracker

LOSS_EVERY = 50  # steps between two readings of the losses: each is a sync with the device
GRID, POINTS = 64, 2000  # samples in a grid, and in a scatter of points


class Diverged(Exception):
    """A loss or a weight is no longer a finite number. Carries images_seen."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When things are done, in images; 0 is never. The end of the run is always scored, shown and saved."""

    score: int
    sample: int
    save: int
    total: int

    def due(self, every: int, *, before: int, now: int) -> bool:
        """Has a multiple of `every` been reached since `before`?"""
        return now >= self.total or (bool(every) and before // every < now // every)


class StopSignal:
    """The signal that asked to stop, if one did."""

    def __init__(self) -> None:
        self.number: int | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Signals to stop are heeded where the state can be saved; afterwards they do what they did before."""
        before = {number: signal.getsignal(number) for number in stop_signals()}
        self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        for number in stop_signals():
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise SystemExit(128 + number)  # Ctrl-C a second time: at once
        self.number = number  # only noted here: what a handler may do safely is little


class Recorder:
    """Fills the run directory and W&B. Every event is tied to images_seen, so a continued run repeats none."""

    def __init__(self, *, run: Run, gan: GAN, scorer: Scorer, schedule: Schedule, tracker: Tracker,
                 spec: dict[str, Any], reference: Sequence[Tensor], seconds: float,
                 stop: StopSignal | None = None) -> None:  # fmt: skip
        self.run, self.gan, self.scorer, self.schedule, self.tracker = run, gan, scorer, schedule, tracker
        self.spec = spec  # what load_gan needs
        self.reference = reference  # real samples as D sees them, and their labels: for the figures at step 0
        self.shares = list(spec.get("classes", {}).values())  # of the classes that the networks are told
        measured = run.measurements()
        self.scored = {m["images_seen"]: m["scores"] for m in measured if m["kind"] == "scores"}
        self.has_start = any(m["kind"] == "start" for m in measured)
        self.seconds_before, self.started = seconds, time.monotonic()
        self.stop = stop or StopSignal()
        self.diverged = False

    # What is due.

    def begin(self) -> None:
        """A run that was stopped while it wrote things down does now what it had left to do."""
        self.started = time.monotonic()
        if not self.has_start and self.gan.images_seen == 0:
            self.record_start()
        self.write_down()
        self.stop_if_asked()

    def after_step(self) -> None:
        if self.is_time_for_losses(self.gan.images_seen):
            self.record_losses()
        self.write_down()
        self.stop_if_asked()

    def has_something_to_do(self, now: int) -> bool:
        """After the step that ended at `now` images."""
        before, schedule = now - self.gan.batch_size, self.schedule
        events = (schedule.sample, schedule.score, schedule.save)
        return (
            self.stop.number is not None
            or self.is_time_for_losses(now)
            or any(schedule.due(every, before=before, now=now) for every in events)
        )

    def is_time_for_losses(self, now: int) -> bool:
        return now // self.gan.batch_size % LOSS_EVERY == 0

    def write_down(self) -> None:
        before = self.gan.images_seen - self.gan.batch_size
        now, schedule = self.gan.images_seen, self.schedule
        if schedule.due(schedule.sample, before=before, now=now):
            self.record_samples()
        if schedule.due(schedule.score, before=before, now=now) and now not in self.scored:
            self.record_scores()
        if now and schedule.due(schedule.save, before=before, now=now):
            self.save()

    def record_start(self) -> None:
        """The spread of D's logits and the size of its input gradient before training: what a penalty weight meets."""
        disc = copy.deepcopy(self.gan.disc)  # running statistics must not see these samples twice
        real, *labels = (tensor.to(self.gan.device) for tensor in self.reference)
        logits = disc(real.requires_grad_(), *labels)
        figures = {
            "logit_spread": float(logits.detach().std()),
            "input_gradient": float(gradient(real, logits).detach().flatten(1).norm(dim=1).mean()),
        }
        self.run.append({"images_seen": 0, "kind": "start", **figures})
        self.tracker.summarise({f"start/{name}": value for name, value in figures.items()})

    def record_losses(self) -> None:
        losses = self.read_losses()
        self.run.append({"images_seen": self.gan.images_seen, "kind": "losses", **losses})
        self.tracker.log({f"train/{k}": v for k, v in losses.items()}, images_seen=self.gan.images_seen)

    def read_losses(self) -> dict[str, float]:
        losses = {name: float(value) for name, value in self.gan.losses.items()}
        if not all(math.isfinite(value) for value in losses.values()):
            raise Diverged(self.gan.images_seen)
        return losses

    def refuse_nan(self) -> None:
        """The losses are those before the last step; what that step left is in the weights alone."""
        self.read_losses()
        if not all(bool(torch.isfinite(weight).all()) for weight in self.gan.state_dict().values()):
            raise Diverged(self.gan.images_seen)

    def record_samples(self) -> None:
        count = GRID if self.reference[0].ndim == 4 else POINTS
        z = sampling.latents(range(count), dim=self.gan.latent_dim)
        labels = torch.arange(count) % len(self.shares) if self.shares else None  # every class, as far as there is room
        picture = images.picture(sampling.generate(self.gan.generator_ema, z, labels))
        images.save_png(picture, self.run.samples / f"{self.gan.images_seen:09d}.png")
        self.tracker.log_picture("samples", picture, images_seen=self.gan.images_seen)

    def record_scores(self) -> None:
        now = self.gan.images_seen
        self.refuse_nan()  # a diverged state is not scored
        random = keyed_generator(self.gan.seed, "scores")  # the same latents at every measurement
        count, dim = self.scorer.samples, self.gan.latent_dim
        z = torch.randn(count, dim, generator=random)
        labels = sampling.classes_at(torch.rand(count, generator=random), self.shares) if self.shares else None
        generator = sampling.with_norm_mode(self.gan.generator_ema, self.scorer.norm_mode, dim=dim, shares=self.shares)
        samples = sampling.generate(generator, z, labels, between=self.stop_if_asked)
        if not samples.isfinite().all():
            raise Diverged(now)
        scores = self.scorer.measure(samples)
        self.run.append({"images_seen": now, "kind": "scores", "seconds": self.seconds(), "scores": scores})
        self.tracker.log(scores, images_seen=now)
        self.scored[now] = scores
        if now and self.is_best(now):
            checkpoints.save(self.run.checkpoints / checkpoints.BEST, self.state())

    def is_best(self, now: int) -> bool:
        primary = self.scorer.primary
        earlier = [s[primary] for n, s in self.scored.items() if n < now and s.get(primary) is not None]
        value = self.scored[now].get(primary)
        return value is not None and value < min(earlier, default=math.inf)

    def save(self) -> None:
        self.refuse_nan()  # a diverged state is not saved
        try:
            checkpoints.save_last(self.run.checkpoints, self.state())
            if self.gan.images_seen >= self.schedule.total:
                checkpoints.save(self.run.checkpoints / checkpoints.FINAL, self.state())
        except OSError as error:
            if self.gan.images_seen >= self.schedule.total:
                raise
            print(f"resgan: no checkpoint was saved ({error}); training goes on", file=sys.stderr)

    # Stopping.

    def stop_if_asked(self) -> None:
        if self.stop.number is not None:
            self.save()
            raise Stopped(self.stop.number)

    # What a checkpoint and a result hold.

    def seconds(self) -> float:
        """Of training so far, over all the times the run was continued."""
        return self.seconds_before + time.monotonic() - self.started

    def state(self) -> dict[str, Any]:
        return {
            "spec": self.spec,
            "seconds": self.seconds(),
            "wandb_id": self.tracker.run_id,
            "losses": dict(self.gan.losses),  # the last of each: lazy penalties are not computed at every step
            **self.gan.training_state(),
        }


class Recording(pl.Callback):
    """Lightning's hooks for the recorder of a GAN, or for those of a stack, each with its own GAN.

    In a stack one that diverges is done with, and the others go on.
    """

    def __init__(self, recorders: Sequence[Recorder], *, stop: StopSignal) -> None:
        self.recorders, self.stop = recorders, stop
        self.begun = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.stop.listen()  # again: Lightning has put a handler of its own on top, which ends runs without saving
        self.begin(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        # Runs of one arm are due together.
        if self.recorders[0].has_something_to_do(_gan(pl_module).images_seen):
            self.look(pl_module)
            self.each(Recorder.after_step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.begun:  # Lightning starts nothing where no step is left
            self.begin(pl_module)

    def begin(self, module: pl.LightningModule) -> None:
        self.begun = True
        self.look(module)
        self.each(Recorder.begin)

    def look(self, module: pl.LightningModule) -> None:
        """Show each recorder its GAN as it stands now; one that diverged stays where that was seen."""
        if self.recorders[0].gan is not module:
            going = {place: recorder.gan for place, recorder in enumerate(self.recorders) if not recorder.diverged}
            take_apart(_gan(module), going)

    def each(self, do: Callable[[Recorder], None]) -> None:
        """Raises Stopped when all have saved, and Diverged when all have."""
        going = [recorder for recorder in self.recorders if not recorder.diverged]
        for recorder in going:
            try:
                do(recorder)
            except Diverged:
                recorder.diverged = True
            except Stopped:
                break
        if self.stop.number is not None:  # those before it were past saving when the signal came
            for recorder in going:
                with contextlib.suppress(Stopped, Diverged):
                    recorder.stop_if_asked()
            raise Stopped(self.stop.number)
        if all(recorder.diverged for recorder in self.recorders):
            raise Diverged(self.recorders[0].gan.images_seen)


class ProgressBar(pl.Callback):
    """A bar with images per second and the losses; where no terminal watches, a line every tenth of the run."""

    def __init__(self, *, show: bool) -> None:
        self.show = show
        self.bar: tqdm | None = None
        self.terminal = sys.stderr.isatty()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        gan = _gan(pl_module)
        if not self.show:
            return
        self.started = (time.monotonic(), gan.images_seen)
        self.bar = tqdm(total=gan.total_images, initial=gan.images_seen, unit="img", unit_scale=True,
                        dynamic_ncols=True, disable=not self.terminal, mininterval=0.5)  # fmt: skip

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.bar is None:
            return
        gan = _gan(pl_module)
        step = gan.images_seen // gan.batch_size
        if self.terminal:
            self.bar.update(gan.batch_size)
            if step % LOSS_EVERY == 0:
                self.bar.set_postfix_str(self._losses(gan), refresh=False)
        elif 10 * gan.images_seen // gan.total_images > 10 * (gan.images_seen - gan.batch_size) // gan.total_images:
            seconds, start = time.monotonic() - self.started[0], self.started[1]
            speed = (gan.images_seen - start) / max(seconds, 1e-9)
            print(
                f"{gan.images_seen / 1000:8.1f} of {gan.total_images / 1000:.1f} kimg  {speed:7.0f} img/s  "
                f"{self._losses(gan)}",
                file=sys.stderr,
                flush=True,
            )

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self.close()

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
            self.bar = None

    @staticmethod
    def _losses(gan: GAN) -> str:
        losses = {name: value.nanmean() for name, value in gan.losses.items() if name.startswith("loss")}  # of a stack
        return "  ".join(f"{name} {float(value):.3f}" for name, value in losses.items())


def _gan(module: pl.LightningModule) -> GAN:
    assert isinstance(module, GAN)
    return module
