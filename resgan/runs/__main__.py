"""List runs, and the cache: `python -m resgan.runs [DIR]`."""

import argparse
import sys
from pathlib import Path

from resgan.base.cache import cache_directory, entries_of, prune
from resgan.base.console import end_unread, say, stop
from resgan.base.errors import UserError
from resgan.runs.listing import ago, as_json, list_runs, size, table

ABOUT = """List the runs below a directory: status, arm, data, images seen, the newest score, when they last changed,
and how much room they take. With --cache, what the cache holds: decoded images, statistics of real images, weights."""

EXAMPLES = """examples:
  python -m resgan.runs
  python -m resgan.runs runs/factorial --status stopped
  python -m resgan.runs --cache
  python -m resgan.runs --prune 30      remove what no command has used for 30 days"""


def main() -> None:
    arguments = parser().parse_args()
    try:
        if arguments.cache or arguments.prune is not None:
            show_cache(arguments.prune)
        else:
            show_runs(arguments)
        sys.stdout.flush()
    except UserError as error:
        stop(str(error), error.status)
    except BrokenPipeError:
        end_unread()


def show_runs(arguments: argparse.Namespace) -> None:
    runs = [one for one in list_runs(arguments.dir) if arguments.status in (None, one.status)]
    for line in as_json(runs) if arguments.json else table(runs, arguments.dir):
        print(line)


def show_cache(days: float | None) -> None:
    directory = cache_directory()
    if days is not None:
        removed = prune(directory, days=days)
        say(f"removed {len(removed)} files, {size(sum(one.size for one in removed))}")
    entries = entries_of(directory)
    for kind in sorted({one.kind for one in entries}):
        found = [one for one in entries if one.kind == kind]
        room, oldest = size(sum(one.size for one in found)), ago(max(one.unused for one in found))
        print(f"{kind:<12}  {len(found):5} files  {room:>8}  last used {oldest} or later")
    print(f"{size(sum(one.size for one in entries))} in {directory} (RESGAN_CACHE)")


def parser() -> argparse.ArgumentParser:
    given = argparse.ArgumentParser(
        "python -m resgan.runs",
        description=ABOUT,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    given.add_argument("dir", nargs="?", type=Path, default=Path("runs"), help="directory with runs (default: runs)")
    given.add_argument(
        "--status", choices=["finished", "diverged", "running", "stopped", "damaged"], help="list these only"
    )
    given.add_argument("--json", action="store_true", help="print a JSON object for each run")
    given.add_argument("--cache", action="store_true", help="show what the cache holds instead")
    given.add_argument("--prune", metavar="DAYS", type=days, help="remove from the cache what was not used for so long")
    return given


def days(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise ValueError
    return value


if __name__ == "__main__":
    main()
