"""The plan of a study: how many runs, about how long they take here, and what so many seeds can show."""

import functools
import math
import os
import time
from collections import Counter
from collections.abc import Hashable, Sequence

import torch

from resgan.base.console import say
from resgan.base.device import synchronise
from resgan.builders.components import RunComponents, build_components
from resgan.builders.data import mixed_batch
from resgan.builders.gan import build_gan, build_stack
from resgan.builders.networks import spec_of
from resgan.builders.stacking import stacks_of
from resgan.experiment.study import Study
from resgan.nets import sampling
from resgan.options.train import TrainOptions
from resgan.report.effects import POWER, detectable, smallest_p
from resgan.report.records import TUNABLE, is_tuning
from resgan.runs.directory import Run, RunError
from resgan.runs.naming import arm_name
from resgan.training.batches import as_batch

STEPS = 16  # timed for each kind of run: two rounds of lazy penalties at their usual interval
SAMPLES = 500  # scored, for an estimate of what 10,000 take


def announce(study: Study) -> None:
    """Print the plan. Raises OptionsError, DataError where the study could not begin."""
    ended = [status_of(study, job, options) for job, options in study.runs]
    todo = [options for (_, options), status in zip(study.runs, ended, strict=True) if status == "open"]
    seeds = max(Counter(settings_key(options) for _, options in study.runs).values())
    done = len(ended) - len(todo)
    settings = len({settings_key(options) for _, options in study.runs})
    say(f"study {study.name}: {len(ended)} runs ({settings} settings x {seeds} seeds) in {study.place}")
    if done:
        diverged = f" ({ended.count('diverged')} of them diverged)" if "diverged" in ended else ""
        say(f"  {done} have ended already{diverged}")
    if todo:
        how = f", {study.seeds_of_job} seeds as one" if study.seeds_of_job > 1 else ""
        how = f", up to {study.stack_size} runs as one" if study.stack_size > 1 else how
        how += f", {jobs_side_by_side(study)} side by side" if jobs_side_by_side(study) > 1 else ""
        estimate = duration(seconds_of_runs(study, todo))
        say(f"  about {estimate} on this machine{how} (measured over {STEPS} steps of each setting)")
    tuning = ["settings are compared; no result is drawn"]
    for line in tuning if is_tuning(study.name) else what_seeds_can_show(seeds):
        say(f"  {line}")


def what_seeds_can_show(seeds: int) -> list[str]:
    if seeds < 2:
        return ["a single seed: effects without intervals, a description and no evidence"]
    effect, p = detectable(seeds), smallest_p(seeds)
    lines = [
        f"{seeds} seeds find, with {POWER:.0%} power, effects of {effect:.2g} (G, D) and {2 * effect:.2g} (G x D)",
        "standard deviations of one run's score; smallest attainable p "
        f"{p:.2g}, corrected over three effects {min(1, 3 * p):.2g}",
    ]
    if 3 * p > 0.05:
        lines.append("so few seeds cannot support a claim: a descriptive study")
    return lines


def report_end(study: Study) -> None:
    """Say, however a study ended, what is there, and the command that reads it."""
    ended = Counter(status_of(study, job, options) for job, options in study.runs)
    counts = ", ".join(f"{ended[status]} {status}" for status in ("finished", "diverged", "open") if ended[status])
    say(f"study {study.name}: {counts}; python -m resgan.report {study.place}")


def status_of(study: Study, job: list[str], options: TrainOptions) -> str:
    """finished, diverged, or open: not there yet."""
    try:
        result = Run(study.place / arm_name(job) / str(options.seed)).read_result()
    except RunError:
        return "open"
    return "open" if result is None else result["status"]


def settings_key(options: TrainOptions) -> str:
    """Key of a run's settings: all but its seed."""
    return options.model_copy(update={"seed": 0}).model_dump_json()


def jobs_side_by_side(study: Study) -> int:
    """Jobs that really run side by side: no more than there are."""
    wanted = (os.cpu_count() or 1) if study.at_once < 0 else study.at_once
    return max(1, min(wanted, len(study.runs) // study.seeds_of_job))


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


# What runs cost.


def seconds_of_runs(study: Study, todo: list[TrainOptions]) -> float:
    """About how long all runs take; runs of one cost are timed once."""
    if study.stack_size > 1:
        stacks = stacks_of(todo, lambda options: options, most=study.stack_size)
        timed = [(stack, len(stack)) for stack in stacks]
    else:
        timed = [([options] * study.seeds_of_job, 1) for options in todo]
    examples = {stack_key(stack): stack for stack, _ in timed}

    @functools.cache
    def seconds(key: Hashable) -> float:
        return seconds_of_run(examples[key], side_by_side=study.at_once != 1)

    return sum(count * seconds(stack_key(stack)) for stack, count in timed) / jobs_side_by_side(study)


def stack_key(stack: Sequence[TrainOptions]) -> Hashable:
    """Key of a stack's cost: how many runs of which cost it holds."""
    return len(stack), frozenset(cost_key(options) for options in stack)


def cost_key(options: TrainOptions) -> str:
    """Key of a run's cost: learning rates and loss weights do not affect it."""
    values = options.model_dump()
    for name in TUNABLE:
        group, key = name.split(".")
        values[group][key] = bool(values[group][key])
    return repr(values | {"seed": 0})


def seconds_of_run(stack: Sequence[TrainOptions], *, side_by_side: bool) -> float:
    """About how long one of a stack's runs takes: some steps and a small scoring are timed, alone on the machine."""
    options = stack[0]
    start = time.perf_counter()
    components = build_components(without_bars(options), side_by_side=side_by_side)
    begun = time.perf_counter()
    steps = components.gan.total_images / options.batch_size
    step = seconds_of_step(stack, components) / len(stack)
    # Moments grow with the number of samples; what other scores take, only a whole scoring shows.
    count = SAMPLES if options.metrics.scores == ["frechet"] else options.metrics.samples
    scoring = seconds_of_scoring(components, count) * options.metrics.samples / count
    scorings = 2 + (math.floor(options.total_kimg / options.score_kimg) if options.score_kimg else 0)
    return (begun - start) + steps * step + scorings * scoring


def seconds_of_step(stack: Sequence[TrainOptions], components: RunComponents) -> float:
    """Of all its runs together; `components` are those of the first."""
    dataset, gans = components.dataset, {settings_key(stack[0]): components.gan}
    for options in stack:
        if (key := settings_key(options)) not in gans:
            gans[key] = build_gan(options, spec_of(options, dataset), dataset)
    members = [gans[settings_key(options)] for options in stack]
    gan = members[0] if len(members) == 1 else build_stack(stack, members)
    gan.to(device := components.accelerator)
    labelled = bool(components.spec["classes"])
    batch = [tensor.to(device) for tensor in mixed_batch(components.dataset, gan.batch_size, labelled=labelled)]
    batch = batch if len(stack) == 1 else [torch.stack([tensor] * len(stack)) for tensor in batch]
    given = as_batch(batch)

    def seconds_of_steps() -> float:
        start = time.perf_counter()
        for step in range(STEPS):
            gan.training_step(given, step)
        synchronise(device)
        return time.perf_counter() - start

    seconds_of_steps()  # the first ones allocate
    return seconds_of_steps() / STEPS


def seconds_of_scoring(components: RunComponents, count: int) -> float:
    components.scorer.prepare()  # kept on disk afterwards
    start = time.perf_counter()
    z, shares = torch.randn(count, components.gan.latent_dim), list(components.spec["classes"].values())
    labels = sampling.classes_at(torch.rand(count), shares) if shares else None
    components.scorer.measure(sampling.generate(components.gan.generator_ema, z, labels))
    return time.perf_counter() - start


def without_bars(options: TrainOptions) -> TrainOptions:
    return options.model_copy(update={"trainer": options.trainer.model_copy(update={"progress": False})})
