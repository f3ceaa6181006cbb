"""Runs that several processes train together. The first process is the command itself, and alone writes.

On one machine it starts the others (experiment/worker.py); on several torchrun or srun starts all of them, with the
same command.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict

import torch

from resgan.base.device import find_accelerator, take_gpu
from resgan.base.errors import OptionsError
from resgan.base.processes import ALONE, Place, Processes, joined
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.runs.directory import Run
from resgan.training.checkpoints import State
from resgan.training.launched import all_for_one_job, launched_place

WAIT = 20  # seconds that the first process leaves the others to end by themselves


def count_of(options: TrainOptions) -> int:
    return options.trainer.devices * options.trainer.nodes


def find_place(options: TrainOptions, job: Job) -> Place | None:
    """Return the place of this process if a launcher started it, else None. Raises OptionsError where they disagree."""
    trainer, place = options.trainer, launched_place()
    wanted = f"trainer.devices={trainer.devices} trainer.nodes={trainer.nodes}"
    if count_of(options) == 1:
        return None  # what a launcher left in the environment does not disturb a single process
    if place is None and trainer.nodes > 1:
        raise OptionsError(f"trainer.nodes={trainer.nodes}: start a process for each device by torchrun or srun")
    if place is not None and place.count != count_of(options):
        raise OptionsError(f"{wanted}: {place.count} processes were started; give as many")
    if place is not None and job.sweep_dir is not None and not all_for_one_job():
        raise OptionsError(f"{wanted}: a sweep inside {place.count} processes would run in each; start its jobs apart")
    return place


def check_processes(options: TrainOptions, job: Job) -> None:
    """Refuse processes that no launcher has started, or more than there are GPUs. Raises OptionsError."""
    find_place(options, job)
    accelerator = find_accelerator("trainer.accelerator", options.trainer.accelerator)
    devices, there = options.trainer.devices, torch.cuda.device_count() if accelerator == "cuda" else 1
    if accelerator != "cpu" and devices > there:
        raise OptionsError(f"trainer.devices={devices}: this machine has {there} of them")


def set_threads(options: TrainOptions) -> None:
    """Divide the cores of this machine among its processes, unless the number of threads is given."""
    if options.trainer.devices > 1 and options.trainer.threads is None:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // options.trainer.devices))


def take_own_gpu(options: TrainOptions) -> None:
    """Take a GPU that no other job has, where the run is to have one and there are several."""
    if find_accelerator("trainer.accelerator", options.trainer.accelerator) == "cuda":
        take_gpu()


# The first process.


@contextlib.contextmanager
def all_processes(options: TrainOptions, job: Job) -> Iterator[Processes]:
    """Start the other processes of a run, where no launcher has, and join them."""
    if count_of(options) == 1:
        yield ALONE
        return
    accelerator = find_accelerator("trainer.accelerator", options.trainer.accelerator)
    set_threads(options)
    with contextlib.ExitStack() as stack:
        place = find_place(options, job) or stack.enter_context(started(count_of(options), accelerator))
        yield stack.enter_context(joined(place, accelerator=accelerator))


@contextlib.contextmanager
def started(count: int, accelerator: str) -> Iterator[Place]:
    """Start all processes but the first on this machine, and end those that are left at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    places = [Place(number, count, number, address) for number in range(count)]
    command = [sys.executable, "-m", "resgan.experiment.worker", accelerator]
    others = [
        subprocess.Popen(
            [*command, json.dumps(asdict(place))],
            stdin=subprocess.PIPE,  # closes when this process ends, however it does
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C reaches the first alone, which tells them
        )
        for place in places[1:]
    ]
    patience = 0
    try:
        ready = [process.stdout.readline() for process in others if process.stdout]
        for process, line in zip(others, ready, strict=True):  # one that has ended would keep the others waiting
            if not line or process.poll() is not None:
                raise OptionsError(f"trainer.devices={count}: a process ended at its start ({process.wait()})")
        patience = WAIT
        yield places[0]
    finally:
        until = time.monotonic() + patience
        for process in others:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(until - time.monotonic())
            process.kill()
            process.wait()


def order(options: TrainOptions, run: Run, state: State) -> State:
    """Make what the first process tells the others: the options, and where the run stands."""
    return {"options": options.model_dump(), "state": state, "measured": run.measurements()}


def dismiss_others(options: TrainOptions, job: Job) -> None:
    """Tell the processes that a launcher started beside this one, if any, that there is nothing to train."""
    if (place := find_place(options, job)) is not None:
        accelerator = find_accelerator("trainer.accelerator", options.trainer.accelerator)
        with joined(place, accelerator=accelerator) as processes:
            processes.from_first(None)
