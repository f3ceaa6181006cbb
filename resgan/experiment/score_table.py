"""Scores on the screen: tables of a few columns, then the cards."""

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from resgan.base.plain_data import PlainData, format_value
from resgan.metrics.cards import Cards, how_made

COLUMNS = 6
WIDTH = 120  # characters of a line at the end of a run, at most
NAME_WIDTH = 32  # a longer name stands on a line of its own


def format_scores(lines: list[PlainData], outdir: Path | None) -> str:
    """Format a table for every few subjects, then the cards, and where they are written."""
    parts = []
    for start in range(0, len(lines), COLUMNS):
        parts.append(score_table(lines[start : start + COLUMNS], start=start))
    names = [f"  [{k}] {line['subject']}" for k, line in enumerate(lines, start=1)] if len(lines) > 1 else []
    notes = [*names, *missing_lines(lines), *card_lines(lines[0]["cards"])]
    return "\n".join([*parts, *notes, *([f"  written to {outdir / 'metrics.jsonl'}"] if outdir else [])])


def score_table(lines: list[PlainData], *, start: int) -> str:
    """Format a table: scores by row, subjects by column, then the floors."""
    heads = ["value"] if len(lines) == 1 and not start else [f"[{start + k}]" for k in range(1, len(lines) + 1)]
    rows = [["score", *heads, "perfect"]]
    for name in lines[0]["scores"]:
        values = [*(line["scores"].get(name) for line in lines), lines[0]["floors"].get(name)]
        rows.append([name, *map(format_score, values)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  "
        + "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def missing_lines(lines: list[PlainData]) -> list[str]:
    """Format why scores are not in the table, or have no value there, and in which columns if not in all."""
    found: dict[tuple[str, str], list[int]] = {}
    for k, line in enumerate(lines, start=1):
        for reason in line["not_computed"].items():
            found.setdefault(reason, []).append(k)
    places = (
        "" if len(where) == len(lines) else f" of {', '.join(f'[{k}]' for k in where)}" for where in found.values()
    )
    return [f"  not computed: {name}{place}: {why}" for (name, why), place in zip(found, places, strict=True)]


def format_score(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.4g}"


def format_known(scores: Mapping[str, float | None], name: str) -> str:
    """Format a score; blank for what is not known, such as the precision of a perfect generator."""
    return format_score(scores[name]) if name in scores else ""


# At the end of a run.


def explained_scores(
    scores: Mapping[str, float | None],
    *,
    ideal: Mapping[str, float | None],  # of a perfect generator, where it is known
    start: Mapping[str, float | None],  # at step 0; empty where that was not measured
    meanings: Mapping[str, str],  # in a few words, where they are given
    not_computed: Mapping[str, str] = MappingProxyType({}),  # why there is no number, by name; empty in older files
) -> list[str]:
    """Format a table: each score, beside that of a perfect generator and that at step 0, and what it means."""
    rows = [("score", "value", "perfect", "step 0", "meaning")]
    for name, value in scores.items():
        numbers = format_score(value), format_known(ideal, name), format_known(start, name)
        rows.append((name, *numbers, meanings.get(name, "")))
    undefined = any(name not in not_computed and "-" in numbers for name, *numbers, _ in rows)
    return [
        *aligned(rows),
        *(["  - is no value: the run diverged, or too few samples are valid"] if undefined else []),
        *(f"  not computed: {name}: {why}" for name, why in not_computed.items()),
    ]


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Format lines of at most WIDTH characters: a name, right-aligned numbers, and words that are wrapped."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[0] = max(len(row[0]) for row in rows if len(row[0]) <= NAME_WIDTH)
    lines = []
    for name, *numbers, words in rows:
        if len(name) > NAME_WIDTH:
            lines.append(f"  {name}")
            name = ""
        cells = [name.ljust(widths[0]), *(text.rjust(width) for text, width in zip(numbers, widths[1:-1], strict=True))]
        head = f"  {'  '.join(cells)}  "
        first, *more = textwrap.wrap(words, WIDTH - len(head)) or [""]
        lines += [(head + first).rstrip(), *(" " * len(head) + line for line in more)]
    return lines


def card_lines(cards: Cards) -> list[str]:
    """Format the card fields that all scores share, on one line, then those that only some have."""
    cards = {name: how_made(card) for name, card in cards.items()}
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
    """Format a card in short; metrics.jsonl has the whole card."""
    short = card | ({"weights_sha256": card["weights_sha256"][:16]} if "weights_sha256" in card else {})
    return ", ".join(
        f"{key.replace('_', ' ')} {format_value(value)}" for key, value in short.items() if value is not None
    )
