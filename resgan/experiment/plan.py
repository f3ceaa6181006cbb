"""Plan of a study: how many runs, about how long they take on this machine, and what so many seeds can show."""

import functools
import math
import os
import time
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch

from resgan.base.console import say
from resgan.base.device import find_accelerator, synchronise
from resgan.base.errors import OptionsError
from resgan.base.memory import free_memory
from resgan.base.plain_data import flat
from resgan.base.progress import duration
from resgan.builders.components import RunComponents, build_components
from resgan.builders.data import expected_class_shares, expected_shape, mixed_batch
from resgan.builders.gan import build_gan, build_stack
from resgan.builders.memory import PROCESS, check_memory, need_of_data, need_of_run
from resgan.builders.networks import spec_of, spec_of_networks
from resgan.builders.stacking import can_be_stacked, stacks_of, structure
from resgan.experiment.search import rung_sizes, search_length
from resgan.experiment.searches import check_searches, edges_found, open_searches, plan_of_searches
from resgan.experiment.study import Study, run_place
from resgan.nets import sampling
from resgan.options.data import Folder
from resgan.options.train import TrainOptions
from resgan.report.conditions import OPTIONS as CONDITIONS
from resgan.report.conditions import pairs_of
from resgan.report.curves import lines_of, number_of
from resgan.report.effects import smallest_p
from resgan.report.power import POWER, SHAPES, detectable, detectable_in_list
from resgan.report.records import SWITCHES, TUNABLE, is_tuning
from resgan.runs.directory import Run, RunError
from resgan.training.batches import as_batch

STEPS = 16  # timed for each kind of run: two rounds of lazy penalties at their usual interval
SAMPLES = 500  # scored to estimate the time for 10,000
NAMED = 8  # runs that a list of failures names


def announce(study: Study) -> None:
    """Print the plan of a study; of another sweep, how many runs it is. Raises OptionsError, DataError, RunError."""
    check_memory_of_jobs(study)
    for place, (_, options) in zip(study.places(), study.runs, strict=True):
        if not (run := Run(place)).config.exists():  # one that has begun is compared with its options when it goes on
            run.check(options.model_dump())
    if not study.name:
        say(f"a sweep of {len(study.runs)} run{'s' * (len(study.runs) != 1)} in {study.place}")
        return
    check_searches(study)
    ended = [status_of(study, job, options) for job, options in study.runs]
    todo = [options for (_, options), status in zip(study.runs, ended, strict=True) if status == "open"]
    units, counted = units_of(study)
    done = len(ended) - len(todo)
    settings = len({settings_key(options) for _, options in study.runs})
    say(f"study {study.name}: {len(ended)} runs ({settings} settings x {counted}) in {study.place}")
    for line in plan_of_searches(study):
        say(f"  {line}")
    if done:
        diverged = f" ({ended.count('diverged')} of them diverged)" if "diverged" in ended else ""
        say(f"  {done} have ended already{diverged}")
    if todo:
        how = f", {study.seeds_of_job} seeds as one" if study.seeds_of_job > 1 else ""
        how = f", up to {study.stack_size} runs as one" if study.stack_size > 1 else how
        how += f", {jobs_side_by_side(study)} side by side" if jobs_side_by_side(study) > 1 else ""
        estimate = duration(seconds_of_runs(study, todo, open_searches(study)))
        where = "on machines as fast as this one" if study.on_cluster else "on this machine"
        say(f"  about {estimate} {where}{how} (measured over {STEPS} steps of each setting)")
    tuning = ["a tuning study: settings are compared, and no result is drawn"]
    for line in tuning if is_tuning(study.name) else what_it_can_show(study, units):
        say(f"  {line}")


def check_memory_of_jobs(study: Study) -> None:
    """Raise OptionsError where a job does not fit into this machine's memory, or so many as run side by side do not.

    Jobs with a GPU, and on images at a path, whose number and size reading tells, are checked as each begins.
    """
    if study.on_cluster:
        return
    kinds: dict[Hashable, list[TrainOptions]] = {}
    for _, options in study.runs:
        kinds.setdefault(structure(options), []).append(options)
    side_by_side = min(jobs_side_by_side(study), len(study.runs))
    for options, *others in kinds.values():
        trainer, data = options.trainer, options.data
        if isinstance(data, Folder) or find_accelerator("trainer.accelerator", trainer.accelerator) == "cuda":
            continue
        try:
            spec = spec_of_networks(options, expected_shape(data), classes=expected_class_shares(options))
            together = max(study.stack_size, study.seeds_of_job) if can_be_stacked(options) else 1
            need = need_of_run(options, spec, members=min(together, 1 + len(others))).beside(need_of_data(data))
        except OptionsError:  # of networks that cannot be built; their jobs say so, and others go on
            continue
        if side_by_side > 1:
            need = need.times(side_by_side, option="hydra.launcher.n_jobs", process=PROCESS)
        check_memory(need, free_memory(), number=side_by_side, what="jobs side by side")


def units_of(study: Study) -> tuple[int, str]:
    """Return how many replicates (seeds without replicates) the largest setting has, as a number and in words."""
    by_setting: dict[str, list[int | None]] = {}
    for _, options in study.runs:
        by_setting.setdefault(settings_key(options), []).append(options.replicate)
    replicates = max(by_setting.values(), key=len)
    if None in replicates:
        return len(replicates), f"{len(replicates)} seeds"
    count = len(set(replicates))
    return count, f"{count} replicates x {len(replicates) // count} seeds"


def what_it_can_show(study: Study, replicates: int) -> list[str]:
    if conditions := conditions_of(study):
        return what_a_list_can_show(replicates, conditions)
    return what_replicates_can_show(replicates, depths_of(study))


def conditions_of(study: Study) -> int:
    """Return how many conditions a list such as study=controls has; 0 where the study is no list."""
    found = [flat(options.model_dump()) for _, options in study.runs]
    varied = sorted(key for key in found[0] if any(key not in f or f[key] != found[0][key] for f in found[1:]))
    varied = [key for key in varied if key not in ("seed", "replicate")]
    settings = {repr([values.get(key) for key in varied]) for values in found}
    arms = {tuple(values[switch] for switch in SWITCHES) for values in found}
    return len(settings) if len(arms) == 2 < len(settings) and {*varied} <= {*CONDITIONS, *SWITCHES} else 0


def what_a_list_can_show(replicates: int, conditions: int) -> list[str]:
    """State the smallest difference from plain that the report on a list finds, simulated, and the smallest p."""
    if replicates < 2:
        return ["a single replicate: differences without intervals, a description and no evidence"]
    p, pairs = smallest_p(replicates), len(pairs_of(conditions))
    lines = [f"smallest attainable p {p:.2g}, corrected over {pairs} differences of {conditions} conditions"]
    size = detectable_in_list(replicates=replicates, conditions=conditions)
    if math.isinf(size):
        return [*lines, "so few replicates can detect no difference, however large: a descriptive study"]
    return [
        *lines,
        f"{replicates} replicates find, with {POWER:.0%} power, a condition that differs from all others by {size:.2g}",
        "standard deviations of one replicate's score",
    ]


def what_replicates_can_show(replicates: int, depths: tuple[float, ...]) -> list[str]:
    """State the smallest effects that the verdict on a curve of these depths finds, simulated, and the smallest p."""
    if replicates < 2:
        return ["a single replicate: effects without intervals, a description and no evidence"]
    p = smallest_p(replicates)
    over = f" over {len(depths)} depths" if len(depths) > 1 else ""
    found = {
        shape: detectable(replicates=replicates, depths=depths, shape=shape)
        for shape in (SHAPES if len(depths) > 1 else [next(iter(SHAPES))])  # one depth has one shape
    }
    lines = [f"smallest attainable p {p:.2g}, corrected over three effects {min(1, 3 * p):.2g}"]
    if math.isinf(max(found.values())):
        return [*lines, "so few replicates can detect no effect, however large: a descriptive study"]
    sizes = ", ".join(f"{size:.2g}" + (f" ({shape})" if over else "") for shape, size in found.items())
    lines += [
        f"{replicates} replicates{over} find, with {POWER:.0%} power, effects of the switch in G or in D of {sizes}",
        "standard deviations of one replicate's score, and an interaction of twice that; intervals of an effect beside",
        "one state of the other network are 1.4 times as wide as those of its mean over both",
    ]
    return lines


def depths_of(study: Study) -> tuple[float, ...]:
    """The depths of the longest curve in the study."""
    blocks = [(getattr(o.generator, "blocks", None), getattr(o.disc, "blocks", None)) for _, o in study.runs]
    varied, cells = lines_of({repr(cell): cell for cell in blocks}.values())[0]
    return tuple(number_of(cell[varied == "D"]) for cell in cells)


def report_end(study: Study) -> None:
    """Say, however a study or sweep ended, which results there are, and the command that reports on them."""
    places = zip(study.places(), study.runs, strict=True)
    status = {place: status_of(study, job, options) for place, (job, options) in places}
    ended = Counter(status.values())
    counts = ", ".join(f"{ended[kind]} {kind}" for kind in ("finished", "diverged", "open") if ended[kind])
    for line in edges_found(study):
        say(line)
    for kind in ("diverged", "open"):
        if found := [str(run.relative_to(study.place)) for run in status if status[run] == kind]:
            more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
            say(f"  {kind}: {', '.join(found[:NAMED])}{more}")
    say(f"{study.title}: {counts}; python -m resgan.report {study.place}")


def status_of(study: Study, job: list[str], options: TrainOptions) -> str:
    """Return "finished", "diverged" or "open": not ended yet."""
    try:
        result = Run(run_place(study.arm(job, options), options)).read_result(until_kimg=options.total_kimg)
    except RunError:
        return "open"
    return "open" if result is None else result["status"]


def settings_key(options: TrainOptions) -> str:
    """Key of a run's settings: all but its seed and replicate."""
    return options.model_copy(update={"seed": 0, "replicate": None}).model_dump_json()


def jobs_side_by_side(study: Study) -> int:
    """Return how many jobs really run side by side: no more than there are, if a cluster is free."""
    wanted = (os.cpu_count() or 1) if study.at_once < 0 else study.at_once
    return max(1, min(wanted, len({tuple(job) for job, _ in study.runs})))


# What runs cost.


def seconds_of_runs(study: Study, todo: list[TrainOptions], searches: Sequence[TrainOptions] = ()) -> float:
    """Estimate how long all runs and searches take; runs of equal cost are timed once."""
    size, replicates = study.stack_size, any(options.replicate is not None for options in todo)
    if size > 1 and ((study.at_once == 1 and not study.on_cluster) or not replicates):
        timed = [(stack, len(stack)) for stack in stacks_of(todo, lambda options: options, most=size)]
        for rung, share in rungs_of(searches):
            timed += [(stack, share * len(stack)) for stack in stacks_of(rung, lambda options: options, most=size)]
    else:  # each job makes stacks of its own
        own = study.seeds_of_job
        timed = [([one] * min(size, one.tuning.fresh_seeds) if replicates else [one] * own, 1) for one in todo]
        timed += [([one] * min(size, one.tuning.candidates), search_length(one.tuning)) for one in searches]
    examples = {stack_key(stack): stack for stack, _ in timed}

    @functools.cache
    def seconds(key: Hashable) -> float:
        return seconds_of_run(examples[key], side_by_side=study.at_once != 1 and not study.on_cluster)

    return sum(count * seconds(stack_key(stack)) for stack, count in timed) / jobs_side_by_side(study)


def rungs_of(searches: Sequence[TrainOptions]) -> list[tuple[list[TrainOptions], float]]:
    """Return the runs of all searches in each rung, at full length, and the share of it that the rung trains."""
    rungs: dict[tuple[int, float], list[TrainOptions]] = {}
    for one in searches:
        for number, (count, share) in enumerate(zip(rung_sizes(one.tuning), one.tuning.rungs, strict=False)):
            rungs.setdefault((number, share), []).extend([one] * count)
    return [(runs, share) for (_, share), runs in rungs.items()]


def stack_key(stack: Sequence[TrainOptions]) -> Hashable:
    """Key of a stack's cost: the number of its runs, and their costs."""
    return len(stack), frozenset(cost_key(options) for options in stack)


def cost_key(options: TrainOptions) -> str:
    """Key of a run's cost: learning rates and loss weights do not affect it."""
    values = options.model_dump()
    for name in TUNABLE:
        group, key = name.split(".")
        values[group][key] = bool(values[group][key])
    return repr(values | {"seed": 0, "replicate": None})


@dataclass(frozen=True)
class Cost:
    """Seconds that one run of a stack takes on this machine, by what it spends them on."""

    start: float  # before its first step
    step: float
    steps: int
    scoring: float
    scorings: int

    @property
    def seconds(self) -> float:
        return self.start + self.steps * self.step + self.scorings * self.scoring


def seconds_of_run(stack: Sequence[TrainOptions], *, side_by_side: bool) -> float:
    """Estimate how long one run of a stack takes: time some steps and a small scoring, alone on the machine."""
    start = time.perf_counter()
    components = build_components(without_bars(stack[0]), side_by_side=side_by_side, begins=False)
    return cost_of_run(stack, components, start=time.perf_counter() - start).seconds


def cost_of_run(stack: Sequence[TrainOptions], components: RunComponents, *, start: float) -> Cost:
    """Time some steps of a stack and a small scoring; `components` are those of the first run, built in `start` s."""
    options = stack[0]
    step = seconds_of_step(stack, components) / len(stack)
    # Moments take time in proportion to the samples; other scores are timed on as many samples as a run scores.
    count = SAMPLES if options.metrics.scores == ["frechet"] else options.metrics.samples
    scoring = seconds_of_scoring(components, count) * options.metrics.samples / count
    after_start = math.ceil(options.total_kimg / options.score_kimg) if options.score_kimg else 1
    steps = components.gan.total_images // options.batch_size
    return Cost(start=start, step=step, steps=steps, scoring=scoring, scorings=1 + after_start)


def seconds_of_step(stack: Sequence[TrainOptions], components: RunComponents) -> float:
    """Return the seconds of a step of all runs of a stack together; `components` are those of the first run."""
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
    bf16 = stack[0].trainer.precision == "bf16-mixed"

    def seconds_of_steps() -> float:
        start = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=bf16, cache_enabled=False):  # as Lightning's
            for step in range(STEPS):
                gan.training_step(given, step)
        synchronise(device)
        return time.perf_counter() - start

    seconds_of_steps()  # the first steps allocate
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
