"""Profile a training step: python scripts/bench/profile_step.py

Print the time by operator, and the floating point operations per second of the convolutions beside this machine's
peak: the highest over 3x3 convolutions of the network's widths at 8, 16 and 32 pixels, forward only. The operations
are counted as executed, with resampling fused into convolutions. Run it alone on the machine.
"""

import argparse
import json
import time
from typing import Any

import torch
from step import NETWORKS, make, ours, real_batch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

GROUPS = {
    "convolutions": ("mkldnn_convolution", "convolution_backward"),
    "batch norms": ("batch_norm",),
    "activations": ("relu", "leaky_relu", "threshold", "tanh", "clamp"),
    "matrix products": ("addmm", "aten::mm", "aten::mv", "bmm"),
    "optimisers and average": ("adam", "lerp"),
    "copies and formats": ("copy_", "clone", "contiguous", "flip", "pad", "cat", "fill", "zero"),
    "sums and products": ("add", "mul", "div", "sum", "mean", "sub", "avg_pool", "upsample"),
}


def seconds_by_group(steps: int, play: Any) -> dict[str, float]:
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(steps):
            play()
    totals: dict[str, float] = {}
    for event in found.key_averages():
        group = next((name for name, parts in GROUPS.items() if any(part in event.key for part in parts)), "the rest")
        totals[group] = totals.get(group, 0.0) + event.self_cpu_time_total / 1e6 / steps
    return totals


def flops_of(play: Any) -> int:
    """Count the operations of a step, forward and backward, as executed."""
    with FlopCounterMode(display=False) as counter:
        play()
    return counter.get_total_flops()


def rates(width: int, size: int, batch: int) -> dict[str, float]:
    """Measure the floating point operations per second of a 3x3 convolution, best of 8: forward and both gradients."""
    x = torch.randn(batch, width, size, size).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(width, width, 3, 3).contiguous(memory_format=torch.channels_last)
    gradient, one = torch.randn_like(x), [1, 1]

    def backward(wanted: list[bool]) -> Any:
        back = torch.ops.aten.convolution_backward
        return back(gradient, x, weight, [0], one, one, one, False, [0, 0], 1, wanted)

    calls = {
        "forward": lambda: torch.nn.functional.conv2d(x, weight, padding=1),
        "gradient of the input": lambda: backward([True, False, False]),
        "gradient of the weights": lambda: backward([False, True, False]),
    }
    work, found = 2 * batch * size**2 * width**2 * 9, {}
    for name, call in calls.items():
        call()
        times = []
        for _ in range(8):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        found[name] = work / min(times)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, default="sngan 64/64")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    gan, real = make(*NETWORKS[given.network]), real_batch().contiguous(memory_format=torch.channels_last)

    def play() -> None:
        ours(gan, real)

    play(), play()  # the first steps allocate
    work = flops_of(play)
    times = []
    for _ in range(given.steps):
        start = time.perf_counter()
        play()
        times.append(time.perf_counter() - start)
    step = sorted(times)[len(times) // 2]
    groups = seconds_by_group(given.steps, play)
    total = sum(groups.values())
    layers = [layer for net in (gan.generator, gan.disc) for layer in net.modules()]
    widths = {layer.in_channels for layer in layers if isinstance(layer, torch.nn.Conv2d) and layer.in_channels > 3}
    found = {(width, size): rates(width, size, len(real)) for width in sorted(widths) for size in (8, 16, 32)}
    for (width, size), rate in found.items():
        told = ", ".join(f"{name} {value / 1e9:.0f}" for name, value in rate.items())
        print(f"  3x3, {width} channels, {size} x {size}: {told} GFLOP/s")
    most = max(rate["forward"] for rate in found.values())
    for name, seconds in sorted(groups.items(), key=lambda item: -item[1]):
        print(f"  {name:<24}{1000 * seconds:8.0f} ms{100 * seconds / total:7.1f} %")
    in_step, in_convolutions = work / step, work / (step * groups["convolutions"] / total)
    print(f"{given.network}: {1000 * step:.0f} ms a step, {work / 1e9:.1f} GFLOP: {in_step / 1e9:.0f} GFLOP/s")
    print(f"peak of a convolution: {most / 1e9:.0f} GFLOP/s")
    print(f"share of it: {in_step / most:.2f} over the whole step, {in_convolutions / most:.2f} within convolutions")
    all_of_it = {"step": step, "flop": work, "peak": most, "groups": groups, "threads": given.threads}
    print(json.dumps({"network": given.network, "torch": torch.__version__, **all_of_it}))


if __name__ == "__main__":
    main()
