"""The command `python -m resgan.report`: from run directories to the files of a report."""

import argparse
import re
import shlex
from pathlib import Path

from resgan.base.console import say
from resgan.base.files import make_directory, write_atomically
from resgan.report import page
from resgan.report.panels import panels
from resgan.report.records import Record, read_runs
from resgan.report.tuning import tunings
from resgan.runs.directory import RunError, check_writable


def report(arguments: argparse.Namespace) -> None:
    out = arguments.out or arguments.runs[0] / "report"
    records = read_runs(arguments.runs)
    check_writable("--out", out)
    if len(records) == 1:
        raise RunError(
            f"{records[0].path}: is a single run, not a study; give the directory of a study, or several runs"
        )
    tuning = [record for record in records if record.is_tuning]
    found = panels([record for record in records if not record.is_tuning], mixed_code=arguments.mixed_code)
    command = command_of(arguments)
    files = page.files(found, tunings(tuning), mixed_code=arguments.mixed_code, command=command)
    make_directory(out)
    for name, content in files.items():
        write_atomically(out / name, content)
    say(f"{len(records)} runs; {out / 'report.html'}")
    if arguments.wandb:
        attach(out, files["report.html"].decode(), project=arguments.wandb, study=group_of(records, arguments.runs[0]))


def command_of(arguments: argparse.Namespace) -> str:
    """Return the command that makes this report, without where it is written to."""
    mixed = ["--mixed-code"] if arguments.mixed_code else []
    return shlex.join(["python", "-m", "resgan.report", *map(str, arguments.runs), *mixed])


def group_of(records: list[Record], path: Path) -> str:
    """Return the W&B group that training put the runs into."""
    studies = {record.config.get("study") for record in records if not record.is_tuning}
    return str(studies.pop()) if len(studies) == 1 and None not in studies else path.resolve().name


def attach(out: Path, html: str, *, project: str, study: str) -> None:
    """Log the page, and the files beside it except for figures, as a W&B run of type `report` in the study's group."""
    import wandb  # takes a second, as torch does, and is seldom needed

    from resgan.runs.tracking import resolve_mode, start

    mode = resolve_mode("auto")
    if mode == "disabled":
        say("WANDB_MODE=disabled: the report was not attached")
        return
    arguments = {"dir": str(out), "project": project, "group": study, "job_type": "report", "name": f"report {study}"}
    run = start(mode, arguments)
    run.log({"report": wandb.Html(html, inject=False)})
    artifact = wandb.Artifact(re.sub(r"[^A-Za-z0-9._-]", "-", f"report-{study}"), type="report")
    for file in ("report.html", "report.md", *(path.name for path in sorted(out.glob("*.csv")))):
        artifact.add_file(str(out / file))
    run.log_artifact(artifact)
    run.finish()
    say(
        f"the report is in the group {study} of W&B"
        + (f"; send it with: wandb sync {out}/wandb/offline-run-*" if mode == "offline" else "")
    )
