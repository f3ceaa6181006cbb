"""Summary of a sweep: a table of the arms, the best trial's command, a file of all trials, and a figure."""

import csv
import io
import math
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from resgan.base.files import atomic_writer, write_atomically
from resgan.experiment.score_table import aligned, format_score
from resgan.experiment.summary import as_typed
from resgan.experiment.sweep.storage import KIMG, OVERRIDES, STATUS, Trial, Trials, value_of
from resgan.experiment.sweep.worker import fresh_directory

STATES = ("finished", "diverged", "pruned", "failed")


def write_summary(trials: Trials, directory: Path, *, fresh_seeds: int) -> str:
    """Write trials.csv and sweep.png, and return the table and the commands."""
    by_arm = {arm: trials.of(arm) for arm in trials.search.arms}
    write_atomically(directory / "trials.csv", table_of_trials(trials, by_arm))
    with atomic_writer(directory / "sweep.png") as file:
        figure_of(trials, by_arm).savefig(file, format="png", dpi=120)
    rows: list[tuple[str, ...]] = [("arm", "best", "trial", *STATES, "kimg", "")]
    commands = []
    for arm, own in by_arm.items():
        best = trials.best(arm)
        counts = [str(sum(one.user_attrs.get(STATUS) == state for one in own)) for state in STATES]
        kimg = f"{sum(one.user_attrs.get(KIMG, 0) for one in own):.0f}"
        reached = "-" if best is None else format_score(value_of(best))
        rows.append((arm, reached, "-" if best is None else str(best.number), *counts, kimg, ""))
        if best is not None:
            of = f" of {arm}" if len(by_arm) > 1 else ""
            commands += [f"  the best{of}, trial {best.number}", f"    {as_typed(best.user_attrs[OVERRIDES])}"]
    lines = [*aligned(rows), "", *commands, "", f"  all trials       {directory / 'trials.csv'}"]
    lines.append(f"  picture          {directory / 'sweep.png'}")
    fresh = [str(fresh_directory(trials, arm)) for arm in by_arm if trials.best(arm) is not None]
    if fresh_seeds and fresh:
        lines.append(f"  compare          {as_typed(fresh, command='report')}")
    return "\n".join(lines)


def table_of_trials(trials: Trials, by_arm: dict[str, list[Trial]]) -> str:
    """Format all trials as CSV: arm, number, status, value, kimg, and what was searched."""
    options = [dimension.option for dimension in trials.search.dimensions]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "trial", "status", "value", "kimg", *options])
    for arm, own in by_arm.items():
        for one in own:
            attributes = one.user_attrs
            value = value_of(one) if math.isfinite(value_of(one)) else ""
            found = [one.params.get(option) for option in options]
            writer.writerow([arm, one.number, attributes.get(STATUS), value, attributes.get(KIMG), *found])
    return text.getvalue()


def figure_of(trials: Trials, by_arm: dict[str, list[Trial]]) -> Figure:
    """Draw the best value so far over the images of an arm, and every trial over each searched option."""
    dimensions = trials.search.dimensions
    columns = min(3, 1 + len(dimensions))
    rows = math.ceil((1 + len(dimensions)) / columns)
    figure = Figure(figsize=(4 * columns, 3.2 * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, 1 + k) for k in range(1 + len(dimensions))]
    for ax in axes[1:]:
        ax.sharey(axes[0])
    for number, (arm, own) in enumerate(by_arm.items()):
        done = [one for one in own if math.isfinite(value_of(one))]
        values = [value_of(one) for one in done]
        kimg = np.cumsum([one.user_attrs.get(KIMG, 0) for one in done])
        axes[0].step(kimg, np.minimum.accumulate(values), where="post", color=f"C{number}", label=arm)
        for ax, dimension in zip(axes[1:], dimensions, strict=True):
            ax.scatter([one.params[dimension.option] for one in done], values, s=14, color=f"C{number}")
    axes[0].set_xlabel("kimg, over all trials of an arm")
    axes[0].set_ylabel("best value so far")
    axes[0].legend(fontsize="x-small")
    for ax, dimension in zip(axes[1:], dimensions, strict=True):
        ax.set_xlabel(dimension.option)
        if dimension.log:
            ax.set_xscale("log")
        if dimension.low is not None and dimension.low != dimension.high:
            ax.set_xlim(dimension.low, dimension.high)
            ax.set_xticks([tick for tick in (dimension.low, dimension.default, dimension.high) if tick is not None])
            ax.xaxis.set_major_formatter("{x:g}")
            ax.minorticks_off()
    return figure
