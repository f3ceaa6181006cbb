"""The end of a session on the screen: scores, costs, and the commands to try next."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from resgan.base.console import say
from resgan.base.plain_data import PlainData
from resgan.base.progress import duration
from resgan.experiment.score_table import aligned, explained_scores, format_known, format_score
from resgan.experiment.study import Job
from resgan.runs.directory import Result, Run

LONGEST_NAME = len("parameters of generator")


def tell_end(root: Path, ended: Sequence[tuple[Run, Result]], job: Job) -> None:
    """Print how the runs of a job ended: in a sweep a line for each, else all about them."""
    if job.sweep_dir is None:
        print(closing_table(root, ended, job))
        return
    for run, result in ended:
        count = f"{job.progress.line()}: " if job.progress is not None else ""
        say(f"{count}{run.path.relative_to(job.sweep_dir)} {outcome(run, result)}")


def outcome(run: Run, result: Result) -> str:
    """Format the primary endpoint of a run in a few words, beside that of the untrained generator."""
    name, seconds = result["primary"], duration(result.get("seconds", 0))
    if (value := result["scores"][name]) is None:
        return f"{result['status']} at {result['images_seen'] / 1000:g} kimg, after {seconds}"
    start = format_known(scores_at_start(run), name)
    return f"{name} {format_score(value)}" + (f" ({start} at step 0)" if start else "") + f", {seconds}"


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


def arguments_of(run: Run, job: Job) -> list[str]:
    """Return all options that were typed for a run, in this session or an earlier one; the last value of each."""
    lines = [shlex.split(session["command"])[3:] for session in run.sessions()]
    typed = {argument.partition("=")[0]: argument for line in [*lines, job.arguments] for argument in line}
    return list(typed.values())


def next_commands(run: Run, result: Result, job: Job) -> list[tuple[str, str]]:
    rows = []
    if result["status"] == "finished":
        outdir = run.path / "more_samples"
        sample = [f"ckpt={run.path}", "seeds=0-63", f"outdir={outdir}", "format=grid"]
        rows.append(("draw samples", as_typed(sample, command="sample")))
        if (config := run.stored_config(like={})).get("replicate") is None:
            longer = [f"run_dir={run.path}", f"total_kimg={2 * float(config['total_kimg']):g}"]
            rows.append(("train longer", as_typed(longer)))
    offline = sorted(run.path.glob("wandb/offline-run-*"))
    if offline:
        rows.append(("send to W&B", shlex.join(["wandb", "sync", *map(str, offline)])))
    if job.sweep_dir is None:
        switches = ("run_dir=", "generator.residual=", "disc.residual=")
        kept = [argument for argument in arguments_of(run, job) if not argument.lstrip("+").startswith(switches)]
        arms = ["-m", *kept, "generator.residual=true,false", "disc.residual=true,false"]
        rows.append(("all four arms", as_typed(arms)))
    return rows
