"""Compare several processes that train one run with one process: python scripts/bench/processes.py generator.width=64

Images a second of training steps in float32 on random samples, with the options that are given: in one process of one
thread, which is the reference, in one process of as many threads as there are processes otherwise, and in the processes
(trainer.devices), each of one thread. In turns, medians. On the processor; run it alone on the machine.
"""

import argparse
import contextlib
import json
import math
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from resgan.base.processes import ALONE, Place, Processes, joined
from resgan.experiment.benchmark import on_random_samples, steps_of_cycle
from resgan.options.conf import CONF
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training.batches import as_batch


def options_of(overrides: list[str], processes: int) -> TrainOptions:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = compose("train", [*overrides, f"trainer.devices={processes}"])
    return check(TrainOptions, OmegaConf.to_container(given, resolve=True))  # type: ignore[arg-type]


# One of the processes that are measured.


def cycle_of(options: TrainOptions, processes: Processes) -> Callable[[], None]:
    """Return a function that runs one cycle of steps on this process's share of a batch."""
    gan, samples, labels = on_random_samples(options)
    gan.total_images = sys.maxsize  # learning rates do not decay
    gan.join(processes)
    batch = as_batch([processes.share(tensor) for tensor in (samples, labels) if tensor is not None])

    def cycle() -> None:
        for step in range(steps_of_cycle(options)):
            gan.training_step(batch, step)

    return cycle


def work(overrides: list[str], place: Place, *, threads: int, steps: int) -> None:
    """Train for every line of standard input, and print the images a second."""
    torch.set_num_threads(threads)
    options = options_of(overrides, place.count)
    cycles = math.ceil(steps / steps_of_cycle(options))
    with joined(place, accelerator="cpu") if place.count > 1 else contextlib.nullcontext(ALONE) as processes:
        cycle = cycle_of(options, processes)
        for _ in sys.stdin:
            start = time.perf_counter()
            for _ in range(cycles):
                cycle()
            seconds = time.perf_counter() - start
            print(cycles * steps_of_cycle(options) * options.batch_size / seconds, flush=True)


# What measures them.


def started(overrides: list[str], *, processes: int, threads: int, steps: int) -> list[subprocess.Popen[str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    places = [json.dumps(asdict(Place(number, processes, number, address))) for number in range(processes)]
    command = [sys.executable, __file__, *overrides, "--steps", str(steps), "--threads", str(threads), "--place"]
    return [
        subprocess.Popen([*command, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for place in places
    ]


def images_a_second(workers: list[subprocess.Popen[str]]) -> float:
    """Let processes that train together run for one turn."""
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return min(float(worker.stdout.readline()) for worker in workers if worker.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="options as in python -m resgan.train")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--steps", type=int, default=32, help="of each variant in a round, in whole cycles of penalties"
    )
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--place", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.place:
        work(given.overrides, Place(**json.loads(given.place)), threads=given.threads, steps=given.steps)
        return
    options_of(given.overrides, given.processes)  # refuses what cannot be
    several = given.processes
    groups = {
        f"{processes} x {threads}": started(given.overrides, processes=processes, threads=threads, steps=given.steps)
        for processes, threads in ((1, 1), (1, several), (several, 1))
    }
    found: dict[str, list[float]] = {name: [] for name in groups}
    for turn in range(given.rounds + 1):
        for name in list(groups)[:: 1 if turn % 2 else -1]:
            found[name].append(images_a_second(groups[name]))
    for worker in [worker for workers in groups.values() for worker in workers]:
        worker.communicate()
    speeds = {name: statistics.median(values[1:]) for name, values in found.items()}  # the first turn allocates
    for name, speed in speeds.items():
        print(f"processes x threads {name}: {speed:8.1f} images a second, {speed / speeds['1 x 1']:.2f} times 1 x 1")
    print(json.dumps({"overrides": given.overrides, "torch": torch.__version__, "images_a_second": speeds}))


if __name__ == "__main__":
    main()
