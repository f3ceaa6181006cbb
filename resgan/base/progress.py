"""Progress of long work: a bar on a terminal, elsewhere a line now and then."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from resgan.base.console import say

BETWEEN_LINES = 30  # seconds


class Lines(tqdm):
    """A bar that says a line every 30 seconds, and nothing where the work is done before."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options | {"mininterval": BETWEEN_LINES, "delay": BETWEEN_LINES, "miniters": 1})

    def display(self, msg: str | None = None, pos: int | None = None) -> None:
        done = self.format_dict
        rate = done["rate"] or (done["n"] - done["initial"]) / max(done["elapsed"], 1e-9)
        left = f", {duration((self.total - self.n) / rate)} left" if self.total and rate else ""
        total = f" of {self.total:,}" if self.total else ""
        say(f"{self.desc}: {self.n:,}{total} {self.unit}{left}")

    def close(self) -> None:
        if not self.disable:
            self.disable = True
            self._decr_instances(self)  # type: ignore[attr-defined]  # missing from tqdm's types


def progress_bar(
    steps: Iterable[Any] | None = None,
    *,
    label: str,
    unit: str,
    show: bool,
    total: int | None = None,
    scale: bool = False,  # show 1.2M for 1,200,000
) -> tqdm:
    """Return a bar over `steps`, or one that `update` moves to `total`; it shows after a second at the earliest."""
    if not show:
        return tqdm(steps, total=total, disable=True)
    if not sys.stderr.isatty():
        return Lines(steps, desc=label, unit=unit, total=total)
    return tqdm(steps, desc=label, unit=f" {unit}", total=total, unit_scale=scale, delay=1, leave=False)


def duration(seconds: float) -> str:
    """Format a time in words that are easily read: 40 s, 12 min, 1 h 35 min, 2 d 3 h."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours = round(minutes / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 48 * 60 else f"{hours // 24} d {hours % 24} h"
