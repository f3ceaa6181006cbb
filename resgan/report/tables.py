"""The tables of a report, as text: rows of cells, the first row is the heading."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from resgan.base.plain_data import format_value
from resgan.options.tuning import searched_options
from resgan.report.effects import area_under, pair_correlation, wilson
from resgan.report.panels import Panel, is_searched
from resgan.report.records import ARM_NAMES, TUNABLE, Arm, Record
from resgan.report.tuning import Tuning

Table = list[list[str]]


@dataclass(frozen=True)
class Captioned:
    """A table as the page shows it."""

    caption: str
    rows: Table
    sortable: bool = True  # False where rows are of several kinds, such as scores and costs


# The four arms, or conditions.


def arms_table(panel: Panel) -> Table:
    """Tabulate scores and searches by arm: means and standard deviations over seeds."""
    columns = {ARM_NAMES[arm]: panel.arm(arm) for arm in panel.arms}
    return figures_of(columns, panel.score_names, panel.primary) + searches_of(columns)


def figures_of(columns: dict[str, list[Record]], score_names: list[str], primary: str | None) -> Table:
    """Tabulate outcomes, scores and costs of runs, with a column for each group."""
    rows = [["", *columns]]

    def row(name: str, cell: Callable[[list[Record]], str]) -> None:
        rows.append([name, *map(cell, columns.values())])

    def mean_of(value: Callable[[Record], float | None], *, digits: int = 3) -> Callable[[list[Record]], str]:
        return lambda records: spread(map(value, records), digits=digits)

    row("runs: ended, diverged, collapsed, dead D", counts)
    if primary:
        row(f"{primary}, at step 0", mean_of(lambda record: record.untrained(primary)))
    for name in score_names:
        row(f"{name}, final", mean_of(lambda record, name=name: record.score(name)))
    if primary:
        row(f"{primary}, best", mean_of(lambda record: record.best(primary)))
        row(f"{primary}, mean of the curve", mean_of(lambda record: curve_mean(record, primary)))
    row("at the start: spread of D's logits", mean_of(lambda record: record.start("logit_spread")))
    row("at the start: D's input gradient", mean_of(lambda record: record.start("input_gradient")))
    row("parameters, G + D", lambda records: cost(records, "parameters"))
    row("MFLOP of a sample, G + D", lambda records: cost(records, "flops"))
    row("seconds a run", mean_of(lambda record: (record.result or {}).get("seconds"), digits=2))
    return rows


def searches_of(columns: dict[str, list[Record]]) -> Table:
    """Tabulate what the searches of each group found, a row for each option; no rows where nothing was searched."""
    searches = [list({record.replicate: record for record in records}.values()) for records in columns.values()]
    config = searches[0][0].config
    rows = [
        [f"searched: {option}", *(values_found([record.config[option] for record in found]) for found in searches)]
        for option in searched_options(config)
    ]
    if rows:
        rows.append(["searched: best at an edge of a range", *map(edges_found, searches)])
    return rows


def values_found(values: list[Any]) -> str:
    """Summarise values: the median and range of numbers, the counts of others."""
    if all(isinstance(value, int | float) for value in values):
        ends = f" ({min(values):.3g} to {max(values):.3g})" if len(values) > 1 else ""
        return f"{np.median(values):.3g}{ends}"
    return ", ".join(f"{value} {times}" for value, times in Counter(values).most_common())


def edges_found(records: list[Record]) -> str:
    at_edges = [record.search["edges"] for record in records if record.search]
    return f"{sum(map(bool, at_edges))} of {len(at_edges)}" if at_edges else "-"


def counts(records: list[Record]) -> str:
    ended = [record for record in records if record.status != "unfinished"]
    diverged = sum(record.status == "diverged" for record in ended)
    text = f"{len(ended)}, {diverged}, {sum(record.collapsed for record in ended)}"
    text += f", {sum(record.dead_disc for record in ended)}"
    if diverged:
        low, high = wilson(diverged, len(ended))
        text += f" (divergence {low:.0%} to {high:.0%})"
    return text


def spread(values: Iterable[float | None], *, digits: int = 3) -> str:
    """Format mean and standard deviation of the values that are defined."""
    x = np.array([value for value in values if value is not None], dtype=float)
    if not len(x):
        return "-"
    return f"{x.mean():.{digits}g}" + (f" ± {x.std(ddof=1):.2g}" if len(x) > 1 else "")


def curve_mean(record: Record, name: str) -> float | None:
    """Return the area under the learning curve of a finished run, over its length."""
    curve = record.curve(name)
    if record.status != "finished" or not curve:
        return None
    images, scores = (np.array(column, dtype=float) for column in zip(*curve, strict=True))
    return area_under(images, scores)


def cost(records: list[Record], what: str) -> str:
    """Format the parameters, or millions of floating point operations, of G and of D."""
    found = {tuple(record.result[what].values()) for record in records if record.result}
    said = [" + ".join(f"{n / 1e6:.4g}" if what == "flops" else f"{n:,}" for n in pair) for pair in sorted(found)]
    return " or ".join(said) or "-"


def notes(panel: Panel) -> list[str]:
    """State in words what was matched between arms and what was not."""
    lines = []
    if missing := [name for arm, name in ARM_NAMES.items() if not panel.arm(arm)]:
        lines.append(f"No run of {', '.join(missing)}: effects need all four arms.")
    if panel.incomplete_seeds:
        seeds = ", ".join(map(str, panel.incomplete_seeds))
        lines.append(f"Seeds without an end in all four arms, not in the effects: {seeds}.")
    costs = {cost([record], "parameters") for record in panel.records if record.result}
    same = "parameters, " if len(costs) <= 1 else ""
    lines.append(
        f"Equal in all arms: {same}data, images seen, batch size, steps of D and of G; by seed, the initial weights, "
        "the order of the data and the latents."
    )
    if not same:
        lines.append(f"Not equal: parameters ({'; '.join(sorted(costs))}).")
    lines += settings(panel)
    if panel.primary and panel.seeds and (r := pair_correlation(panel.by_replicate(panel.primary))) is not None:
        lines.append(f"Correlation of paired arms: {r:+.2f}. At 1 pairing is free precision, at 0 nothing.")
    return lines


def settings(panel: Panel) -> list[str]:
    """State learning rates and penalties: once for all arms, or for each."""
    if is_searched(panel.records[0].config):
        return ["Settings were searched anew in each replicate of each arm, from one list and at equal cost."]

    def of(arm: Arm) -> str:
        config = panel.arm(arm)[0].config
        return ", ".join(f"{key}={format_value(config[key])}" for key in TUNABLE if config.get(key))

    said = {arm: of(arm) for arm in panel.arms}
    if len(set(said.values())) == 1:
        return [f"Settings of all arms: {said[panel.arms[0]]}."]
    return [f"Settings of {ARM_NAMES[arm]}, its own best: {values}." for arm, values in said.items()]


# Tuning.


def tuning_table(tuning: Tuning) -> Table:
    """Mean ranks; the best of each column is marked."""
    if tuning.missing:
        return [["this tuning study has not ended", "runs missing"], ["", str(len(tuning.missing))]]
    columns = [*(tuning.ranks[arm] for arm in tuning.arms), tuning.shared_ranks]
    varied = [k for k in range(len(TUNABLE)) if len({values[k] for values in tuning.candidates}) > 1]
    rows = [["settings", *(ARM_NAMES[arm] for arm in tuning.arms), "all arms"]]
    for i, values in enumerate(tuning.candidates):
        name = ", ".join(f"{values[k][0]}={format_value(values[k][1])}" for k in varied)
        rows.append(
            [name, *(f"{ranks[i]:.2f}{' (best)' if ranks.index(min(ranks)) == i else ''}" for ranks in columns)]
        )
    return rows


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
