"""Print the tables of docs/wirings.md on networks at the start: scale by depth, inits, and responses with each norm.

    python scripts/start_table.py                      # all tables; or name some: scale, starts, responses

Untrained lab networks on 16 x 16 images, width 32. Scale: medians over 16 seeds of the rms of the output, and of the
gradient at the first block divided by the gradient at the last. Starts: medians over 8 seeds of the rms of the output,
also for perceptrons of width 64 on points. Responses: seed 0, two blocks per stage; the plain arm's response divided by
the residual arm's, the minimum over the joins.
"""

import itertools
import statistics
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import torch
from torch import nn

from resgan.base.rng import make_generator
from resgan.nets.blocks import BLOCKS
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.layers import NORMS
from resgan.nets.matched import match_variances
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.options.block import BlockOptions
from resgan.options.choices import FanIn, Init, Join
from resgan.probes.response import halved, relative_response, shift
from resgan.probes.scale import scales

SHAPE, LATENT = (3, 16, 16), 16
SEEDS, DEPTHS = 16, (1, 2, 4, 8, 16)
START_SEEDS = 8
HIDDEN = 1e-3  # a smaller response is rounding
LATENTS, IMAGES = (torch.randn(16, *size, generator=make_generator(0, "start")) for size in ((LATENT,), SHAPE))
POINTS = torch.randn(256, 2, generator=make_generator(0, "start"))


def network(kind: str, *, block: BlockOptions, blocks: int, seed: int, fan_in: FanIn = "effective") -> nn.Module:
    given = {"shape": SHAPE, "block": block, "blocks": blocks, "seed": seed, "fan_in": fan_in}
    return LabGenerator(latent_dim=LATENT, **given) if kind == "G" else LabDiscriminator(**given)


def cells_of_scale(kind: str, block: BlockOptions, blocks: int, fan_in: FanIn) -> Iterator[str]:
    """Yield medians over seeds: rms of the output, and gradient at the first block over the gradient at the last."""
    found = []
    for seed in range(SEEDS):
        net = network(kind, block=block, blocks=blocks, seed=seed, fan_in=fan_in)
        each = scales(net, LATENTS if kind == "G" else IMAGES)
        found.append((each[-1].rms, next(scale.gradient for scale in each if ".blocks." in scale.name)))
    yield from (f"{statistics.median(values):.2g}" for values in zip(*found, strict=True))


def scale_table() -> Iterator[str]:
    yield f"| blocks a stage: {', '.join(map(str, DEPTHS))} | G: rms | G: gradient | D: rms | D: gradient |"
    yield "|---|---|---|---|---|"
    arms: tuple[tuple[str, BlockOptions, FanIn], ...] = (
        ("plain, effective", BlockOptions(residual=False), "effective"),
        ("plain, nominal", BlockOptions(residual=False), "nominal"),
        *((f"{join}, effective", BlockOptions(join=join), "effective") for join in ("stable", "scaled", "sum")),
    )
    for words, block, fan_in in arms:
        found = [[cell for kind in "GD" for cell in cells_of_scale(kind, block, blocks, fan_in)] for blocks in DEPTHS]
        yield f"| {words} | {' | '.join(', '.join(each) for each in zip(*found, strict=True))} |"


# Networks, with their inputs and options.
STARTS = {
    "lab G": (LabGenerator, LATENTS, {"shape": SHAPE, "latent_dim": LATENT, "width": 32, "fan_in": "effective"}),
    "lab D": (LabDiscriminator, IMAGES, {"shape": SHAPE, "width": 32, "fan_in": "effective"}),
    "mlp G": (MlpGenerator, POINTS, {"shape": (2,), "latent_dim": 2, "width": 64}),
    "mlp D": (MlpDiscriminator, POINTS, {"shape": (2,), "width": 64}),
}


def cell_of_start(name: str, *, init: Init, residual: bool, blocks: int) -> str:
    """Return the median over seeds of the rms of the output."""
    network, x, options = STARTS[name]
    found = []
    for seed in range(START_SEEDS):
        net = network(block=BlockOptions(residual=residual), blocks=blocks, init=init, seed=seed, **options)
        if init == "matched":
            match_variances(net, x)
        with torch.no_grad():
            found.append(net(x).square().mean().sqrt().item())
    return f"{statistics.median(found):.2g}"


def start_table() -> Iterator[str]:
    yield f"| blocks: {', '.join(map(str, DEPTHS))} | {' | '.join(f'{name}: rms' for name in STARTS)} |"
    yield "|---|---|---|---|---|"
    for init, residual in itertools.product(get_args(Init), (False, True)):
        cells = [
            ", ".join(cell_of_start(name, init=init, residual=residual, blocks=blocks) for blocks in DEPTHS)
            for name in STARTS
        ]
        yield f"| {init}, {'stable' if residual else 'plain'} | {' | '.join(cells)} |"


def least_share(kind: str, change: str, block: BlockOptions) -> str:
    """Return the plain arm's response divided by the residual arm's, the minimum over the joins."""
    x = LATENTS if kind == "G" else IMAGES.clamp(-1, 1)
    changed = halved(x) if change == "contrast" else shift(x)
    shares = []
    for join in get_args(Join):
        plain, residual = (
            relative_response(network(kind, block=replace(block, join=join, residual=r), blocks=2, seed=0), x, changed)
            for r in (False, True)
        )
        if max(plain, residual) < HIDDEN:
            return "hidden from both"
        shares.append(plain / residual)
    return f"{min(shares):.2g}"


def response_table() -> Iterator[str]:
    yield "| block, norm | trunk: G contrast | trunk: D contrast | trunk: D colour | branch: G contrast | branch: D contrast | branch: D colour |"  # noqa: E501
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for kind, norm in itertools.product(BLOCKS, NORMS):
        if kind == "bottleneck" and norm != "none":
            continue
        cells = [
            least_share(net, change, BlockOptions(kind=kind, norm=norm, norm_place=place))  # type: ignore[arg-type]
            for place in ("trunk", "branch")
            for net, change in (("G", "contrast"), ("D", "contrast"), ("D", "colour"))
        ]
        yield f"| {kind}, {norm} | {' | '.join(cells)} |"


if __name__ == "__main__":
    torch.set_num_threads(1)
    tables = {"scale": scale_table, "starts": start_table, "responses": response_table}
    for name in sys.argv[1:] or tables:
        for line in tables[name]():
            print(line, flush=True)
        print()
