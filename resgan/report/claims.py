"""Claims about residual blocks in GANs, how each is measured, and what a set of runs shows about it.

A finding states what was measured: residual blocks help, at a depth and from a start. No number of runs shows that
they are necessary.
"""

from dataclasses import dataclass

from resgan.report.curves import Curve
from resgan.report.families import BESIDE, Effect
from resgan.report.panels import is_searched
from resgan.report.wording import ENOUGH, verdict_beside, verdict_on


@dataclass(frozen=True)
class Claim:
    number: int
    text: str  # in the sense its authors give it
    measurement: str
    contrast: str | None  # a key of effects.contrasts; None where runs alone do not measure the claim
    filled_by: str  # the study or probe that measures it


NOT_MEASURED = "not measured"
ARMS_STUDIES = "study=depth, or study=factorial"
CLAIMS = [
    Claim(
        1,
        "Residual blocks are a necessity in generators.",
        "effect of the switch in G beside each D, at the deepest depth",
        "G",
        ARMS_STUDIES,
    ),
    Claim(
        1,
        "Why not have them in the discriminator as well?",
        "effect of the switch in D beside each G, at the deepest depth",
        "D",
        ARMS_STUDIES,
    ),
    Claim(
        2,
        "A residual discriminator would accept only exact replicas, and the generator could never fool it.",
        "how well D tells training images from held-out ones and from samples; copying in the samples",
        None,
        "a probe of memorisation",
    ),
    Claim(
        3,
        "The generator needs to improve more than the discriminator: residual blocks belong in G rather than in D.",
        "residual blocks in G only, less residual blocks in D only",
        "G - D",
        ARMS_STUDIES,
    ),
    Claim(
        4,
        "A block computes f(x) = x + r(x) with a small r, so to first order f(x) is about x.",
        "size of F(x) over the size of x, per block, against the untrained network",
        None,
        "a probe of corrections",
    ),
    Claim(
        5,
        "As in a Taylor series, later corrections matter less.",
        "what dropping one block changes, against its first-order prediction",
        None,
        "a probe of lesions",
    ),
    Claim(
        6,
        "With H(x) = F(x) + x the identity is easy to learn: F = 0.",
        "time to learn the identity, for block=preact and block=postact",
        None,
        "a probe of the identity",
    ),
    Claim(
        7,
        "Gradients flow uninterrupted from the first layer to the last.",
        "gradient norm per block relative to the last, at the start and trained; shattering along a line",
        None,
        "a probe of gradients",
    ),
    Claim(
        8,
        "Residual networks are nested function classes: a deeper one contains the shallower.",
        "a block whose branch is zero changes no output bit: proved by the project's tests, for sum and gated joins",
        None,
        "tests/nets/test_switch.py",
    ),
    Claim(
        9,
        "Degradation: past some depth the training error of plain networks rises.",
        "supervised, by depth: D on real against frozen samples, G from factors to images, best of three rates",
        None,
        "a probe of depth",
    ),
    Claim(
        10,
        "Deeper is not always better, and residual blocks do not prevent overfitting.",
        "scores by depth; gap between training and held-out data by depth",
        None,
        "study=depth",
    ),
]


@dataclass(frozen=True)
class Answer:
    """The finding of the curves on one claim."""

    claim: Claim
    finding: str  # a verdict, or: it depends, a description, not measured
    reason: str
    effects: list[tuple[str, Effect]]  # (curve, effect)


def answer(claim: Claim, curves: list[Curve]) -> Answer:
    """Answer a claim by the protocol.

    A finding needs eight replicates with a search in each, studies from a common start and from each arm's best start,
    and the same verdict in all.
    """
    if claim.contrast is None:
        return Answer(claim, NOT_MEASURED, f"Filled by {claim.filled_by}.", [])
    measured = [(curve, curve.main_effects) for curve in curves if curve.main_effects]
    if not measured:
        return Answer(claim, NOT_MEASURED, f"Filled by {claim.filled_by}: no depth has a verdict.", [])
    shown = [(curve.title, effects[claim.contrast]) for curve, effects in measured]
    if missing := what_is_missing([curve for curve, _ in measured]):
        return Answer(claim, "a description", missing, shown)
    findings = {finding for _, effects in measured for finding in findings_of(effects, claim.contrast)}
    if len(findings) > 1:
        said = ", ".join(sorted(findings))
        return Answer(claim, "it depends", f"Between curves, or beside the other network: {said}.", shown)
    where = "At the deepest depth of every curve, beside either state of the other network."
    return Answer(claim, findings.pop(), where, shown)


def findings_of(effects: dict[str, Effect], contrast: str) -> list[str]:
    verdicts = verdict_beside(effects, contrast) if contrast in BESIDE else (effects[contrast].deepest.verdict,)
    return [verdict_on(contrast, verdict) for verdict in verdicts]


def what_is_missing(curves: list[Curve]) -> str:
    """Say why these curves are only a description, whatever they show; empty where they are more."""
    replicates = min(len(curve.replicates) for curve in curves)
    if replicates < ENOUGH:
        return f"{replicates} replicate{'s' if replicates > 1 else ''}: more than a description begins at {ENOUGH}."
    if not all(is_searched(curve.config) for curve in curves):
        return "More than a description needs a search in each replicate (tuning.candidates)."
    if len({bool(curve.config.get("tuning.inits")) for curve in curves}) < 2:
        return "More than a description needs two studies: one start for all arms, and each arm's best (tuning.inits)."
    return ""


def apart(answers: list[Answer]) -> tuple[list[Answer], list[Answer]]:
    """Return the answers to claims that these runs measure, and the others."""
    measured = [answer for answer in answers if answer.finding != NOT_MEASURED]
    return measured, [answer for answer in answers if answer.finding == NOT_MEASURED]


def claims_in_a_line(answers: list[Answer]) -> str:
    """Name claims that are not measured, by their numbers and by what would measure them."""
    by_filler: dict[str, list[str]] = {}
    for answer in answers:
        by_filler.setdefault(answer.claim.filled_by, []).append(str(answer.claim.number))
    each = (f"{', '.join(dict.fromkeys(numbers))} ({filler})" for filler, numbers in by_filler.items())
    return f"{len(answers)} claim{'' if len(answers) == 1 else 's'} not measured here: {'; '.join(each)}"
