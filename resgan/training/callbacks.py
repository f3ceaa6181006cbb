"""Lightning callbacks: calls of the recorders, and the progress bar."""

import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
from tqdm import tqdm

from resgan.base.signals import Stopped, StopSignal
from resgan.training.gan import GAN
from resgan.training.recorder import LOSS_EVERY, Diverged, Recorder
from resgan.training.stack import unstack_into, unstack_losses


class RecorderCallback(pl.Callback):
    """Call the recorder of a GAN, or the recorders of a stack, each with its own GAN.

    In a stack, a run that diverges is no longer recorded, and the others go on.
    """

    def __init__(self, recorders: Sequence[Recorder], *, stop: StopSignal, agreed: StopSignal | None = None) -> None:
        self.recorders, self.stop = recorders, stop
        self.agreed = agreed  # the signal to stop that all processes know, which the recorders obey; None: stop itself
        self.begun = False

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
            self.sync_from_stack(pl_module)
            self.for_each_active(Recorder.after_step)
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
        """Copy the stack's state into each recorder's GAN; diverged runs keep the state in which they diverged."""
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
                recorder.diverged = True
        self.end_if_all_diverged()

    def for_each_active(self, do: Callable[[Recorder], None]) -> None:
        """Call `do` on each active recorder. Raises Stopped when all have saved, Diverged when all have diverged."""
        going = self.going()
        for recorder in going:
            try:
                do(recorder)
            except Diverged:
                recorder.diverged = True
            except Stopped:
                break
        stop = self.agreed or self.stop
        if stop.number is not None:  # earlier recorders may have been past saving when the signal came
            for recorder in going:
                with contextlib.suppress(Stopped, Diverged):
                    recorder.stop_if_asked()
            raise Stopped(stop.number)
        self.end_if_all_diverged()

    def going(self) -> list[Recorder]:
        return [recorder for recorder in self.recorders if not recorder.diverged]

    def end_if_all_diverged(self) -> None:
        if not self.going():
            raise Diverged(self.recorders[0].gan.images_seen)


class ProgressBar(pl.Callback):
    """A bar with images per second and the losses; without a terminal, a line every tenth of the run."""

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
