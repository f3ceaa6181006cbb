"""The run directory, which holds everything a run produces: its files, and how they are written and read.

config.yaml      the composed options        provenance.json  versions, git commit, device, command
metrics.jsonl    one line per measurement    samples/         grids on fixed latents, and real samples: reals.png
checkpoints/     last, best, final           result.json      written last: status, scores, counts, times
log.txt          messages and progress

A run that was made longer keeps its earlier end, as result-200kimg.json and checkpoints/final-200kimg.ckpt.
"""

import contextlib
import datetime
import itertools
import json
import math
import os
import secrets
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import yaml

from resgan.base.console import say_once
from resgan.base.errors import UserError
from resgan.base.files import append_line, flush_file, make_directory, rename, try_lock, write_atomically
from resgan.base.plain_data import PlainData, flat, nan_to_none
from resgan.runs.configuration import LENGTH, changes, refusals
from resgan.runs.history import completed, kept

Result = PlainData  # the content of result.json
LOCK_PATIENCE = 0.5  # seconds: a list of runs, which looks whether they are running, holds a lock for an instant
NEEDED = {"status", "primary", "objective", "scores", "cards", "best", "start", "parameters",
          "seed", "images_seen", "seconds"}  # of a result; every version has written them  # fmt: skip
SEARCH = "search"  # the directory of a search's runs, and the file beside it with their outcome
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the parser in C, where there is one: a study has many files


class RunError(UserError):
    """Raised for a run directory that cannot be used; the message says which and why."""


class Run:
    """A run directory. Nothing is created before `claim`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.provenance = path / "provenance.json"
        self.metrics = path / "metrics.jsonl"
        self.result = path / "result.json"
        self.log = path / "log.txt"
        self.samples = path / "samples"
        self.reals = self.samples / "reals.png"
        self.checkpoints = path / "checkpoints"

    def claim(self, config: PlainData) -> None:
        """Create the directory for this run, or accept it if it is this run's. Refuses one that has other options."""
        self.check(config)
        if not self.config.exists():
            self._write_config(config)

    def go_on_with(self, config: PlainData) -> PlainData:
        """Write down the options that a run goes on with and set an earlier end aside, as result-200kimg.json.

        Returns those that are not as they were, as {"total_kimg": [200, 400]}. Call only with the lock held.
        """
        if changed := changes(self.stored_config(like=config), config):
            self._write_config(config)
        result = self.read_result()
        if result is not None and self.read_result(until_kimg=flat(config)[LENGTH]) is None:
            for file in (self.checkpoints / "final.ckpt", self.result):  # the result last: until then this is repeated
                if file.exists():
                    rename(file, file.with_stem(f"{file.stem}-{result['images_seen'] / 1000:g}kimg"))
        return changed

    def _write_config(self, config: PlainData) -> None:
        make_directory(self.path)
        write_atomically(self.config, yaml.safe_dump(config, sort_keys=False))

    def check(self, config: PlainData, *, may_grow: bool = True) -> None:
        """Refuse a directory that has other options or other files, or is a file. Creates nothing.

        may_grow: accept a total_kimg greater than the run's.
        """
        try:
            self._check(config, may_grow=may_grow)
        except OSError as error:
            raise RunError(f"run_dir={self.path}: cannot be used ({error.strerror})") from error

    def _check(self, config: PlainData, *, may_grow: bool) -> None:
        if not str(self.path).isprintable():  # a line of a log would be two, or could not be written
            raise RunError(f"run_dir={str(self.path)!a}: has characters that cannot be printed; give another name")
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"run_dir={self.path}: is a file; give a directory, new or of the same run")
        if self.config.exists():
            if found := refusals(self.stored_config(like=config), config, may_grow=may_grow):
                raise RunError(
                    f"run_dir={self.path}: belongs to another configuration: {'; '.join(found)}. "
                    "Give another run_dir, or the options it was made with"
                )
        elif self.path.exists() and any(".unfinished-" not in path.name for path in self.path.iterdir()):
            raise RunError(f"run_dir={self.path}: {what_lies_in(self.path)}")
        elif outer := next(filter(is_run, self.path.absolute().parents), None):
            raise RunError(f"run_dir={self.path}: is inside the run {outer}; give a directory outside it")
        check_writable("run_dir", self.path)

    def has_begun(self) -> bool:
        """Check whether the run has its config.yaml. Raises RunError for a path that can be none."""
        try:
            return self.config.exists()
        except OSError as error:
            raise RunError(f"run_dir={self.path}: cannot be used ({error.strerror})") from error

    def stored_config(self, *, like: PlainData) -> PlainData:
        """Return the run's options, flattened and translated to today's options in the configuration `like`."""
        return completed(self._read_config(), flat(like))

    def kept_options(self, *, like: PlainData) -> PlainData:
        """Return the options of `like` that a run keeps from its start, dotted; see history.kept. Raises RunError."""
        return kept(self._read_config(), flat(like)) if self.has_begun() else {}

    def _read_config(self) -> PlainData:
        """Read config.yaml, flattened. Raises RunError where it is damaged or cannot be read."""
        try:
            config = yaml.load(self.config.read_text(), Loader=LOADER)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise RunError(f"{self.config}: is damaged; give another run_dir") from error
        except OSError as error:
            raise RunError(f"run_dir={self.path}: cannot be used ({error.strerror})") from error
        if not isinstance(config, dict) or "seed" not in config:  # every version has written one
            raise RunError(f"{self.config}: is damaged; give another run_dir")
        return flat(config)

    def clear_unfinished(self) -> None:
        """Remove files that a killed process left half written. Call only with the lock held."""
        folders = (self.path, self.checkpoints, self.samples)
        for path in itertools.chain.from_iterable(folder.glob("*.unfinished-*") for folder in folders):
            with contextlib.suppress(OSError):
                path.unlink()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process from writing here. The system releases the lock however the process ends."""
        if (lock := try_lock(self.path / ".lock", patience=LOCK_PATIENCE)) is None:
            raise RunError(f"run_dir={self.path}: another process is running it now")
        with lock:
            self.clear_unfinished()
            yield

    def append(self, line: PlainData, *, flush: bool = True) -> None:
        """Append one measurement to metrics.jsonl; flush: wait for the disk. Raises WriteError."""
        append_line(self.metrics, json.dumps(nan_to_none(line)), flush=flush)

    def flush_measurements(self) -> None:
        """Wait until metrics.jsonl is on disk, so that no checkpoint outlives what was measured before it."""
        if self.metrics.exists():
            flush_file(self.metrics)

    def measurements(self) -> list[PlainData]:
        """Read all lines of metrics.jsonl. A last line that a crash cut short is left out, and so, said once, is any
        other that is no measurement.
        """
        if not self.metrics.exists():
            return []
        *whole, rest = self.metrics.read_bytes().split(b"\n")
        lines = [as_measurement(text) for text in whole]
        if damaged := [number for number, line in enumerate(lines, start=1) if line is None]:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            say_once(f"{self.metrics}: line {damaged[0]}{more} of {len(lines)} cannot be read and is left out")
        last = as_measurement(rest)
        return [line for line in [*lines, last] if line is not None]

    def forget_after(self, images_seen: int) -> None:
        """Drop measurements after the checkpoint that a run continues from: they will be made again."""
        if self.metrics.exists():
            kept = [line for line in self.measurements() if line["images_seen"] <= images_seen]
            write_atomically(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))

    def record_session(self, session: PlainData) -> None:
        """Append a session to provenance.json."""
        write_atomically(self.provenance, json.dumps({"sessions": [*self.sessions(), session]}, indent=2) + "\n")

    def sessions(self) -> list[PlainData]:
        """Read the sessions of the run from provenance.json; none where it is missing. Raises RunError."""
        if not self.provenance.exists():
            return []
        read = read_json(self.provenance)
        sessions = read.get("sessions") if isinstance(read, dict) else None
        if not (isinstance(sessions, list) and all(map(is_session, sessions))):
            raise RunError(
                f"{self.provenance}: is damaged; remove it and the run goes on, without the record of earlier sessions"
            )
        return sessions

    def note_save(self, images_seen: int) -> None:
        """Note in provenance.json where this session last saved: a run that has saved does not begin again unasked."""
        if sessions := self.sessions():
            noted = [*sessions[:-1], sessions[-1] | {"saved": images_seen}]
            write_atomically(self.provenance, json.dumps({"sessions": noted}, indent=2) + "\n")

    def last_save(self) -> int | None:
        """Return the images seen at the last save; None: none is noted, as in runs of earlier versions."""
        noted = [session.get("saved") for session in reversed(self.sessions())]
        return next((saved for saved in noted if isinstance(saved, int)), None)

    def grids(self) -> dict[int, Path]:
        """Return the grids of samples by images seen, in this order."""
        return {int(path.stem): path for path in sorted(self.samples.glob("[0-9]*.png")) if path.stem.isdecimal()}

    def last_grid(self) -> Path | None:
        """Return the path of the newest grid of samples; None if there is none yet."""
        return max(self.grids().items(), default=(0, None))[1]

    def write_result(self, result: Result) -> None:
        write_atomically(self.result, json.dumps(nan_to_none(result), indent=2) + "\n")

    def read_result(self, *, until_kimg: float = 0) -> Result | None:
        """Read how the run ended; None if it has not, or has finished before a length that it is to have now."""
        if not self.result.exists():
            return None
        result = read_json(self.result)
        if not is_result(result):
            raise RunError(f"{self.result}: is damaged; remove it to continue the run from its checkpoint")
        return (
            None
            if result["status"] == "finished" and result.get("images_seen", math.inf) < round(1000 * until_kimg)
            else result
        )


# What the files hold.


def read_json(path: Path) -> object:
    """Read a JSON file; None where it is damaged. Raises RunError where it cannot be read."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise RunError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError):  # not JSON, or not UTF-8
        return None


def as_measurement(text: bytes) -> PlainData | None:
    """Read a line of metrics.jsonl; None where it is cut short or foreign."""
    try:
        line = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or type(seen := line.get("images_seen")) is not int or seen < 0:
        return None
    scores = line.get("scores", {})
    if not isinstance(scores, dict) or (line.get("kind") == "scores") != bool(scores):
        return None
    numbers = [*scores.values(), *(value for name, value in line.items() if name not in ("kind", "scores"))]
    return line if isinstance(line.get("kind"), str) and all(map(is_number_or_none, numbers)) else None


def is_number_or_none(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def is_session(found: object) -> TypeGuard[PlainData]:
    return (
        isinstance(found, dict)
        and is_command(found.get("command"))
        and isinstance(found.get("arm", ""), str)
        and isinstance(found.get("init_from", {}), dict)
        and isinstance(git := found.get("git") or {"commit": ""}, dict)
        and isinstance(git.get("commit"), str)
    )


def is_command(found: object) -> bool:
    with contextlib.suppress(ValueError):  # a quotation without an end
        return isinstance(found, str) and bool(shlex.split(found))
    return False


def is_result(found: object) -> TypeGuard[Result]:
    """Check that a result has what every version has written, in the types that its readers take for granted."""
    if not isinstance(found, dict) or not found.keys() >= NEEDED or found["status"] not in ("finished", "diverged"):
        return False
    tables = scores, cards, parameters = [found[name] for name in ("scores", "cards", "parameters")]
    best, start = ({} if found[name] is None else found[name] for name in ("best", "start"))
    if not all(isinstance(table, dict) for table in (*tables, best, start)):
        return False
    counts = [found[name] for name in ("seed", "images_seen", "seconds")]
    numbers = [*counts, parameters.get("generator"), parameters.get("disc")]
    return (
        isinstance(found["primary"], str)
        and found["primary"] in scores
        and all(map(is_number_or_none, [found["objective"], *scores.values(), *start.values()]))
        and all(is_number_or_none(number) and number is not None for number in numbers)
        and all(isinstance(card, dict) for card in cards.values())
        and (not best or (isinstance(best.get("scores"), dict) and is_number_or_none(best.get("images_seen"))))
    )


def new_directory(parent: Path) -> Path:
    """Create a directory named by date and time, a different one for each caller even within the same second."""
    now = f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}"
    for count in itertools.count(1):
        path = parent / (now if count == 1 else f"{now}_{count}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(f"{path}: cannot be made ({error.strerror}); give a run_dir") from error
        return path
    raise AssertionError("unreachable")


def run_directories(path: Path) -> Iterator[Path]:
    """Find directories with the files of a run; the insides of runs, and of W&B and Hydra, are not searched.

    The runs of a search are left out: no result is drawn from them, and search.json beside them has their outcome.
    """
    for directory, below, files in os.walk(path):
        below[:] = sorted(set(below) - {"wandb", ".hydra"} - ({SEARCH} if f"{SEARCH}.json" in files else set()))
        if "config.yaml" in files:
            below.clear()
            yield Path(directory)


def is_run(path: Path) -> bool:
    """Return True if a run lies here; config.yaml alone may belong to another program."""
    return (path / "config.yaml").exists() and (path / "provenance.json").exists()


def what_lies_in(path: Path) -> str:
    """Say what a directory holds that is not empty and no run: a sweep with its command, or other files."""
    for pattern in ("*/provenance.json", "*/*/provenance.json", "*/*/*/provenance.json"):
        for inner in sorted(path.glob(pattern)):
            with contextlib.suppress(OSError, ValueError, LookupError):
                command = Run(inner.parent).sessions()[-1]["command"]
                place = "" if "run_dir=" in command else f" run_dir={shlex.quote(str(path))}"
                return f"holds several runs; they are continued by {command}{place}"
    return "holds other files and no run; give a new or an empty directory"


def check_writable(option: str, directory: Path) -> None:
    """Refuse a directory that could not be made or written to, before work is done for it. Raises RunError."""
    try:
        there = next(path for path in (directory.absolute(), *directory.absolute().parents) if os.path.lexists(path))
        if not there.is_dir():
            what = "is a file" if there.exists() else "is a link that leads nowhere"
            raise RunError(f"{option}={directory}: {there} {what}")
        # Tried and not asked: root may write everywhere, but not on a file system that is not one of files.
        trial = there / f".unfinished-{secrets.token_hex(8)}"
        trial.touch(exist_ok=False)
        trial.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"{option}={directory}: cannot be written to ({error.strerror})") from error
