"""Page of a report: what a reader sees, in which order, and the files it is written to."""

import csv
import io
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader

from resgan.base.plain_data import format_value
from resgan.metrics.cards import how_made
from resgan.report import condition_page, figures, palette, samples
from resgan.report.claims import CLAIMS, Answer, answer, apart, claims_in_a_line
from resgan.report.commands import commands_behind
from resgan.report.conditions import Conditions, conditions, pairs_of
from resgan.report.curves import Curve, curves, depths_of
from resgan.report.endpoint import by_endpoint, endpoint_in_words, ends_in_words
from resgan.report.families import Estimate
from resgan.report.figures import Figure
from resgan.report.grid import SKIPS, Grid, contrasts_table, grids, scores_table
from resgan.report.panels import Panel
from resgan.report.records import COLLAPSED, Record
from resgan.report.tables import Captioned, arms_table, count, curve_mean, notes, tuning_table
from resgan.report.tuning import Tuning
from resgan.report.verdict_tables import curve_notes, in_a_line, verdict_tables
from resgan.report.wording import ENOUGH, against_best_in_words, answer_of, headline, outcomes_in_words


@dataclass(frozen=True)
class Shown:
    """A figure with the commands behind it."""

    figure: Figure
    commands: str


@dataclass(frozen=True)
class Part:
    """A part of the page with a heading of its own: a curve, a list of conditions, a panel, ..."""

    anchor: str
    heading: str
    words: list[str]
    tables: list[Captioned]
    notes: list[str]
    figures: list[Shown]


@dataclass(frozen=True)
class Page:
    headline: str
    lead: list[str]  # why it is too short, and what the endpoint is
    summary: list[str]
    overview: list[Shown]
    parts: list[Part]
    measured: list[Answer]  # claims
    unmeasured: list[Answer]
    reading: list[str]
    made: list[tuple[str, str]]  # (what, value)

    @property
    def contents(self) -> list[tuple[str, str]]:
        """Anchors and headings, in the order of the page."""
        rest = {
            "claims": ("What is claimed, and what these runs show of it", self.measured or self.unmeasured),
            "reading": ("How to read this", self.reading),
            "made": ("How it was made", self.made),
        }
        parts = [(part.anchor, part.heading) for part in self.parts]
        return parts + [(anchor, heading) for anchor, (heading, content) in rest.items() if content]


def files(panels: list[Panel], tunings: list[Tuning], *, mixed_code: bool, command: str = "") -> dict[str, bytes]:
    """All files of a report by name; report.html needs none of the others.

    command: the command that makes the report, to be shown beside its figures.
    """
    page = make_page(panels, tunings, mixed_code=mixed_code, command=command)
    lists, others = lists_apart(panels, mixed_code=mixed_code)
    found = curves(others, mixed_code=mixed_code)
    tables = {"effects.csv": effects_csv(found)} if found or not lists else {}
    tables |= {"differences.csv": differences_csv(lists)} if lists else {}
    return render(page) | {"runs.csv": runs_csv(panels)} | tables


def make_page(panels: list[Panel], tunings: list[Tuning], *, mixed_code: bool, command: str = "") -> Page:
    records = [record for panel in panels for record in panel.records]
    wirings = grids(records, mixed_code=mixed_code)
    panels = [panel for panel in panels if not stands_in_grid(panel, wirings)]
    lists, panels = lists_apart(panels, mixed_code=mixed_code)
    found = curves(panels, mixed_code=mixed_code)
    parts = [
        *(curve_part(curve, f"curve{k + 1}", alone=len(found) == 1) for k, curve in enumerate(found)),
        *(conditions_part(one, f"list{k + 1}", command) for k, one in enumerate(lists)),
        *(arms_part(panel, f"panel{k + 1}", command) for k, panel in enumerate(panels)),
        *(grid_part(grid, f"wirings{k + 1}") for k, grid in enumerate(wirings)),
        *([tuning_part(tunings)] if tunings else []),
    ]
    measured, unmeasured = apart([answer(claim, found) for claim in CLAIMS] if panels else [])
    endpoints = by_endpoint([*(panel for one in lists for panel in one.panels), *panels])
    return Page(
        headline=first_line(panels, found, lists),
        lead=[*why_too_short(found, lists), *(endpoint_in_words(of, name) for name, of in endpoints.items())],
        summary=[
            *(line for one in lists for line in condition_page.summary(one)),
            *(line for name, of in endpoints.items() if (line := ends_in_words(of, name))),
            *summary(panels, found, records),
        ],
        overview=overview(panels, found, lists, command),
        parts=parts,
        measured=measured,
        unmeasured=unmeasured,
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


def why_too_short(curves: list[Curve], lists: list[Conditions]) -> list[str]:
    """Give the reasons for "too short to tell", with the length of the runs; the first two where there are many."""
    reasons = [(one.title, one.too_short, one.all[0].records) for one in lists if one.too_short]
    for curve in curves:
        if curve.too_short:
            depths = (f"depth {depth}, {why}" if curve.varied else why for depth, why in curve.left_out.items())
            reasons.append((curve.title, "; ".join(depths), list(curve.panels[0].records)))
    lines = []
    for title, reason, records in reasons[:2]:
        length = f"{records[0].config['total_kimg']:g}"
        reason = f"{title}: {reason}" if title else reason[0].upper() + reason[1:]
        lines.append(f"{reason}. The runs saw {length} thousand samples (total_kimg).")
    return lines + ([f"{len(reasons) - 2} more say why below."] if len(reasons) > 2 else [])


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


def overview(panels: list[Panel], curves: list[Curve], lists: list[Conditions], command: str) -> list[Shown]:
    """Plot lists of conditions; curves over depth, else one forest plot; and the arms against an option that varies.

    What is too short is not drawn as an effect.
    """
    drawn = [
        Shown(condition_page.forest(one, f"list{k + 1}"), commands_behind(one.records, command))
        for k, one in enumerate(lists)
        if one.against
    ]
    told = [(k, curve) for k, curve in enumerate(curves) if curve.main_effects]
    over_depth = [(f"depth{k + 1}", curve) for k, curve in told if has_depths(curve)]
    for name, curve in over_depth:
        drawn.append(Shown(figures.over_depth(curve, name), commands_behind(records_of(curve.panels), command)))
    if told and not over_depth:
        records = records_of([panel for _, curve in told for panel in curve.panels])
        drawn.append(Shown(figures.forest([curve for _, curve in told]), commands_behind(records, command)))
    if option := varied_number(panels):
        drawn.append(Shown(figures.across(panels, option, "across"), commands_behind(records_of(panels), command)))
    return drawn


def records_of(panels: Iterable[Panel]) -> list[Record]:
    return [record for panel in panels for record in panel.records]


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


def curve_part(curve: Curve, anchor: str, *, alone: bool) -> Part:
    words = [] if alone else [f"{answer_of(curve)}."]
    return Part(anchor, curve.title or "Verdicts", words, verdict_tables(curve), curve_notes(curve), [])


def conditions_part(found: Conditions, name: str, command: str) -> Part:
    tables = [
        Captioned(f"Each condition beside its references, in {found.primary}", condition_page.comparisons_table(found)),
        Captioned("Scores and costs: mean ± SD over seeds", condition_page.all_scores_table(found), sortable=False),
    ]
    heading = "Conditions beside their references" + (f", {found.title}" if found.title else "")
    drawn = [Shown(figure, commands_behind(found.records, command)) for figure in condition_page.drawn(found, name)]
    return Part(name, heading, [], [table for table in tables if table.rows], condition_page.notes(found), drawn)


def arms_part(panel: Panel, name: str, command: str) -> Part:
    drawn = [
        figures.interaction(panel, f"{name}-interaction") if panel.seeds else None,
        figures.curves(panel, f"{name}-curves") if panel.primary else None,
        samples.grids(panel, f"{name}-samples"),
    ]
    heading = "The four arms" + (f", {panel.title}" if panel.title else "")
    table = Captioned("Scores and costs: mean ± SD over seeds", arms_table(panel), sortable=False)
    commands = commands_behind(list(panel.records), command)
    return Part(name, heading, [], [table], notes(panel), [Shown(figure, commands) for figure in drawn if figure])


def grid_part(grid: Grid, name: str) -> Part:
    tables = [
        Captioned(f"{grid.primary} of each wiring: mean ± SD over seeds", scores_table(grid)),
        Captioned(f"Effects of wirings on {grid.primary}, and their tests", contrasts_table(grid)),
    ]
    return Part(name, "Plain, image skips, residual blocks", [], [table for table in tables if table.rows], [], [])


def tuning_part(tunings: list[Tuning]) -> Part:
    words = ["Mean rank of each setting in each arm, seed by seed; 1 is best."]
    tables = [
        Captioned(tuning.title_among(tunings) or "Mean rank of each setting", tuning_table(tuning))
        for tuning in tunings
    ]
    return Part("tuning", "Tuning", words, tables, [], [])


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
    "A depth is on the curve where some arm is shown to be better at its end than its untrained generator, and where "
    "the best arm is valid in 30 % of its samples and none in 97 %.",
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
    env.filters |= {"data_uri": data_uri, "svg_uri": svg_uri, "in_a_line": in_a_line, "class_of": class_of}
    env.filters |= {"claims_in_a_line": claims_in_a_line}
    env.globals |= {"light": palette.LIGHT, "dark": palette.DARK}
    html = env.overlay(autoescape=True).get_template("report.html.j2").render(page=page)
    found = {"report.html": html.encode(), "report.md": env.get_template("report.md.j2").render(page=page).encode()}
    for shown in [*page.overview, *(shown for part in page.parts for shown in part.figures)]:
        found[f"figures/{shown.figure.name}.png"] = shown.figure.png
        if shown.figure.svg:
            found[f"figures/{shown.figure.name}.svg"] = shown.figure.svg
    return found


def data_uri(figure: Figure) -> str:
    return svg_uri(figure.svg) if figure.svg else f"data:image/png;base64,{b64encode(figure.png).decode()}"


def svg_uri(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{b64encode(svg).decode()}"


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
