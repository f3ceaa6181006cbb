"""Look at images before training on them: `python -m resgan.data photos`."""

import sys
from pathlib import Path

import yaml

from resgan.base.console import end_unread, stop
from resgan.base.errors import OptionsError, UserError
from resgan.base.plain_data import PlainData, format_value, shortened
from resgan.options.conf import read_file
from resgan.options.data import DataOptions, Folder
from resgan.options.validation import check, did_you_mean, names

ABOUT = """Look at images before training on them: how many there are, their sizes and modes, their classes and where
these are from, damaged files, duplicates, what training would do with them, and the command that trains. A grid of
images as training sees them goes to grid.png. Nothing is trained, cached or changed. The status is 1 where training
would refuse the images as they are."""

USAGE = "usage: python -m resgan.data PATH [option=value ...]"

EXAMPLES = """examples:
  python -m resgan.data photos
  python -m resgan.data photos.zip data.size=64 data.fit=pad outdir=look
  python -m resgan.data digits data.size=32 data.fit=pad data.channels=1 data.labels=labels.csv"""

OUTDIR = "directory for grid.png"
AS_TYPED = ("path", "labels")


def main() -> None:
    arguments = sys.argv[1:]
    try:
        if {"--help", "-h"} & set(arguments):
            print(help_text())
            status = 0
        else:
            typed, outdir = parse(arguments)
            options = check(DataOptions, {"data": defaults() | typed}).data
            assert isinstance(options, Folder)
            from resgan.data.look import look  # once the options are checked: it imports torch

            changed = {name: value for name, value in typed.items() if name != "path" and value != defaults()[name]}
            status = look(options, changed, outdir)
        sys.stdout.flush()
    except UserError as error:
        stop(str(error), error.status)
    except BrokenPipeError:
        end_unread()
    except KeyboardInterrupt:
        stop("stopped by SIGINT", 130)
    raise SystemExit(status)


def defaults() -> PlainData:
    found = read_file("data", "folder").of_group("data")
    return {name.removeprefix("data."): value for name, value in found.items()}


def parse(arguments: list[str]) -> tuple[PlainData, Path]:
    """Return the options of data=folder that are given, the path among them, and the directory. Raises OptionsError.

    They are spelt as for `resgan.train`, whose data=folder and data.path=... are understood too.
    """
    given: PlainData = {}
    outdir = Path("look")
    for word in arguments:
        option, mark, text = word.partition("=")
        name = option.removeprefix("data.")
        if word == "data=folder":
            continue
        if mark and option == "outdir" and text:
            outdir = Path(text).expanduser()
        elif mark and name in defaults() and name != "name":
            given[name] = text if name in AS_TYPED else value_of(option, text)
        elif (mark or word.startswith("-")) and not Path(word).exists():
            raise OptionsError(f"{option}: there is no such option{did_you_mean(f'data.{name}', meanings())}")
        elif "path" in given:
            raise OptionsError(f"{word}: one path at a time, and {given['path']} is given already")
        else:
            given["path"] = word
    if not given.get("path"):
        raise OptionsError("PATH: required; a folder, zip or tar of images, as in python -m resgan.data photos")
    return given, outdir


def value_of(option: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # ValueError: thousands of digits
        raise OptionsError(f"{option}={shortened(text)}: expected a value such as true, 0.5 or 32") from None


def meanings() -> dict[str, str]:
    found = names(DataOptions, variant="folder")
    return {name: meaning for name, meaning in found.items() if name.removeprefix("data.") in Folder.model_fields}


def help_text() -> str:
    values = {f"data.{name}": value for name, value in defaults().items() if name not in ("name", "path")}
    given = {f"{name}={format_value(value)}": meanings()[name] for name, value in values.items()}
    lines = [f"  {assigned:<20}{meaning}" for assigned, meaning in (given | {"outdir=look": OUTDIR}).items()]
    return "\n".join([ABOUT, "", USAGE, "", "options, with their defaults:", *lines, "", EXAMPLES])


if __name__ == "__main__":
    main()
