"""Kill commands at exact points, and compare what they leave, bit by bit.

`killed` stops a command, in a process of its own, at the n-th call of a function by its name; so does this file as a
script, for commands of any program:

    python tests/helpers/killing.py os.replace 7 SIGKILL -m resgan.train data=gaussians seeds=0-3 run_dir=s

`in_child` does the same with a function of this process, in a fork of it, which costs no imports. `differences`
compares two directories of runs. Nothing here imports resgan, so that scripts can use it beside any checkout.
"""

import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

# Points at which a command can be killed: calls of these.
POINTS = {
    "before a file gets its name": "os.replace",
    "before a file is on the disk": "os.fsync",
    "before a checkpoint": "resgan.training.checkpoints.save_last",
    "before the final or the best checkpoint": "resgan.training.checkpoints.save",
    "before a line": "resgan.runs.directory.Run.append",
    "before a picture": "resgan.base.images.save_png",
    "before samples are drawn": "resgan.nets.sampling.generate",
    "before scores": "resgan.metrics.scorer.Scorer.measure",
    "before a step": "resgan.training.gan.GAN.training_step",
    "before a result": "resgan.runs.directory.Run.write_result",
    "before a session is noted": "resgan.runs.directory.Run.record_session",
}
CLOCK = ("seconds", "wandb_id")  # what depends on the clock, and on where a run was logged
OWN = ("run_dir", "wandb")  # options that say where a run lies, and where it is shown
# The log and the sessions are those of each process. previous.ckpt is a spare, perhaps of where a run was stopped.
LEFT_OUT = (".lock", "log.txt", "provenance.json", "previous.ckpt", "next.ckpt", "multirun.yaml")


def at_call(name: str, count: int, act: Callable[[], object]) -> Callable[[], int]:
    """Call `act` before the `count`-th call of a function, such as os.replace, from now on.

    Returns a function that undoes this and returns the number of calls.
    """
    owner, last = owner_of(name)
    original, calls = getattr(owner, last), 0

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            act()
        return original(*given, **named)

    def undo() -> int:
        setattr(owner, last, original)
        return calls

    setattr(owner, last, counted)
    return undo


def owner_of(name: str) -> tuple[Any, str]:
    """Find the module or class of a function by its dotted name."""
    *path, last = name.split(".")
    for end in range(len(path), 0, -1):
        try:
            owner = importlib.import_module(".".join(path[:end]))
        except ModuleNotFoundError:
            continue
        for part in path[end:]:
            owner = getattr(owner, part)
        return owner, last
    raise ValueError(f"{name}: no module has it")


def send(number: int, times: int = 1) -> None:
    """Send this process a signal, so often, each before the next line of Python."""
    for _ in range(times):
        os.kill(os.getpid(), number)


def killed(
    module: str,  # such as resgan.train
    arguments: Sequence[str],
    *,
    cwd: Path,
    at: str,  # name of a function; POINTS has some
    count: int,
    number: int = signal.SIGKILL,
    times: int = 1,  # how often the signal is sent, at this call
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run `python -m <module> <arguments>` with a signal at a call. Status -9: killed; 0: there were fewer calls."""
    words = [sys.executable, __file__, at, str(count), f"{signal.Signals(number).name}*{times}", "-m", module]
    return subprocess.run(
        [*words, *arguments], cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def in_child(
    do: Callable[[], object],
    *,
    at: str | None = None,
    count: int = 1,
    number: int = signal.SIGKILL,
    times: int = 1,
) -> int:
    """Call `do` in a fork of this process, with a signal at a call. Returns the exit status; negative: killed by it."""
    if (pid := os.fork()) == 0:
        status = 1
        try:
            if at is not None:
                at_call(at, count, lambda: send(number, times))
            do()
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


# Comparing.


def differences(path: Path, other: Path) -> list[str]:
    """List the files below two directories that differ, with the first difference in each.

    Checkpoints are compared tensor by tensor and bit by bit, lines and results value by value, all without `seconds`
    and the id of W&B; the rest byte by byte. Logs, provenance and previous.ckpt are left out, and the last checkpoint
    of a run that diverged, which is of the last place where it was stopped or saved.
    """
    found = []
    for name in sorted(files_in(path) | files_in(other)):
        one, two = path / name, other / name
        if not (one.exists() and two.exists()):
            found.append(f"{name}: only in {path if one.exists() else other}")
        elif (place := first_difference(content_of(one), content_of(two))) is not None:
            found.append(f"{name}: {place}")
    return found


def files_in(path: Path) -> set[Path]:
    found = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
    kept = (file for file in found if file.name not in LEFT_OUT and not {"wandb", "tensorboard", "csv"} & {*file.parts})
    return {file for file in kept if not (file.name == "last.ckpt" and has_diverged(path / file.parent.parent))}


def has_diverged(run: Path) -> bool:
    result = run / "result.json"
    return result.exists() and json.loads(result.read_text())["status"] == "diverged"


def content_of(file: Path) -> object:
    if file.suffix == ".ckpt":
        return without(torch.load(file, weights_only=True, map_location="cpu"), CLOCK)
    if file.suffix == ".jsonl":
        return [without(json.loads(line), CLOCK) for line in file.read_text().splitlines()]
    if file.suffix == ".json":
        return without(json.loads(file.read_text()), CLOCK)
    if file.name == "config.yaml":
        return without(yaml.safe_load(file.read_text()), OWN)
    return file.read_bytes()


def without(content: Any, names: Sequence[str]) -> Any:
    return {key: value for key, value in content.items() if key not in names} if isinstance(content, dict) else content


def first_difference(one: Any, two: Any, place: str = "") -> str | None:
    """Find where two contents differ: in a value, a bit of a tensor, or the order of keys; None: nowhere."""
    if type(one) is not type(two):
        return f"{place}: {type(one).__name__}, {type(two).__name__}"
    if isinstance(one, torch.Tensor):
        same = one.dtype == two.dtype and one.shape == two.shape and bits(one) == bits(two)
        return None if same else f"{place}: tensors differ"
    if isinstance(one, dict):
        if list(one) != list(two):
            return f"{place}: keys {list(one)}, {list(two)}"
        return next((found for key in one if (found := first_difference(one[key], two[key], f"{place}/{key}"))), None)
    if isinstance(one, list | tuple):
        if len(one) != len(two):
            return f"{place}: {len(one)} entries, {len(two)}"
        pairs = enumerate(zip(one, two, strict=True))
        return next((found for k, pair in pairs if (found := first_difference(*pair, f"{place}/{k}"))), None)
    if one != two and not (one != one and two != two):  # not a number in both
        return f"{place or 'bytes'}: " + ("differ" if isinstance(one, bytes) else f"{one!r}, {two!r}")
    return None


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def main() -> None:
    at, count, what, _, module, *arguments = sys.argv[1:]
    name, _, times = what.partition("*")
    sys.argv = [module, *arguments]
    sys.path[0] = ""  # as python -m has it
    at_call(at, int(count), lambda: send(getattr(signal, name), int(times or 1)))
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
