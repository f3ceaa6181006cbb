"""Measure how long commands take to start: python scripts/bench/start.py

CPU seconds of whole processes: importing torch and pytorch_lightning, --help, and training one step with its scores;
each is compared with the imports. In turns, medians.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ONE_STEP = ["metrics=exact", "metrics.samples=2", "wandb=disabled", "trainer.threads=1", "trainer.progress=false"]
COMMANDS = {
    "imports": ["-c", "import torch, pytorch_lightning"],
    "--help": ["-m", "resgan.train", "--help"],
    "one step, data=gaussians": ["-m", "resgan.train", "data=gaussians", "total_kimg=0.128", *ONE_STEP],
    "one step, data=shapes": ["-m", "resgan.train", "total_kimg=0.008", *ONE_STEP],
}


def cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "RESGAN_CACHE": str(Path(folder) / "cache")}
        subprocess.run([sys.executable, *command], cwd=folder, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(given.rounds):
        for name in list(COMMANDS)[:: 1 if turn % 2 else -1]:
            times[name].append(cpu_seconds(COMMANDS[name]))
    found = {name: statistics.median(seconds) for name, seconds in times.items()}
    for name, seconds in found.items():
        print(f"{name:<26}{seconds:6.2f} s  {seconds / found['imports']:.2f} of the imports")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
