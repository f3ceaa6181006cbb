"""StyleGAN2's question: plain, image skips or residual blocks, in G and in D (Karras et al. 2020, table 2)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from resgan.report.effects import Array, holm, sign_flip, t_interval, transformed, with_worst
from resgan.report.panels import Score, equal_but, panel_key
from resgan.report.records import Record
from resgan.report.tables import Table, spread

SKIPS = ("generator.image_skips", "disc.image_skips")
# (residual blocks, image skips) -> the name of such a network
WIRINGS = {
    (False, False): "plain",
    (False, True): "image skips",
    (True, False): "residual",
    (True, True): "residual and image skips",
}


def wiring(record: Record, network: str) -> str:
    blocks, skips = (bool(record.config.get(f"{network}.{key}")) for key in ("residual", "image_skips"))
    return WIRINGS[blocks, skips]


@dataclass(frozen=True)
class Grid:
    """Runs that differ in the wiring of G and of D, and in their seeds."""

    records: tuple[Record, ...]

    @cached_property
    def wirings(self) -> tuple[list[str], list[str]]:
        """The wirings of G and of D."""
        g, d = ({wiring(record, network) for record in self.records} for network in ("generator", "disc"))
        return [name for name in WIRINGS.values() if name in g], [name for name in WIRINGS.values() if name in d]

    def cell(self, g: str, d: str) -> list[Record]:
        return [r for r in self.records if (wiring(r, "generator"), wiring(r, "disc")) == (g, d)]

    @cached_property
    def primary(self) -> str | None:
        return next((record.result["primary"] for record in self.records if record.result), None)

    @property
    def score(self) -> Score:
        """Scale and direction of the primary endpoint."""
        assert self.primary is not None
        return Score.of(self.primary, next(record.result["cards"] for record in self.records if record.result))

    @cached_property
    def seeds(self) -> list[int]:
        """Seeds that have ended, finished or diverged, in every cell."""
        cells = [self.cell(g, d) for g in self.wirings[0] for d in self.wirings[1]]
        ended = [{record.seed for record in cell if record.status != "unfinished"} for cell in cells]
        return sorted(set.intersection(*ended)) if ended else []

    def blocks(self) -> Array:
        """Return the primary endpoint (S, G, D) on the scale of the intervals; more is better, NaN: diverged."""
        assert self.primary is not None
        score, (gs, ds) = self.score, self.wirings
        found = {(record.seed, g, d): record.score(self.primary) for g in gs for d in ds for record in self.cell(g, d)}
        raw = np.array([[[found[s, g, d] for d in ds] for g in gs] for s in self.seeds], dtype=float)
        samples = next(record.result["cards"][self.primary]["n_fake"] for record in self.records if record.result)
        return transformed(raw, scale=score.scale, samples=samples, low_is_good=score.low_is_good)


def grids(records: list[Record], *, mixed_code: bool) -> list[Grid]:
    """Group runs that are equal except for seed and wiring, where image skips are among the wirings."""
    groups: list[list[Record]] = []
    for record in sorted(records, key=lambda r: r.status == "unfinished"):  # these join the code that others ran
        what = panel_key(record, mixed_code=mixed_code)
        ignored = {*SKIPS, *({"code"} if record.status == "unfinished" else set())}
        group = next((g for g in groups if equal_but(panel_key(g[0], mixed_code=mixed_code), what, ignored)), None)
        if group is None:
            groups.append([record])
        else:
            group.append(record)
    found = [Grid(tuple(group)) for group in groups]
    return [grid for grid in found if any("image skips" in names and len(names) > 1 for names in grid.wirings)]


def scores_table(grid: Grid) -> Table:
    """Tabulate scores, wirings of G by wirings of D: mean and standard deviation over finished seeds."""
    gs, ds = grid.wirings
    if grid.primary is None:
        return []
    rows = [[f"{grid.primary}, G down, D across", *ds]]
    for g in gs:
        rows.append([g, *(in_cell(grid.cell(g, d), grid.primary) for d in ds)])
    return rows


def floor_of(grid: Grid) -> float | None:
    """Return the score that a diverged run counts with: all wrong for a share, as in a panel; else None."""
    score = grid.score
    if score.scale != "share":
        return None
    samples = next(r.result["cards"][score.name]["n_fake"] for r in grid.records if r.result)
    worst = np.array([1.0 if score.low_is_good else 0.0])
    return float(transformed(worst, scale="share", samples=samples, low_is_good=score.low_is_good)[0])


def in_cell(records: list[Record], name: str) -> str:
    diverged = sum(record.status == "diverged" for record in records)
    return spread(record.score(name) for record in records) + (f" ({diverged} diverged)" if diverged else "")


def contrasts_table(grid: Grid) -> Table:
    """Compare wirings with plain in the same network, mean over wirings of the other; Holm's correction over all."""
    gs, ds = grid.wirings
    if not grid.seeds or grid.primary is None:
        return []
    y = with_worst(grid.blocks(), floor=floor_of(grid))
    found: list[tuple[str, Array]] = []
    for network, names, axis in (("G", gs, 1), ("D", ds, 2)):
        if "plain" in names:
            means = y.mean(axis=3 - axis)  # (S, wirings of this network)
            plain = means[:, names.index("plain")]
            found += [(f"{name} in {network}", means[:, k] - plain) for k, name in enumerate(names) if name != "plain"]
    corrected = holm([sign_flip(x) for _, x in found])
    rows = [["against plain; positive is better", "effect", "95 % interval", "p (sign flip)", "p (Holm)"]]
    for (name, x), p in zip(found, corrected, strict=True):
        ends = t_interval(x)
        said = f"{ends[0]:+.3g} to {ends[1]:+.3g}" if ends else "none from one seed"
        rows.append([name, f"{x.mean():+.3g}", said, f"{sign_flip(x):.2g}", f"{p:.2g}"])
    return rows
