"""Plan of a study on a cluster: time, devices, memory, disk and cost, from steps timed on this machine.

Three kinds of figures are told apart: measured here, computed from others, and given by the user.
"""

import gc
import heapq
import itertools
import math
import re
import resource
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from resgan.base.console import say
from resgan.base.device import find_accelerator
from resgan.base.errors import OptionsError
from resgan.base.progress import duration
from resgan.builders.components import build_components
from resgan.builders.stacking import stacks_of
from resgan.experiment.plan import STEPS, Cost, cost_of_run, stack_key, without_bars
from resgan.experiment.precision import with_precision
from resgan.experiment.search import search_length
from resgan.experiment.searches import check_searches
from resgan.experiment.study import Study
from resgan.options.plan import ClusterOptions, PlanOptions
from resgan.options.train import TrainOptions

HOUR = 3600  # seconds
FLOAT = 4  # bytes: weights, gradients, moments and the average are float32 in every precision
HERE = HOUR  # seconds: what one device does in less needs no cluster
Shape = tuple[int, int]  # of a job: the machines it takes, and the places on each, as many on a device as jobs there
MEASURED, COMPUTED, GIVEN = "measured", "computed", "given"


@dataclass(frozen=True)
class Part:
    """Runs of a job that are trained as one, and how many runs of full length the job trains in such stacks."""

    stack: Sequence[TrainOptions]
    runs: float


@dataclass(frozen=True)
class Kind:
    """A kind of stack, as measured on this machine."""

    cost: Cost  # of one of its runs
    parameters: Mapping[str, int]  # of one of its runs, by network
    flops: Mapping[str, int]  # of a sample's way through each network
    options: TrainOptions  # of its first run
    size: int  # runs trained as one

    @property
    def seconds(self) -> float:
        """Seconds of the stack from its start to its end."""
        return self.size * self.cost.seconds


@dataclass(frozen=True)
class Measured:
    """All that is measured on this machine."""

    kinds: Mapping[Hashable, Kind]  # by the key of a stack
    where: str  # device and threads
    memory: int  # bytes held at most, by all that a process has loaded
    memory_before: int  # bytes held before the first network was built


@dataclass(frozen=True)
class Work:
    """A job on a cluster."""

    seconds: float
    start: float = 0.0  # seconds before its first step, again in each job that continues it
    devices: int = 1  # of each machine
    nodes: int = 1  # machines

    def until(self, limit: float) -> tuple[float, "Work | None"]:
        """Cut the job at a limit. Returns the seconds of the first piece, and the job that continues it, if any."""
        if self.seconds <= limit:
            return self.seconds, None
        return limit, replace(self, seconds=self.seconds - limit + self.start)


@dataclass(frozen=True)
class Row:
    """A figure of the plan: its name, its value, where it comes from, and what it is about."""

    name: str
    value: str
    source: str
    note: str = ""


def plan(options: PlanOptions, study: Study) -> None:
    """Print the plan. Raises UserError where the study could not begin, there or here."""
    cluster = options.cluster
    check_searches(study)
    check_devices(study, cluster)
    jobs = jobs_of(study)
    measured = measure([part.stack for parts in jobs for part in parts], side_by_side=cluster.jobs > 1)
    print("\n".join(plan_lines(study, jobs, measured, cluster)))


def check_devices(study: Study, cluster: ClusterOptions) -> None:
    """Raise OptionsError for a run of more devices or machines than there are."""
    for _, options in study.runs:
        for name, asked in (("devices", options.trainer.devices), ("nodes", options.trainer.nodes)):
            if asked > (there := getattr(cluster, name)):
                raise OptionsError(f"trainer.{name}={asked}: expected at most cluster.{name}={there}")


# Jobs.


def jobs_of(study: Study) -> list[list[Part]]:
    """Divide a study into jobs that need nothing from each other: what each of them trains, one after the other.

    Runs that share stacks are a job a stack; the search of a replicate and its fresh seeds are one job, in stacks of
    their own; all others are the jobs of the study.
    """
    runs = [options for _, options in study.runs]
    if study.stack_size > 1 and all(options.replicate is None for options in runs):
        return [[Part(stack, len(stack))] for stack in stacks_of(runs, lambda one: one, most=study.stack_size)]
    by_job: dict[tuple[str, ...], list[TrainOptions]] = {}
    for words, options in study.runs:
        by_job.setdefault(tuple(words), []).append(options)
    return [parts_of(runs, stack_size=study.stack_size) for runs in by_job.values()]


def parts_of(runs: Sequence[TrainOptions], *, stack_size: int) -> list[Part]:
    """Return the parts of a job: its seeds as one, or the search of a replicate and its fresh seeds."""
    first = runs[0]
    if first.replicate is None:
        return [Part(runs, len(runs))]
    fresh = Part(runs[:stack_size], len(runs))
    if not (candidates := first.tuning.candidates):
        return [fresh]
    return [Part([first] * min(stack_size, candidates), search_length(first.tuning)), fresh]


# Measured.


def measure(stacks: Sequence[Sequence[TrainOptions]], *, side_by_side: bool) -> Measured:
    """Time steps and a scoring of each kind of stack, and the memory that all of it took. Raises UserError."""
    kinds: dict[Hashable, Kind] = {}
    examples = {stack_key(stack): stack for stack in stacks}
    trainer = next(iter(examples.values()))[0].trainer
    accelerator = find_accelerator("trainer.accelerator", trainer.accelerator)
    before = peak_memory(accelerator)
    for key, stack in examples.items():
        stack = [without_bars(one) for one in with_precision(stack)]
        begun = time.perf_counter()
        components = build_components(stack[0], side_by_side=side_by_side)
        start = time.perf_counter() - begun
        if not kinds:  # the first could be built
            say(f"times {STEPS} steps and a scoring of each of {counted(len(examples), 'kind')} of run")
        cost = cost_of_run(stack, components, start=start)
        counts = components.counts
        kinds[key] = Kind(cost, counts["parameters"], counts["flops"], stack[0], len(stack))
        del components
        gc.collect()  # what one kind held is not counted for the next
    threads = counted(torch.get_num_threads(), "thread")
    where = torch.cuda.get_device_name() if accelerator == "cuda" else f"{accelerator}, {threads}"
    return Measured(kinds, where, peak_memory(accelerator), before)


def peak_memory(accelerator: str) -> int:
    """Return the most bytes held at one time so far: on a CUDA device, elsewhere by this process."""
    if accelerator == "cuda":
        return torch.cuda.max_memory_allocated()
    if (status := Path("/proc/self/status")).exists():  # getrusage there may tell of the process that started this one
        [kilobytes] = re.findall(r"^VmHWM:\s+(\d+) kB$", status.read_text(), flags=re.M)
        return 1024 * int(kilobytes)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


# Computed.


def memory_of_training(kind: Kind) -> int:
    """Bytes of weights, gradients and Adam's two moments of both networks, and of G's average."""
    generator, disc = kind.parameters["generator"], kind.parameters["disc"]
    return kind.size * FLOAT * (5 * generator + 4 * disc)


def bytes_of_checkpoints(kind: Kind) -> int:
    """Bytes that the checkpoints of one run take at its end: final, best and last, and the one before, if any."""
    generator, disc = kind.parameters["generator"], kind.parameters["disc"]
    options = kind.options
    saves = math.ceil(options.total_kimg / options.save_kimg) if options.save_kimg else 1
    files = 3 + (saves > 1)
    return files * FLOAT * (4 * generator + 3 * disc)  # gradients are not saved


def work_of(parts: Sequence[tuple[float, Kind]], speed: float) -> Work:
    """Return a job of so many runs of each kind, as a cluster sees it; devices share the work without loss."""
    first, trainer = parts[0][1], parts[0][1].options.trainer
    start = sum(runs * kind.cost.start for runs, kind in parts)
    rest = sum(runs * kind.cost.seconds for runs, kind in parts) - start
    return Work(
        seconds=(start + rest / (trainer.devices * trainer.nodes)) / speed,
        start=first.size * first.cost.start / speed,
        devices=trainer.devices,
        nodes=trainer.nodes,
    )


def device_seconds(work: Work, cluster: ClusterOptions) -> float:
    """Seconds of whole devices that a job takes, with what its continuations repeat; jobs side by side share one."""
    count = work.devices * work.nodes
    repeated = (jobs_needed(work, limit_of(cluster)) - 1) * work.start
    return (work.seconds + repeated) * (count if count > 1 else 1 / cluster.jobs)


def limit_of(cluster: ClusterOptions) -> float:
    return math.inf if cluster.hours is None else HOUR * cluster.hours


def jobs_needed(work: Work, limit: float) -> int:
    """Return how many jobs, one after the other, a limit makes of one. Raises OptionsError where none gets anywhere."""
    if work.seconds <= limit:
        return 1
    if work.start >= limit:
        needed = f"{work.start / HOUR:.2g}, which a job needs before its first step"
        raise OptionsError(f"cluster.hours={limit / HOUR:g}: expected more than {needed}")
    return 1 + math.ceil((work.seconds - limit) / (limit - work.start))


def makespan(works: Sequence[Work], cluster: ClusterOptions) -> float:
    """Return the seconds until the last job ends, where free devices always take the longest job that fits.

    This is list scheduling, longest first (Graham 1969). A job that has reached the limit waits again with its rest.
    """
    limit, left = limit_of(cluster), dict(enumerate(works))
    free = [cluster.devices * cluster.jobs] * cluster.nodes  # places on each machine
    waiting: dict[Shape, list[tuple[float, int]]] = {}  # (-seconds, number) of each job
    running: list[tuple[float, int, Shape, list[int]]] = []  # (end, number, shape, machines)

    def wait(number: int) -> None:
        work = left[number]
        places = work.devices * (cluster.jobs if work.devices * work.nodes > 1 else 1)
        heapq.heappush(waiting.setdefault((work.nodes, places), []), (-work.seconds, number))

    for number in left:
        wait(number)
    now = 0.0
    while running or any(waiting.values()):
        fitting = {shape: found for shape, queue in waiting.items() if queue and (found := room_for(shape, free))}
        if fitting:
            shape = min(fitting, key=lambda shape: waiting[shape][0])
            _, number = heapq.heappop(waiting[shape])
            seconds, rest = left.pop(number).until(limit)
            if rest is not None:
                left[number] = rest
            heapq.heappush(running, (now + seconds, number, shape, fitting[shape]))
            occupy(free, fitting[shape], shape[1])
            continue
        now = running[0][0]
        while running and running[0][0] == now:
            _, number, shape, machines = heapq.heappop(running)
            occupy(free, machines, -shape[1])
            if number in left:
                wait(number)
    return now


def room_for(shape: Shape, free: Sequence[int]) -> list[int]:
    """Return the first machines with room for a job; empty where there are too few."""
    count, places = shape
    found = list(itertools.islice((machine for machine, room in enumerate(free) if room >= places), count))
    return found if len(found) == count else []


def occupy(free: list[int], machines: Sequence[int], places: int) -> None:
    for machine in machines:
        free[machine] -= places


# What is said.


def plan_lines(study: Study, jobs: list[list[Part]], measured: Measured, cluster: ClusterOptions) -> list[str]:
    speed, by_key = cluster.speed or 1.0, measured.kinds
    each = [[(part.runs, by_key[stack_key(part.stack)]) for part in parts] for parts in jobs]
    works = [work_of(parts, speed) for parts in each]
    rows = [
        *cluster_rows(cluster),
        *run_rows(list(by_key.values()), measured.where),
        *time_rows([work_of([(kind.size, kind)], speed) for kind in by_key.values()], works, cluster),
        *size_rows(each, measured),
        cost_row(works, cluster),
    ]
    widths = [max(len(getattr(row, name)) for row in rows) for name in ("name", "value", "source")]
    lines = [
        f"  {row.name:<{widths[0]}}  {row.value:>{widths[1]}}  {row.source:<{widths[2]}}  {row.note}".rstrip()
        for row in rows
    ]
    name = f"study {study.name}" if study.name else "this line"
    head = f"{name}: {counted(len(study.runs), 'run')} in {counted(len(jobs), 'job')}"
    return [head, *lines, *remarks(study, each, measured, cluster)]


def cluster_rows(cluster: ClusterOptions) -> list[Row]:
    what = f"{cluster.nodes} x {cluster.devices} x {cluster.jobs}"
    rows = [Row("cluster", what, GIVEN, "machines x devices x jobs side by side on a device")]
    known = "times as fast as here, for a job" if cluster.speed else "cluster.speed=null: taken to be as fast as here"
    rows.append(Row("speed there", f"{cluster.speed or 1:g}", GIVEN, known))
    if cluster.hours is not None:
        rows.append(Row("limit of a job", f"{cluster.hours:g} h", GIVEN))
    if cluster.memory_gb is not None:
        rows.append(Row("memory of a device", f"{cluster.memory_gb:g} GB", GIVEN))
    return rows


def run_rows(kinds: Sequence[Kind], where: str) -> list[Row]:
    most = max(kind.size for kind in kinds)
    stacked = f", up to {most} runs as one" if most > 1 else ""
    step = between([1000 * kind.cost.step for kind in kinds])
    scoring = between([kind.cost.scoring for kind in kinds])
    steps = between([kind.cost.steps for kind in kinds])
    flops = [sum(kind.flops.values()) for kind in kinds]
    unit, name = (1e9, "GFLOP") if max(flops) >= 1e9 else (1e6, "MFLOP")
    sample = f"{between([count / unit for count in flops])} {name}"
    scorings = between([kind.cost.scorings for kind in kinds])
    return [
        Row("a step of a run", f"{step} ms", MEASURED, f"here: {where}{stacked}; {counted(len(kinds), 'kind')} of run"),
        Row("a scoring of a run", f"{scoring} s", MEASURED, "here"),
        Row("steps of a run", steps, COMPUTED, f"and {scorings} scorings"),
        Row("a sample", sample, COMPUTED, "forward through G and D"),
    ]


def time_rows(runs: Sequence[Work], works: Sequence[Work], cluster: ClusterOptions) -> list[Row]:
    longest_run, longest = (max(some, key=lambda work: work.seconds) for some in (runs, works))
    count, pieces = longest.devices * longest.nodes, sum(jobs_needed(work, limit_of(cluster)) for work in works)
    shared = f", on {count} devices, as if they shared it without loss" if count > 1 else ""
    cut = f"the limit makes {pieces:,} jobs of {len(works):,}" if pieces > len(works) else ""
    hours = sum(device_seconds(work, cluster) for work in works) / HOUR
    return [
        Row("the longest run", duration(longest_run.seconds), COMPUTED, f"there{shared}"),
        Row("the longest job", duration(longest.seconds), COMPUTED, cut),
        Row("device hours", three_digits(hours), COMPUTED, "of all jobs"),
        Row(
            "from start to end", duration(makespan(works, cluster)), COMPUTED, "longest first, if all devices are free"
        ),
    ]


def size_rows(jobs: Sequence[Sequence[tuple[float, Kind]]], measured: Measured) -> list[Row]:
    # The last part of a job are the runs that a result is drawn from; a search removes its checkpoints.
    disk = sum(parts[-1][0] * bytes_of_checkpoints(parts[-1][1]) for parts in jobs)
    training = max(map(memory_of_training, measured.kinds.values()))
    before = format_bytes(measured.memory_before)
    return [
        Row("memory of a job", format_bytes(measured.memory), MEASURED,
            f"here, the most of all kinds; {before} of it before the first network"),
        Row("of that, training", format_bytes(training), COMPUTED, "weights, gradients, Adam's moments, the average"),
        Row("checkpoints", format_bytes(disk), COMPUTED, "on disk at the end"),
    ]  # fmt: skip


def cost_row(works: Sequence[Work], cluster: ClusterOptions) -> Row:
    if cluster.price is None:
        return Row("cost", "unknown", GIVEN, "cluster.price=null")
    hours = sum(device_seconds(work, cluster) for work in works) / HOUR
    rate = f"{cluster.price:g} {cluster.currency} for a device hour (given)"
    return Row(
        "cost", f"{cluster.price * hours:,.2f} {cluster.currency}", COMPUTED, f"{rate}; devices that wait are free"
    )


def remarks(
    study: Study, jobs: Sequence[Sequence[tuple[float, Kind]]], measured: Measured, cluster: ClusterOptions
) -> list[str]:
    """Say what the figures alone do not: what does not fit, and what needs no cluster."""
    lines = []
    together = cluster.jobs * measured.memory
    if cluster.memory_gb is not None and together > 1e9 * cluster.memory_gb:
        beside = f" for {cluster.jobs} jobs" if cluster.jobs > 1 else ""
        needed = format_bytes(together)
        lines.append(f"does not fit: a device has {cluster.memory_gb:g} GB, and {needed} are needed{beside}")
    alone = sum(runs * kind.cost.seconds for parts in jobs for runs, kind in parts)
    if cluster.nodes * cluster.devices * cluster.jobs > 1 and alone < HERE:
        lines.append(f"needs no cluster: one job after the other takes {duration(alone)} on this machine (computed)")
    if study.stack_size > 1 and any(options.replicate is not None for _, options in study.runs):
        lines.append(f"each replicate is a job with stacks of its own, of up to {study.stack_size} runs")
    return lines


def counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def three_digits(value: float) -> str:
    """Format a number with three digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def between(values: Sequence[float]) -> str:
    low, high = three_digits(min(values)), three_digits(max(values))
    return low if low == high else f"{low} to {high}"


def format_bytes(count: float) -> str:
    """Format bytes in powers of ten, as memory_gb is given."""
    power = min(max(int(math.log10(max(count, 1))) // 3, 1), 3)
    return f"{three_digits(count / 1000**power)} {('kB', 'MB', 'GB')[power - 1]}"
