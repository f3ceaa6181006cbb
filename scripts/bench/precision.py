"""Measure the gain of bf16-mixed on this processor: python scripts/bench/precision.py

CPU seconds of the same 32 steps of the lab networks on 16 x 16 images in float32 and in bf16-mixed, in turns, on one
thread; the ratio of each turn, and their median. Steps with penalties, every eighth, are float32 in both.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from resgan.experiment.benchmark import Variant, cycle_of, steps_of_cycle
from resgan.options.conf import CONF
from resgan.options.train import TrainOptions
from resgan.options.validation import check

SETTINGS = [(32, 8), (32, 16), (32, 32), (64, 32)]  # width, batch
STEPS = 32


def options_of(width: int, batch: int) -> TrainOptions:
    overrides = [f"generator.width={width}", f"disc.width={width}", f"batch_size={batch}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(TrainOptions, OmegaConf.to_container(compose("train", overrides), resolve=True))  # type: ignore[arg-type]


def cpu_seconds(cycle: Callable[[], None], times: int) -> float:
    start = time.process_time()
    for _ in range(times):
        cycle()
    return time.process_time() - start


def ratios(width: int, batch: int, rounds: int) -> list[float]:
    """Return the speedup of bf16-mixed in each turn."""
    options = options_of(width, batch)
    cycles = {
        name: cycle_of(options, Variant(("trainer.precision", name)), "cpu") for name in ("32-true", "bf16-mixed")
    }
    found = []
    for turn in range(rounds + 1):
        names = list(cycles)[:: 1 if turn % 2 else -1]
        seconds = {name: cpu_seconds(cycles[name], STEPS // steps_of_cycle(options)) for name in names}
        found.append(seconds["32-true"] / seconds["bf16-mixed"])
    return found[1:]  # without the first turn, which allocates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps({name: has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name}))
    for width, batch in SETTINGS:
        found = ratios(width, batch, given.rounds)
        turns = " ".join(f"{ratio:.2f}" for ratio in sorted(found))
        print(f"width {width}, batch {batch}: {statistics.median(found):.2f} times as fast ({turns})", flush=True)


if __name__ == "__main__":
    main()
