"""The end of a session on the screen: scores, costs, and the commands to try next."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from resgan.base.plain_data import PlainData
from resgan.experiment.score_table import aligned, explained_scores, format_known, format_score
from resgan.experiment.study import Job
from resgan.runs.directory import Result, Run

LONGEST_NAME = len("parameters of generator")


def closing_table(root: Path, ended: Sequence[tuple[Run, Result]], job: Job) -> str:
    """Format everything about a single run, or a row for each of several; then where they lie, and what to do next."""
    blocks = blocks_of_run(root, *ended[0], job) if len(ended) == 1 else blocks_of_seeds(root, ended, job)
    return "\n\n".join("\n".join(block) for block in blocks)


def blocks_of_run(root: Path, run: Run, result: Result, job: Job) -> list[list[str]]:
    return [
        named([("status", result["status"])]),
        explained_scores(
            result["scores"],
            ideal=result.get("ideal", {}),  # older files have neither
            start=scores_at_start(run),
            meanings=result.get("meanings", {}),
            not_computed=result.get("not_computed", {}),
        ),
        named([*costs(result), ("images seen", f"{result['images_seen']:,}"), ("seconds", f"{result['seconds']:.0f}")]),
        named([("everything lies in", str(run.path)), *grids(run)]),
        named([("this run's command", continue_command(root, job)), *next_commands(run, result, job)]),
    ]


def blocks_of_seeds(root: Path, ended: Sequence[tuple[Run, Result]], job: Job) -> list[list[str]]:
    first_run, first = ended[0]
    primary = first["primary"]
    words = first.get("meanings", {}).get(primary, "")
    rows = [("seed", primary, "perfect", "step 0", "")]
    for run, result in ended:
        value = result["scores"][primary]
        reached = result["status"] if value is None else format_score(value)
        known = format_known(result.get("ideal", {}), primary), format_known(scores_at_start(run), primary)
        rows.append((str(result["seed"]), reached, *known, ""))
    return [
        [*aligned(rows), *([f"  {primary}: {words}"] if words else [])],
        named([("everything lies in", str(root)), *grids(first_run)]),
        named([("a report", as_typed([str(job.sweep_dir or root)], command="report"))]),
    ]


def named(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Format names and values, with one width in all blocks so that the values line up."""
    return [f"  {name:<{LONGEST_NAME}}  {value}" for name, value in rows]


def scores_at_start(run: Run) -> PlainData:
    """Return the scores of the untrained generator; empty where they were not measured."""
    measured = (m for m in run.measurements() if m["kind"] == "scores" and m["images_seen"] == 0)
    return next(measured, {"scores": {}})["scores"]


def grids(run: Run) -> list[tuple[str, str]]:
    """Name the newest samples and the real ones in the same layout, as far as they exist."""
    found = ("samples", run.last_grid()), ("real data beside them", run.reals)
    return [(name, str(path)) for name, path in found if path is not None and path.exists()]


def costs(result: Result) -> list[tuple[str, str]]:
    return [(f"{what} of {net}", cost) for what in ("parameters", "flops") for net in ("generator", "disc")
            if (cost := format_cost(result, what, net))]  # fmt: skip


def format_cost(result: Result, what: str, net: str) -> str:
    """Format parameters always, other costs where the switch changes them; with the cost at its other position."""
    mine, other = result[what][net], result.get("switched", result)[what][net]
    if mine == other:
        return f"{mine:,}" if what == "parameters" else ""
    return f"{mine:,} ({other:,} with {net}.residual at its other position)"


# Commands, ready to be copied.


def as_typed(arguments: list[str], *, command: str = "train") -> str:
    return shlex.join(["python", "-m", f"resgan.{command}", *arguments])


def continue_command(directory: Path, job: Job) -> str:
    """Return the command as it was typed, with its directory; in a sweep, that of the whole sweep."""
    kept = [argument for argument in job.arguments if not argument.lstrip("+").startswith("run_dir=")]
    return as_typed([*kept, f"run_dir={job.sweep_dir or directory}"])


def next_commands(run: Run, result: Result, job: Job) -> list[tuple[str, str]]:
    rows = []
    if result["status"] == "finished":
        ckpt, outdir = run.path / "checkpoints" / "final.ckpt", run.path / "more_samples"
        sample = [f"ckpt={ckpt}", "seeds=0-63", f"outdir={outdir}", "format=grid"]
        rows.append(("draw samples", as_typed(sample, command="sample")))
    offline = sorted(run.path.glob("wandb/offline-run-*"))
    if offline:
        rows.append(("send to W&B", shlex.join(["wandb", "sync", *map(str, offline)])))
    if job.sweep_dir is None:
        switches = ("run_dir=", "generator.residual=", "disc.residual=")
        kept = [argument for argument in job.arguments if not argument.lstrip("+").startswith(switches)]
        arms = ["-m", *kept, "generator.residual=true,false", "disc.residual=true,false"]
        rows.append(("all four arms", as_typed(arms)))
    return rows
