"""Print the tables of docs/wirings.md: signal and gradient in untrained networks, residual against plain.

    python scripts/wirings_table.py

Lab networks: 32 x 32 images, four blocks per stage (16 in each network), width 32. Published networks: as published,
on images of their size. Seed 0; rms at the last block divided by the rms at the first, and the gradient at the first
block divided by the gradient at the last. Also parameters and MFLOP of the published networks.
"""

import itertools
import sys
from collections.abc import Iterator

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from resgan.base.errors import OptionsError
from resgan.base.plain_data import format_value
from resgan.builders import networks
from resgan.experiment.description import arm
from resgan.options.conf import CONF
from resgan.options.train import TrainOptions
from resgan.options.validation import check

PLAIN = {"block": "preact", "norm": "none", "join": "stable", "init": "he"}
SUM = PLAIN | {"join": "sum"}
LAB: list[dict[str, object]] = [
    PLAIN,
    PLAIN | {"fan_in": "nominal"},
    *(PLAIN | {"join": join} for join in ("sum", "scaled", "gated")),
    *(PLAIN | {"norm": norm} for norm in ("batch", "group", "pixel", "layer")),
    SUM | {"norm": "pixel", "norm_place": "branch"},
    *(PLAIN | {"block": block} for block in ("postact", "stylegan2", "bottleneck")),
    *(PLAIN | {"init": init} for init in ("glorot", "orthogonal", "fixup", "dirac")),
    SUM | {"block": "bottleneck", "init": "fixup"},
    SUM | {"branch_scale": 0.1},
    SUM | {"layer_scale": 1e-5},
]
# (title, file in both groups, pixels, options of both networks)
PAPERS: list[tuple[str, str, int, dict[str, str]]] = [
    *((f"sngan {size}", "sngan", size, {}) for size in (32, 48, 64)),
    ("wgan_gp 32", "wgan_gp", 32, {}),
    ("wgan_gp_101 64", "wgan_gp_101", 64, {}),
    ("dcgan 32", "dcgan", 32, {}),
    ("r3gan 32", "r3gan", 32, {}),
    ("r3gan 32, init=he", "r3gan", 32, {"init": "he"}),
]
NETWORKS = ("generator", "disc")


def options(*overrides: str) -> TrainOptions:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(TrainOptions, OmegaConf.to_container(compose("train", list(overrides)), resolve=True))  # type: ignore[arg-type]


def of_both(values: dict) -> list[str]:
    return [f"{network}.{key}={value}" for network in NETWORKS for key, value in values.items()]


def cells(given: TrainOptions, size: int) -> Iterator[str]:
    """Yield rms and gradient for residual G, plain G, residual D and plain D."""
    for network, residual in itertools.product(NETWORKS, (True, False)):
        found = arm(given, network, (3, size, size), residual)
        blocks = [] if isinstance(found, str) else [scale for scale in found.scales if "blocks" in scale.name]
        if blocks and not blocks[0].rms:
            yield from ("dead", "dead")  # plain, with branches that begin at zero
        else:
            yield from (f"{blocks[-1].rms / blocks[0].rms:.3g}", f"{blocks[0].gradient:.3g}") if blocks else ("-", "-")


def costs(given: TrainOptions, size: int) -> Iterator[str]:
    """Yield parameters and MFLOP, in the same order."""
    for network, residual in itertools.product(NETWORKS, (True, False)):
        values = given.model_dump()
        values[network]["residual"] = residual
        try:
            spec = networks.spec_of_networks(check(TrainOptions, values), (3, size, size), classes={})
        except OptionsError:
            yield from ("-", "-")
            continue
        found = networks.costs(spec)
        yield from (f"{found['parameters'][network]:,}", f"{found['flops'][network] / 1e6:,.0f}")


def print_table(title: str, heads: tuple[str, str], rows: Iterator[tuple[str, list[str]]]) -> None:
    columns = [f"{net} {arm}: {what}" for net in ("G", "D") for arm in ("residual", "plain") for what in heads]
    print(f"\n| {title} | " + " | ".join(columns) + " |")
    print("| --- |" + " ---: |" * len(columns))
    for name, found in rows:
        print(f"| {name} | " + " | ".join(found) + " |", flush=True)


def lab_rows() -> Iterator[tuple[str, list[str]]]:
    for row in LAB:
        title = ", ".join(str(value) if key in PLAIN else f"{key} {format_value(value)}" for key, value in row.items())
        yield title, list(cells(options("generator=lab", "disc=lab", *of_both({"blocks": 4} | row)), 32))


def paper_rows(what) -> Iterator[tuple[str, list[str]]]:
    for title, file, size, changes in PAPERS:
        yield title, list(what(options(f"generator={file}", f"disc={file}", *of_both(changes)), size))


def trunk_rows() -> Iterator[tuple[str, list[str]]]:
    """Yield the costs with the projections on the trunk, in both arms."""
    for title, file, size, changes in PAPERS:
        if file != "r3gan":
            given = options(f"generator={file}", f"disc={file}", *of_both(changes | {"projection": "trunk"}))
            yield format_value(title), list(costs(given, size))


def main() -> None:
    if len(sys.argv) > 1:
        raise SystemExit(__doc__)
    print_table("block, norm, join, init", ("rms", "grad"), lab_rows())
    print_table("as published", ("rms", "grad"), paper_rows(cells))
    print_table("as published", ("parameters", "MFLOP"), paper_rows(costs))
    print_table("projection=trunk", ("parameters", "MFLOP"), trunk_rows())


if __name__ == "__main__":
    main()
