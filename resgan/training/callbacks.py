"""Lightning callbacks: calls of the recorders, and the progress bar."""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

from resgan.base.console import note
from resgan.base.progress import duration
from resgan.base.signals import Stopped, StopSignal
from resgan.training.gan import GAN
from resgan.training.recorder import LOSS_EVERY, Diverged, Recorder
from resgan.training.stack import unstack_into, unstack_losses

SELDOM, OFTEN = 600, 60  # seconds between two lines: at most without a terminal, at least in a sweep


class RecorderCallback(pl.Callback):
    """Call the recorder of a GAN, or the recorders of a stack, each with its own GAN.

    In a stack, a run that diverges is no longer recorded, and the others go on.
    """

    def __init__(self, recorders: Sequence[Recorder], *, stop: StopSignal, agreed: StopSignal | None = None) -> None:
        self.recorders, self.stop = recorders, stop
        self.agreed = agreed  # the signal to stop that all processes know, which the recorders obey; None: stop itself
        self.begun = False
        self.seconds = 0.0  # spent on records: scores, samples, checkpoints

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.stop.listen()  # again: Lightning has since installed its own handler, which ends runs without saving
        self.begin(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if self.agreed is not None:
            number = _gan(pl_module).processes.largest(self.stop.number or 0)
            self.agreed.number = number or None
        now, first = _gan(pl_module).images_seen, self.recorders[0]  # the runs of a stack are due together
        if first.needs_weights(now):
            before = time.monotonic()
            self.sync_from_stack(pl_module)
            self.for_each_active(Recorder.after_step)
            self.seconds += time.monotonic() - before
        elif first.is_time_for_losses(now):
            self.record_losses(pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.begun:  # Lightning does not start training where no step is left
            self.begin(pl_module)

    def begin(self, module: pl.LightningModule) -> None:
        self.begun = True
        self.sync_from_stack(module)
        self.for_each_active(Recorder.begin)

    def sync_from_stack(
        self, module: pl.LightningModule, unstack: Callable[[GAN, dict[int, GAN]], None] = unstack_into
    ) -> None:
        """Copy the stack's state into each recorder's GAN; those that have diverged stay as they are."""
        if self.recorders[0].gan is not module:
            going = {place: recorder.gan for place, recorder in enumerate(self.recorders) if not recorder.diverged}
            unstack(_gan(module), going)

    def record_losses(self, module: pl.LightningModule) -> None:
        """Record losses without copying weights, so nothing may be saved here: a signal waits for the next step."""
        self.sync_from_stack(module, unstack_losses)
        for recorder in self.going():
            try:
                recorder.record_losses()
            except Diverged:
                recorder.give_up()
        self.end_if_all_diverged()

    def for_each_active(self, do: Callable[[Recorder], None]) -> None:
        """Call `do` on each active recorder. Raises Stopped when all have saved, Diverged when all have diverged."""
        for recorder in self.going():
            try:
                do(recorder)
            except Diverged:
                recorder.give_up()
            except Stopped:
                pass  # it has saved, and the others shall come as far
        stop = self.agreed or self.stop
        if stop.number is not None:  # earlier recorders may have been past saving when the signal came
            for recorder in self.going():
                with contextlib.suppress(Stopped):
                    recorder.stop_if_asked()
            raise Stopped(stop.number)
        self.end_if_all_diverged()

    def going(self) -> list[Recorder]:
        return [recorder for recorder in self.recorders if not recorder.diverged]

    def end_if_all_diverged(self) -> None:
        if not self.going():
            raise Diverged(self.recorders[0].gan.images_seen)


class ProgressBar(pl.Callback):
    """Show how far a run is: images per second, the time left, and the losses.

    On a terminal a bar; elsewhere a line every tenth of the run and every ten minutes; in a sweep, whose runs have
    names, once a minute at most. The run's log gets every line.
    """

    def __init__(self, recording: RecorderCallback, *, show: bool, name: str = "", bar: bool = True) -> None:
        self.recording, self.show, self.name = recording, show, name
        self.terminal = bar and sys.stderr.isatty()  # several processes would draw over each other's bars
        self.bar: tqdm | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        gan = _gan(pl_module)
        self.began = self.printed = time.monotonic()
        self.images_before, self.recorded_before = gan.images_seen, self.recording.seconds
        if self.show and self.terminal:
            self.bar = tqdm(total=gan.total_images, initial=gan.images_seen, unit="img", unit_scale=True,
                            desc=self.name or None, dynamic_ncols=True, mininterval=0.5)  # fmt: skip

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        gan, now = _gan(pl_module), time.monotonic()
        seen, before = gan.images_seen, gan.images_seen - gan.batch_size
        if self.bar is not None:
            self.bar.update(gan.batch_size)
            if seen // gan.batch_size % LOSS_EVERY == 0:
                self.bar.set_postfix_str(self._losses(gan), refresh=False)
        tenth, waited = 10 * seen // gan.total_images > 10 * before // gan.total_images, now - self.printed
        if not (tenth or waited > SELDOM):
            return
        line = self.line(gan, now)
        note(line)
        if self.show and self.bar is None and (not self.name or waited > OFTEN):
            self.printed = now
            print(line, file=sys.stderr, flush=True)

    def line(self, gan: GAN, now: float) -> str:
        done, elapsed = gan.images_seen - self.images_before, now - self.began
        steps = elapsed - (self.recording.seconds - self.recorded_before)  # without scores, samples and checkpoints
        left = elapsed / done * (gan.total_images - gan.images_seen)
        words = [
            f"{self.name}{gan.images_seen / 1000:8.1f} of {gan.total_images / 1000:.1f} kimg",
            f"{done / max(steps, 1e-9):7.0f} img/s",
            f"{duration(left)} left" if gan.images_seen < gan.total_images else f"in {duration(elapsed)}",
            self._losses(gan),
        ]
        return "  ".join(words)

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
