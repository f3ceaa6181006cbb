"""Speed of training steps of a configuration on this machine, with one option changed at a time."""

import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from resgan.base.device import find_accelerator, synchronise
from resgan.base.plain_data import format_value
from resgan.builders.data import expected_class_shares, expected_shape
from resgan.builders.gan import build_gan, build_stack
from resgan.builders.networks import spec_of_networks
from resgan.builders.stacking import can_be_stacked
from resgan.data.dataset import Dataset
from resgan.experiment.precision import with_precision
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.training.batches import as_batch
from resgan.training.gan import GAN

ROUNDS = 3
SECONDS = 0.8  # of steps in a round of a variant, at least one cycle of penalties
STACK_SIZES = (4, 16)  # seeds
GIVE_UP_RATIO = 4  # times as slow in the first cycle: not timed again
MIN_SPEEDUP = 1.05  # times as fast: less is noise


@dataclass(frozen=True)
class Variant:
    """The configuration with something changed, or as it is given."""

    change: tuple[str, Any] | None = None  # an option and its value
    stack_size: int = 1  # seeds trained as one
    threads: int | None = None  # None: those of the configuration

    @property
    def typed(self) -> str:
        said = [f"{self.change[0]}={format_value(self.change[1])}"] if self.change else []
        said += [f"seeds=0-{self.stack_size - 1}"] if self.stack_size > 1 else []
        said += [f"trainer.threads={self.threads}"] if self.threads else []
        return " ".join(said) or "as given"


AS_GIVEN = Variant()


def bench(options: TrainOptions, job: Job) -> None:
    accelerator = find_accelerator("trainer.accelerator", options.trainer.accelerator)
    [options] = with_precision([options])
    threads = options.trainer.threads or torch.get_num_threads()
    found = measure(options, variants_of(options, accelerator, threads), accelerator, threads)
    where = f"{torch.cuda.get_device_name()}" if accelerator == "cuda" else f"{accelerator}, {threads} threads"
    print(
        "\n".join(
            [
                f"images a second, of all seeds together, on {where}:",
                *variant_table(found),
                *advice(found, accelerator, threads),
            ]
        )
    )


def variants_of(options: TrainOptions, accelerator: str, threads: int) -> list[Variant]:
    """List the given configuration, and it with another option, stack size or threads."""
    trainer = options.trainer
    images = expected_shape(options.data) != (2,)
    other = {"32-true": "bf16-mixed", "bf16-mixed": "32-true"}[trainer.precision]
    found = [AS_GIVEN, Variant(("trainer.precision", other))]
    if images:
        found += [Variant((f"trainer.{name}", not getattr(trainer, name))) for name in ("channels_last", "fused")]
    if accelerator == "cuda":  # on a CPU it takes minutes, and gains nothing
        found.append(Variant(("trainer.compile", not trainer.compile)))
    if can_be_stacked(options) and not trainer.compile:
        found += [Variant(stack_size=size) for size in STACK_SIZES]
    if accelerator == "cpu" and threads > 1:
        found += [Variant(stack_size=v.stack_size, threads=1) for v in found if not v.change]
    return found


def measure(options: TrainOptions, variants: list[Variant], accelerator: str, threads: int) -> dict[Variant, float]:
    """Measure the images per second of each variant, summed over its seeds: the median of rounds in turns."""
    cycles = {variant: cycle_of(options, variant, accelerator) for variant in variants}
    size = options.batch_size * steps_of_cycle(options)

    def seconds_of_cycles(variant: Variant, *, at_least: float) -> tuple[int, float]:
        torch.set_num_threads(variant.threads or threads)
        count, start = 0, time.perf_counter()
        while count == 0 or time.perf_counter() - start < at_least:
            cycles[variant]()
            count += 1
        return count, time.perf_counter() - start

    def speed(variant: Variant, *, at_least: float) -> float:
        count, seconds = seconds_of_cycles(variant, at_least=at_least)
        return count * size * variant.stack_size / seconds

    # The first cycle allocates and compiles. Variants far behind in it get no more of the time.
    found = {variant: [speed(variant, at_least=0)] for variant in variants}
    in_play = [variant for variant, [first] in found.items() if GIVE_UP_RATIO * first > found[AS_GIVEN][0]]
    found |= {variant: [] for variant in in_play}
    for turn in range(ROUNDS):
        for variant in in_play[:: 1 if turn % 2 else -1]:
            found[variant].append(speed(variant, at_least=SECONDS))
    torch.set_num_threads(threads)
    return {variant: statistics.median(speeds) for variant, speeds in found.items()}


def steps_of_cycle(options: TrainOptions) -> int:
    """Count the steps after which the pattern of penalties and of G's steps repeats."""
    loss = options.loss
    weighed = {"r1": loss.r1_interval, "r2": loss.r2_interval, "gp": loss.gp_interval}
    return math.lcm(options.disc.steps, *(every for name, every in weighed.items() if getattr(loss, name)))


def cycle_of(options: TrainOptions, variant: Variant, accelerator: str) -> Callable[[], None]:
    """Return a function that runs one cycle of steps on random samples, held on the device."""
    given = options.with_values(dict([variant.change] if variant.change else []))
    gan, samples, labels = on_random_samples(given)
    if variant.stack_size > 1:
        gan = build_stack([given] * variant.stack_size, [gan] * variant.stack_size)
    gan.total_images = sys.maxsize  # learning rates do not decay
    gan.to(accelerator)
    batch = [tensor.to(accelerator) for tensor in (samples, labels) if tensor is not None]
    batch = batch if variant.stack_size == 1 else [torch.stack([tensor] * variant.stack_size) for tensor in batch]
    real = as_batch(batch)
    bf16 = given.trainer.precision == "bf16-mixed"

    def cycle() -> None:
        with torch.autocast(accelerator, torch.bfloat16, enabled=bf16, cache_enabled=False):  # as Lightning's
            for step in range(steps_of_cycle(given)):
                gan.training_step(real, step)
        synchronise(accelerator)

    return cycle


def on_random_samples(options: TrainOptions) -> tuple[GAN, Tensor, Tensor | None]:
    """Return a GAN, and a batch of random samples and labels of the data that it is for."""
    shape, classes = expected_shape(options.data), expected_class_shares(options)
    samples = torch.randn(options.batch_size, *shape, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    labels = torch.arange(options.batch_size) % len(classes) if classes else None
    as_uint8 = ((samples + 1) * 127.5).to(torch.uint8)  # held-out images, for augment.adapt=r_v
    data = Dataset(name="random", train=samples, holdout=as_uint8, reference=samples, split="train",
                   labels=labels, holdout_labels=labels)  # fmt: skip
    gan = build_gan(options, spec_of_networks(options, shape, classes=classes), data)
    if samples.ndim == 4:
        samples = samples.contiguous(memory_format=torch.channels_last)
    return gan, samples, labels


def variant_table(found: dict[Variant, float]) -> list[str]:
    usual = found[AS_GIVEN]
    width = max(len(variant.typed) for variant in found)
    return [f"  {variant.typed:<{width}}  {speed:9.1f}  {speed / usual:5.2f} times" for variant, speed in found.items()]


def advice(found: dict[Variant, float], accelerator: str, threads: int) -> list[str]:
    """Recommend options for one run, and for many seeds."""
    usual = found[AS_GIVEN]
    better = [v.typed for v, speed in found.items() if v.change and speed > MIN_SPEEDUP * usual]
    lines = [f"for one run: {' '.join(better) or 'nothing is faster than what is given'}"]
    # Jobs of one thread each run side by side, one on every core.
    cores = threads if accelerator == "cpu" else 1
    many = {v: speed * (cores if v.threads == 1 else 1) for v, speed in found.items() if not v.change}
    best = max(many, key=lambda v: many[v])
    if many[best] > MIN_SPEEDUP * usual:
        beside = " hydra/launcher=joblib" if best.threads == 1 else ""
        factor = f"{many[best] / usual:.2f} times as many images a second over all seeds"
        lines.append(
            f"for many seeds: {best.typed}{beside} ({factor}{', if cores do not wait for memory' if beside else ''})"
        )
    else:
        lines.append("for many seeds: one after the other")
    return lines
