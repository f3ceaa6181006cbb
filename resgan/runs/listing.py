"""Runs on disk as a table: what each is, how far it is, what it reached, and how much room it takes."""

import json
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from resgan.base.files import is_locked
from resgan.base.plain_data import PlainData
from resgan.runs.directory import Run, RunError, run_directories
from resgan.runs.naming import ARMS, SWITCHES

HEADS = ("run", "status", "arm", "data", "kimg", "score", "changed", "size")


@dataclass(frozen=True)
class Listed:
    """A run in the table."""

    path: Path
    status: str  # finished, diverged, running, stopped, damaged
    arm: str
    data: str
    kimg: str  # seen, or seen/length
    score: str  # the primary endpoint, newest
    changed: float  # seconds since the epoch
    size: int  # bytes


def list_runs(root: Path) -> list[Listed]:
    """List the runs below a directory, those of searches too, in the order of their paths. Raises RunError."""
    if not root.is_dir():
        raise RunError(f"{root}: {'is a file' if root.exists() else 'there is no such directory'}; give one with runs")
    searches = (path for place in sorted(root.rglob("search")) if place.is_dir() for path in run_directories(place))
    return [listed(path) for path in sorted({*run_directories(root), *searches})]


def listed(path: Path) -> Listed:
    run = Run(path)
    files = [file for file in path.rglob("*") if file.is_file()]
    facts = [found for file in files if (found := status_of_file(file)) is not None]
    changed = max((found.st_mtime for found in facts), default=0.0)
    room = sum(found.st_size for found in facts)
    try:
        return whole(run, changed, room)
    except (RunError, OSError, LookupError, TypeError, ValueError):
        return Listed(path, "damaged", "", "", "", "", changed, room)


def status_of_file(path: Path) -> os.stat_result | None:
    """Return what the system knows of a file; None where a run that is saving has just renamed it."""
    with suppress(OSError):
        return path.stat()
    return None


def whole(run: Run, changed: float, room: int) -> Listed:
    """Describe a run. Raises RunError, OSError, LookupError, TypeError, ValueError where its files are damaged."""
    config, result, measured = run.stored_config(like={}), run.read_result(), run.measurements()
    arm = ARMS[bool(config.get(SWITCHES[0])), bool(config.get(SWITCHES[1]))]
    seen = result["images_seen"] if result else max((m["images_seen"] for m in measured), default=0)
    length, seen = float(config.get("total_kimg", 0)), seen / 1000
    return Listed(
        run.path,
        status_of(run, result),
        arm,
        str(config.get("data.name", "")),
        f"{seen:g}" if seen >= length else f"{seen:g}/{length:g}",
        score_of(result, measured),
        changed,
        room,
    )


def status_of(run: Run, result: PlainData | None) -> str:
    lock = run.path / ".lock"
    with suppress(OSError):  # of a file system without locks
        if lock.exists() and is_locked(lock):
            return "running"
    return result["status"] if result else "stopped"


def score_of(result: PlainData | None, measured: Sequence[PlainData]) -> str:
    """Format the newest primary endpoint, the first of the scores."""
    scores = [m["scores"] for m in measured if m["kind"] == "scores"]
    found = {result["primary"]: result["scores"][result["primary"]]} if result else scores[-1] if scores else {}
    name, value = next(iter(found.items()), ("", None))
    return "" if value is None else f"{name} {value:.4g}"


def table(runs: Sequence[Listed], root: Path) -> Iterator[str]:
    """Format the lines of the table, and a last one that counts."""
    now = time.time()
    rows = [HEADS, *((name_of(r, root), r.status, r.arm, r.data, r.kimg, r.score, ago(now - r.changed), size(r.size))
                     for r in runs)]  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        *cells, last = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join([*cells, last.strip().rjust(widths[-1])]).rstrip()
    count = Counter(one.status for one in runs)
    counts = ", ".join(f"{number} {status}" for status, number in sorted(count.items()))
    yield f"{len(runs)} {'run' if len(runs) == 1 else 'runs'} ({counts}), {size(sum(one.size for one in runs))}"


def name_of(run: Listed, root: Path) -> str:
    with suppress(ValueError):
        return str(run.path.relative_to(root)) if run.path != root else run.path.name
    return str(run.path)


def ago(seconds: float) -> str:
    """Format the age of a file, as 5 min, 3 h, 12 d."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length or unit == "min":
            return f"{max(0, int(seconds // length))} {unit} ago"
    raise AssertionError("unreachable")


def size(count: float) -> str:
    """Format a number of bytes, as 3.4 MB."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.3g} {unit}" if count < 999.5 else f"{count:.0f} {unit}"
        count /= 1000
    raise AssertionError("unreachable")


def as_json(runs: Sequence[Listed]) -> Iterator[str]:
    """Format a JSON object for each run."""
    for one in runs:
        yield json.dumps(one.__dict__ | {"path": str(one.path)})
