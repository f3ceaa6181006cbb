"""Turn runs into an answer: `python -m resgan.report runs/factorial`."""

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from resgan.runs import RunError, write_atomically

if TYPE_CHECKING:
    from resgan.report.records import Record

ABOUT = """Turn the runs of a study into an answer with its uncertainty: report.html (one file, no network), report.md,
runs.csv, effects.csv and the figures. A pure function of the run directories: nothing else is read, nothing in them
changes. Runs that differ in more than arm and seed are told apart in panels, each with its own effects."""

EXAMPLES = """examples:
  python -m resgan.report runs/factorial
  python -m resgan.report runs/shared runs/own runs/tuning --out report
  python -m resgan.report runs/factorial --wandb resgan"""


def main() -> None:
    arguments = parser().parse_args()
    try:
        report(arguments)
    except RunError as error:
        stop(str(error))
    except OSError as error:
        stop(f"--out {arguments.out}: cannot be written ({error.strerror})")


def parser() -> argparse.ArgumentParser:
    given = argparse.ArgumentParser(
        "python -m resgan.report",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    given.add_argument(
        "runs", nargs="+", type=Path, help="directories of studies, of tuning studies, or of several runs"
    )
    given.add_argument("--out", type=Path, help="where the report goes (report/ in the first of the directories)")
    given.add_argument("--mixed-code", action="store_true", help="let runs of different commits stand in one table")
    given.add_argument("--wandb", metavar="PROJECT", help="also attach the report to the study's group in W&B")
    return given


def report(arguments: argparse.Namespace) -> None:
    from resgan.report import page
    from resgan.report.panels import panels
    from resgan.report.records import read_runs
    from resgan.report.tuning import tunings

    records = read_runs(arguments.runs)
    if len(records) == 1:
        raise RunError(f"{records[0].path}: is one run, not a study; give the directory of a study, or several runs")
    tuning = [record for record in records if record.is_tuning]
    found = panels([record for record in records if not record.is_tuning], mixed_code=arguments.mixed_code)
    files = page.files(found, tunings(tuning), mixed_code=arguments.mixed_code)
    out = arguments.out or arguments.runs[0] / "report"
    for name, content in files.items():
        write_atomically(out / name, content)
    say(f"{len(records)} runs; {out / 'report.html'}")
    if arguments.wandb:
        attach(out, files["report.html"].decode(), project=arguments.wandb, study=group_of(records, arguments.runs[0]))


def group_of(records: "list[Record]", path: Path) -> str:
    """The group that training put the runs into."""
    studies = {record.config.get("study") for record in records if not record.is_tuning}
    return str(studies.pop()) if len(studies) == 1 and None not in studies else path.resolve().name


def attach(out: Path, html: str, *, project: str, study: str) -> None:
    """A W&B run of the type `report` in the group of the study, with the page and all files."""
    import wandb

    from resgan.training.tracking import resolve_mode, start

    mode = resolve_mode("auto")
    if mode == "disabled":
        say("WANDB_MODE=disabled: the report was not attached")
        return
    arguments = {"dir": str(out), "project": project, "group": study, "job_type": "report", "name": f"report {study}"}
    run = start(mode, arguments)
    run.log({"report": wandb.Html(html, inject=False)})
    artifact = wandb.Artifact(re.sub(r"[^A-Za-z0-9._-]", "-", f"report-{study}"), type="report")
    for file in ("report.html", "report.md", "runs.csv", "effects.csv"):
        artifact.add_file(str(out / file))
    run.log_artifact(artifact)
    run.finish()
    say(
        f"the report is in the group {study} of W&B"
        + (f"; send it with: wandb sync {out}/wandb/offline-run-*" if mode == "offline" else "")
    )


def say(line: str) -> None:
    print(f"resgan: {line}", file=sys.stderr)


def stop(line: str) -> NoReturn:
    say(line)
    raise SystemExit(2)


if __name__ == "__main__":
    main()
