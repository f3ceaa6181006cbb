"""Stacks that go on: which runs are trained together, and where they continue, so that they come to the same bits.

What a member computes depends in the last bits on how many members there are, and not on the others' values. So runs
go on with those they were trained with, from a place that all of them have a checkpoint of. A process that is killed
while the members save, one after the other, leaves such a place: each keeps its last two checkpoints.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from resgan.base.console import say
from resgan.builders.stacking import stacks_of
from resgan.options.train import TrainOptions
from resgan.runs.directory import Run
from resgan.training import checkpoints


class HasRun(Protocol):
    @property
    def options(self) -> TrainOptions: ...
    @property
    def run(self) -> Run: ...


Item = TypeVar("Item", bound=HasRun)


def stacks_to_train(runs: Sequence[Item], *, most: int | None) -> list[list[Item]]:
    """Group runs with those they were trained with; those without a checkpoint by structure, at most `most` together.

    Members that were killed before their first checkpoint belong to those that have one.
    """
    recorded: dict[tuple[Path, ...], list[Item]] = {}
    for one in runs:
        recorded.setdefault(members_before(one.run), []).append(one)
    begun = {members: group for members, group in recorded.items() if members and any(map(can_continue, group))}
    stacks = [sorted(group, key=lambda one: members.index(one.run.path.resolve())) for members, group in begun.items()]
    in_begun = {id(one) for group in begun.values() for one in group}
    others = [one for one in runs if id(one) not in in_begun]
    of_structure = [same for group in stacks for same in stacks_of(group, lambda one: one.options, most=None)]
    return [*of_structure, *stacks_of(others, lambda one: one.options, most=most)]


def can_continue(one: HasRun) -> bool:
    return checkpoints.can_continue(one.run.checkpoints)


def members_before(run: Run) -> tuple[Path, ...]:
    """Find the directories of the runs that a run was last trained with, itself among them; empty: not known."""
    last = next(reversed(run.sessions()), {})
    if last.get("together") == 1:
        return (run.path.resolve(),)
    return tuple((run.path / path).resolve() for path in last.get("stack", ()))


def about_stack(run: Run, members: Sequence[Run]) -> dict[str, object]:
    """Describe for provenance.json with how many others a run is trained, and where they lie, seen from it."""
    if len(members) == 1:
        return {"together": 1}
    return {"together": len(members), "stack": [os.path.relpath(one.path, run.path) for one in members]}


def settle(stack: Sequence[Run]) -> int | None:
    """Let all runs go on from the newest place they have in common, by dropping newer checkpoints.

    Returns the place; None: there is none, as where files are damaged, and nothing is dropped. A run that has diverged
    may stand anywhere after: it is no longer recorded. Its place in the stack is taken by another's state.
    """
    found = [places_of(run) for run in stack]
    candidates = {
        place
        for place in set[int]().union(*found)
        if all(place in own or has_diverged(run, until=place) for run, own in zip(stack, found, strict=True))
    }
    if not candidates:
        return None
    common = max(candidates)
    for run in stack:
        if not has_diverged(run, until=common):
            run.note_save(common)  # what lies after it is not lost, but made again
            checkpoints.go_back(run.checkpoints, common)
    return common


def places_of(run: Run) -> set[int]:
    """Find where a run can go on. One that has ended, or has lost what it saved, does not begin again."""
    lost = bool(run.last_save()) and not checkpoints.can_continue(run.checkpoints)
    return checkpoints.places(run.checkpoints) - ({0} if lost or run.result.exists() else set())


def has_diverged(run: Run, *, until: int) -> bool:
    return any(line["kind"] == "diverged" and line["images_seen"] <= until for line in run.measurements())


def say_if_changed(stack: Sequence[Run]) -> None:
    """Say that runs go on with fewer or more others than before."""
    before = next(reversed(stack[0].sessions()), {}).get("together", len(stack))
    if before != len(stack):
        say(f"{stack[0].path}: was trained as one of {before} runs, and goes on as one of {len(stack)}: equal to a run "
            "that was not stopped within rounding, not to the last bit")  # fmt: skip
