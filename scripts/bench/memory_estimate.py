"""Compare the memory that a run is said to need at least with what it takes: `python scripts/bench/memory_estimate.py`.

Each setting trains two steps in a process of its own, forked once torch is loaded, so that the process's own size is
known.
"""

import os
import re
import sys
import tempfile
from pathlib import Path

import torch

from resgan.builders.data import expected_class_shares, expected_shape
from resgan.builders.memory import need_of_data, need_of_run
from resgan.builders.networks import spec_of_networks
from resgan.cli.compose import configure
from resgan.experiment.session import train
from resgan.experiment.study import Job

COMMON = "score_kimg=0 sample_kimg=0 save_kimg=0 trainer.accelerator=cpu trainer.threads=1 trainer.progress=false"
PENALTIES = "loss.r1_interval=1 loss.r2_interval=1"
IMAGES = "data=shapes data.count=1000 metrics.extractor=none metrics.samples=500"
POINTS = "data=gaussians data.size=1000 metrics=exact metrics.samples=500"
PUBLISHED = f"{IMAGES} data.size=32 {PENALTIES}"
SETTINGS = [
    f"{POINTS} {PENALTIES}",
    f"{POINTS} {PENALTIES} batch_size=16384",
    f"{POINTS} generator.width=4096 disc.width=4096 generator.blocks=2 disc.blocks=2",
    f"{POINTS} data.size=1000000 metrics.samples=500000",
    f"{POINTS} {PENALTIES} seeds=0-15 generator.width=512 disc.width=512 batch_size=1024",
    f"{IMAGES} {PENALTIES}",
    f"{IMAGES} {PENALTIES} batch_size=256",
    f"{IMAGES} {PENALTIES} batch_size=256 loss.r1=0 loss.r2=0",
    f"{IMAGES} {PENALTIES} batch_size=256 loss=wasserstein",
    f"{IMAGES} {PENALTIES} generator.blocks=4 disc.blocks=4 batch_size=64",
    f"{IMAGES} {PENALTIES} generator.blocks=16 disc.blocks=16 batch_size=64",
    f"{IMAGES} {PENALTIES} generator.width=64 disc.width=64 batch_size=256",
    f"{IMAGES} {PENALTIES} seeds=0-15",
    f"{IMAGES} data.count=200000",
    f"{PUBLISHED} generator=sngan disc=sngan batch_size=64",
    f"{PUBLISHED} generator=wgan_gp disc=wgan_gp loss=wasserstein",
    f"{PUBLISHED} generator=dcgan disc=dcgan batch_size=64",
    f"{PUBLISHED} generator=r3gan disc=r3gan batch_size=4",
]


def compare(setting: str) -> tuple[float, float]:
    """Return the bytes a run is said to need, and those it took beyond its process, of which `measure` tells."""
    options = configure(*COMMON.split(), *setting.split(), "wandb=disabled")
    options = options.with_values({"total_kimg": 2 * options.batch_size / 1000, "trainer.precision": "32-true"})
    spec = spec_of_networks(options, expected_shape(options.data), classes=expected_class_shares(options))
    members = len(options.each_seed())
    said = need_of_data(options.data).beside(need_of_run(options, spec, members=members)).count
    return said, measure(lambda: train(options, Job([], [], None)))


def measure(work) -> float:
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            os.chdir(tempfile.mkdtemp())
            before = status("VmRSS")
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            work()
            os.write(writing, str(status("VmHWM") - before).encode())
        except BaseException as error:
            print(repr(error), file=sys.stderr)
        finally:
            os._exit(0)
    os.close(writing)
    told = os.read(reading, 100)
    os.wait()
    return float(told or "nan")


def status(name: str) -> int:
    return 1024 * int(re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)[1])


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("| setting | said, MB | taken, MB | taken / said |\n|---|---|---|---|")
    for setting in sys.argv[1:] or SETTINGS:
        said, taken = compare(setting)
        print(f"| `{setting}` | {said / 1e6:.0f} | {taken / 1e6:.0f} | {taken / said:.2f} |", flush=True)
