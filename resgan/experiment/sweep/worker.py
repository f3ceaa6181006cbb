"""A worker of a sweep: it takes one trial after another, and runs each as `python -m resgan.train`.

`python -m resgan.experiment.sweep.worker TASK` starts one beside others.
"""

import json
import math
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import torch

from resgan.base.console import say, stop
from resgan.base.device import take_gpu
from resgan.base.errors import OptionsError, UserError
from resgan.base.files import try_lock
from resgan.base.plain_data import PlainData
from resgan.base.signals import StopSignal, stop_signals
from resgan.experiment.sweep.space import Search
from resgan.experiment.sweep.storage import KIMG, OVERRIDES, STATUS, Taken, Trials, report
from resgan.runs.directory import Run

EVERY = 0.5  # seconds between two looks at whether a run goes on
EVERY_SCORES = 5  # and at its scores, for which its measurements are read from the beginning
ATTEMPTS = 3  # at a run that ends by a signal, as where memory is short
ENDED, DIVERGED, REFUSED = 0, 3, 2  # exit statuses of a run


@dataclass(frozen=True)
class Task:
    """Task of a worker."""

    search: PlainData  # of a Search
    directory: str
    storage: str | None
    name: str
    trials: int  # of each arm
    fresh_seeds: int
    threads: int | None  # of a run; None: as its options say
    one_gpu: bool  # for each worker

    def open(self) -> Trials:
        return Trials(
            Search.from_data(self.search),
            Path(self.directory),
            storage=self.storage,
            name=self.name,
            count=self.trials,
            further=[] if self.threads is None else [f"trainer.threads={self.threads}"],
        )


def work(task: Task, stop_signal: StopSignal) -> None:
    """Run trials, then fresh seeds, until all have ended, those of other workers too.

    Raises SystemExit on a signal, and OptionsError where the defaults are no run.
    """
    trials = task.open()
    if task.one_gpu and torch.cuda.is_available():
        show_one_gpu()
    runner = Runner(trials, task.fresh_seeds, stop_signal)
    while not trials.all_ended:
        if (taken := trials.take()) is not None:
            with taken.lock:
                runner.run_trial(taken)
        else:
            runner.wait()
    while not runner.fresh_ended:
        if not runner.run_one_fresh():
            runner.wait()


def show_one_gpu() -> None:
    """Show the runs of this worker one GPU, if there are several, that no other job has."""
    take_gpu()
    visible, number = os.environ.get("CUDA_VISIBLE_DEVICES", ""), torch.cuda.current_device()
    os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[number] if visible else str(number)


@dataclass(frozen=True)
class Fresh:
    """A run of an arm's best settings with a seed that no trial had."""

    name: str
    overrides: list[str]
    directory: Path
    lock: Path

    @property
    def ended(self) -> bool:
        return Run(self.directory).result.exists()


class Runner:
    """Runs trials in processes of their own, and tells Optuna what they reach."""

    def __init__(self, trials: Trials, fresh_seeds: int, stop_signal: StopSignal) -> None:
        self.trials, self.search, self.stop_signal = trials, trials.search, stop_signal
        self.fresh_seeds = fresh_seeds

    def wait(self) -> None:
        """Wait a little. Raises SystemExit after a signal."""
        time.sleep(EVERY)
        if self.stop_signal.number is not None:
            raise SystemExit(128 + self.stop_signal.number)

    def run_trial(self, taken: Taken) -> None:
        trial, log = taken.trial, log_of(taken.directory)
        searched = {dimension.option for dimension in self.search.dimensions}
        values = [word for word in taken.overrides if word.partition("=")[0] in searched]
        say(f"{taken.name} {'is taken up again' if taken.again else 'begins'}: {' '.join(values)}")
        runs = [Run(path) for path in self.directories_in(taken.directory)]

        told = 0

        def is_behind() -> bool:
            """Report new scores, if any; return True if the trial is to be pruned."""
            nonlocal told
            if len(scores := scores_so_far(runs)) == told:
                return False
            told = len(scores)
            report(trial, scores)
            return trial.should_prune() and scores[-1][0] < self.search.images

        status, pruned = self.run(taken.overrides, taken.directory, taken.name, taken.lock, is_behind)
        report(trial, scores_so_far(runs))
        trial.set_user_attr(KIMG, sum(map(images_seen, runs)) / 1000)
        if pruned:
            self.tell(taken, "pruned", None)
        elif status in (ENDED, DIVERGED):
            results = [run.read_result() or {} for run in runs]
            diverged = sum(result["status"] == "diverged" for result in results)
            value = statistics.fmean(math.inf if r["objective"] is None else r["objective"] for r in results)
            self.tell(taken, f"diverged ({diverged} of {len(runs)} runs)" if diverged else "finished", value)
        elif status == REFUSED and trial.number == 0:
            raise OptionsError(last_line(log))  # not told: the same command takes it up, once that is mended
        else:
            self.tell(taken, f"failed with exit status {status}; see {log}", math.nan)

    def directories_in(self, directory: Path) -> list[Path]:
        """Return the directories of a trial's runs."""
        return [directory / str(seed) for seed in self.search.seeds] if self.search.nested else [directory]

    def tell(self, taken: Taken, status: str, value: float | None) -> None:
        taken.trial.set_user_attr(STATUS, status.split()[0])
        self.trials.tell(taken, value)
        reached = f", {value:.4g}" if value is not None and math.isfinite(value) else ""
        say(f"{taken.name} {status}{reached}")

    def run(
        self, overrides: Sequence[str], directory: Path, name: str, lock: IO[str], is_behind: Callable[[], bool]
    ) -> tuple[int, bool]:
        """Run `resgan.train` to its end, or until it is behind. Returns its exit status, and whether it was.

        The run inherits the lock, so that nobody else takes it up while it goes on, should this worker end before it.
        """
        log = log_of(directory)
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "resgan.train", *overrides, "trainer.progress=false", f"run_dir={directory}"]
        status = 1
        for attempt in range(ATTEMPTS):
            if attempt:
                self.wait()  # a signal to the run may have been one to all
                say(f"{name}: its run was ended by signal {signal_of(status)}, and is continued")
            with log.open("a") as file:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=file,
                    start_new_session=True,  # Ctrl-C reaches this worker alone
                    pass_fds=[lock.fileno()],
                )
            try:
                behind = self.watch(process, is_behind)
            finally:
                if process.poll() is None:
                    process.terminate()  # it saves its state
                    process.wait()
            if behind:
                return ENDED, True
            if not signal_of(status := process.returncode):
                break
        return status, False

    def watch(self, process: subprocess.Popen, is_behind: Callable[[], bool]) -> bool:
        """Watch a run until it ends; return True if it is behind. Raises SystemExit after a signal."""
        looked = time.monotonic()
        while process.poll() is None:
            try:
                process.wait(EVERY)
            except subprocess.TimeoutExpired:
                if self.stop_signal.number is not None:
                    raise SystemExit(128 + self.stop_signal.number) from None
                if time.monotonic() - looked >= EVERY_SCORES:
                    if is_behind():
                        return True
                    looked = time.monotonic()
        return False

    # The best settings with fresh seeds.

    def fresh_runs(self) -> list[Fresh]:
        """Return the runs that compare the arms, each with its best settings."""
        found = []
        for arm in self.search.arms:
            best = self.trials.best(arm)
            if best is None or not math.isfinite(best.value or 0):
                continue
            kept = [word for word in best.user_attrs[OVERRIDES] if not word.lstrip("+").startswith(("seed=", "seeds="))]
            first = max(self.search.seeds) + 1
            for seed in range(first, first + self.fresh_seeds):
                directory = fresh_directory(self.trials, arm) / str(seed)
                lock = self.trials.directory / "locks" / f"{arm}-{best.number:03d}-fresh-{seed}"
                found.append(Fresh(f"{arm} seed {seed}", [*kept, f"seed={seed}"], directory, lock))
        return found

    @property
    def fresh_ended(self) -> bool:
        return all(one.ended for one in self.fresh_runs())

    def run_one_fresh(self) -> bool:
        """Run one that nobody runs; return False where there is none. Raises UserError if it fails."""
        for one in self.fresh_runs():
            if one.ended or (lock := try_lock(one.lock)) is None:
                continue
            with lock:
                say(f"{one.name}, with the best settings, begins")
                status, _ = self.run(one.overrides, one.directory, one.name, lock, lambda: False)
                if not one.ended:
                    raise UserError(f"{one.name} failed with exit status {status}; see {log_of(one.directory)}")
                result = Run(one.directory).read_result() or {}
                say(f"{one.name}, with the best settings, {result['status']}")
                return True
        return False


def fresh_directory(trials: Trials, arm: str) -> Path:
    """The directory of an arm's best settings with fresh seeds: another one once another trial is the best."""
    best = trials.best(arm)
    assert best is not None
    return trials.directory / "fresh" / arm / f"trial-{best.number:03d}"


# The runs of a trial.


def signal_of(status: int) -> int:
    """Return the number of the signal that ended a process, by itself or after it has saved its state; 0: none did."""
    number = -status if status < 0 else status - 128
    return number if status < 0 or number in stop_signals() else 0


def scores_so_far(runs: Sequence[Run]) -> list[tuple[int, float]]:
    """Return the primary endpoint by images seen, its mean over the runs where all have it."""
    found: list[dict[int, float]] = []
    for run in runs:
        scored = [m for m in run.measurements() if m["kind"] == "scores" and m["images_seen"]]
        values = {m["images_seen"]: next(iter(m["scores"].values())) for m in scored}  # the first is the primary one
        found.append({n: math.inf if value is None else value for n, value in values.items()})
    return [(n, statistics.fmean(values[n] for values in found)) for n in sorted(set.intersection(*map(set, found)))]


def images_seen(run: Run) -> int:
    return max((m["images_seen"] for m in run.measurements()), default=0)


def log_of(directory: Path) -> Path:
    """The output of a run's command, beside its directory, which is the run's alone."""
    return directory.with_name(f"{directory.name}.log")


def last_line(log: Path) -> str:
    return log.read_text().strip().splitlines()[-1].removeprefix("resgan: ")


# Workers side by side.


def work_side_by_side(task: Task, count: int, stop_signal: StopSignal) -> None:
    """Start workers and wait for them. Raises SystemExit on a signal, and where none of them came to the end."""
    command = [sys.executable, "-m", "resgan.experiment.sweep.worker", json.dumps(asdict(task))]
    # Their standard input closes when this process ends, however it does.
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) for _ in range(count)]
    try:
        while any(worker.poll() is None for worker in workers):
            time.sleep(EVERY)
            if stop_signal.number is not None or any(worker.poll() == REFUSED for worker in workers):
                break
    finally:
        for worker in workers:
            if worker.poll() is None:
                worker.terminate()
        for worker in workers:
            worker.wait()
    if stop_signal.number is not None:
        raise SystemExit(128 + stop_signal.number)
    statuses = [worker.returncode for worker in workers]
    for number in (-status for status in statuses if status < 0):
        say(f"a worker was ended by signal {number}")
    if REFUSED in statuses:
        raise SystemExit(REFUSED)
    if all(statuses):
        raise SystemExit(1)


def end_with_command() -> None:
    """Stop this worker, as a signal would, if it outlives the command that started it."""
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    task, stop_signal = Task(**json.loads(sys.argv[1])), StopSignal()
    with stop_signal.listening():
        threading.Thread(target=end_with_command, daemon=True).start()
        try:
            work(task, stop_signal)
        except UserError as error:
            stop(str(error))


if __name__ == "__main__":
    main()
