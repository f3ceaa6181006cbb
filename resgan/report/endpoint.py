"""The primary endpoint in one line: what it is, which values are perfect and which are worst."""

from collections.abc import Iterable, Iterator

from resgan.base.plain_data import PlainData
from resgan.report.panels import Panel, Score

# What a reader has to know, by the beginning of the name; for others the run says what its scores mean.
MEANINGS = {
    "tv": "total variation distance to a perfect generator",
    "fid": "Frechet distance to the features of real images",
    "fd_": "Frechet distance to the features of real images",
}
WORST = {"tv": " (no sample is valid)", "validity": " (no sample is valid)"}


def by_endpoint(panels: Iterable[Panel]) -> dict[str, list[Panel]]:
    """Group panels by their primary endpoint; those without one are left out."""
    found: dict[str, list[Panel]] = {}
    for panel in panels:
        if panel.primary:
            found.setdefault(panel.primary, []).append(panel)
    return found


def endpoint_in_words(panels: list[Panel], name: str) -> str:
    """Say in one line what the endpoint of panels is, which value is perfect, which is worst, and which way is better.

    "tv, total variation distance to a perfect generator: 0 is perfect, 1 is the worst (no sample is valid); lower is
    better."
    """
    score = panels[0].score_of(name)
    meaning = next((said for start, said in MEANINGS.items() if name.startswith(start)), None)
    stored = (result.get("meanings") or {} for result in results_of(panels))
    meaning = meaning or next((said[name] for said in stored if said.get(name)), "the primary endpoint")
    ends = ", ".join(part for part in (perfect_in_words(score), worst_in_words(score)) if part)
    way = f"{score.direction} is better" if score.has_a_direction else "neither lower nor higher is better"
    return f"{name}, {meaning}: {ends + '; ' if ends else ''}{way}."


def perfect_in_words(score: Score) -> str:
    limits = {("share", "lower"): "0", ("share", "higher"): "1", ("distance", "lower"): "0"}
    limit = limits.get((score.scale, score.direction))
    return f"{limit} is perfect" if limit else ""


def worst_in_words(score: Score) -> str:
    if score.worst is not None:
        return f"{score.worst:g} is the worst{WORST.get(score.name, '')}"
    return "there is no worst value" if score.scale == "distance" else ""


def ends_in_words(panels: list[Panel], name: str) -> str:
    """Say where these runs lie between a perfect generator and untrained ones; empty where nothing is known."""
    ideal = [ideals[name] for result in results_of(panels) if name in (ideals := result.get("ideal") or {})]
    starts = [value for panel in panels for record in panel.records if (value := record.untrained(name)) is not None]
    ends = [value for panel in panels for record in panel.records if (value := record.score(name)) is not None]
    parts = {"at their end": ends, "untrained (step 0)": starts, "of a perfect generator with so many samples": ideal}
    said = [f"{spanned(values)} {what}" for what, values in parts.items() if values]
    return f"{name} of the runs: {', '.join(said)}." if len(said) > 1 else ""


def results_of(panels: list[Panel]) -> Iterator[PlainData]:
    return (record.result for panel in panels for record in panel.records if record.result)


def spanned(values: list[float]) -> str:
    """Format numbers by their range, to three digits."""
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low} to {high}"
