"""Print the table of docs/wirings.md: signal and gradient through untrained networks, residual against plain.

    python scripts/wirings_table.py

32 x 32 pictures, four blocks a stage (16 in each network), width 32, seed 0: rms at the last block as a multiple of the
rms at the first, and the gradient at the first block as a multiple of that at the last.
"""

import itertools
import sys
from typing import Any

import yaml

from resgan.command import CONF
from resgan.describe import arm
from resgan.options import TrainOptions, check

PLAIN = {"block": "preact", "norm": "none", "join": "sum", "init": "he"}
ROWS: list[dict[str, Any]] = [
    *(PLAIN | {"norm": norm, "join": join} for norm in ("none", "pixel") for join in ("sum", "scaled", "gated")),
    *(PLAIN | {"block": block} for block in ("postact", "stylegan2", "bottleneck")),
    *(PLAIN | {"init": init} for init in ("glorot", "orthogonal", "fixup", "dirac")),
    PLAIN | {"block": "bottleneck", "init": "fixup"},
    PLAIN | {"branch_scale": 0.1},
    PLAIN | {"layer_scale": 1e-5},
]


def options(**changes: Any) -> TrainOptions:
    """The defaults of conf/, without Hydra, with four blocks a stage."""
    values = yaml.safe_load((CONF / "train.yaml").read_text())
    del values["hydra"]
    for entry in values.pop("defaults"):
        for group, name in entry.items() if isinstance(entry, dict) else ():
            if name and not group.startswith("override"):
                values[group] = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    for network in ("generator", "disc"):
        values[network] |= {"blocks": 4, "residual": True, **changes}
    return check(TrainOptions, values)


def cells(given: TrainOptions, network: str, residual: bool) -> list[str]:
    found = arm(given, network, (3, 32, 32), residual)
    if isinstance(found, str):
        return ["-", "-"]
    blocks = [scale for scale in found[1] if "blocks" in scale.name]
    return [f"{blocks[-1].rms / blocks[0].rms:.3g}", f"{blocks[0].gradient:.3g}"]


def main() -> None:
    if len(sys.argv) > 1:
        raise SystemExit(__doc__)
    heads = [f"{net} {arm}: {what}" for net in ("G", "D") for arm in ("residual", "plain") for what in ("rms", "grad")]
    print("| block, norm, join, init | " + " | ".join(heads) + " |")
    print("| --- |" + " ---: |" * len(heads))
    for row in ROWS:
        given = options(**row)
        found = [cells(given, net, residual) for net in ("generator", "disc") for residual in (True, False)]
        title = ", ".join(str(value) if key in PLAIN else f"{key} {value:g}" for key, value in row.items())
        print(f"| {title} | " + " | ".join(itertools.chain(*found)) + " |")


if __name__ == "__main__":
    main()
