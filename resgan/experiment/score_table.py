"""Scores on the screen: tables of a few columns, then the cards."""

from pathlib import Path

from resgan.base.plain_data import PlainData, format_value
from resgan.metrics.cards import Cards

COLUMNS = 6


def format_scores(lines: list[PlainData], outdir: Path) -> str:
    """A table for each few subjects, then the cards."""
    parts = []
    for start in range(0, len(lines), COLUMNS):
        parts.append(score_table(lines[start : start + COLUMNS], start=start))
    names = [f"  [{k}] {line['subject']}" for k, line in enumerate(lines, start=1)] if len(lines) > 1 else []
    return "\n".join([*parts, *names, *card_lines(lines[0]["cards"]), f"  written to {outdir / 'metrics.jsonl'}"])


def score_table(lines: list[PlainData], *, start: int) -> str:
    """Scores by row, subjects by column, and the floors."""
    heads = ["value"] if len(lines) == 1 and not start else [f"[{start + k}]" for k in range(1, len(lines) + 1)]
    rows = [["score", *heads, "perfect"]]
    for name in lines[0]["scores"]:
        values = [*(line["scores"].get(name) for line in lines), lines[0]["floors"].get(name)]
        rows.append([name, *("-" if value is None else f"{value:.4g}" for value in values)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  "
        + "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def card_lines(cards: Cards) -> list[str]:
    """Card fields that all scores share, on one line, and those that only some have."""
    common = {
        key: value
        for key, value in next(iter(cards.values())).items()
        if all(c.get(key) == value for c in cards.values())
    }
    lines = ["  all scores: " + format_card(common)]
    groups: dict[str, list[str]] = {}
    for name, card in cards.items():
        groups.setdefault(format_card({k: v for k, v in card.items() if k not in common}), []).append(name)
    return lines + [f"  {shortened(names)}: {words}" for words, names in groups.items() if words]


def shortened(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 6 else f"{names[0]} to {names[-1]}"


def format_card(card: PlainData) -> str:
    """The line in metrics.jsonl has the whole card."""
    short = card | ({"weights_sha256": card["weights_sha256"][:16]} if "weights_sha256" in card else {})
    return ", ".join(
        f"{key.replace('_', ' ')} {format_value(value)}" for key, value in short.items() if value is not None
    )
