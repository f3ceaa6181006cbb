"""Kill commands at random and at aimed moments, go on with them, and compare what they end with, bit for bit.

    python scripts/torture.py [--kills 300] [--kinds points,seeds,...] [--seed 0] [--jobs 2] [--keep DIRECTORY]

A trial begins a command in an empty directory, stops it one to four times and each time goes on with the same command:
by a signal after a random time, or by SIGKILL just before a random call of a function that writes. In the end
everything must equal what the command leaves when nothing disturbs it, except for times. No command may print a
traceback or end with a status that is not its own. Prints a table, and a line for each trial that failed; exit status 1
if there is one. A kind's trial is decided by --seed and its number, except for how far the machine comes in a time.
"""

import argparse
import collections
import concurrent.futures
import json
import multiprocessing
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from helpers.killing import POINTS, differences
from helpers.options import TINY
from helpers.processes import Process, start

SIGNALS = ("SIGKILL", "SIGKILL", "SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "2 x SIGINT")
MOST = 4  # kills in a trial
WRITES = ("os.replace", "os.fsync", *(name for name in POINTS.values() if name.startswith("resgan.")))

POINTS_RUN = [*TINY, "disc.steps=2", "generator.norm=batch", "sample_kimg=1", "total_kimg=6"]
# Everything that has a state: statistics, spectral norm, lazy penalties, classes, an adaptive augmentation, schedules.
IMAGES_RUN = [
    "generator.width=8", "disc.width=8", "generator.blocks=1", "disc.blocks=1", "generator.norm=batch",
    "disc.norm=batch", "disc.spectral=true", "generator.spectral=true", "disc.steps=2", "metrics=exact",
    "metrics.samples=100", "batch_size=8", "total_kimg=0.4", "score_kimg=0.1", "sample_kimg=0.2", "save_kimg=0.1",
    "loss.r1_interval=3", "loss.r2_interval=5", "trainer.accelerator=cpu", "trainer.threads=1", "data.count=300",
    "generator.conditional=norm", "disc.conditional=projection", "augment=adaptive", "augment.target=0.05",
    "augment.adapt_kimg=0.5", "loss=hinge", "generator.batch_size=12", "burn_in_kimg=0.3", "loss.r1_final=0.02",
]  # fmt: skip
ARMS = ["-m", *TINY, "generator.residual=true,false", "disc.residual=true,false"]
SEARCH = ["tuning.candidates=4", "tuning.rungs=[0.5,1]", "tuning.fresh_seeds=2", "tuning.accept_edge=true"]


@dataclass(frozen=True)
class Kind:
    """A command to disturb, what is there before it, and how its places may be aimed at."""

    command: str
    arguments: Sequence[str]
    before: Sequence[str] = ()  # arguments of a `train` that lies there
    aims: Sequence[str] = WRITES  # functions


KINDS = {
    "points": Kind("train", [*POINTS_RUN, "run_dir=run"]),
    "state": Kind("train", [*IMAGES_RUN, "run_dir=run"]),
    "W&B offline": Kind("train", [*POINTS_RUN, "run_dir=run", "wandb=offline"]),
    "longer": Kind("train", ["run_dir=run", "total_kimg=6"], before=[*POINTS_RUN, "total_kimg=3", "run_dir=run"]),
    "seeds": Kind("train", [*TINY, "seeds=0-3", "run_dir=run"]),
    "study": Kind("train", [*ARMS, "total_kimg=2", "run_dir=run"]),
    "stacked study": Kind("train", [*ARMS, "trainer.stack=4", "run_dir=run"]),
    "search": Kind("train", ["-m", *TINY, "total_kimg=2", "replicate=0,1", *SEARCH, "trainer.stack=8", "run_dir=run"]),
    "two processes": Kind("train", [*POINTS_RUN, "trainer.devices=2", "generator.norm=none", "run_dir=run"]),
    "evaluate": Kind("evaluate", ["ckpt=run", "metrics=exact", "metrics.samples=20000", "outdir=scores"],
                     before=[*TINY, "run_dir=run"], aims=[POINTS["before a line"], POINTS["before samples are drawn"]]),
    "sample": Kind("sample", ["ckpt=run", "seeds=0-999", "outdir=samples", "format=npz"],
                   before=[*TINY, "run_dir=run"], aims=["os.replace", "os.fsync"]),
}  # fmt: skip


@dataclass
class Trial:
    """One trial: its kills, and whatever was wrong."""

    kind: str
    number: int
    kills: list[str] = field(default_factory=list)  # "SIGKILL at 0.53 s", "os.replace 3"
    wrong: list[str] = field(default_factory=list)  # empty: it held


def disturb(name: str, number: int, seed: int, reference: Path, seconds: float, keep: Path | None) -> Trial:
    """Run one trial. `seconds`: how long the command takes when nothing disturbs it."""
    kind, draw, trial = KINDS[name], random.Random(f"{seed} {name} {number}"), Trial(name, number)
    folder = Path(tempfile.mkdtemp(prefix="torture-"))
    prepare(kind, folder)
    for _ in range(draw.randint(1, MOST)):
        process, how = (by_call if draw.random() < 0.5 else by_signal)(kind, folder, draw, seconds)
        if "Traceback" in process.stderr and process.returncode != -signal.SIGINT:  # before Python has come to resgan
            trial.wrong.append(f"a traceback after {how}: {process.stderr.strip().splitlines()[-1]}")
        if process.returncode == 0:
            break  # it had ended before
        trial.kills.append(how)
        if process.returncode not in statuses(how):
            trial.wrong.append(f"status {process.returncode} after {how}: {process.stderr.strip()[-200:]}")
    last = start(kind.command, *kind.arguments, cwd=folder).wait(600)
    if last.returncode != 0:
        trial.wrong.append(f"status {last.returncode} at the end: {last.stderr.strip()[-300:]}")
    for root in (reference, folder):
        drop_traces(root)
    trial.wrong += differences(reference, folder)
    if trial.wrong and keep:
        shutil.copytree(folder, keep / f"{name}-{number}", dirs_exist_ok=True)
    shutil.rmtree(folder)
    return trial


def drop_traces(root: Path) -> None:
    """Drop what other commands than `train` leave of each call: a line with its time, a file that was not finished."""
    if (file := root / "scores" / "metrics.jsonl").exists():
        last = json.loads(file.read_text().splitlines()[-1])
        file.write_text(json.dumps(last | {"time": None}) + "\n")
    for path in (root / "samples").glob("*.unfinished-*"):
        path.unlink()


def prepare(kind: Kind, folder: Path) -> None:
    if kind.before:
        process = start("train", *kind.before, cwd=folder).wait(600)
        assert process.returncode == 0, process.stderr


def by_signal(kind: Kind, folder: Path, draw: random.Random, seconds: float) -> tuple[Process, str]:
    """Start the command and send it a signal, or two, after a random time."""
    name, after = draw.choice(SIGNALS), seconds * draw.random()
    process = start(kind.command, *kind.arguments, cwd=folder)
    time.sleep(after)
    twice = name.startswith("2 x ")
    for _ in range(2 if twice else 1):
        if process.poll() is None:
            process.send(getattr(signal, name.removeprefix("2 x ")))
        time.sleep(0.05 * draw.random() if twice else 0)
    return process.wait(600), f"{name} at {after:.2f} s"


def by_call(kind: Kind, folder: Path, draw: random.Random, seconds: float) -> tuple[Process, str]:
    """Start the command, which is killed before a random call of one of the functions that write."""
    place = f"{draw.choice(kind.aims)} {1 + int(draw.expovariate(1 / 6))}"
    return start(kind.command, *kind.arguments, cwd=folder, RESGAN_TEST_KILL=place).wait(600), place


def statuses(how: str) -> set[int]:
    """Return the statuses with which a command may end."""
    name = how.partition(" at ")[0].removeprefix("2 x ")
    if not hasattr(signal, name):
        return {-signal.SIGKILL}
    number = getattr(signal, name)
    return {-number} if name == "SIGKILL" else {128 + number, -number}  # the second: before Python has handlers


# All of it.


def undisturbed(name: str, folder: Path) -> float:
    """Run the command of a kind to its end; return how many seconds it took."""
    prepare(KINDS[name], folder)
    began = time.monotonic()
    process = start(KINDS[name].command, *KINDS[name].arguments, cwd=folder).wait(600)
    assert process.returncode == 0, process.stderr
    return time.monotonic() - began


def torture(
    kinds: Sequence[str], *, kills: int, seed: int, jobs: int, keep: Path | None = None, show: bool = True
) -> list[Trial]:
    """Run trials of each kind in turn until so many kills have been made; return the trials."""
    trials: list[Trial] = []
    context = multiprocessing.get_context("spawn")  # each has its own server of processes
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ProcessPoolExecutor(jobs, context) as pool:
        folders = {name: Path(scratch) / name.replace(" ", "-") for name in kinds}
        for folder in folders.values():
            folder.mkdir()
        seconds = dict(zip(kinds, pool.map(undisturbed, folders, folders.values()), strict=True))
        number = 0
        while sum(len(trial.kills) for trial in trials) < kills:
            given = [(name, number + k) for k in range(jobs) for name in kinds]
            number += jobs
            waiting = [pool.submit(disturb, name, k, seed, folders[name], seconds[name], keep) for name, k in given]
            for done in waiting:
                trials.append(trial := done.result())
                for wrong in trial.wrong if show else ():
                    print(f"{trial.kind} {trial.number} ({', '.join(trial.kills)}): {wrong}", flush=True)
    return trials


def table(trials: Sequence[Trial]) -> list[str]:
    rows = ["| kind | trials | kills | by SIGKILL in time | by other signals | aimed at a write | all equal |",
            "|---|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for name in [*dict.fromkeys(trial.kind for trial in trials), "all"]:
        own = [trial for trial in trials if name in (trial.kind, "all")]
        kills = collections.Counter(sort_of(kill) for trial in own for kill in trial.kills)
        held = sum(not trial.wrong for trial in own)
        counts = (len(own), kills.total(), kills["killed"], kills["signal"], kills["aimed"], held)
        rows.append(f"| {name} | {' | '.join(map(str, counts))} |")
    return rows


def sort_of(kill: str) -> str:
    return "killed" if kill.startswith("SIGKILL") else "signal" if " at " in kill else "aimed"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--kinds", default=",".join(KINDS), help="of: " + ", ".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="trials side by side")
    parser.add_argument("--keep", type=Path, help="directory that keeps what differed")
    given = parser.parse_args()
    trials = torture(given.kinds.split(","), kills=given.kills, seed=given.seed, jobs=given.jobs, keep=given.keep)
    print("\n".join(table(trials)))
    sys.exit(any(trial.wrong for trial in trials))


if __name__ == "__main__":
    main()
