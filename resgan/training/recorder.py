"""Records of a GAN in training: scores, grids, checkpoints and losses, and when each is due."""

import contextlib
import copy
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from resgan.base import images
from resgan.base.console import say
from resgan.base.device import full_precision
from resgan.base.files import WriteError
from resgan.base.plain_data import PlainData
from resgan.base.rng import make_generator
from resgan.base.signals import Stopped, StopSignal
from resgan.metrics.scorer import Scorer
from resgan.nets import sampling
from resgan.runs.directory import Run
from resgan.training import checkpoints
from resgan.training.checkpoints import State
from resgan.training.gan import GAN
from resgan.training.loggers import START, Loggers, shown
from resgan.training.penalties import gradient

LOSS_EVERY = 50  # steps between two readings of the losses: each is a sync with the device


class Diverged(Exception):
    """A loss or a weight is no longer finite. Carries images_seen."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Intervals of scores, sample grids and checkpoints, in images; 0 is never.

    The start is always scored, for comparison; the end is scored, sampled and saved.
    """

    score: int
    sample: int
    save: int
    total: int

    def due(self, every: int, *, before: int, now: int) -> bool:
        """Has a multiple of `every` been reached since `before`?"""
        return now >= self.total or (bool(every) and before // every < now // every)


class Recorder:
    """Fill the run directory and tell the loggers. Every event is tied to images_seen: a continued run repeats none."""

    def __init__(self, *, run: Run, gan: GAN, scorer: Scorer, schedule: Schedule, tracker: Loggers,
                 spec: State, reference: Sequence[Tensor], reals: Tensor, seconds: float,
                 lines: int = 0, saved: int | None = None, stop: StopSignal | None = None) -> None:  # fmt: skip
        self.run, self.gan, self.scorer, self.schedule, self.tracker = run, gan, scorer, schedule, tracker
        self.spec = spec  # what load_gan needs
        self.reference = reference  # real samples as D sees them, and their labels: for the record at step 0
        self.reals = reals  # real samples to show beside generated ones; a grid has as many
        self.shares = list(spec.get("classes", {}).values())  # of the classes; empty: not class-conditional
        measured = run.measurements()
        self.scored = {m["images_seen"]: m["scores"] for m in measured if m["kind"] == "scores"}
        self.has_start = any(m["kind"] == "start" for m in measured)
        self.losses_before = next((m for m in reversed(measured) if m["kind"] == "losses"), START)
        self.lines = Counter(m["images_seen"] for m in measured)  # of metrics.jsonl
        self.lost = max(0, lines - self.lines_before())  # of `lines`, which there were when the checkpoint was saved
        self.seconds_before, self.started = seconds, time.monotonic()
        self.saved = saved  # the place of the newest checkpoint: saved again, it would be previous.ckpt as well
        self.stop = stop or StopSignal()
        self.diverged_at = next((m["images_seen"] for m in measured if m["kind"] == "diverged"), None)
        self.without: set[str] = set()  # what cannot be written at present, and is done without

    @property
    def writes(self) -> bool:
        """Does this process write? Of several that train a run only the first does; all do the same otherwise."""
        return self.gan.processes.first

    @property
    def diverged(self) -> bool:
        return self.diverged_at is not None

    @property
    def images_seen(self) -> int:
        """The place of the run, or where it diverged."""
        return self.gan.images_seen if self.diverged_at is None else self.diverged_at

    # What is due.

    def begin(self) -> None:
        """Finish any recording that an interrupted run left incomplete."""
        self.started = time.monotonic()
        if not self.has_start and self.gan.images_seen == 0:
            self.record_start()
        if self.writes and not self.run.reals.exists():
            self.record_reals()
        self.record_due(again=True)
        self.stop_if_asked()

    def after_step(self) -> None:
        if self.is_time_for_losses(self.gan.images_seen):
            self.record_losses()
        self.record_due()
        self.stop_if_asked()

    def needs_weights(self, now: int) -> bool:
        """Is anything but losses due after the step that ended at `now` images?"""
        before, schedule = now - self.gan.batch_size, self.schedule
        events = (schedule.sample, schedule.score, schedule.save)
        return self.stop.number is not None or any(schedule.due(every, before=before, now=now) for every in events)

    def is_time_for_losses(self, now: int) -> bool:
        return now // self.gan.batch_size % LOSS_EVERY == 0

    def record_due(self, *, again: bool = False) -> None:
        """Record what is due at this place; again: in a new session, without what the last one has recorded here."""
        before = self.gan.images_seen - self.gan.batch_size
        now, schedule = self.gan.images_seen, self.schedule
        if self.writes and schedule.due(schedule.sample, before=before, now=now) and not (again and self.grid.exists()):
            self.record_samples()
        if now not in self.scored and (now == 0 or schedule.due(schedule.score, before=before, now=now)):
            self.record_scores()
        if now and schedule.due(schedule.save, before=before, now=now):
            self.save()

    def record_start(self) -> None:
        """Record, before training, the spread of D's logits and the norm of its input gradient: penalties act on it."""
        disc = copy.deepcopy(self.gan.disc)  # running statistics must not see these samples twice
        real, *labels = (tensor.to(self.gan.device) for tensor in self.reference)
        with full_precision(self.gan.device.type):
            logits = disc(real.requires_grad_(), *labels)
            slope = gradient(real, logits).detach()
        figures = {
            "logit_spread": float(logits.detach().std()),
            "input_gradient": float(slope.flatten(1).norm(dim=1).mean()),
        }
        if self.writes:
            self.append({"images_seen": 0, "kind": "start", **figures})
            self.tracker.summarise({f"start/{name}": value for name, value in figures.items()})

    def record_losses(self) -> None:
        losses = self.read_losses()
        if self.writes:
            now = self.gan.images_seen
            line = {"images_seen": now, "kind": "losses", "seconds": self.seconds(), **losses}
            self.append(line, flush=False)  # the next checkpoint waits for it
            self.tracker.log(shown(line, self.losses_before, self.gan.learning_rates), images_seen=now)
            self.losses_before = line

    def read_losses(self) -> dict[str, float]:
        losses = {name: float(value) for name, value in self.gan.losses.items()}
        if not all(math.isfinite(value) for value in losses.values()):
            raise Diverged(self.gan.images_seen)
        return losses

    def refuse_nan(self) -> None:
        """Raise Diverged for a value that is not finite, in the losses or in the weights, which are one step newer."""
        self.read_losses()
        if not all(bool(torch.isfinite(weight).all()) for weight in self.gan.state_dict().values()):
            raise Diverged(self.gan.images_seen)

    def record_reals(self) -> None:
        """Save real samples in the layout of the grids, once per run; also in a continued run that has none."""
        image = images.to_image(self.reals)
        with self.done_without("the grid of real samples"):
            images.save_png(image, self.run.reals)
        self.tracker.log_image("reals", image, images_seen=self.gan.images_seen, caption="real samples")

    @property
    def grid(self) -> Path:
        """The file for the grid of samples of this place."""
        return self.run.samples / f"{self.gan.images_seen:09d}.png"

    def record_samples(self) -> None:
        count = len(self.reals)
        z = sampling.latents(range(count), dim=self.gan.latent_dim)
        labels = torch.arange(count) % len(self.shares) if self.shares else None  # every class, as far as there is room
        image = images.to_image(sampling.generate(self.gan.generator_ema, z, labels))
        with self.done_without("grids of samples"):
            images.save_png(image, self.grid)
        self.tracker.log_image("samples", image, images_seen=self.gan.images_seen)

    def record_scores(self) -> None:
        now = self.gan.images_seen
        self.refuse_nan()  # a diverged state is not scored
        random = make_generator(self.gan.seed, "scores")  # the same latents at every measurement
        count, dim = self.scorer.samples, self.gan.latent_dim
        z = torch.randn(count, dim, generator=random)
        labels = sampling.classes_at(torch.rand(count, generator=random), self.shares) if self.shares else None
        z, labels = self.own_share(z), None if labels is None else self.own_share(labels)
        generator = sampling.with_norm_mode(self.gan.generator_ema, self.scorer.norm_mode, dim=dim, shares=self.shares)
        samples = sampling.generate(generator, z, labels, on_batch=self.stop_if_asked)
        if self.gan.processes.largest(not samples.isfinite().all()):
            raise Diverged(now)
        self.scored[now] = scores = self.scorer.measure(samples)  # over the samples of all processes
        if not self.writes:
            return
        if self.best == now:  # before the line, which says that all of this is done: a killed run scores again
            self.run.flush_measurements()
            checkpoints.save(self.run.checkpoints / checkpoints.BEST, self.state())
        self.append({"images_seen": now, "kind": "scores", "seconds": self.seconds(), "scores": scores})
        self.tracker.log(scores, images_seen=now)

    def own_share(self, drawn: Tensor) -> Tensor:
        """Return this process's part of the draws, in whole chunks of sampling as far as there are enough of them."""
        processes, rows = self.gan.processes, torch.arange(len(drawn))
        chunks = len(drawn) // sampling.CHUNK
        if chunks < processes.count:
            return drawn[processes.share(rows)]
        owner = (rows // sampling.CHUNK).clamp_max(chunks - 1)
        own = processes.share(torch.arange(chunks))
        return drawn[(owner >= own[0]) & (owner <= own[-1])]

    @property
    def best(self) -> int | None:
        """The place of best.ckpt, which is also that of `best` in result.json; None: there is none."""
        return best_place(self.scored, self.scorer.primary)

    def save(self) -> None:
        self.refuse_nan()  # a diverged state is not saved
        if not self.writes:
            return
        self.run.flush_measurements()
        if self.gan.images_seen < self.schedule.total:
            with self.done_without("this checkpoint; the one before it stays"):
                self.save_last()
        else:
            self.save_last()
            checkpoints.save(self.run.checkpoints / checkpoints.FINAL, self.state())

    def save_last(self) -> None:
        if self.saved != self.gan.images_seen:
            checkpoints.save_last(self.run.checkpoints, self.state())
            self.saved = self.gan.images_seen
            self.run.note_save(self.gan.images_seen)

    # What is written.

    def append(self, line: PlainData, *, flush: bool = True) -> None:
        """Append a line to metrics.jsonl. Raises WriteError."""
        self.run.append(line, flush=flush)
        self.lines[line["images_seen"]] += 1

    def lines_before(self) -> int:
        """Count the lines of metrics.jsonl from before this place, none of which would be made again."""
        return self.lines.total() - self.lines[self.gan.images_seen]

    @contextlib.contextmanager
    def done_without(self, what: str) -> Iterator[None]:
        """Go on without a file that cannot be written, where it can be spared; said once until one can be written."""
        try:
            yield
        except WriteError as error:
            if what not in self.without:
                say(f"{error}; goes on without {what}")
            self.without.add(what)
        else:
            self.without.discard(what)

    # Stopping.

    def stop_if_asked(self) -> None:
        if self.stop.number is not None:
            with contextlib.suppress(Diverged):  # to be found at the place where a run that is not stopped finds it
                self.save()
            raise Stopped(self.stop.number)

    def give_up(self) -> None:
        """Note that the run has diverged here. Members of a stack stay diverged when it is stopped and goes on."""
        self.diverged_at = self.gan.images_seen
        if self.writes:
            self.append({"images_seen": self.diverged_at, "kind": "diverged"})

    # What a checkpoint and a result hold.

    def seconds(self) -> float:
        """Return the seconds of training so far, over all sessions of the run."""
        return self.seconds_before + time.monotonic() - self.started

    def state(self) -> State:
        return {
            "spec": self.spec,
            "seconds": self.seconds(),
            "wandb_id": self.tracker.run_id,
            "lines": self.lines_before() + self.lost,  # of metrics.jsonl: a continued run knows how many are missing
            "losses": dict(self.gan.losses),  # the last of each, since lazy penalties are not computed at every step
            **self.gan.training_state(),
        }


def best_place(scored: Mapping[int, PlainData], primary: str) -> int | None:
    """Find where the primary score was lowest, at first; None where it never was a number.

    The measurement of the untrained networks, at 0, does not count.
    """
    values = {place: scores.get(primary) for place, scores in sorted(scored.items()) if place}
    numbers = {place: value for place, value in values.items() if value is not None and math.isfinite(value)}
    return min(numbers, key=numbers.__getitem__, default=None)
