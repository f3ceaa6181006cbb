"""The page: what a reader sees, as plain values, and the files they are written to."""

import csv
import io
import math
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

from resgan.report import figures
from resgan.report.claims import CLAIMS, Answer, answer
from resgan.report.effects import FACTORIAL, Effect, area_under, pair_correlation, wilson
from resgan.report.figures import Picture
from resgan.report.panels import Panel, Score
from resgan.report.records import ARM_NAMES, COLLAPSED, Arm, Record
from resgan.report.tuning import TUNABLE, Tuning
from resgan.runs import plain

EFFECT_NAMES = {
    "G": "residual blocks in G",
    "D": "residual blocks in D",
    "G x D": "interaction",
    "G - D": "G only, less D only",
}

Table = list[list[str]]  # the first row is the heading


@dataclass(frozen=True)
class Section:
    """One panel on the page."""

    title: str
    arms: Table
    effects: Table
    notes: list[str]
    pictures: list[Picture]


@dataclass(frozen=True)
class Page:
    headline: str
    summary: list[str]
    answers: list[Answer]
    sections: list[Section]
    overview: list[Picture]
    tunings: list[Table]
    made: list[tuple[str, str]]


def page_of(panels: list[Panel], tunings: list[Tuning], *, mixed_code: bool) -> Page:
    records = [record for panel in panels for record in panel.records]
    return Page(
        headline=headline(panels),
        summary=summary(panels, records),
        answers=[answer(claim, panels) for claim in CLAIMS],
        sections=[section(panel, f"panel{k + 1}") for k, panel in enumerate(panels)],
        overview=overview(panels),
        tunings=[tuning_table(tuning) for tuning in tunings],
        made=how_it_was_made(records + [r for t in tunings for r in t.records], mixed_code=mixed_code),
    )


# The first screen.


def headline(panels: list[Panel]) -> str:
    """One sentence: what the runs say to the question."""
    found = [e for panel in panels if (e := figures.main_effects(panel))]
    if not found:
        return "No seed has ended in all four arms yet" if panels else "Tuning: settings to begin with"
    where = {"G": "in the generator", "D": "in the discriminator"}
    return "Residual blocks " + " and ".join(f"{in_words([e[name] for e in found])} {where[name]}" for name in where)


def in_words(effects: list[Effect]) -> str:
    verdicts = {effect.verdict for effect in effects}
    if len(verdicts) > 1:
        return "give a mixed picture"
    return {"positive": "help", "negative": "hurt", "inconclusive": "show no clear effect"}[verdicts.pop()]


def summary(panels: list[Panel], records: list[Record]) -> list[str]:
    if not panels:
        return ["Runs of a tuning study; no result is drawn from them."]
    seeds = sorted({len(panel.seeds) for panel in panels})
    lines = [
        f"{len(records)} runs in {count(len(panels), 'panel')}, {' or '.join(map(str, seeds))} complete seeds in each. "
        f"Primary endpoint: {', '.join(dict.fromkeys(p.primary for p in panels if p.primary))}, of the averaged generator, final."
    ]
    if max(seeds, default=0) == 1:
        lines.append("One seed: effects without intervals. A description, no evidence.")
    elif 0 < max(seeds, default=0) < 8:
        lines.append("Fewer than 8 seeds: a description, no evidence.")
    for status, said in (
        ("diverged", "diverged: counted with the worst score"),
        ("unfinished", "not finished: left out"),
    ):
        if number := sum(record.status == status for record in records):
            lines.append(f"{count(number, 'run')} {said}.")
    if number := sum(record.collapsed for record in records):
        lines.append(f"{count(number, 'run')} collapsed (variance of the samples below {COLLAPSED:g} of the data's).")
    return lines


def overview(panels: list[Panel]) -> list[Picture]:
    found = [figures.forest(panels)] if any(figures.main_effects(panel) for panel in panels) else []
    if panels and (option := varied_number(panels)):
        found.append(figures.across(panels, option, "across"))
    return found


def varied_number(panels: list[Panel]) -> str | None:
    """The one numeric option in which the panels differ; blocks in G and in D count as one."""
    values = {key: [panel.records[0].config.get(key) for panel in panels] for key in panels[0].records[0].config}
    ignored = {"seed", "generator.residual", "disc.residual", "study", "run_dir"}
    varied = [key for key, v in values.items() if key not in ignored and len({repr(x) for x in v}) > 1]
    if len(varied) == 2 and values[varied[0]] == values[varied[1]]:
        varied.pop()
    numeric = len(varied) == 1 and all(isinstance(v, int | float) and v > 0 for v in values[varied[0]])
    return varied[0] if numeric and len(panels) > 1 else None


# A panel.


def section(panel: Panel, name: str) -> Section:
    pictures: list[Picture | None] = []
    if panel.seeds:
        pictures.append(figures.interaction(panel, f"{name}-interaction"))
    if panel.primary:
        pictures.append(figures.curves(panel, f"{name}-curves"))
    pictures.append(figures.grids(panel, f"{name}-samples"))
    return Section(panel.title, arms_table(panel), effects_table(panel), notes(panel), [p for p in pictures if p])


def arms_table(panel: Panel) -> Table:
    """Rows are figures, columns are arms."""
    arms = panel.arms
    rows = [["", *(ARM_NAMES[arm] for arm in arms)]]

    def row(name: str, values: Iterable[str]) -> None:
        rows.append([name, *values])

    row("runs: ended, diverged, collapsed", (counts(panel.arm(arm)) for arm in arms))
    for score in panel.score_names:
        row(f"{score}, final", (spread([r.score(score) for r in panel.arm(arm)]) for arm in arms))
    if panel.primary:
        row(f"{panel.primary}, best", (spread([r.best(panel.primary) for r in panel.arm(arm)]) for arm in arms))
        row(
            f"{panel.primary}, mean of the curve",
            (spread([curve_mean(r, panel.primary) for r in panel.arm(arm)]) for arm in arms),
        )
    for what in ("logit_spread", "input_gradient"):
        said = {
            "logit_spread": "at the start: spread of D's logits",
            "input_gradient": "at the start: D's input gradient",
        }[what]
        row(
            said,
            (
                spread([(r.result or {}).get("start", {}) and r.result["start"].get(what) for r in panel.arm(arm)])
                for arm in arms
            ),
        )
    for what, said in (("parameters", "parameters, G + D"), ("flops", "MFLOP of a sample, G + D")):
        row(said, (cost(panel.arm(arm), what) for arm in arms))
    row("seconds a run", (spread([(r.result or {}).get("seconds") for r in panel.arm(arm)], digits=2) for arm in arms))
    return rows


def counts(records: list[Record]) -> str:
    ended = [r for r in records if r.status != "unfinished"]
    diverged = sum(r.status == "diverged" for r in ended)
    text = f"{len(ended)}, {diverged}, {sum(r.collapsed for r in ended)}"
    if diverged:
        low, high = wilson(diverged, len(ended))
        text += f" (divergence {low:.0%} to {high:.0%})"
    return text


def spread(values: list[Any], *, digits: int = 3) -> str:
    """Mean and standard deviation over seeds."""
    x = np.array([v for v in values if v is not None], dtype=float)
    if not len(x):
        return "-"
    sd = f" ± {x.std(ddof=1):.2g}" if len(x) > 1 else ""
    return f"{x.mean():.{digits}g}{sd}"


def curve_mean(record: Record, name: str) -> float | None:
    curve = record.curve(name)
    return area_under(*map(np.array, zip(*curve, strict=True))) if curve and record.status == "finished" else None


def cost(records: list[Record], what: str) -> str:
    found = {tuple(r.result[what].values()) for r in records if r.result}
    scale, form = (1e6, ",.4g") if what == "flops" else (1, ",")
    return " or ".join(" + ".join(f"{n / scale:{form}}" for n in pair) for pair in sorted(found)) or "-"


def effects_table(panel: Panel) -> Table:
    found = figures.main_effects(panel)
    if not found or not panel.primary:
        return []
    score = Score.of(panel.primary)
    heading = {
        "share": f"odds of {panel.primary}, times",
        "distance": f"{panel.primary}, times",
        "plain": "difference",
    }[score.scale]
    rows = [["", "effect", "95 % interval", heading, "p (sign flip)", "p (Holm)", "p (ranks)", "verdict"]]
    for name in (*FACTORIAL, "G - D"):
        e = found[name]
        rows.append([EFFECT_NAMES[name], f"{e.mean:+.3g}", interval(e.interval), natural(e, score), f"{e.p:.2g}",
                     f"{e.p_holm:.2g}" if name in FACTORIAL else "-", f"{e.p_ranks:.2g}", verdict_words(e)])  # fmt: skip
    return rows


def verdict_words(effect: Effect) -> str:
    if effect.name == "G x D":
        return {"positive": "more than the sum", "negative": "less than the sum", "inconclusive": "inconclusive"}[
            effect.verdict
        ]
    if effect.name == "G - D":
        return {"positive": "better in G", "negative": "better in D", "inconclusive": "inconclusive"}[effect.verdict]
    return {"positive": "help", "negative": "hurt", "inconclusive": "inconclusive"}[effect.verdict]


def natural(effect: Effect, score: Score) -> str:
    """The effect as a factor on the score, or on its odds; as a difference where the scale is plain."""
    sign = -1 if score.low_is_good else 1
    if score.scale == "plain":
        return f"{sign * effect.mean:+.3g}"
    factor = f"{math.exp(sign * effect.mean):.3g}"
    if effect.interval is None:
        return factor
    low, high = sorted(math.exp(sign * end) for end in effect.interval)
    return f"{factor} ({low:.3g} to {high:.3g})"


def interval(ends: tuple[float, float] | None) -> str:
    return f"{ends[0]:+.3g} to {ends[1]:+.3g}" if ends else "none from one seed"


def notes(panel: Panel) -> list[str]:
    """What was matched and what was not, in words."""
    lines = []
    if missing := [ARM_NAMES[arm] for arm in ARM_NAMES if not panel.arm(arm)]:
        lines.append(f"No run of {', '.join(missing)}: effects need all four arms.")
    if panel.incomplete_seeds:
        lines.append(
            f"Seeds without an end in all four arms, not in the effects: {', '.join(map(str, panel.incomplete_seeds))}."
        )
    costs = {cost([r], what) for what in ("parameters",) for r in panel.records if r.result}
    same = "parameters, " if len(costs) <= 1 else ""
    lines.append(
        f"Equal in all arms: {same}data, images seen, batch size, steps of D and G, initial weights, order of the data and latents by seed."
    )
    if len(costs) > 1:
        lines.append(f"Not equal: parameters ({'; '.join(sorted(costs))}).")
    tuned = tuned_values(panel)
    if len({tuple(v) for v in tuned.values()}) > 1:
        lines += [
            "Each arm at its own best settings: "
            + "; ".join(f"{ARM_NAMES[arm]} {', '.join(v)}" for arm, v in tuned.items())
            + "."
        ]
    elif panel.records:
        lines.append(f"Settings of all arms: {', '.join(next(iter(tuned.values())))}.")
    if panel.primary and panel.seeds and (r := pair_correlation(panel.blocks(panel.primary))) is not None:
        lines.append(
            f"Correlation of paired arms over seeds: {r:+.2f} (1 would make pairing free precision, 0 buys nothing)."
        )
    return lines


def tuned_values(panel: Panel) -> dict[Arm, list[str]]:
    return {
        arm: [f"{key}={plain(panel.arm(arm)[0].config[key])}" for key in TUNABLE if panel.arm(arm)[0].config.get(key)]
        for arm in panel.arms
    }


def tuning_table(tuning: Tuning) -> Table:
    """Mean ranks; the best of each column is marked."""
    columns = [*(tuning.ranks[arm] for arm in tuning.arms), tuning.shared_ranks]
    rows = [["settings", *(ARM_NAMES[arm] for arm in tuning.arms), "all arms"]]
    if tuning.missing:
        return [["tuning has not ended"], [f"{count(len(tuning.missing), 'run')} missing"]]
    varied = [k for k in range(len(TUNABLE)) if len({values[k] for values in tuning.candidates}) > 1]
    for i, values in enumerate(tuning.candidates):
        name = ", ".join(f"{values[k][0]}={plain(values[k][1])}" for k in varied)
        rows.append([name, *(f"{c[i]:.2f}{' (best)' if c.index(min(c)) == i else ''}" for c in columns)])
    return rows


def how_it_was_made(records: list[Record], *, mixed_code: bool) -> list[tuple[str, str]]:
    sessions = [session for record in records for session in record.sessions]

    def of(key: str) -> str:
        return ", ".join(sorted({str(session[key]) for session in sessions}))

    code = ", ".join(sorted({record.code for record in records}))
    rows = [
        ("code", code + (" (mixed, as asked for)" if mixed_code and "," in code else "")),
        *((key, of(key)) for key in ("device", "threads", "torch", "pytorch_lightning", "python")),
        ("commands", "; ".join(sorted({str(session["command"]) for session in sessions})[:12])),
    ]
    cards = {name: card for record in records if record.result for name, card in record.result["cards"].items()}
    return rows + [
        (f"card of {name}", ", ".join(f"{k} {plain(v)}" for k, v in card.items())) for name, card in cards.items()
    ]


# Files.


def files(panels: list[Panel], tunings: list[Tuning], *, mixed_code: bool) -> dict[str, bytes]:
    """All files of a report by name; report.html needs none of the others."""
    page = page_of(panels, tunings, mixed_code=mixed_code)
    return render(page) | {"runs.csv": runs_csv(panels), "effects.csv": effects_csv(panels)}


def render(page: Page) -> dict[str, bytes]:
    env: Any = Environment(
        loader=PackageLoader("resgan.report"), trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    env.filters |= {"data_uri": data_uri, "said": said}
    env.globals |= {"reading": READING, "verdicts": CLASSES}
    html = env.overlay(autoescape=True).get_template("report.html.j2").render(page=page)
    files = {"report.html": html.encode(), "report.md": env.get_template("report.md.j2").render(page=page).encode()}
    for figure in [*page.overview, *(p for s in page.sections for p in s.pictures)]:
        files[f"figures/{figure.name}.png"] = figure.png
        if figure.svg:
            files[f"figures/{figure.name}.svg"] = figure.svg
    return files


READING = [
    "A block of the experiment is one seed in all four arms: same initial weights, same order of the data, same latents.",
    "Effects are made on the logit of shares and the logarithm of distances, turned so that positive says residual "
    "blocks help. The column beside gives them as a factor on the score, or on its odds.",
    "G and D: the mean change that the switch makes in one network, over both settings of the other. Interaction: "
    "what the switch in D changes beside a residual G, less what it changes beside a plain one.",
    "Intervals are Student's t over seeds, 95 %, each for itself. Tests flip the signs of the per-seed effects, "
    "exactly up to 20 seeds; Holm's correction covers G, D and the interaction. Nothing is called a help or a hurt "
    "unless interval and corrected test agree.",
    "A run that diverged counts with the worst score, or lowest rank; none is dropped.",
    "± is the standard deviation over seeds, not an error of the mean.",
]
CLASSES = {"help": "help", "better in G": "help", "more than the sum": "help", "hurt": "hurt", "better in D": "hurt",
           "less than the sum": "hurt", "inconclusive": "open"}  # fmt: skip


def said(effect: Effect) -> str:
    """An effect in a line."""
    return (
        f"{EFFECT_NAMES[effect.name]} {effect.mean:+.3g}, 95 % interval {interval(effect.interval)}, p {effect.p:.2g}"
    )


def data_uri(figure: Picture) -> str:
    kind, data = ("svg+xml", figure.svg) if figure.svg else ("png", figure.png)
    return f"data:image/{kind};base64,{b64encode(data).decode()}"


def runs_csv(panels: list[Panel]) -> bytes:
    """One line a run."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.score_names))
    head = [
        "path",
        "panel",
        "residual_g",
        "residual_d",
        "seed",
        "status",
        "collapsed",
        *names,
        "best",
        "curve_mean",
        "seconds",
    ]
    rows = [
        [record.path, panel.title, *map(int, record.arm), record.seed, record.status, int(record.collapsed),
         *(record.score(name) for name in names), record.best(panel.primary) if panel.primary else None,
         curve_mean(record, panel.primary) if panel.primary else None, (record.result or {}).get("seconds")]
        for panel in panels for record in panel.records
    ]  # fmt: skip
    return as_csv([head, *rows])


def effects_csv(panels: list[Panel]) -> bytes:
    """One line for each contrast of each score of each panel."""
    head = ["panel", "score", "contrast", "seeds", "effect", "low", "high", "p", "p_holm", "p_ranks", "verdict"]
    rows = []
    for panel in panels:
        for name in panel.score_names:
            if any(record.status == "finished" and record.score(name) is None for record in panel.records):
                continue  # not defined for every run
            for e in (panel.effects(name) or {}).values():
                low, high = e.interval or (None, None)
                rows.append(
                    [panel.title, name, e.name, len(e.per_seed), e.mean, low, high, e.p, e.p_holm, e.p_ranks, e.verdict]
                )
    return as_csv([head, *rows])


def as_csv(rows: list[list[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode()


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
