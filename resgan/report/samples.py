"""Samples beside what they should be: grids of images beside real ones, points beside real points and their modes."""

import io
import math
from collections.abc import Mapping
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.patches import Circle
from PIL import Image, ImageDraw

from resgan.data.modes import SD, line_of_modes
from resgan.report.figures import Figure, drawing, rendered
from resgan.report.palette import BLUE, RED
from resgan.report.panels import Panel
from resgan.report.records import ARM_NAMES, Arm, Record
from resgan.runs.directory import Run

LIMIT = 5.0  # training draws points in the square [-LIMIT, LIMIT]^2
VALID_SD = 3  # a point within so many standard deviations of a mode is valid


def grids(panel: Panel, name: str) -> Figure | None:
    """Show the last samples of the four arms, of their lowest shared seed and on the same latents, beside real ones.

    None without saved samples.
    """
    return sample_sheet({ARM_NAMES[arm]: run for arm in panel.arms if (run := first_run(panel, arm))}, name)


def first_run(panel: Panel, arm: Arm) -> Record | None:
    """Find the run of the lowest seed that all arms share; in an incomplete panel, of this arm's lowest seed."""
    seeds = panel.seeds or sorted({record.seed for record in panel.arm(arm)})
    return next((record for record in panel.arm(arm) if record.seed == seeds[0]), None)


def sample_sheet(runs: Mapping[str, Record], name: str, *, columns: int = 2, what: str = "arm") -> Figure | None:
    """Show the last samples of runs, and real ones, side by side; None without saved samples."""
    found = [(title, path) for title, record in runs.items() if (path := Run(record.path).last_grid())]
    if not found:
        return None
    reals = (Run(record.path).reals for record in runs.values())
    found += [("real", path) for path in reals if path.exists()][:1]
    said = f"Last samples of every {what} on the same latents"
    said += ", beside real ones" if found[-1][0] == "real" else ""
    config = next(iter(runs.values())).config
    if config.get("data.name") == "gaussians":
        return point_sheet(found, name, said, modes=int(config["data.modes"]), columns=columns)
    return image_sheet(found, name, said, columns=columns)


def image_sheet(found: list[tuple[str, Path]], name: str, said: str, *, columns: int) -> Figure:
    """Tile grids of images, each under its title."""
    sheets = [Image.open(path).convert("RGB") for _, path in found]
    height = min(sheet.height for sheet in sheets)
    sheets = [
        sheet.resize((round(sheet.width * height / sheet.height), height), Image.Resampling.NEAREST) for sheet in sheets
    ]
    columns = min(columns, len(sheets))
    rows = -(-len(sheets) // columns)
    width = max(sheet.width for sheet in sheets)
    text = max(13, width // 20)  # also readable where a phone shrinks the sheet
    titles = [fill(title, max(8, 2 * width // text)) for title, _ in found]  # a letter is about half as wide as high
    gap, heading = 12, round(1.3 * text) * max(title.count("\n") + 1 for title in titles) + 6
    page = Image.new("RGB", (columns * width + (columns - 1) * gap, rows * (height + heading + gap) - gap), "white")
    draw = ImageDraw.Draw(page)
    for k, (title, sheet) in enumerate(zip(titles, sheets, strict=True)):
        left, top = k % columns * (width + gap), k // columns * (height + heading + gap)
        draw.text((left, top), title, fill="black", font_size=text)
        page.paste(sheet, (left, top + heading))
    png = io.BytesIO()
    page.save(png, "png", optimize=True)
    return Figure(name, said, png.getvalue(), None)


def point_sheet(found: list[tuple[str, Path]], name: str, said: str, *, modes: int, columns: int) -> Figure:
    """Plot points on axes, with a circle round every mode, in which a sample is valid."""
    rows = math.ceil(len(found) / columns)
    with drawing(2.4 * columns, 2.45 * rows + 0.3, nrows=rows, ncols=columns, squeeze=False) as (canvas, grid):
        for k, axes in enumerate(grid.flat):
            if k < len(found):
                title, path = found[k]
                draw_points(axes, points_of(path), modes=modes)
                axes.set_title(fill(title, 28), fontsize=10)
            else:
                axes.set_axis_off()
        for axes in grid[-1]:
            axes.set_xlabel("first coordinate")
        for axes in grid[:, 0]:
            axes.set_ylabel("second coordinate")
        said += f". Circles: the {modes} target modes, to {VALID_SD} standard deviations; a sample inside one is valid"
        return rendered(name, said, canvas)


def draw_points(axes: Any, points: np.ndarray, *, modes: int) -> None:
    line = line_of_modes(modes)
    x, y = np.meshgrid(line, line)
    for centre in zip(x.flat, y.flat, strict=True):
        axes.add_patch(Circle(centre, VALID_SD * SD, fill=False, edgecolor=RED, linewidth=1))
    # As pixels inside the SVG: two thousand points of each arm as paths would be a megabyte.
    axes.plot(*points.T, ".", color=BLUE, markersize=2.5, alpha=0.7, markeredgewidth=0, rasterized=True)
    axes.set_xlim(-LIMIT, LIMIT)
    axes.set_ylim(-LIMIT, LIMIT)
    axes.set_aspect("equal")
    axes.set_xticks([-4, -2, 0, 2, 4])
    axes.set_yticks([-4, -2, 0, 2, 4])


def points_of(path: Path) -> np.ndarray:
    """Read the points (N, 2) of a scatter plot that training saved, to half a pixel."""
    dark = np.argwhere(np.asarray(Image.open(path).convert("L")) < 128)
    size = Image.open(path).height
    plot = (dark + 0.5) / size * 2 - 1
    return np.stack([plot[:, 1], -plot[:, 0]], axis=1) * LIMIT
