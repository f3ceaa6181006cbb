"""A sweep from its beginning to its end: its record, its workers, and what was found."""

import json
import os
import secrets
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from resgan.base.console import say, stop
from resgan.base.errors import OptionsError, UserError
from resgan.base.files import locked, write_atomically
from resgan.base.plain_data import PlainData
from resgan.base.signals import StopSignal
from resgan.experiment.summary import as_typed
from resgan.experiment.sweep.space import Search
from resgan.experiment.sweep.storage import check_storage
from resgan.experiment.sweep.summary import write_summary
from resgan.experiment.sweep.worker import Task, work, work_side_by_side
from resgan.options.sweep import SweepOptions
from resgan.options.train import TrainOptions
from resgan.runs.directory import check_writable, new_directory

RECORD, LOCKS = "sweep.json", "locks"


@dataclass(frozen=True)
class Record:
    """Record of what a sweep was begun with, kept in its directory."""

    search: PlainData
    storage: str | None
    name: str  # in the storage


def run_sweep(options: SweepOptions, search: Search, usual: TrainOptions, *, typed: Sequence[str]) -> None:
    """Run all trials that are missing, and the fresh seeds, and write what was found. Raises UserError.

    usual: options of a run where nothing is searched.
    """
    if sys.platform == "win32":
        raise UserError(
            "resgan.sweep: not on Windows, where a worker cannot hand its lock to its run; use resgan.train -m"
        )
    if options.run_dir is not None:
        check_writable("run_dir", Path(options.run_dir).expanduser())
    if options.storage is not None:
        check_storage(options.storage)
    directory = Path(options.run_dir).expanduser() if options.run_dir else new_directory(Path("runs"))
    record = keep_record(options, search, directory)
    task = Task(
        search=record.search,
        directory=str(directory),
        storage=record.storage,
        name=record.name,
        trials=options.trials,
        fresh_seeds=options.fresh_seeds,
        threads=threads_of(options, usual),
        one_gpu=usual.trainer.devices == 1,
    )
    trials = task.open()
    for line in announcement(options, search, directory):
        say(line)
    stop_signal = StopSignal()
    with stop_signal.listening():
        try:
            if options.workers == 1:
                work(task, stop_signal)
            else:
                work_side_by_side(task, options.workers, stop_signal)
        except SystemExit:
            kept = [word for word in typed if not word.startswith("run_dir=")]
            say("the sweep is not complete; continue with:")
            say(f"  {as_typed([*kept, f'run_dir={directory}'], command='sweep')}")
            raise
    print(write_summary(trials, directory, fresh_seeds=options.fresh_seeds))
    if empty := [arm for arm in search.arms if trials.best(arm) is None]:
        stop(f"no trial of {', '.join(empty)} ran to its end; see the logs in {directory}", status=1)


def threads_of(options: SweepOptions, usual: TrainOptions) -> int | None:
    """Share the cores of this machine among the workers, unless the number of threads is given."""
    if options.workers == 1 or usual.trainer.threads is not None:
        return None
    return max(1, (os.cpu_count() or 1) // options.workers)


def keep_record(options: SweepOptions, search: Search, directory: Path) -> Record:
    """Write what is searched, or check that it is what this directory was begun with. Raises OptionsError."""
    path = directory / RECORD
    others = [one.name for one in directory.iterdir()] if directory.is_dir() else []
    if any(name != LOCKS and RECORD not in name for name in others) and not path.exists():
        raise OptionsError(f"run_dir={directory}: holds other files and no sweep; give a new or an empty directory")
    with locked(directory / LOCKS / "record"):
        if not path.exists():
            name = options.name or f"{directory.absolute().name}-{secrets.token_hex(4)}"
            record = Record(search.as_data(), options.storage, name)
            write_atomically(path, json.dumps(asdict(record), indent=2) + "\n")
            return record
        begun = Record(**json.loads(path.read_text()))
    found = search.differences(begun.search)
    if options.storage != begun.storage:
        found.append(f"storage was {begun.storage}, is {options.storage}")
    if options.name not in (None, begun.name):
        found.append(f"name was {begun.name}, is {options.name}")
    if found:
        raise OptionsError(
            f"run_dir={directory}: belongs to another sweep: {'; '.join(found)}. "
            "Give another run_dir, or the line it was begun with"
        )
    return begun


def announcement(options: SweepOptions, search: Search, directory: Path) -> list[str]:
    arms = f" in each of {len(search.arms)} arms ({', '.join(search.arms)})" if len(search.arms) > 1 else ""
    lines = [f"sweep of {options.trials} trials{arms} in {directory}"]
    return lines + [f"  {d.option}: {d.range_in_words()}" for d in search.dimensions]
