"""Page of a report: what a reader sees, in which order, and the files it is written to."""

import csv
import io
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader

from resgan.base.plain_data import format_value
from resgan.metrics.cards import how_made
from resgan.report import condition_page, figures
from resgan.report.claims import CLAIMS, Answer, answer
from resgan.report.conditions import Conditions, conditions, pairs_of
from resgan.report.curves import Curve, curves, depths_of
from resgan.report.families import Estimate
from resgan.report.figures import Figure
from resgan.report.grid import SKIPS, Grid, contrasts_table, grids, scores_table
from resgan.report.panels import Panel
from resgan.report.records import COLLAPSED, Record
from resgan.report.tables import Table, arms_table, count, curve_mean, notes, tuning_table
from resgan.report.tuning import Tuning
from resgan.report.verdict_tables import curve_notes, in_a_line, verdict_tables
from resgan.report.wording import ENOUGH, against_best_in_words, answer_of, headline, outcomes_in_words


@dataclass(frozen=True)
class Verdicts:
    """One curve on the page."""

    title: str
    answer: str
    tables: list[Table]
    notes: list[str]


@dataclass(frozen=True)
class Section:
    """One panel on the page."""

    title: str
    arms: Table
    notes: list[str]
    figures: list[Figure]


@dataclass(frozen=True)
class Listed:
    """One list of conditions on the page."""

    title: str
    tables: list[Table]
    notes: list[str]
    figures: list[Figure]


@dataclass(frozen=True)
class Page:
    headline: str
    summary: list[str]
    overview: list[Figure]
    verdicts: list[Verdicts]
    conditions: list[Listed]
    sections: list[Section]
    grids: list[list[Table]]  # of wirings: scores, contrasts
    tunings: list[tuple[str, Table]]  # (title, ranks)
    answers: list[Answer]
    reading: list[str]
    made: list[tuple[str, str]]  # (what, value)


def files(panels: list[Panel], tunings: list[Tuning], *, mixed_code: bool) -> dict[str, bytes]:
    """All files of a report by name; report.html needs none of the others."""
    page = make_page(panels, tunings, mixed_code=mixed_code)
    lists, others = lists_apart(panels, mixed_code=mixed_code)
    found = curves(others, mixed_code=mixed_code)
    tables = {"effects.csv": effects_csv(found)} if found or not lists else {}
    tables |= {"differences.csv": differences_csv(lists)} if lists else {}
    return render(page) | {"runs.csv": runs_csv(panels)} | tables


def make_page(panels: list[Panel], tunings: list[Tuning], *, mixed_code: bool) -> Page:
    records = [record for panel in panels for record in panel.records]
    wirings = grids(records, mixed_code=mixed_code)
    panels = [panel for panel in panels if not stands_in_grid(panel, wirings)]
    lists, panels = lists_apart(panels, mixed_code=mixed_code)
    found = curves(panels, mixed_code=mixed_code)
    return Page(
        headline=first_line(panels, found, lists),
        summary=[*(line for one in lists for line in condition_page.summary(one)), *summary(panels, found, records)],
        overview=[*(condition_page.forest(c, f"list{k + 1}") for k, c in enumerate(lists)), *overview(panels, found)],
        verdicts=[Verdicts(c.title, answer_of(c), verdict_tables(c), curve_notes(c)) for c in found],
        conditions=[listing(one, f"list{k + 1}") for k, one in enumerate(lists)],
        sections=[section(panel, f"panel{k + 1}") for k, panel in enumerate(panels)],
        grids=[[table for table in (scores_table(grid), contrasts_table(grid)) if table] for grid in wirings],
        tunings=[(tuning.title_among(tunings), tuning_table(tuning)) for tuning in tunings],
        answers=[answer(claim, found) for claim in CLAIMS] if panels else [],
        reading=READING if panels else [],
        made=how_it_was_made([*records, *(r for t in tunings for r in t.records)], mixed_code=mixed_code),
    )


def lists_apart(panels: list[Panel], *, mixed_code: bool) -> tuple[list[Conditions], list[Panel]]:
    """Return the lists of conditions among panels, and the panels that belong to none."""
    lists = conditions(panels, mixed_code=mixed_code)
    listed = [panel for one in lists for panel in one.panels]
    return lists, [panel for panel in panels if not any(panel is other for other in listed)]


def stands_in_grid(panel: Panel, wirings: list[Grid]) -> bool:
    """Check whether a panel with image skips belongs to a grid, and is no four-arm experiment."""
    has_skips = any(panel.records[0].config.get(option) for option in SKIPS)
    return has_skips and not panel.seeds and any(panel.records[0] in grid.records for grid in wirings)


# The first screen.


def first_line(panels: list[Panel], curves: list[Curve], lists: list[Conditions]) -> str:
    if panels:
        return headline(curves)
    return ". ".join(map(condition_page.headline, lists)) or "Which settings suit which arm"


def summary(panels: list[Panel], curves: list[Curve], records: list[Record]) -> list[str]:
    if not records:
        return ["Runs of a tuning study: no result is drawn from them."]
    lines = [*outcomes_in_words(curves), *(f"{said(curve)}{words}" for curve in curves
                                           if (words := against_best_in_words(curve)))]  # fmt: skip
    replicates = sorted({len(curve.replicates) for curve in curves})
    primary = ", ".join(dict.fromkeys(curve.primary for curve in curves if curve.primary))
    if curves:
        number = sum(len(panel.records) for panel in panels)
        lines.append(
            f"{count(number, 'run')}, {count(len(curves), 'curve')}, {' or '.join(map(str, replicates))} replicates. "
            f"Primary endpoint: {primary or 'none yet'}, of the averaged generator at the end."
        )
        if replicates[-1] == 1:
            lines.append("One replicate: effects without intervals. A description, no evidence.")
        elif 0 < replicates[0] < ENOUGH:
            lines.append(f"Fewer than {ENOUGH} replicates: a description, no evidence.")
    told = {"diverged": "diverged: an outcome of its own, not in the effects", "unfinished": "not finished: left out"}
    for status, words in told.items():
        if number := sum(record.status == status for record in records):
            lines.append(f"{count(number, 'run')} {words}.")
    if number := sum(record.collapsed for record in records):
        lines.append(
            f"{count(number, 'run')} collapsed: samples with less than {COLLAPSED:.0%} of the data's variance."
        )
    if number := sum(record.dead_disc for record in records):
        lines.append(f"{count(number, 'run')} ended with a dead D: it told nothing apart, and no sample got better.")
    return lines


def said(curve: Curve) -> str:
    return f"{curve.title}: " if curve.title else ""


def overview(panels: list[Panel], curves: list[Curve]) -> list[Figure]:
    """Plot curves over depth with their bands, else one forest plot; and the arms against an option that varies."""
    found = [figures.over_depth(curve, f"depth{k + 1}") for k, curve in enumerate(curves) if has_depths(curve)]
    if not found and any(curve.main_effects for curve in curves):
        found = [figures.forest(curves)]
    if option := varied_number(panels):
        found.append(figures.across(panels, option, "across"))
    return found


def has_depths(curve: Curve) -> bool:
    return curve.varied is not None and curve.primary is not None


def varied_number(panels: list[Panel]) -> str | None:
    """Return the only option in which the panels differ, if it is numeric; an option that G and D share counts once."""
    configs = [panel.records[0].settings() for panel in panels]
    varied = [key for key in (configs[0] if configs else ()) if len({repr(c.get(key)) for c in configs}) > 1]
    if len(varied) == 2 and all(config[varied[0]] == config[varied[1]] for config in configs):
        varied.pop()
    numeric = len(varied) == 1 and all(isinstance(c[varied[0]], int | float) and c[varied[0]] > 0 for c in configs)
    return varied[0] if numeric else None


# The rest.


def listing(found: Conditions, name: str) -> Listed:
    tables = [condition_page.comparisons_table(found), condition_page.all_scores_table(found)]
    return Listed(
        found.title,
        [table for table in tables if table],
        condition_page.notes(found),
        condition_page.drawn(found, name),
    )


def section(panel: Panel, name: str) -> Section:
    drawn = [
        figures.interaction(panel, f"{name}-interaction") if panel.seeds else None,
        figures.curves(panel, f"{name}-curves") if panel.primary else None,
        figures.grids(panel, f"{name}-samples"),
    ]
    return Section(panel.title, arms_table(panel), notes(panel), [figure for figure in drawn if figure])


def how_it_was_made(records: list[Record], *, mixed_code: bool) -> list[tuple[str, str]]:
    sessions = [session for record in records for session in record.sessions]

    def every(key: str, *, most: int = 12) -> str:
        values = sorted({str(session[key]) for session in sessions})
        return "; ".join(values[:most]) + (f"; and {len(values) - most} more" if len(values) > most else "")

    code = ", ".join(sorted({record.code for record in records}))
    cards: dict[str, dict[str, None]] = {}  # a card in words -> the scores that have it
    for record in records:
        for name, card in record.result["cards"].items() if record.result else ():
            cards.setdefault(", ".join(f"{k} {format_value(v)}" for k, v in how_made(card).items()), {})[name] = None
    return [
        ("code", f"{code} (mixed in one table, as asked for)" if mixed_code and "," in code else code),
        *((key, every(key)) for key in ("device", "threads", "torch", "pytorch_lightning", "python")),
        ("commands", every("command")),
        *((f"card of {', '.join(names)}", card) for card, names in cards.items()),
    ]


READING = [
    "The unit of a verdict is a replicate: a search for settings of its own with fresh seeds of its own, whose scores "
    "are averaged; without a search it is a seed. All arms of a replicate share initial weights, order of the data and "
    "latents.",
    "Effects are made on the logit of shares and the logarithm of distances, turned so that positive says residual "
    "blocks help. They are given beside each state of the other network; the mean over both (residual blocks in G, in "
    "D) has a verdict only where the interaction lies within the margin.",
    "Each of G, D and the interaction is tested by the larger of its slope over doublings of depth and its effect at "
    "the deepest depth: the signs of replicates are flipped, all depths of one together, exactly up to 20 replicates. "
    "Holm's correction covers the three.",
    "Intervals hold at all depths at once, and beside both states of the other network. Help or hurt is said where the "
    "corrected test finds the effect and the interval excludes 0; within the margin, where two one-sided t tests "
    "exclude all beyond it, each depth for itself.",
    "A depth is on the curve where the best arm is valid in 30 % of its samples and none in 97 %.",
    "The best: with 95 % probability the best arm is among those that may be (Hsu's comparison, Dunnett's intervals on "
    "differences within replicates).",
    "A run that diverged has no score: it is counted, and tested, as an outcome of its own.",
    "± is the standard deviation over seeds, not the error of a mean.",
]
CLASSES = {
    **dict.fromkeys(("helps", "better in G", "more than the sum"), "help"),
    **dict.fromkeys(("hurts", "better in D", "less than the sum"), "hurt"),
    "better": "help",
    "worse": "hurt",
    **dict.fromkeys(("not told apart", "by the other network", "it depends"), "open"),
    "within the margin": "within",
}


def class_of(cell: str) -> str:
    """Return the CSS class of a cell that begins with a verdict; empty for other cells."""
    return next((name for verdict, name in CLASSES.items() if cell.startswith(verdict)), "")


# Files.


def render(page: Page) -> dict[str, bytes]:
    env: Any = Environment(loader=PackageLoader("resgan.report"), trim_blocks=True, lstrip_blocks=True)
    env.filters |= {"data_uri": data_uri, "in_a_line": in_a_line, "class_of": class_of}
    html = env.overlay(autoescape=True).get_template("report.html.j2").render(page=page)
    found = {"report.html": html.encode(), "report.md": env.get_template("report.md.j2").render(page=page).encode()}
    for figure in [
        *page.overview,
        *(figure for part in (*page.conditions, *page.sections) for figure in part.figures),
    ]:
        found[f"figures/{figure.name}.png"] = figure.png
        if figure.svg:
            found[f"figures/{figure.name}.svg"] = figure.svg
    return found


def data_uri(figure: Figure) -> str:
    kind, data = ("svg+xml", figure.svg) if figure.svg else ("png", figure.png)
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def runs_csv(panels: list[Panel]) -> bytes:
    """Write one line per run."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.score_names))
    what = ["path", "panel", "depth_g", "depth_d", "residual_g", "residual_d", "replicate", "seed", "status"]
    heading: list[object] = [*what, "collapsed", "dead_d", *names, "best", "curve_mean", "seconds"]
    rows = [heading]
    for panel in panels:
        for record in panel.records:
            scores = [record.score(name) for name in names]
            primary = panel.primary or ""
            rest = [record.best(primary), curve_mean(record, primary), (record.result or {}).get("seconds")]
            depths = [None if blocks is None else format_value(blocks) for blocks in depths_of(panel)]
            unit = [*map(int, record.arm), record.replicate, record.seed, record.status]
            ends = [int(record.collapsed), int(record.dead_disc)]
            rows.append([record.path, panel.title, *depths, *unit, *ends, *scores, *rest])
    return as_csv(rows)


def differences_csv(lists: list[Conditions]) -> bytes:
    """Write the differences between conditions: one line for each pair of each list, on the primary endpoint."""
    rows: list[list[object]] = [
        ["list", "score", "condition", "less", "replicates", "difference", "low", "high", "p_within", "p", "verdict"]
    ]
    for found in lists:
        for (c, of), p in zip(pairs_of(len(found.all)), found.p_values if found.against else (), strict=False):
            names = found.all[c].name, found.all[of].name
            one = found.against[names[0]][names[1]]
            rows.append([found.title, found.primary, *names, *estimate(one), one.p_within, p, one.verdict])
    return as_csv(rows)


def effects_csv(curves: list[Curve]) -> bytes:
    """Write the contrasts of each score that has a direction and that all finished runs have.

    One line for each depth, and one for the slope per doubling of depth. A depth that is not on the curve is analysed
    alone, without a verdict.
    """
    what = ["curve", "start", "score", "contrast", "depth", "on_curve", "replicates", "effect", "low", "high"]
    rows: list[list[object]] = [[*what, "p_within", "verdict", "p", "p_holm"]]
    for curve in curves:
        finished = [record for panel in curve.panels for record in panel.records if record.status == "finished"]
        for name in dict.fromkeys(name for panel in curve.panels for name in panel.score_names):
            if curve.score_of(name).has_a_direction and all(record.score(name) is not None for record in finished):
                rows += [[curve.title, curve.start, name, *line] for line in effects_of(curve, name)]
    return as_csv(rows)


def effects_of(curve: Curve, name: str) -> Iterator[list[object]]:
    for effect in (curve.effects(name) or {}).values():
        depths = [curve.depth_of(panel) for panel in curve.kept]
        for depth, at in zip(depths, effect.at, strict=True):
            yield [effect.name, depth, 1, *estimate(at), at.p_within, at.verdict, effect.p, effect.p_holm]
        if effect.slope:
            yield [effect.name, "slope", 1, *estimate(effect.slope), None, None, effect.p, effect.p_holm]
    for panel in curve.panels:
        if panel not in curve.kept and panel.seeds:
            for effect in curve.effects_at([panel], name).values():
                yield [effect.name, curve.depth_of(panel), 0, *estimate(effect.deepest), None, None, None, None]


def estimate(at: Estimate) -> list[object]:
    return [at.replicates, at.mean, *(at.interval or (None, None))]


def as_csv(rows: list[list[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
