"""Watch memory and open files over many small steps: python scripts/bench/leaks.py [STEPS]

Trains points in a process of its own, with scores, grids, checkpoints and an offline W&B at intervals, and reads its
resident memory and its open files from /proc (Linux). Prints their values, and the slope of memory after the first
fifth of the run with its standard error, in bytes a step: a leak is a slope that is many standard errors above 0.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BATCH, EVERY = 16, 0.25  # samples in a step; seconds between two readings
RUN = [
    "data=gaussians", "data.size=2000", "metrics=exact", "metrics.samples=500", "generator.width=16", "disc.width=16",
    "generator.blocks=1", "disc.blocks=1", f"batch_size={BATCH}", "score_kimg=8", "sample_kimg=16", "save_kimg=8",
    "trainer.threads=1", "trainer.accelerator=cpu", "trainer.progress=false", "wandb=offline", "run_dir=run",
]  # fmt: skip


def readings(steps: int, folder: Path) -> list[tuple[int, int, int]]:
    """Return (step, bytes of resident memory, open files) all along a run of so many steps."""
    command = [sys.executable, "-m", "resgan.train", *RUN, f"total_kimg={steps * BATCH / 1000}"]
    found = []
    with open(folder / "said", "wb") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said)
    proc, metrics = Path(f"/proc/{process.pid}"), folder / "run" / "metrics.jsonl"
    while process.poll() is None:
        time.sleep(EVERY)
        lines = metrics.read_text().splitlines() if metrics.exists() else []
        if len(lines) > 1:
            step = json.loads(lines[-2])["images_seen"] // BATCH
            pages = int((proc / "statm").read_text().split()[1]) if process.poll() is None else 0
            if pages:
                found.append((step, pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(proc / "fd"))))
    if process.returncode:
        sys.exit((folder / "said").read_text())
    return found


def slope(pairs: list[tuple[int, int]]) -> tuple[float, float]:
    """Return the slope of a line through the points by least squares, and its standard error."""
    count = len(pairs)
    x, y = (sum(values) / count for values in zip(*pairs, strict=True))
    spread = sum((a - x) ** 2 for a, _ in pairs)
    found = sum((a - x) * (b - y) for a, b in pairs) / spread
    rest = sum((b - y - found * (a - x)) ** 2 for a, b in pairs)
    return found, math.sqrt(rest / (count - 2) / spread)


def main() -> None:
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        found = readings(steps, Path(folder))
    later = [reading for reading in found if steps / 5 < reading[0] < steps]  # not what ends it
    for step, memory, files in later[:: max(1, len(later) // 8)]:
        print(f"step {step:7,}  {memory / 1e6:7.1f} MB  {files} open files")
    found_slope, error = slope([(step, memory) for step, memory, _ in later])
    print(f"{len(later)} readings: {found_slope:.2f} bytes a step, standard error {error:.2f}; open files "
          f"{min(files for *_, files in later)} to {max(files for *_, files in later)}")  # fmt: skip


if __name__ == "__main__":
    main()
