"""Measure the cost of loading data: python scripts/bench/data.py --folder IMAGES

Milliseconds per batch from memory, on one thread; and for a folder or archive of images, if one is given, the seconds
to load it without a cache, for the first time with one, and again.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from resgan.data.folder import load_folder
from resgan.training.batches import Batches

SETS = {  # samples, batch, mirrored
    "128 points": (torch.randn(100_000, 2), 128, False),
    "8 images of 16 x 16": (torch.randint(0, 256, (600, 3, 16, 16), dtype=torch.uint8), 8, False),
    "64 images of 32 x 32, mirrored": (torch.randint(0, 256, (50_000, 3, 32, 32), dtype=torch.uint8), 64, True),
}


def milliseconds_of_batch(data: torch.Tensor, size: int, flip: bool, *, count: int = 500) -> float:
    batches = iter(Batches(data, size=size, start=0, stop=10**9, seed=0, flip=flip))
    times = []
    for _ in range(count):
        start = time.perf_counter()
        next(batches)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.fmean(times[10:])


def seconds_of_load(path: Path, cache: Path | None) -> float:
    start = time.perf_counter()
    load_folder(path, size=None, channels=3, holdout=0.0, seed=0, progress=False, cache_directory=cache)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="images of one size: a folder, zip or tar")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: milliseconds_of_batch(*of) for name, of in SETS.items()}
    for name, milliseconds in found.items():
        print(f"{name}: {milliseconds:.3f} ms a batch", flush=True)
    if given.folder:
        with tempfile.TemporaryDirectory() as cache:
            loads = {"without a cache": None, "the first time": Path(cache), "again": Path(cache)}
            for name, directory in loads.items():
                found[name] = seconds_of_load(given.folder, directory)
                print(f"{given.folder.name} {name}: {found[name]:.1f} s", flush=True)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
