"""The end of a session on the screen: scores, costs, and the commands to try next."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from resgan.experiment.study import Job
from resgan.runs.directory import Result, Run


def closing_table(root: Path, ended: Sequence[tuple[Run, Result]], job: Job) -> str:
    """Everything about a run alone; of several, a row each."""
    rows = (
        rows_of_run(root, *ended[0], job)
        if len(ended) == 1
        else rows_of_seeds(root, [result for _, result in ended], job)
    )
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def rows_of_run(root: Path, run: Run, result: Result, job: Job) -> list[tuple[str, str]]:
    rows = [("status", result["status"])]
    rows += [(name, "-" if value is None else f"{value:.4g}") for name, value in result["scores"].items()]
    rows += [(f"{what} of {net}", cost) for what in ("parameters", "flops") for net in ("generator", "disc")
             if (cost := format_cost(result, what, net))]  # fmt: skip
    return [
        *rows,
        ("images seen", f"{result['images_seen']:,}"),
        ("seconds", f"{result['seconds']:.0f}"),
        ("everything lies in", str(run.path)),
        ("this run's command", continue_command(root, job)),
        *next_commands(run, result, job),
    ]


def rows_of_seeds(root: Path, results: Sequence[Result], job: Job) -> list[tuple[str, str]]:
    rows = [("seed", results[0]["primary"])]
    for result in results:
        value = result["scores"][result["primary"]]
        rows.append((str(result["seed"]), result["status"] if value is None else f"{value:.4g}"))
    return [
        *rows,
        ("everything lies in", str(root)),
        ("a report", as_typed([str(job.sweep_dir or root)], command="report")),
    ]


def format_cost(result: Result, what: str, net: str) -> str:
    """Parameters always; the cost with the switch at its other position, where that differs."""
    mine, other = result[what][net], result.get("switched", result)[what][net]
    if mine == other:
        return f"{mine:,}" if what == "parameters" else ""
    return f"{mine:,} ({other:,} with {net}.residual at its other position)"


# Commands, ready to be copied.


def as_typed(arguments: list[str], *, command: str = "train") -> str:
    return shlex.join(["python", "-m", f"resgan.{command}", *arguments])


def continue_command(directory: Path, job: Job) -> str:
    """The command as it was typed, with the directory it has; of a sweep, the whole sweep."""
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
