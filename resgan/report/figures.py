"""Figures of a report. Each is a function of panels; the same runs give the same bytes."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as Canvas
from PIL import Image

from resgan.report import effects
from resgan.report.curves import Curve
from resgan.report.equivalence import MARGINS
from resgan.report.families import BESIDE
from resgan.report.palette import BLUE, GREEN, GREY, ORANGE
from resgan.report.panels import Panel, Score
from resgan.report.records import ARM_NAMES, Arm, Record

COLOURS: dict[Arm, str] = {
    (False, False): GREY,
    (False, True): ORANGE,
    (True, False): BLUE,
    (True, True): GREEN,
}
STYLE: Any = {
    "svg.hashsalt": "resgan",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
}


# Rows of the forest plot: label and colour.
FOREST = {
    "G, plain D": ("in G, beside a plain D", COLOURS[True, False]),
    "G, residual D": ("in G, beside a residual D", COLOURS[True, False]),
    "D, plain G": ("in D, beside a plain G", COLOURS[False, True]),
    "D, residual G": ("in D, beside a residual G", COLOURS[False, True]),
    "G x D": ("interaction", COLOURS[True, True]),
}
PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}  # behind text, so that no line runs through it


@dataclass(frozen=True)
class Figure:
    """A figure and its files; `name` is their name without the extension."""

    name: str
    alt: str  # what it shows, in words
    png: bytes
    svg: bytes | None  # None for sheets of images
    narrow: bytes | None = None  # the same as a narrow SVG, for a phone; None where `svg` is narrow enough

    @property
    def width(self) -> int:
        return Image.open(io.BytesIO(self.png)).width


@contextmanager
def drawing(width: float, height: float, **subplots: Any) -> Iterator[tuple[Canvas, Any]]:
    with mpl.rc_context(STYLE):
        canvas = Canvas(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(canvas)
        yield canvas, canvas.subplots(**subplots)


def rendered(name: str, alt: str, canvas: Canvas) -> Figure:
    png, svg = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(STYLE):
        canvas.savefig(png, format="png", dpi=160, metadata={"Software": None})
        canvas.savefig(svg, format="svg", dpi=160, metadata={"Date": None, "Creator": None})
    return Figure(name, alt, png.getvalue(), svg.getvalue())


def in_two_widths(draw: Callable[[bool], Figure]) -> Figure:
    """Draw a figure wide, and once more narrow, in which letters stay readable on a phone."""
    return replace(draw(False), narrow=draw(True).svg)


def effect_axis(score: Score) -> str:
    """Name the axis of an effect: its unit, and which direction is better."""
    unit = {"share": f"log odds of {score.name}", "distance": f"natural log of {score.name}", "plain": score.name}
    sign = ", sign turned" if score.low_is_good else ""
    return f"effect: {unit[score.scale]}{sign}; above 0 is better"


def forest(curves: list[Curve]) -> Figure:
    """Plot the simple effects and the interaction, with intervals, at the deepest depth of every curve."""
    return in_two_widths(lambda narrow: draw_forest(curves, width=4.3 if narrow else 7))


def draw_forest(curves: list[Curve], *, width: float) -> Figure:
    told = next(curve for curve in curves if curve.main_effects)
    assert told.primary
    rows = [(curve, name, found[name]) for curve in curves if (found := curve.main_effects) for name in FOREST]
    with drawing(width, 1.1 + 0.32 * len(rows) + 0.35 * len(curves)) as (canvas, axes):
        y, ticks, labels = 0.0, [], []
        for curve, name, effect in rows:
            if name == next(iter(FOREST)):
                y += 0.9
                if curve.title:
                    along = axes.get_yaxis_transform()  # x from 0 to 1 across the axes, y in rows
                    axes.text(0.01, y - 0.2, curve.title, transform=along, color="#555555", fontsize=9, bbox=PAPER)
                    y += 0.45
            at, colour = effect.deepest, FOREST[name][1]
            low, high = at.interval or (at.mean, at.mean)
            axes.plot([low, high], [y, y], color=colour, linewidth=2.5, solid_capstyle="round")
            axes.plot([at.mean], [y], "o", color=colour, markersize=7)
            ticks.append(y)
            labels.append(FOREST[name][0])
            y += 1
        axes.axvline(0, color="black", linewidth=1)
        if margin := margin_of(told):
            axes.axvspan(-margin, margin, color="#e9e9e9", zorder=0)
        axes.set_yticks(ticks, labels)
        axes.set_ylim(y, 0)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        score = told.score_of(told.primary)
        axes.set_xlabel(f"hurt  ←  residual blocks  →  help\n{effect_axis(score)}")
        grey = ". Grey: the margin, within which an effect does not matter" if margin else ""
        return rendered("effects", f"Effects of residual blocks on {told.primary}, with 95 % intervals{grey}", canvas)


def over_depth(curve: Curve, name: str) -> Figure:
    """Plot simple effects along a curve with simultaneous bands; markers are hollow where a depth is not on it."""
    return in_two_widths(lambda narrow: draw_over_depth(curve, name, narrow=narrow))


def draw_over_depth(curve: Curve, name: str, *, narrow: bool) -> Figure:
    assert curve.primary
    whole = [curve.bounds(panel) if panel.seeds else {} for panel in curve.panels]
    depths = np.array([curve.position(panel) for panel in curve.panels])
    kept = np.array([panel in curve.kept for panel in curve.panels])
    margin = margin_of(curve)
    size, shape = ((4.3, 5.2), {"nrows": 2}) if narrow else ((8.6, 3.6), {"ncols": 2})
    with drawing(*size, **shape, sharey=True) as (canvas, both):
        for axes, (network, names) in zip(both, BESIDE.items(), strict=True):
            for k, contrast in enumerate(names):
                colour, style = (COLOURS[bool(k), False], "o-" if k else "s--")
                label = f"beside a {'residual' if k else 'plain'} {'D' if network == 'G' else 'G'}"
                means = np.array([found[contrast][0] if found else np.nan for found in whole])
                axes.plot(depths[kept], means[kept], style, color=colour, label=label, linewidth=2, markersize=6)
                axes.plot(depths[~kept], means[~kept], style[0], color=colour, fillstyle="none", markersize=6)
                at = curve.main_effects[contrast].at if curve.main_effects else ()
                ends = np.array([estimate.interval or (np.nan, np.nan) for estimate in at]).reshape(-1, 2)
                axes.fill_between(depths[kept], *ends.T, color=colour, alpha=0.15, linewidth=0)
                if len(ends) == 1:  # a single depth has no area to fill
                    axes.vlines(depths[kept] * (1 + 0.02 * k), *ends.T, color=colour, linewidth=1.5)
            axes.axhline(0, color="black", linewidth=1)
            if margin:
                axes.axhspan(-margin, margin, color="#e9e9e9", zorder=0)
            axes.set_xscale("log", base=2)
            axes.set_xticks(depths, [curve.depth_of(panel) for panel in curve.panels])
            axes.minorticks_off()
            of = {"both": "of both networks", "G": "of G", "D": "of D", None: ""}[curve.varied]
            axes.set_xlabel(f"depth {of}, blocks in a stage".replace(" ,", ","))
            axes.set_title(f"residual blocks in {network}", fontsize=11)
            axes.legend(frameon=False, fontsize=9)
        for axes in both if narrow else both[:1]:
            axes.set_ylabel("hurt  ←   →  help")
        canvas.supylabel(effect_axis(curve.score_of(curve.primary)), fontsize=9)
        hollow = "; hollow: not on the curve" if not kept.all() else ""
        grey = ". Grey: the margin, within which an effect does not matter" if margin_of(curve) else ""
        among = f" ({curve.title})" if curve.title else ""
        said = f"What residual blocks change in {curve.primary}{among}, with simultaneous 95 % bands{grey}{hollow}"
        return rendered(name, said, canvas)


def margin_of(curve: Curve) -> float | None:
    return MARGINS.get(curve.score_of(curve.primary).scale) if curve.primary else None


def interaction(panel: Panel, name: str) -> Figure:
    """Plot the mean of each arm and every seed; parallel lines mean that the switches do not interact."""
    assert panel.primary
    raw = panel.raw(panel.primary)  # (S, 2, 2)
    with drawing(4.2, 3.2) as (canvas, axes):
        for g, label in ((0, "plain G"), (1, "residual G")):
            colour = COLOURS[bool(g), False]
            offsets = (g - 0.5) * 0.08
            for d in (0, 1):
                axes.plot(np.full(len(raw), d + offsets), raw[:, g, d], "o", color=colour, alpha=0.3, markersize=4)
            means = [np.nanmean(y) if np.isfinite(y).any() else np.nan for y in raw[:, g, :].T]
            axes.plot([offsets, 1 + offsets], means, "o-", color=colour, label=label, linewidth=2)
        axes.set_xticks([0, 1], ["plain D", "residual D"])
        axes.set_xlabel("discriminator")
        axes.set_xlim(-0.35, 1.35)
        scale_axis(axes, panel.score_of(panel.primary))
        axes.legend(frameon=False)
        return rendered(name, f"{panel.primary} of the four arms, and of every seed", canvas)


def curves(panel: Panel, name: str) -> Figure:
    """Plot the mean over seeds and its 95 % interval, at the points where all finished seeds were measured."""
    assert panel.primary
    with drawing(5.6, 3.2) as (canvas, axes):
        for arm in panel.arms:
            learning_curve(axes, panel.arm(arm), panel.primary, color=COLOURS[arm], label=ARM_NAMES[arm])
        time_axis(axes, panel.records)
        said = draw_perfect(axes, panel.score_of(panel.primary), panel.records)
        scale_axis(axes, panel.score_of(panel.primary))
        axes.legend(frameon=False)
        return rendered(name, f"{panel.primary} while training, mean and 95 % interval over seeds{said}", canvas)


def time_axis(axes: Any, records: Sequence[Record]) -> None:
    points = records[0].config.get("data.name") == "gaussians"
    axes.set_xlabel(f"real {'points' if points else 'images'} that D has seen, in thousands")


def draw_perfect(axes: Any, score: Score, records: Sequence[Record]) -> str:
    """Draw the score of a perfect generator where it is known, of a share; return how a caption says so."""
    ideals = {(record.result.get("ideal") or {}).get(score.name) for record in records if record.result} - {None}
    if score.scale != "share" or len(ideals) != 1:
        return ""
    axes.axhline(ideals.pop(), color="black", linewidth=1, linestyle=":")
    return ". Dotted: a perfect generator"


def learning_curve(axes: Any, records: list[Record], score: str, *, band: bool = True, **line: Any) -> None:
    runs = [dict(record.curve(score)) for record in records if record.status == "finished"]
    shared = sorted(set.intersection(*(set(run) for run in runs))) if runs else []
    if not shared:
        return
    y = np.array([[run[n] for n in shared] for run in runs])
    x = np.array(shared) / 1000
    axes.plot(x, y.mean(0), linewidth=2, **line)
    ends = [effects.t_interval(column) for column in y.T] if band else [None]
    if ends[0] is not None:
        low, high = np.array([end for end in ends if end]).T
        axes.fill_between(x, low, high, color=line["color"], alpha=0.15, linewidth=0)


def across(panels: list[Panel], option: str, name: str) -> Figure:
    """Plot the primary endpoint of every arm against an option that varies between panels."""
    primary = panels[0].primary
    assert primary
    with drawing(5.6, 3.2) as (canvas, axes):
        for arm in ARM_NAMES:
            points: list[list[float]] = []
            for panel in panels:
                y = np.array([v for r in panel.arm(arm) if (v := r.score(primary)) is not None], dtype=float)
                if len(y):
                    x = float(panel.records[0].config[option])
                    low, high = effects.t_interval(y) or (y.mean(), y.mean())
                    points.append([x, float(y.mean()), float(y.mean() - low), float(high - y.mean())])
            if points:
                x, y, low, high = np.array(sorted(points)).T
                axes.errorbar(x, y, [low, high], color=COLOURS[arm], label=ARM_NAMES[arm], marker="o", capsize=3)
        axes.set_xscale("log", base=2)
        values = sorted({float(panel.records[0].config[option]) for panel in panels})
        axes.set_xticks(values, [f"{value:g}" for value in values])
        axes.minorticks_off()
        axes.set_xlabel(option)
        scale_axis(axes, next(panel for panel in panels if primary in panel.cards).score_of(primary))
        axes.legend(frameon=False)
        return rendered(name, f"{primary} of the four arms against {option}", canvas)


def scale_axis(axes: Any, score: Score) -> None:
    axes.set_ylabel(f"{score.name} ({'lower' if score.low_is_good else 'higher'} is better)")
    if score.scale == "distance":
        axes.set_yscale("log")
    elif score.scale == "share":  # intervals of few seeds reach beyond all shares
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.03), min(high, 1.03))
