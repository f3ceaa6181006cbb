"""The run directory: the product of a run. What is in it, how it is written and read.

config.yaml      the composed options        provenance.json  versions, git commit, device, command
metrics.jsonl    one line per measurement    samples/         grids, fixed latents
checkpoints/     last, best, final           result.json      written last: status, scores, counts, times
"""

import contextlib
import datetime
import hashlib
import itertools
import json
import math
import os
import re
import secrets
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import yaml

BOOKKEEPING = (
    "run_dir",
    "study",
    "seeds",
    "tuning.runs",
    "data.cache",
    "wandb",
    "trainer.threads",
    "trainer.progress",
    "hydra",
)  # never part of what a run *is*


class RunError(ValueError):
    """A run directory that cannot be used; the message says which and why."""


class Stopped(Exception):
    """A signal asked the run to stop; its state is saved. Carries the number of the signal."""


def stop_signals() -> list[int]:
    """SIGTERM, Ctrl-C, and what SLURM sends before it takes a job's machine away; Python gives them to one thread."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


class Run:
    """One run directory. Nothing is created before `claim`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.provenance = path / "provenance.json"
        self.metrics = path / "metrics.jsonl"
        self.result = path / "result.json"
        self.samples = path / "samples"
        self.checkpoints = path / "checkpoints"

    def claim(self, config: dict[str, Any]) -> None:
        """Make the directory this run's, or see that it is already. Refuses one that belongs to other options."""
        self.check(config)
        if not self.config.exists():
            try:
                write_atomically(self.config, yaml.safe_dump(config, sort_keys=False))
            except OSError as error:
                raise RunError(f"run_dir={self.path}: cannot be written ({error.strerror})") from error

    def check(self, config: dict[str, Any]) -> None:
        """Refuse a directory that belongs to other options, holds other things, or is none. Creates nothing."""
        try:
            self._check(config)
        except OSError as error:
            raise RunError(f"run_dir={self.path}: cannot be used ({error.strerror})") from error

    def _check(self, config: dict[str, Any]) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"run_dir={self.path}: is a file; give a directory, new or of the same run")
        if self.config.exists():
            if found := differences(self._read_config(), config):
                raise RunError(
                    f"run_dir={self.path}: belongs to another configuration: {'; '.join(found)}. "
                    "Give another run_dir, or the options it was made with"
                )
        elif self.path.exists() and any(".unfinished-" not in path.name for path in self.path.iterdir()):
            raise RunError(f"run_dir={self.path}: holds other files and no run; give a new or an empty directory")
        check_writable("run_dir", self.path)

    def _read_config(self) -> dict[str, Any]:
        try:
            config = yaml.safe_load(self.config.read_text())
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RunError(f"{self.config}: is damaged; give another run_dir") from error
        return config if isinstance(config, dict) else {}

    def clear_unfinished(self) -> None:
        """Remove what a killed process had half written. For the one that holds the lock."""
        for path in itertools.chain(self.path.glob("*.unfinished-*"), self.checkpoints.glob("*.unfinished-*")):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second process from writing here. The system lets go of the lock when the process ends, however."""
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        with open(self.path / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(f"run_dir={self.path}: another process is running it now") from error
            self.clear_unfinished()
            yield

    def append(self, line: dict[str, Any]) -> None:
        """One measurement to metrics.jsonl."""
        with open(self.metrics, "a") as file:
            file.write(json.dumps(finite(line)) + "\n")

    def measurements(self) -> list[dict[str, Any]]:
        """All lines of metrics.jsonl; a last line that a crash cut short is left out."""
        if not self.metrics.exists():
            return []
        lines = []
        for text in self.metrics.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(text))
        return lines

    def forget_after(self, images_seen: int) -> None:
        """Drop measurements later than the checkpoint a run continues from: it will make them again."""
        if self.metrics.exists():
            kept = [line for line in self.measurements() if line["images_seen"] <= images_seen]
            write_atomically(self.metrics, "".join(json.dumps(line) + "\n" for line in kept))

    def record_session(self, session: dict[str, Any]) -> None:
        """Add to provenance.json what ran here, this time."""
        write_atomically(self.provenance, json.dumps({"sessions": [*self.sessions(), session]}, indent=2) + "\n")

    def sessions(self) -> list[dict[str, Any]]:
        return json.loads(self.provenance.read_text())["sessions"] if self.provenance.exists() else []

    def write_result(self, result: dict[str, Any]) -> None:
        write_atomically(self.result, json.dumps(finite(result), indent=2) + "\n")

    def read_result(self) -> dict[str, Any] | None:
        if not self.result.exists():
            return None
        try:
            return json.loads(self.result.read_text())
        except json.JSONDecodeError as error:
            raise RunError(f"{self.result}: is damaged; remove it to continue the run from its checkpoint") from error


def claim_new(parent: Path, config: dict[str, Any]) -> Run:
    """A run in a new directory."""
    run = Run(new_directory(parent))
    run.claim(config)
    return run


def new_directory(parent: Path) -> Path:
    """One named by date and time, which nobody else gets, even one who asks in the same second."""
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


def check_writable(option: str, directory: Path) -> None:
    """Could a directory be made, or written to? Asked before the work whose product it is to hold."""
    there = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not there.is_dir():
        raise RunError(f"{option}={directory}: {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"{option}={directory}: {there} cannot be written to")


def write_atomically(path: Path, content: str | bytes) -> None:
    """A reader sees the old file or the new one, never a part."""
    with replacing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file to write that takes its name when it is complete; after an error nothing of it is left.

    Two that write the same file do not meet, not even from two machines that share the directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished-{secrets.token_hex(8)}")
    try:
        with open(unfinished, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to be told of
            unfinished.unlink(missing_ok=True)
        raise


def finite(value: Any) -> Any:
    """NaN and infinity have no place in JSON; they are written as null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"generator": {"residual": True}} as {"generator.residual": True}."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def is_bookkeeping(key: str) -> bool:
    return any(key == name or key.startswith(name + ".") for name in BOOKKEEPING)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What two configurations differ in, one text each; bookkeeping does not count."""
    old, new = flat(old), flat(new)
    keys = [key for key in [*old, *(key for key in new if key not in old)] if not is_bookkeeping(key)]
    return [
        f"{key} was {plain(old[key]) if key in old else 'no option then'}, is {plain(new.get(key))}"
        for key in keys
        if old.get(key) != new.get(key)
    ]


Cards = dict[str, dict[str, Any]]  # how each score was made


def unlike(first: Cards, second: Cards) -> tuple[str, list[tuple[str, Any, Any]]] | None:
    """The first score that was made in different ways, and (field, first, second) of all in which; None for none."""
    for name in dict.fromkeys([*first, *second]):
        a, b = first.get(name) or {}, second.get(name) or {}
        if fields := [(key, a.get(key), b.get(key)) for key in dict.fromkeys([*a, *b]) if a.get(key) != b.get(key)]:
            return name, fields
    return None


def plain(value: Any) -> str:
    """As one would type it on the command line."""
    if isinstance(value, list) and all(isinstance(item, str) and item.isidentifier() for item in value):
        return f"[{','.join(value)}]"
    return json.dumps(value, separators=(",", ":")) if isinstance(value, bool | list | type(None)) else str(value)


SAID = {"True": "true", "False": "false", "None": "null"}


def arm_name(overrides: list[str]) -> str:
    """Every override but the seed and bookkeeping, sorted, in letters that every file system takes.

    ["seed=3", "generator.residual=true", "disc.residual=false"] -> "disc.residual-false_generator.residual-true".
    Names that lose something in this, or grow too long, end with a hash of the whole.
    """
    kept = sorted(_as_typed(o) for o in overrides if not _is_bookkeeping_override(o))
    whole = "_".join(re.sub("[=/]", "-", override) for override in kept) or "default"
    name = re.sub(r"[^A-Za-z0-9._-]", "", whole)
    if name == whole and len(name) <= 120:
        return name
    return f"{name[:100]}_{hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()}"


def _as_typed(override: str) -> str:
    """A sweeper writes True where a user writes true: it is the same arm."""
    return re.sub(r"=(True|False|None)$", lambda match: f"={SAID[match[1]]}", override.lstrip("+~"))


def _is_bookkeeping_override(override: str) -> bool:
    key = override.lstrip("+~").split("=")[0].replace("/", ".")
    return key == "seed" or is_bookkeeping(key)
