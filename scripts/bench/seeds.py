"""Compare several seeds trained as one with processes side by side: python scripts/bench/seeds.py

One single-thread process per core runs training steps, all at once, each of a single GAN or of a stack of seeds. Images
per second are summed over processes and seeds. In turns, medians. Run it alone on the machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

CASES = {"gaussians": ["data=gaussians"], "shapes": []}
TOGETHER = (1, 2, 4, 8, 16)


def images_a_second(case: str, together: int, seconds: float) -> float:
    """Measure the images per second of this process."""
    import torch
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    from resgan.experiment.benchmark import Variant, cycle_of, steps_of_cycle
    from resgan.options.conf import CONF
    from resgan.options.train import TrainOptions
    from resgan.options.validation import check

    torch.set_num_threads(1)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        given = check(TrainOptions, OmegaConf.to_container(compose("train", CASES[case]), resolve=True))  # type: ignore[arg-type]
    cycle = cycle_of(given, Variant(stack_size=together), "cpu")
    cycle()
    print("ready", flush=True)
    sys.stdin.readline()  # wait, so that all begin together
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        cycle()
        count += 1
    return count * steps_of_cycle(given) * given.batch_size * together / (time.perf_counter() - start)


def side_by_side(case: str, together: int, *, processes: int, seconds: float) -> float:
    command = [sys.executable, __file__, "--worker", case, str(together), "--seconds", str(seconds)]
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return sum(float(worker.communicate()[0]) for worker in workers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        print(images_a_second(given.worker[0], int(given.worker[1]), given.seconds))
        return
    results = {}
    for case in CASES:
        found: dict[int, list[float]] = {together: [] for together in TOGETHER}
        for turn in range(given.rounds):
            for together in TOGETHER[:: 1 if turn % 2 else -1]:
                speed = side_by_side(case, together, processes=given.processes, seconds=given.seconds)
                found[together].append(speed)
        speeds = {together: statistics.median(values) for together, values in found.items()}
        results[case] = speeds
        told = ", ".join(f"{together}: {speed / speeds[1]:.2f}" for together, speed in speeds.items())
        print(
            f"{case}: {speeds[1]:.0f} images a second alone in {given.processes} processes; as one, {told}", flush=True
        )
    print(json.dumps({"processes": given.processes, "images_a_second": results}))


if __name__ == "__main__":
    main()
