"""Train with random sets of options, and with every number at its borders, and count how each line ends.

    python scripts/fuzz_options.py 1000 0            a thousand sets, drawn with seed 0
    python scripts/fuzz_options.py borders           every number at its bounds, and just outside them
    python scripts/fuzz_options.py line data=gaussians total_kimg=1e306      one line

A line must be refused in one line with status 2 and nothing made, train two steps, or diverge (status 3). One that is
still at work after a minute is stopped and must save and end (`slow`). Each runs in a process of its own, forked once
torch is loaded, with 6 GB of address space. Needs hypothesis (pip install -e '.[dev]').
"""

import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from pydantic.fields import FieldInfo

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from helpers.option_sets import COMMON, STARTS, above, below, fields_for, is_list, numbers_in, option_sets

import resgan.experiment.session
import resgan.train
from resgan.options.train import TrainOptions
from resgan.options.validation import fields_of

SECONDS, GRACE, ROOM = 60, 60, 6 * 2**30


def outcome(words: list[str], module: object = resgan.train) -> tuple[str, str]:
    """Run a line of `resgan.train` in a fork of this process. Returns how it ended, and what it said."""
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    child = os.fork()
    if child == 0:
        run(words, place, module)
    started, status = time.monotonic(), None
    asked = False
    while status is None:
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
        elif time.monotonic() - started > SECONDS + GRACE:
            os.kill(child, signal.SIGKILL)
        elif time.monotonic() - started > SECONDS and not asked:
            os.kill(child, signal.SIGTERM)
            asked = True
        time.sleep(0.005)
    said = (place / "said").read_text(errors="replace")
    made = [path.name for path in place.iterdir() if path.name != "said"]
    shutil.rmtree(place)
    lines = [line for line in said.splitlines() if not line.startswith("resgan: may not fit")]
    if status == 2 and len(lines) == 1 and not made and len(lines[0]) < 1000:
        return "refused", said
    known = {0: "trained", 3: "diverged", 128 + signal.SIGTERM: "slow"}
    return ("failed" if "Traceback" in said else known.get(status, f"failed ({status})")), said + f"made: {made}"


def run(words: list[str], place: Path, module: object) -> None:
    os.chdir(place)
    for stream in (1, 2):
        os.dup2(os.open("said", os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
    resource.setrlimit(resource.RLIMIT_AS, (ROOM, ROOM))
    sys.argv[1:], code = words, 0
    try:
        module.main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 0
    except BaseException:
        traceback.print_exc()
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def borders_of(field: FieldInfo) -> list[str]:
    """Return the least and the greatest value of each kind of number, and those just outside, as typed."""
    found = []
    for kind, low, most in numbers_in(field):
        edges = [low, most, below(kind, low), above(kind, most)]
        found += [repr(kind(edge)) if math.isfinite(edge) else repr(edge) for edge in edges]
    in_list = is_list(field) and len(numbers_in(field)) == 1
    return [f"[{value},{value}]" if in_list else value for value in dict.fromkeys(found)]


def lines_at_borders() -> list[list[str]]:
    """Return a line for each border of each number; two steps, but for those that say how long."""
    others = {name: fields_of(TrainOptions)[name] for name in ("total_kimg", "replicate", "trainer.max_hours")}
    lines, seen = [], set()
    for kind in ("points", "lab", "sngan", "r3gan"):
        for name, field in {**fields_for(kind), **others}.items():
            if name not in seen and numbers_in(field):
                seen.add(name)
                final = ["burn_in_kimg=1"] if name.endswith("_final") else []
                final = ["generator.lr_final=0.001"] if name == "burn_in_kimg" else final
                lines += [[*STARTS[kind], *COMMON, *final, f"{name}={value}"] for value in borders_of(field)]
    return lines


def tell(words: list[str], found: str, said: str) -> None:
    own = [word if len(word) < 80 else f"{word[:60]}... ({len(word)})" for word in words if word not in COMMON]
    print(f"{found:<9} {' '.join(own)}", flush=True)
    if found.startswith("failed") or found == "slow":
        print("\n".join(f"    {line[:300]}" for line in said.splitlines()[-14:]), flush=True)


def main() -> None:
    torch.set_num_threads(1)
    counts: Counter[str] = Counter()

    def one(words: list[str], *, always: bool) -> None:
        found, said = outcome(words)
        counts[found] += 1
        if always or found.startswith("failed") or found == "slow":
            tell(words, found, said)

    if sys.argv[1] == "line":
        print(*outcome(sys.argv[2:]), sep="\n")
        return
    if sys.argv[1] == "borders":
        for words in lines_at_borders():
            one(words, always=True)
    else:

        @seed(int(sys.argv[2]))
        @settings(
            max_examples=int(sys.argv[1]),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(option_sets(high=True))
        def draw(words: list[str]) -> None:
            one(words, always=False)

        draw()
    print(dict(counts))


if __name__ == "__main__":
    main()
