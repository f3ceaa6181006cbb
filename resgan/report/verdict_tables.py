"""The tables of a curve, as text: rows of cells, the first row is the heading."""

import math

import numpy as np

from resgan.report.curves import Curve
from resgan.report.effects import smallest_p
from resgan.report.equivalence import MARGINS, images_for
from resgan.report.families import BESIDE, HOLM_FAMILY, Effect, Estimate
from resgan.report.panels import Score
from resgan.report.tables import Captioned, Table, count
from resgan.report.wording import verdict_on

EFFECT_NAMES = {
    "G": "residual blocks in G",
    "D": "residual blocks in D",
    "G x D": "interaction",
    "G - D": "G only, less D only",
    "G, plain D": "in G, beside a plain D",
    "G, residual D": "in G, beside a residual D",
    "D, plain G": "in D, beside a plain G",
    "D, residual G": "in D, beside a residual G",
}
FACTORS = {"share": "odds of {}, times", "distance": "{}, times", "plain": "difference"}


def verdict_tables(curve: Curve) -> list[Captioned]:
    """Return the tables of a curve that are not empty."""
    depth = f"at depth {curve.depth_of(curve.deepest)}" if curve.deepest else ""
    made = {
        f"Effects on {curve.primary} {depth}, positive is better, and their tests": family_table(curve),
        f"Effects on {curve.primary} by depth, beside each state of the other network": simple_effects_table(curve),
        f"Each arm less the best of the others, {depth}": against_best_table(curve),
        "Runs that diverged, collapsed or ended with a dead D": outcomes_table(curve),
        "Effects where runs diverged, and what they would be in the extreme cases": bounds_table(curve),
        f"The effects as training time of the plain arm, {depth}": training_time_table(curve),
    }
    return [Captioned(caption, rows) for caption, rows in made.items() if rows]


def family_table(curve: Curve) -> Table:
    """The primary family on the primary endpoint; empty where no depth is on the curve."""
    if not (found := curve.main_effects) or not curve.deepest or not curve.primary:
        return []
    score, depth = curve.score_of(curve.primary), curve.depth_of(curve.deepest)
    slope = ["by doubling of depth"] if len(curve.kept) > 1 else []
    heading = ["effect of", f"at depth {depth}", "95 % interval", FACTORS[score.scale].format(score.name), *slope]
    rows = [[*heading, "p (sign flips)", "p (Holm)", "verdict"]]
    for name in (*HOLM_FAMILY, "G - D"):
        effect = found[name]
        said = verdict_on(name, effect.deepest.verdict)
        if name in BESIDE and not found["G x D"].deepest.within:
            said = "by the other network"  # a mean over two states that may differ
        by_depth = [f"{effect.slope.mean:+.3g} ({interval(effect.slope)})"] if effect.slope else []
        cells = [f"{effect.deepest.mean:+.3g}", interval(effect.deepest), on_score_scale(effect.deepest, score)]
        corrected = f"{effect.p_holm:.2g}" if name in HOLM_FAMILY else "-"
        rows.append([EFFECT_NAMES[name], *cells, *by_depth, f"{effect.p:.2g}", corrected, said])
    return rows


def simple_effects_table(curve: Curve) -> Table:
    """Tabulate simple effects: rows are depths, columns the switch in one network beside a state of the other."""
    if not curve.primary or not any(panel.seeds for panel in curve.panels):
        return []
    names = [name for names in BESIDE.values() for name in names]
    rows = [["depth", *(EFFECT_NAMES[name] for name in names)]]
    for panel in curve.panels:
        depth = curve.depth_of(panel)
        if panel in curve.kept and curve.main_effects:
            at = curve.kept.index(panel)
            found = [curve.main_effects[name].at[at] for name in names]
            rows.append([depth, *(f"{e.verdict}: {e.mean:+.3g} ({interval(e)})" for e in found)])
        elif panel.seeds:
            means = curve.bounds(panel)
            rows.append([f"{depth} (not on the curve)", *(number(means[name][0]) for name in names)])
    return rows


def training_time_table(curve: Curve) -> Table:
    """Tabulate simple effects at the deepest depth as factors on images; empty where the plain arm's gain is None."""
    if (gain := curve.gain) is None or not curve.main_effects or not curve.primary:
        return []
    margin = MARGINS.get(curve.score_of(curve.primary).scale)
    rows = [["images that buy as much in the plain arm", "times as many"]]
    rows += [["the margin", times(margin, gain)]] if margin else []
    for name in (name for names in BESIDE.values() for name in names):
        rows.append([EFFECT_NAMES[name], times(curve.main_effects[name].deepest.mean, gain)])
    return rows


def times(effect: float, gain: float) -> str:
    """Format a factor on the images; beyond ten, a straight line over log images says no more than "over 10"."""
    factor = images_for(effect, gain=gain)
    return "over 10" if factor > 10 else "under 0.1" if factor < 0.1 else f"{factor:.2g}"


def against_best_table(curve: Curve) -> Table:
    """Tabulate every arm minus the best of the others (Hsu)."""
    if not curve.against_best:
        return []
    rows = [["less the best of the others", "mean", "95 % interval, of all at once", "may be the best"]]
    for name, arm in curve.against_best.items():
        low, high = arm.interval
        rows.append([name, f"{arm.mean:+.3g}", f"{low:+.3g} to {high:+.3g}", "yes" if arm.may_be_best else "no"])
    return rows


def outcomes_table(curve: Curve) -> Table:
    """Runs that diverged, collapsed or had a dead D, over all depths; empty where there are none."""
    if not curve.outcomes:
        return []
    rows = [["runs, over all depths", "with residual blocks", "without", "p (exact)", "p (Holm)"]]
    for found in curve.outcomes:
        counted = [f"{events} of {runs}" for events, runs in (found.residual, found.plain)]
        rows.append(
            [f"{found.name}, by the switch in {found.network}", *counted, f"{found.p:.2g}", f"{found.p_holm:.2g}"]
        )
    return rows


def bounds_table(curve: Curve) -> Table:
    """Tabulate simple effects at depths where runs diverged: of finished runs, and in the extreme cases."""
    rows = [["depth, effect", "runs that finished", "diverged at the worst place", "at the best place"]]
    for panel in curve.panels:
        if panel.seeds and any(record.status == "diverged" for record in panel.records):
            for name, means in curve.bounds(panel).items():
                rows.append([f"{curve.depth_of(panel)}, {EFFECT_NAMES[name]}", *map(number, means)])
    return rows if len(rows) > 1 else []


def curve_notes(curve: Curve) -> list[str]:
    """State depths that are not on the curve, the margin, and what effects are conditional on."""
    lines = [f"Depth {depth} is not on the curve: {why}." for depth, why in curve.left_out.items()]
    if curve.diverged:
        lines.append(
            f"Conditional: {count(curve.diverged, 'run')} diverged, and effects are of runs that finished. "
            "Divergence is an outcome of its own; the worst cases stand beside."
        )
    if curve.primary:
        margin = {"share": "an odds ratio of 1.5", "distance": "a factor of 0.80 to 1.25", "plain": "none is defined"}
        lines.append(f"Margin: {margin[curve.score_of(curve.primary).scale]} of {curve.primary}.")
    if curve.deepest and curve.gain is None:
        lines.append("How many more images would buy as much cannot be told from the learning curves of the plain arm.")
    if n := len(curve.replicates):
        lines.append(f"The smallest p that {count(n, 'replicate')} can give: {smallest_p(n):.2g}.")
    return lines


def number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.3g}"


def on_score_scale(effect: Estimate, score: Score) -> str:
    """Format the effect as a factor on the score or its odds; as a difference where the scale is plain."""
    sign = -1 if score.low_is_good else 1
    if score.scale == "plain":
        return f"{sign * effect.mean:+.3g}"
    factor = f"{math.exp(np.clip(sign * effect.mean, -700, 700)):.3g}"
    if effect.interval is None:
        return factor
    low, high = sorted(math.exp(np.clip(sign * end, -700, 700)) for end in effect.interval)
    return f"{factor} ({low:.3g} to {high:.3g})"


def interval(effect: Estimate) -> str:
    return f"{effect.interval[0]:+.3g} to {effect.interval[1]:+.3g}" if effect.interval else "no interval from one"


def in_a_line(effect: Effect) -> str:
    p = f"p {effect.p:.2g}" + (f", corrected {effect.p_holm:.2g}" if effect.name in HOLM_FAMILY else "")
    at = effect.deepest
    return f"{EFFECT_NAMES[effect.name]} at the deepest depth {at.mean:+.3g}, 95 % interval {interval(at)}, {p}"
