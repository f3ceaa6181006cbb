"""What is said about residual blocks in GANs, how it is measured, and what a set of runs says to it."""

from dataclasses import dataclass
from typing import Literal

from resgan.report.effects import Effect
from resgan.report.panels import Panel

SEEDS_FOR_A_CLAIM = 8  # fewer are a description
TUNINGS = {"shared", "own"}  # a claim stands where both agree

Verdict = Literal["supported", "contradicted", "undecided", "not measured"]


@dataclass(frozen=True)
class Claim:
    number: int
    text: str  # in the sense of who says it
    measurement: str
    contrast: str | None  # of effects.contrasts: positive supports the claim; None where runs alone do not measure it
    filled_by: str  # the study or probe that does


ARMS_STUDIES = "study=factorial, or study=gaussians"
CLAIMS = [
    Claim(1, "Residual blocks are a necessity in generators.", "main effect of the switch in G", "G", ARMS_STUDIES),
    Claim(1, "Why not have them in the discriminator as well?", "main effect of the switch in D", "D", ARMS_STUDIES),
    Claim(
        2,
        "A residual discriminator would accept only exact replicas, and the generator could never fool it.",
        "how well D tells training pictures from held-out ones and from samples; copying in the samples",
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
        "supervised, by depth: D on real against frozen samples, G from factors to pictures, best of three rates",
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
    """The verdict of the panels on one claim."""

    claim: Claim
    verdict: Verdict
    reason: str
    effects: list[tuple[str, Effect]]  # (panel, effect)


def answer(claim: Claim, panels: list[Panel]) -> Answer:
    """By the protocol: on eight seeds or more, tuned both ways, and alike in all panels."""
    if claim.contrast is None:
        return Answer(claim, "not measured", f"Filled by {claim.filled_by}.", [])
    measured = [(panel, panel.main_effects[claim.contrast]) for panel in panels if panel.main_effects]
    shown = [(panel.title, effect) for panel, effect in measured]
    if not measured:
        return Answer(claim, "not measured", f"Filled by {claim.filled_by}: no seed has ended in all four arms.", [])
    if missing := what_is_missing([panel for panel, _ in measured]):
        return Answer(claim, "undecided", missing, shown)
    verdicts = {effect.verdict for _, effect in measured}
    if verdicts == {"positive"}:
        return Answer(claim, "supported", "In every panel, with intervals and corrected tests that exclude 0.", shown)
    if verdicts == {"negative"}:
        return Answer(claim, "contradicted", "The opposite holds in every panel, with intervals that exclude 0.", shown)
    if verdicts == {"inconclusive"}:
        return Answer(claim, "undecided", "Inconclusive at this number of seeds, in every panel.", shown)
    return Answer(claim, "undecided", "The panels disagree, and that is the finding: see each of them.", shown)


def what_is_missing(panels: list[Panel]) -> str:
    """Why these panels cannot support a claim, whatever they show; empty where they can."""
    seeds = min(len(panel.seeds) for panel in panels)
    if seeds < SEEDS_FOR_A_CLAIM:
        return f"A description only: {seeds} seed{'s' if seeds > 1 else ''}, and a claim needs {SEEDS_FOR_A_CLAIM}."
    tunings = {panel.records[0].config.get("tuning.best", "none") for panel in panels}
    if not tunings >= TUNINGS:
        return "A claim needs runs at the best shared and at each arm's own best settings (tuning.best=shared, own)."
    return ""
