"""Searches of a study, one in each replicate of each arm: before it begins, and at its end."""

import json
from collections import Counter
from pathlib import Path

from resgan.base.plain_data import PlainData
from resgan.experiment.search import list_candidates, rung_sizes, search_length
from resgan.experiment.study import Study, run_place
from resgan.experiment.tuning import refuse_searched
from resgan.options.train import TrainOptions
from resgan.runs.directory import SEARCH


def searches_of(study: Study) -> dict[Path, tuple[list[str], TrainOptions]]:
    """Return the job of each search, by the directory of the search."""
    return {
        run_place(study.arm(overrides, options), options).parent: (overrides, options)
        for overrides, options in study.runs
        if options.tuning.candidates
    }


def check_searches(study: Study) -> None:
    """Refuse overrides of what a search decides, and candidates invalid in some arm. Raises OptionsError."""
    first: dict[Path, TrainOptions] = {}
    for overrides, options in searches_of(study).values():
        refuse_searched(options, overrides)
        first.setdefault(study.arm(overrides, options), options)
    for options in first.values():
        for candidate in list_candidates(options):
            options.with_values(candidate)


def has_ended(directory: Path) -> bool:
    return read_search(directory).get("winner") is not None


def read_search(directory: Path) -> PlainData:
    """The content of search.json; empty where there is none."""
    file = directory / f"{SEARCH}.json"
    return json.loads(file.read_text()) if file.exists() else {}


def open_searches(study: Study) -> list[TrainOptions]:
    """The options of each search that has not ended."""
    return [options for directory, (_, options) in searches_of(study).items() if not has_ended(directory)]


def plan_of_searches(study: Study) -> list[str]:
    """Write a line of the plan for each kind of search; no line where nothing is searched."""
    found = searches_of(study)
    lines = dict.fromkeys(describe_search(options) for _, options in found.values())
    ended = sum(has_ended(directory) for directory in found)
    return [*lines, *([f"{ended} of {len(found)} searches have ended already"] if ended else [])]


def describe_search(options: TrainOptions) -> str:
    tuning = options.tuning
    rungs = zip(rung_sizes(tuning), tuning.rungs, strict=False)
    parts = ", ".join(f"{size} for {share * options.total_kimg:g} kimg" for size, share in rungs)
    length = search_length(tuning)
    return f"each replicate of an arm begins with a search: {parts}, as long as {length:.3g} of its runs"


def edges_found(study: Study) -> list[str]:
    """State how often searches ended at each edge of a range, and how often they would by a random choice.

    More than that on one side calls for a wider range there.
    """
    found = searches_of(study)
    ended = {directory: options for directory, (_, options) in found.items() if has_ended(directory)}
    chance = sum(1 / options.tuning.candidates for options in ended.values())
    edges = Counter((edge["option"], edge["side"]) for directory in ended for edge in read_search(directory)["edges"])
    return [
        f"{option}: the {side} of all candidates was best in {count} of {len(ended)} searches ({chance:.1f} by chance)"
        for (option, side), count in sorted(edges.items())
    ]
