"""A process that trains in step with the first one of its run, and writes nothing.

The first starts it as `python -m resgan.experiment.worker cuda PLACE`, or a launcher as the command itself.
"""

import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

from resgan.base.device import find_accelerator
from resgan.base.processes import Place, ProcessLost, joined
from resgan.builders.components import build_components
from resgan.experiment.session import Member, train_group
from resgan.experiment.several import WAIT, find_place, set_threads
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.directory import Run


def follows(options: TrainOptions, job: Job) -> bool:
    """Follow the first process if a launcher started this one beside it. Returns False in the first process."""
    place = find_place(options, job)
    if place is None or place.number == 0:
        return False
    follow(place, find_accelerator("trainer.accelerator", options.trainer.accelerator))
    return True


def follow(place: Place, accelerator: str) -> None:
    """Train what the first process says, in a directory that is thrown away. Raises SystemExit if the first is lost."""
    try:
        with joined(place, accelerator=accelerator) as processes, tempfile.TemporaryDirectory() as scratch:
            ordered = processes.from_first()
            if ordered is None:
                return  # there is nothing to train
            options = check(TrainOptions, ordered["options"])
            options = options.with_values(
                {"trainer.progress": False, "wandb.mode": "disabled", "tensorboard": False, "csv": False}
            )
            set_threads(options)
            state = ordered["state"]
            components = build_components(options, begins=not state, members=0)
            if state:
                components.gan.load_training_state(state)
                components.gan.losses = dict(state["losses"])
            run = Run(Path(scratch) / "run")
            run.claim(options.model_dump())
            for line in ordered["measured"]:
                run.append(line)
            member = Member(options, run, Job([], [], None), components, state)
            try:
                train_group([member], run.path, processes)
            except SystemExit:  # all have stopped together; after an error of its own this one leaves at once
                processes.wait_for_first()
                raise
            processes.wait_for_first()
    except ProcessLost:
        raise SystemExit(1) from None


def leave_with_first() -> None:
    """End this process if it outlives the first, which holds the other end of its standard input."""
    os.read(sys.stdin.fileno(), 1)  # returns when the first has ended, even before it has joined
    time.sleep(WAIT)  # usually an exchange fails meanwhile, and this process tidies up after itself
    os._exit(1)


def main() -> None:
    accelerator, place = sys.argv[1], Place(**json.loads(sys.argv[2]))
    threading.Thread(target=leave_with_first, daemon=True).start()
    print("ready", flush=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    follow(place, accelerator)


if __name__ == "__main__":
    main()
