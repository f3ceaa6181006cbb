"""Train on disks that are full, and print what was said, the exit status, and whether the run ended equal afterwards.

    python scripts/full_disk.py [FOLDER]

Three kinds of full disks, each on a run of a second:
  injected   writes to one kind of file stop in the middle, with "No space left on device"
  limited    no file can grow beyond so many bytes (RLIMIT_FSIZE): "File too large"
  tmpfs      a file system of so many kB; needs root, and is left out without

Then the same command runs again with room, and its checkpoints, scores, losses, result and grids are compared, bit for
bit, with those of a run that always had room. The status of this script is 1 where one differs, or a traceback was
printed. The comparison leaves out grids that a run has done without.
"""

import builtins
import contextlib
import errno
import io
import json
import os
import re
import resource
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from resgan.base import files
from resgan.training import checkpoints

OPTIONS = [
    "data=gaussians", "data.size=500", "generator.width=16", "disc.width=16", "generator.blocks=1", "disc.blocks=1",
    "generator.latent_dim=4", "generator.norm=batch", "metrics=exact", "metrics.samples=500", "batch_size=50",
    "score_kimg=1", "sample_kimg=1", "save_kimg=1", "total_kimg=4", "loss.r1_interval=2", "trainer.accelerator=cpu",
    "trainer.threads=1", "trainer.progress=false",
]  # fmt: skip
WRITE_POINTS = (
    "config.yaml", "provenance.json", "metrics.jsonl", "next.ckpt", "best.ckpt", "final.ckpt", "result.json",
    "reals.png", "0*.png", "log.txt", "metrics.csv", "*.ckpt", "*",
)  # fmt: skip
LIMITS = (0, 20_000)  # bytes of a file
ROOM = (0, 8, 24, 100, 240)  # kB of a file system
SPARED = ("samples/",)  # what a run may have done without


# A disk that is full for some files.


class Full(io.FileIO):
    """A file that takes half of the first write, and then no more."""

    def write(self, data, /) -> int:
        super().write(memoryview(data)[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class FullWatched(files._Watched, Full):
    """The file that `atomic_writer` opens, on a full disk."""


@contextlib.contextmanager
def full_for(pattern: str, below: Path) -> Iterator[None]:
    """Let writes to files whose names match fail, however they are opened from Python, in this process."""
    watched, opened = files._Watched, builtins.open

    def is_full(path: object) -> bool:
        named = isinstance(path, str | Path) and Path(path).absolute().is_relative_to(below.absolute())
        return named and Path(re.sub(r"\.unfinished-.*", "", str(path))).match(pattern)

    def watched_or_full(path, mode):
        return (FullWatched if is_full(path) else watched)(path, mode)

    def open_or_full(path, mode="r", buffering=-1, *given, **named):
        if not is_full(path) or not set(mode) & set("wax+"):
            return opened(path, mode, buffering, *given, **named)
        raw = Full(path, mode.replace("b", "").replace("t", ""))
        if buffering == 0:
            return raw
        return io.BufferedWriter(raw) if "b" in mode else io.TextIOWrapper(io.BufferedWriter(raw), encoding="utf-8")

    files._Watched, builtins.open = watched_or_full, open_or_full  # type: ignore[misc]
    try:
        yield
    finally:
        files._Watched, builtins.open = watched, opened


@contextlib.contextmanager
def limited(size: int) -> Iterator[None]:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    yield


# Runs, each in a process of its own.


def train(folder: Path, *options: str, on: Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext):
    """Run `python -m resgan.train` on this disk, in a child of this process; return its status, and what it said."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        status = 1
        try:
            os.close(reading)
            os.chdir(folder)
            os.dup2(writing, 1), os.dup2(writing, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w", 1, closefd=False), os.fdopen(2, "w", 1, closefd=False)
            sys.argv = ["resgan.train", *OPTIONS, *options, "run_dir=run"]
            with on():
                runpy.run_module("resgan.train", run_name="__main__", alter_sys=True)
            status = 0
        except SystemExit as stopped:
            status = stopped.code if isinstance(stopped.code, int) else 1
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as file:
        said = file.read().decode(errors="replace")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


def content_of(run: Path) -> dict[str, object]:
    """Return everything of a run that does not depend on the clock or on where it was stopped, by file."""
    found: dict[str, object] = {f"samples/{path.name}": path.read_bytes() for path in sorted(run.glob("samples/*"))}
    for path in sorted((run / "checkpoints").glob("[!p]*.ckpt")):  # previous.ckpt is the state of another place
        state = checkpoints.load(path)
        found[f"checkpoints/{path.name}"] = {k: v for k, v in state.items() if k not in ("seconds", "wandb_id")}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found["metrics.jsonl"] = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
    found["result.json"] = {k: v for k, v in json.loads((run / "result.json").read_text()).items() if k != "seconds"}
    return found


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def differences(found: dict[str, object], whole: dict[str, object]) -> list[str]:
    """Name the files that differ; a grid that is missing is none."""
    missing = {name for name in whole.keys() - found.keys() if not name.startswith(SPARED)}
    changed = {name for name in found.keys() & whole.keys() if not same(found[name], whole[name])}
    return sorted({*missing, *changed, *(found.keys() - whole.keys())})


# The table.


def row(name: str, status: int, said: str, run: Path, again: tuple[int, str], whole: dict[str, object]) -> bool:
    """Print how a case ended; return True if it ended as it should."""
    telling = ("cannot be written", "failed", "Traceback")
    lines = [line for line in said.splitlines() if any(words in line for words in telling)]
    left = [str(path.relative_to(run)) for path in run.rglob("*") if path.is_file() and not path.stat().st_size]
    left = [name for name in left if name not in (".lock",) and not name.startswith("wandb")]
    wrong = differences(content_of(run), whole) if again[0] == 0 else [f"status {again[0]}: {again[1][-300:]}"]
    clean = "Traceback" not in said and status in (0, 1) and (status == 0 or len(said.splitlines()) > 0)
    print(f"{name:<24} status {status}  afterwards {'equal' if not wrong else 'DIFFERS: ' + ', '.join(wrong)}")
    for line in lines:
        print(f"    {line.replace(str(run.parent), '')}")
    if left:
        print(f"    empty files: {', '.join(left)}")
    return clean and not wrong and not left


def injected(folder: Path, whole: dict[str, object]) -> Iterator[bool]:
    for number, pattern in enumerate(WRITE_POINTS):
        place = folder / f"injected-{number}"
        place.mkdir()
        more = ["wandb=disabled", "csv=true"]
        status, said = train(place, *more, on=lambda p=pattern, at=place: full_for(p, at))
        yield row(f"injected {pattern}", status, said, place / "run", train(place, *more), whole)


def with_limits(folder: Path, whole: dict[str, object]) -> Iterator[bool]:
    for size in LIMITS:
        place = folder / f"limited-{size}"
        place.mkdir()
        status, said = train(place, "wandb=disabled", on=lambda n=size: limited(n))
        yield row(f"limited {size} B", status, said, place / "run", train(place, "wandb=disabled"), whole)


def on_tmpfs(folder: Path, whole: dict[str, object]) -> Iterator[bool]:
    for wandb in ("disabled", "offline"):
        for size in ROOM if wandb == "disabled" else ROOM[-1:]:
            place = folder / f"tmpfs-{wandb}-{size}"
            place.mkdir()
            mount = ["mount", "-t", "tmpfs", "-o", f"size={max(4, size)}k", "tmpfs", str(place)]
            if subprocess.run(mount, capture_output=True).returncode:
                print("tmpfs: left out, since it needs root")
                return
            try:
                if not size:
                    (place / "filler").write_bytes(b"x" * 4096)
                status, said = train(place, f"wandb={wandb}")
                subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
                again = train(place, f"wandb={wandb}")
                yield row(f"tmpfs {size} kB, W&B {wandb}", status, said, place / "run", again, whole)
            finally:
                subprocess.run(["umount", str(place)], check=False)


def main() -> None:
    import resgan.experiment.session  # noqa: F401  # once, for all children

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="full-disk-"))
    started, (status, said) = time.monotonic(), train(folder, "wandb=disabled")
    assert status == 0, said
    whole = content_of(folder / "run")
    good = [*injected(folder, whole), *with_limits(folder, whole), *on_tmpfs(folder, whole)]
    print(f"{sum(good)} of {len(good)} as they should be, {time.monotonic() - started:.0f} s")
    if len(sys.argv) == 1:
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(not all(good))


if __name__ == "__main__":
    main()
