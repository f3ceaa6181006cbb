"""The page: what a reader sees, in which order, and the files it is written to."""

import csv
import io
from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader

from resgan.base.plain_data import format_value
from resgan.report import figures
from resgan.report.claims import CLAIMS, SEEDS_FOR_A_CLAIM, Answer, answer
from resgan.report.effects import Effect
from resgan.report.figures import Picture
from resgan.report.grid import SKIPS, Grid, contrasts_table, grids, scores_table
from resgan.report.panels import Panel, Score
from resgan.report.records import COLLAPSED, Record
from resgan.report.tables import Table, arms_table, count, curve_mean, effects_table, in_a_line, notes, tuning_table
from resgan.report.tuning import Tuning


@dataclass(frozen=True)
class Section:
    """One panel on the page."""

    title: str
    effects: Table
    arms: Table
    notes: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class Page:
    headline: str
    summary: list[str]
    overview: list[Picture]
    sections: list[Section]
    grids: list[list[Table]]  # of wirings: scores, contrasts
    tunings: list[tuple[str, Table]]  # (title, ranks)
    answers: list[Answer]
    made: list[tuple[str, str]]  # (what, which)


def files(panels: list[Panel], tunings: list[Tuning], *, mixed_code: bool) -> dict[str, bytes]:
    """All files of a report by name; report.html needs none of the others."""
    page = make_page(panels, tunings, mixed_code=mixed_code)
    return render(page) | {"runs.csv": runs_csv(panels), "effects.csv": effects_csv(panels)}


def make_page(panels: list[Panel], tunings: list[Tuning], *, mixed_code: bool) -> Page:
    records = [record for panel in panels for record in panel.records]
    wirings = grids(records, mixed_code=mixed_code)
    panels = [panel for panel in panels if not stands_in_grid(panel, wirings)]
    return Page(
        headline=headline(panels),
        summary=summary(panels, records),
        overview=overview(panels),
        sections=[section(panel, f"panel{k + 1}") for k, panel in enumerate(panels)],
        grids=[[table for table in (scores_table(grid), contrasts_table(grid)) if table] for grid in wirings],
        tunings=[(tuning.title_among(tunings), tuning_table(tuning)) for tuning in tunings],
        answers=[answer(claim, panels) for claim in CLAIMS] if panels else [],
        made=how_it_was_made([*records, *(r for t in tunings for r in t.records)], mixed_code=mixed_code),
    )


def stands_in_grid(panel: Panel, wirings: list[Grid]) -> bool:
    """Runs with image skips that are no experiment of four arms of their own."""
    has_skips = any(panel.records[0].config.get(option) for option in SKIPS)
    return has_skips and not panel.seeds and any(panel.records[0] in grid.records for grid in wirings)


# The first screen.


def headline(panels: list[Panel]) -> str:
    """One sentence: what the runs say to the question."""
    if not panels:
        return "Which settings suit which arm"
    found = [panel.main_effects for panel in panels if panel.main_effects]
    if not found:
        return "No seed has ended in all four arms yet"
    in_g, in_d = (in_words([effects[name] for effects in found]) for name in ("G", "D"))
    if in_g == in_d:
        return f"Residual blocks {in_g}, in the generator and in the discriminator"
    return f"In the generator residual blocks {in_g}, in the discriminator they {in_d}"


def in_words(effects: list[Effect]) -> str:
    """The answer for one network, over all panels."""
    found = Counter(effect.verdict for effect in effects)
    if len(found) == 1:
        return {"positive": "help", "negative": "hurt", "inconclusive": "show no clear effect"}[effects[0].verdict]
    said = [f"{verb} in {found[v]}" for v, verb in (("positive", "help"), ("negative", "hurt")) if found[v]]
    return f"{' and '.join(said)} of {len(effects)} panels"


def summary(panels: list[Panel], records: list[Record]) -> list[str]:
    if not panels:
        return ["Runs of a tuning study: no result is drawn from them."]
    seeds = sorted({len(panel.seeds) for panel in panels})
    primary = ", ".join(dict.fromkeys(panel.primary for panel in panels if panel.primary))
    lines = [
        f"{count(len(records), 'run')}, {count(len(panels), 'panel')}, {' or '.join(map(str, seeds))} complete seeds a "
        f"panel. Primary endpoint: {primary or 'none yet'}, of the averaged generator at the end."
    ]
    if seeds[-1] == 1:
        lines.append("One seed: effects without intervals. A description, no evidence.")
    elif 0 < seeds[0] < SEEDS_FOR_A_CLAIM:
        lines.append(f"Fewer than {SEEDS_FOR_A_CLAIM} seeds: a description, no evidence.")
    said = {"diverged": "diverged: counted with the worst score", "unfinished": "not finished: left out"}
    for status, words in said.items():
        if number := sum(record.status == status for record in records):
            lines.append(f"{count(number, 'run')} {words}.")
    if number := sum(record.collapsed for record in records):
        lines.append(
            f"{count(number, 'run')} collapsed: samples with less than {COLLAPSED:.0%} of the data's variance."
        )
    return lines


def overview(panels: list[Panel]) -> list[Picture]:
    found = [figures.forest(panels)] if any(panel.main_effects for panel in panels) else []
    if option := varied_number(panels):
        found.append(figures.across(panels, option, "across"))
    return found


def varied_number(panels: list[Panel]) -> str | None:
    """The one numeric option in which the panels differ; one that G and D share counts once."""
    configs = [panel.records[0].settings() for panel in panels]
    varied = [key for key in (configs[0] if configs else ()) if len({repr(c.get(key)) for c in configs}) > 1]
    if len(varied) == 2 and all(config[varied[0]] == config[varied[1]] for config in configs):
        varied.pop()
    numeric = len(varied) == 1 and all(isinstance(c[varied[0]], int | float) and c[varied[0]] > 0 for c in configs)
    return varied[0] if numeric else None


# The rest.


def section(panel: Panel, name: str) -> Section:
    pictures = [
        figures.interaction(panel, f"{name}-interaction") if panel.seeds else None,
        figures.curves(panel, f"{name}-curves") if panel.primary else None,
        figures.grids(panel, f"{name}-samples"),
    ]
    return Section(panel.title, effects_table(panel), arms_table(panel), notes(panel), [p for p in pictures if p])


def how_it_was_made(records: list[Record], *, mixed_code: bool) -> list[tuple[str, str]]:
    sessions = [session for record in records for session in record.sessions]

    def every(key: str, *, most: int = 12) -> str:
        values = sorted({str(session[key]) for session in sessions})
        return "; ".join(values[:most]) + (f"; and {len(values) - most} more" if len(values) > most else "")

    code = ", ".join(sorted({record.code for record in records}))
    cards: dict[str, dict[str, None]] = {}  # a card in words -> the scores that have it
    for record in records:
        for name, card in record.result["cards"].items() if record.result else ():
            cards.setdefault(", ".join(f"{k} {format_value(v)}" for k, v in card.items()), {})[name] = None
    return [
        ("code", f"{code} (mixed in one table, as asked for)" if mixed_code and "," in code else code),
        *((key, every(key)) for key in ("device", "threads", "torch", "pytorch_lightning", "python")),
        ("commands", every("command")),
        *((f"card of {', '.join(names)}", card) for card, names in cards.items()),
    ]


READING = [
    "A block of the experiment is one seed in all four arms: same initial weights, order of the data, and latents.",
    "Effects are made on the logit of shares and the logarithm of distances, turned so that positive says residual "
    "blocks help. The column beside gives them as a factor on the score, or on its odds.",
    "G and D: the mean change that the switch makes in one network, over both settings of the other. Interaction: "
    "what the switch in D changes beside a residual G, less what it changes beside a plain one.",
    "Intervals are Student's t over seeds, 95 %, each for itself. Tests flip the signs of the per-seed effects, "
    "exactly up to 20 seeds; Holm's correction covers G, D and the interaction. Nothing is called a help or a hurt "
    "unless interval and corrected test agree.",
    "A run that diverged counts with the worst score, or lowest rank; none is dropped.",
    "± is the standard deviation over seeds, not the error of a mean.",
]
CLASSES = {
    **dict.fromkeys(("help", "better in G", "more than the sum"), "help"),
    **dict.fromkeys(("hurt", "better in D", "less than the sum"), "hurt"),
    "inconclusive": "open",
}


# Files.


def render(page: Page) -> dict[str, bytes]:
    env: Any = Environment(loader=PackageLoader("resgan.report"), trim_blocks=True, lstrip_blocks=True)
    env.filters |= {"data_uri": data_uri, "in_a_line": in_a_line}
    env.globals |= {"reading": READING, "classes": CLASSES}
    html = env.overlay(autoescape=True).get_template("report.html.j2").render(page=page)
    found = {"report.html": html.encode(), "report.md": env.get_template("report.md.j2").render(page=page).encode()}
    for figure in [*page.overview, *(picture for section in page.sections for picture in section.pictures)]:
        found[f"figures/{figure.name}.png"] = figure.png
        if figure.svg:
            found[f"figures/{figure.name}.svg"] = figure.svg
    return found


def data_uri(figure: Picture) -> str:
    kind, data = ("svg+xml", figure.svg) if figure.svg else ("png", figure.png)
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def runs_csv(panels: list[Panel]) -> bytes:
    """One line a run."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.score_names))
    heading = ["path", "panel", "residual_g", "residual_d", "seed", "status", "collapsed", *names]
    rows: list[list[object]] = [[*heading, "best", "curve_mean", "seconds"]]
    for panel in panels:
        for record in panel.records:
            scores = [record.score(name) for name in names]
            primary = panel.primary or ""
            rest = [record.best(primary), curve_mean(record, primary), (record.result or {}).get("seconds")]
            what = [record.path, panel.title, *map(int, record.arm), record.seed, record.status, int(record.collapsed)]
            rows.append([*what, *scores, *rest])
    return as_csv(rows)


def effects_csv(panels: list[Panel]) -> bytes:
    """One line for each contrast of each score that has a better and a worse, and that all finished runs have."""
    rows: list[list[object]] = [
        ["panel", "score", "contrast", "seeds", "effect", "low", "high", "p", "p_holm", "p_ranks", "verdict"]
    ]
    for panel in panels:
        finished = [record for record in panel.records if record.status == "finished"]
        for name in panel.score_names:
            if not Score.of(name).has_a_direction or any(record.score(name) is None for record in finished):
                continue
            for e in (panel.effects(name) or {}).values():
                low, high = e.interval or (None, None)
                what = [panel.title, name, e.name, len(e.per_seed)]
                rows.append([*what, e.mean, low, high, e.p, e.p_holm, e.p_ranks, e.verdict])
    return as_csv(rows)


def as_csv(rows: list[list[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()
