"""Verdicts in words: what was measured, at which depth, from which start; no more."""

from collections import Counter
from collections.abc import Iterable

from resgan.report.curves import Curve
from resgan.report.effects import LEVEL
from resgan.report.families import BESIDE, Effect, Verdict

ENOUGH = 8  # replicates; fewer are a description
TOO_SHORT = "These runs are too short to tell"
VERBS: dict[Verdict, str] = {
    "helps": "help",
    "within the margin": "make a difference within the margin",
    "hurts": "hurt",
    "not told apart": "are not told apart from plain ones",
}
# Verdicts on contrasts to which "residual blocks help" does not apply.
OWN_WORDS: dict[str, dict[Verdict, str]] = {
    "G x D": {"helps": "more than the sum", "hurts": "less than the sum"},
    "G - D": {"helps": "better in G", "hurts": "better in D"},
}
NETWORKS = {"G": ("generator", "D"), "D": ("discriminator", "G")}  # in words, and the other network


def verdict_on(name: str, verdict: Verdict) -> str:
    """Return a verdict in the words of its contrast."""
    return OWN_WORDS.get(name, {}).get(verdict, verdict)


def verdict_beside(effects: dict[str, Effect], network: str) -> tuple[Verdict, ...]:
    """Return the verdicts on a network's switch at the deepest depth: beside a plain and a residual other network.

    Where the interaction lies within the margin they are one, the verdict on the main effect.
    """
    if effects["G x D"].deepest.within:
        return (effects[network].deepest.verdict,)
    return tuple(effects[name].deepest.verdict for name in BESIDE[network])


def in_words(verdicts: tuple[Verdict, ...], other: str) -> str:
    """Put the verdicts of `verdict_beside` into a verb phrase."""
    said = [VERBS[verdict] for verdict in verdicts]
    if len(set(said)) == 1:
        beside = f" beside either {other}" if len(said) > 1 and said[0] != VERBS["not told apart"] else ""
        return said[0] + beside
    return f"{said[0]} beside a plain {other} and {said[1]} beside a residual {other}"


def answer_of(curve: Curve) -> str:
    """State the verdict at the deepest depth on the curve, in one sentence without its full stop."""
    effects = curve.main_effects
    if curve.too_short:
        return f"{TOO_SHORT}: {'; '.join(f'depth {d}, {why}' for d, why in curve.left_out.items())}"
    if not effects or not curve.deepest:
        return f"No depth of this study can tell: {'; '.join(f'depth {d}: {why}' for d, why in curve.left_out.items())}"
    said = {network: in_words(verdict_beside(effects, network), other) for network, (_, other) in NETWORKS.items()}
    if said["G"] == said["D"]:
        where = f"residual blocks {said['G']}, in the generator and in the discriminator"
    else:
        where = f"residual blocks in the generator {said['G']}; in the discriminator they {said['D']}"
    return f"At depth {curve.depth_of(curve.deepest)}, from {curve.start}, {where}"


def headline(curves: list[Curve]) -> str:
    """The first line of a report."""
    if curves and all(curve.too_short for curve in curves):
        return TOO_SHORT
    ended = [curve for curve in curves if curve.replicates]
    if not ended:
        return "No seed has ended in all four arms yet"
    lead = "" if min(len(curve.replicates) for curve in ended) >= ENOUGH else "A description: "
    told = [curve.main_effects for curve in ended if curve.main_effects]
    if len({answer_of(curve) for curve in ended}) == 1:
        said = answer_of(ended[0])
    elif told:
        short = sum(curve.too_short for curve in ended)
        others = {"too short to tell": short, "cannot tell": len(ended) - len(told) - short}
        silent = "".join(f"; {number} of {len(ended)} curves {words}" for words, number in others.items() if number)
        in_g, in_d = (f"the {name} residual blocks {tally(told, network)}" for network, (name, _) in NETWORKS.items())
        said = f"In {in_g}; in {in_d}{silent}"
    else:
        said = "No depth of these studies can tell: all are at the floor or at the ceiling, or have no scores"
    return lead + said[0].lower() + said[1:] if lead else said


def tally(found: list[dict[str, Effect]], network: str) -> str:
    """Count the curves by verdict: "help on 2, hurt on 1 of 3 curves"."""
    words = Counter(in_words(verdict_beside(effects, network), NETWORKS[network][1]) for effects in found)
    if len(words) == 1:
        return next(iter(words))
    return ", ".join(f"{verb} on {number}" for verb, number in words.most_common()) + f" of {len(found)} curves"


def outcomes_in_words(curves: Iterable[Curve]) -> list[str]:
    """Sentences on divergence, collapse and dead discriminators where a corrected test finds a difference."""
    said = {"diverged": "diverge", "collapsed": "collapse", "dead D": "end with a dead discriminator"}
    lines = []
    for curve in curves:
        for found in curve.outcomes:
            if found.p_holm <= LEVEL:
                often = found.residual[0] * found.plain[1] > found.plain[0] * found.residual[1]
                lines.append(
                    f"{curve.title + ': with' if curve.title else 'With'} residual blocks in {found.network} runs "
                    f"{said[found.name]} {'more' if often else 'less'} often: {found.residual[0]} of "
                    f"{found.residual[1]}, without {found.plain[0]} of {found.plain[1]} (p {found.p_holm:.2g})."
                )
    return lines


def against_best_in_words(curve: Curve) -> str:
    """Say which of both, G, D or neither may be the best at the deepest depth; empty without a comparison."""
    arms = {"plain": "neither", "residual D": "D alone", "residual G": "G alone", "both": "both"}
    found = [arms[name] for name, arm in curve.against_best.items() if arm.may_be_best]
    if not found or curve.deepest is None:
        return ""
    depth = curve.depth_of(curve.deepest)
    if len(found) == len(arms):
        return f"Both, G, D or neither, at depth {depth}: no arm can be told from the best."
    if len(found) == 1:
        return f"Both, G, D or neither, at depth {depth}: residual blocks in {found[0]} are best."
    return f"Both, G, D or neither, at depth {depth}: {' and '.join(found)} cannot be told from the best."
