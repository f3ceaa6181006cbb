"""A list of conditions on the page: in words, as a table and as figures."""

from textwrap import fill

from resgan.report.conditions import Condition, Conditions
from resgan.report.effects import smallest_p
from resgan.report.equivalence import MARGINS
from resgan.report.families import Estimate, Verdict
from resgan.report.figures import (
    Figure,
    draw_perfect,
    drawing,
    effect_axis,
    in_two_widths,
    learning_curve,
    rendered,
    scale_axis,
    time_axis,
)
from resgan.report.palette import BLUE, GREEN, GREY, LINES, RED
from resgan.report.samples import sample_sheet
from resgan.report.tables import Table, count, counts, figures_of, settings, spread
from resgan.report.verdict_tables import interval
from resgan.report.wording import ENOUGH, TOO_SHORT

WORDS: dict[Verdict, str] = {
    "helps": "better",
    "hurts": "worse",
    "within the margin": "within the margin",
    "not told apart": "not told apart",
}
COLOURS = {"helps": GREEN, "hurts": RED, "within the margin": BLUE, "not told apart": GREY}


def headline(found: Conditions) -> str:
    if found.too_short:
        return TOO_SHORT
    if not found.against:
        return "No seed has ended in every condition yet"
    plain, residual = found.references
    better = sum(found.against[condition.name][plain.name].verdict == "helps" for condition in found.others)
    verdict = in_words(found.against[residual.name][plain.name])
    others = f"of {count(len(found.others), 'other condition')}, {better or 'none'} {'is' if better < 2 else 'are'}"
    said = f"{residual.name} is {verdict} {plain.name}; {others} better than it"
    return said[0].upper() + said[1:] if len(found.replicates) >= ENOUGH else f"A description: {said}"


def in_words(difference: Estimate) -> str:
    return {
        "helps": "better than",
        "hurts": "worse than",
        "within the margin": "within the margin of",
        "not told apart": "not told apart from",
    }[difference.verdict]


def grouped(found: Conditions, reference: Condition) -> list[str]:
    """Group the other conditions by their verdict against a reference: "better: a / b"."""
    names: dict[Verdict, list[str]] = {}
    for condition in found.others:
        names.setdefault(found.against[condition.name][reference.name].verdict, []).append(condition.name)
    return [f"{WORDS[verdict]}: {' / '.join(names[verdict])}" for verdict in WORDS if verdict in names]


def summary(found: Conditions) -> list[str]:
    lines = [
        f"Beside {reference.name}, {'; '.join(grouped(found, reference))}."
        for reference in found.references
        if found.against
    ]
    replicates = len(found.replicates)
    lines.append(
        f"{count(len(found.records), 'run')}, {count(len(found.all), 'condition')}, {count(replicates, 'replicate')}. "
        f"Primary endpoint: {found.primary or 'none yet'}, of the averaged generator at the end."
    )
    if 0 < replicates < ENOUGH:
        lines.append(f"Fewer than {ENOUGH} replicates: a description, no evidence.")
    return lines


def comparisons_table(found: Conditions) -> Table:
    """Tabulate each condition: its runs, its score, and its differences from both references."""
    if not found.primary:
        return []
    plain, residual = found.references
    heading = ["runs: ended, diverged, collapsed, dead D", f"{found.primary}, final"]
    rows = [["condition", *heading, f"less {plain.name}", f"less {residual.name}"]]
    for condition in found.all:
        differences = found.against.get(condition.name, {})
        cells = [in_cell(differences[r.name]) if r.name in differences else "-" for r in (plain, residual)]
        scores = spread(record.score(found.primary) for record in condition.records)
        rows.append([condition.name, counts(condition.records), scores, *cells])
    return rows


def in_cell(difference: Estimate) -> str:
    return f"{WORDS[difference.verdict]}: {difference.mean:+.3g} ({interval(difference)})"


def all_scores_table(found: Conditions) -> Table:
    panel = found.all[0].panel
    return figures_of({c.name: c.records for c in found.all}, panel.score_names, found.primary)


def notes(found: Conditions) -> list[str]:
    lines = [
        "Differences are on the scale of the intervals, the logit of a share or the logarithm of a distance; positive "
        "is better. Better or worse is said where the interval excludes 0 and the corrected test finds the difference. "
        "Intervals hold for all differences of the table at once, and the test is by the largest of them, all flipped "
        "together."
    ]
    if found.primary and MARGINS.get(found.score.scale):
        lines.append("Within the margin is said of each difference for itself, by two one-sided t tests.")
    if diverged := sum(record.status == "diverged" for record in found.records):
        lines.append(f"Conditional: {count(diverged, 'run')} diverged, and differences are of runs that finished.")
    if n := len(found.replicates):
        lines.append(f"The smallest p that {count(n, 'replicate')} can give: {smallest_p(n):.2g}.")
    return lines + settings(found.all[0].panel)


def drawn(found: Conditions, name: str) -> list[Figure]:
    runs = {c.name: min(c.records, key=lambda record: record.seed) for c in found.all}
    made = [
        learning_curves(found, f"{name}-curves") if found.primary else None,
        sample_sheet(runs, f"{name}-samples", columns=3, what="condition"),
    ]
    return [one for one in made if one]


def forest(found: Conditions, name: str) -> Figure:
    """Plot every condition minus plain, and minus residual, with intervals."""
    return in_two_widths(lambda narrow: draw_forest(found, name, narrow=narrow))


def draw_forest(found: Conditions, name: str, *, narrow: bool) -> Figure:
    rows = len(found.all)
    size, shape = ((4.6, 2.2 + 0.9 * rows), {"nrows": 2}) if narrow else ((9.2, 1.2 + 0.32 * rows), {"ncols": 2})
    with drawing(*size, **shape, sharex=narrow, sharey=True) as (canvas, both):
        for axes, reference in zip(both, found.references, strict=True):
            for y, condition in enumerate(found.all):
                if one := found.against.get(condition.name, {}).get(reference.name):
                    colour = COLOURS[one.verdict]
                    axes.plot(one.interval or [one.mean] * 2, [y, y], color=colour, linewidth=2.5)
                    axes.plot([one.mean], [y], "o", color=colour, markersize=7)
            axes.axvline(0, color="black", linewidth=1)
            if found.primary and (margin := MARGINS.get(found.score.scale)):
                axes.axvspan(-margin, margin, color="#e9e9e9", zorder=0)
            axes.set_title(f"less {reference.name}", fontsize=11)
            axes.set_xlabel("worse  ←  →  better")
            axes.grid(visible=False, axis="y")
        if found.primary:
            canvas.supxlabel(effect_axis(found.score), fontsize=9)
        both[0].set_yticks(range(rows), [fill(c.name, 24) if narrow else c.name for c in found.all])
        both[0].set_ylim(rows - 0.5, -0.5)
        said = f"Conditions beside their references, {found.primary}, with 95 % intervals. Band: the margin. Lines: "
        return rendered(name, said + "green better, red worse, blue within the margin, grey not told apart", canvas)


def learning_curves(found: Conditions, name: str) -> Figure:
    return in_two_widths(lambda narrow: draw_learning_curves(found, name, narrow=narrow))


def draw_learning_curves(found: Conditions, name: str, *, narrow: bool) -> Figure:
    assert found.primary
    with drawing(*((4.6, 3.2 + 0.2 * len(found.all)) if narrow else (9.2, 4))) as (canvas, axes):
        for k, condition in enumerate(found.all):
            line = {"color": LINES[k % len(LINES)], "linestyle": "-" if condition.arm != (False, False) else "--"}
            line |= {"marker": "os^D"[k // len(LINES) % 4], "markersize": 4} if k >= len(LINES) else {}
            learning_curve(axes, condition.records, found.primary, band=False, label=condition.name, **line)
        time_axis(axes, found.records)
        perfect = draw_perfect(axes, found.score, found.records)
        scale_axis(axes, found.score)
        if narrow:
            canvas.legend(frameon=False, fontsize=8, loc="outside lower left")
        else:
            axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
        said = f"{found.primary} while training, mean over seeds; dashed: without a path{perfect}"
        return rendered(name, said, canvas)
