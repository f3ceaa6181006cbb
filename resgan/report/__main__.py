"""Turn runs into an answer: `python -m resgan.report runs/factorial`."""

import argparse
from pathlib import Path
from typing import NoReturn

from resgan.base.console import stop
from resgan.base.errors import UserError
from resgan.base.versions import version_text

ABOUT = """Turn the runs of a study into an answer with its uncertainty: report.html (one file, no network), report.md,
runs.csv, effects.csv and the figures. A pure function of the run directories: nothing else is read, nothing in them
changes. Runs that differ in more than arm and seed are told apart in panels, each with its own effects."""

EXAMPLES = """examples:
  python -m resgan.report runs/factorial
  python -m resgan.report runs/shared runs/own runs/tuning --out report
  python -m resgan.report runs/factorial --wandb resgan"""


def main() -> None:
    arguments = parser().parse_args()
    from resgan.report.command import report  # after the help: it imports scipy and matplotlib

    try:
        report(arguments)
    except UserError as error:
        stop(str(error), error.status)


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with one line, where argparse would print the usage too."""
        stop(f"{message}; see --help")


def parser() -> argparse.ArgumentParser:
    given = Parser(
        "python -m resgan.report",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    given.add_argument(
        "runs", nargs="+", type=Path, help="directories of studies, of tuning studies, or of several runs"
    )
    given.add_argument(
        "--out", type=Path, help="directory for the report (default: report/ in the first of the directories)"
    )
    given.add_argument("--version", action="version", version=version_text())
    given.add_argument("--mixed-code", action="store_true", help="allow runs of different commits in one table")
    given.add_argument("--wandb", metavar="PROJECT", help="also attach the report to the study's group in W&B")
    return given


if __name__ == "__main__":
    main()
