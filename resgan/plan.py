"""What a study says before it begins: how many runs, about how long, and what so many seeds can show."""

import functools
import math
import os
import time
from collections import Counter
from typing import Any

from resgan.command import Study, say
from resgan.options import TrainOptions
from resgan.parts import Parts, prepare
from resgan.report.records import TUNABLE, is_tuning
from resgan.runs import Run, RunError, arm_name

STEPS = 16  # timed for each kind of run: two rounds of lazy penalties at their usual interval
SAMPLES = 500  # scored, for an estimate of what 10,000 take


def announce(study: Study) -> None:
    """Print the plan. Raises OptionsError, DataError where the study could not begin."""
    ended = [status_of(study, job, options) for job, options in study.runs]
    todo = [options for (_, options), status in zip(study.runs, ended, strict=True) if status == "open"]
    seeds = max(Counter(kind(options) for _, options in study.runs).values())
    done = len(ended) - len(todo)
    settings = len({kind(options) for _, options in study.runs})
    say(f"study {study.name}: {len(ended)} runs ({settings} settings x {seeds} seeds) in {study.place}")
    if done:
        diverged = f" ({ended.count('diverged')} of them diverged)" if "diverged" in ended else ""
        say(f"  {done} have ended already{diverged}")
    if todo:
        beside = study.at_once != 1
        cost = functools.cache(lambda work: seconds_of_run(one_of[work], side_by_side=beside, together=study.together))
        one_of = {work(options): options for options in todo}
        seconds = sum(cost(work(options)) for options in todo) / at_once(study)
        how = f", {study.together} seeds as one" if study.together > 1 else ""
        how += f", {at_once(study)} side by side" if at_once(study) > 1 else ""
        say(f"  about {duration(seconds)} on this machine{how} (measured over {STEPS} steps of each setting)")
    tuning = ["settings are compared; no result is drawn"]
    for line in tuning if is_tuning(study.name) else what_seeds_can_show(seeds):
        say(f"  {line}")


def what_seeds_can_show(seeds: int) -> list[str]:
    from resgan.report.effects import POWER, detectable, smallest_p

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
    """However a study ended: what is there, and the command that reads it."""
    ended = Counter(status_of(study, job, options) for job, options in study.runs)
    said = ", ".join(f"{ended[status]} {status}" for status in ("finished", "diverged", "open") if ended[status])
    say(f"study {study.name}: {said}; python -m resgan.report {study.place}")


def run_of(study: Study, job: list[str], options: TrainOptions) -> Run:
    return Run(study.place / arm_name(job) / str(options.seed))


def status_of(study: Study, job: list[str], options: TrainOptions) -> str:
    """finished, diverged, or open: not there yet."""
    try:
        result = run_of(study, job, options).read_result()
    except RunError:
        return "open"
    return "open" if result is None else result["status"]


def kind(options: TrainOptions) -> str:
    """What a run is, but for its seed."""
    return options.model_copy(update={"seed": 0}).model_dump_json()


def work(options: TrainOptions) -> str:
    """What a run takes: rates and weights change what is computed, not how much."""
    values = options.model_dump()
    for name in TUNABLE:
        group, key = name.split(".")
        values[group][key] = bool(values[group][key])
    return repr(values | {"seed": 0})


def seconds_of_run(options: TrainOptions, *, side_by_side: bool, together: int = 1) -> float:
    """About how long one of `together` takes: some steps and a small scoring are timed, alone on the machine."""
    start = time.perf_counter()
    parts = prepare(quiet(options), side_by_side=side_by_side)
    begun = time.perf_counter()
    steps = parts.gan.total_images / options.batch_size
    step = seconds_of_step(options, parts, together=together) / together
    # Moments grow with the number of samples; what other scores take, only a whole scoring shows.
    count = SAMPLES if options.metrics.scores == ["frechet"] else options.metrics.samples
    scoring = seconds_of_scoring(parts, count) * options.metrics.samples / count
    scorings = 2 + (math.floor(options.total_kimg / options.score_kimg) if options.score_kimg else 0)
    return (begun - start) + steps * step + scorings * scoring


def seconds_of_step(options: TrainOptions, parts: Parts, *, together: int) -> float:
    import torch

    from resgan.build import build_stack

    gan = parts.gan if together == 1 else build_stack(options, [parts.gan] * together)
    gan.to(device := parts.accelerator)
    batch = [tensor.to(device) for tensor in batch_of(parts, gan.batch_size)]
    batch = batch if together == 1 else [torch.stack([tensor] * together) for tensor in batch]
    given: Any = tuple(batch) if len(batch) > 1 else batch[0]

    def seconds_of_steps() -> float:
        start = time.perf_counter()
        for step in range(STEPS):
            gan.training_step(given, step)
        synchronise(device)
        return time.perf_counter() - start

    seconds_of_steps()  # the first ones allocate
    return seconds_of_steps() / STEPS


def seconds_of_scoring(parts: Parts, count: int) -> float:
    import torch

    from resgan import sampling

    parts.scorer.prepare()  # what is kept on disk afterwards
    start = time.perf_counter()
    z, shares = torch.randn(count, parts.gan.latent_dim), list(parts.spec["classes"].values())
    labels = sampling.classes_at(torch.rand(count), shares) if shares else None
    parts.scorer.measure(sampling.generate(parts.gan.generator_ema, z, labels))
    return time.perf_counter() - start


def batch_of(parts: Parts, count: int) -> list[Any]:
    from resgan.build import first_batch

    return first_batch(parts.dataset, count, labelled=bool(parts.spec["classes"]))


def synchronise(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def quiet(options: TrainOptions) -> TrainOptions:
    return options.model_copy(update={"trainer": options.trainer.model_copy(update={"progress": False})})


def at_once(study: Study) -> int:
    """Jobs that really run side by side: no more than there are."""
    wanted = (os.cpu_count() or 1) if study.at_once < 0 else study.at_once
    return max(1, min(wanted, len(study.runs) // study.together))


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
