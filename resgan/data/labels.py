"""Labels of images: from the folders they lie in, from the dataset.json of StyleGAN, or from a CSV."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path

import torch
from torch import Tensor

from resgan.base.console import reason
from resgan.data.archives import member_name
from resgan.data.dataset import DataError
from resgan.data.limits import TooLarge
from resgan.data.sources import Read, Source, is_image, read_file

INDEX = "dataset.json"  # what StyleGAN's dataset_tool calls it
ROW = "expected rows of two fields, a file and its label"
LAYOUT = 'expected {"labels": [["00000/img00000000.png", 6], ...]}'


@dataclass(frozen=True)
class Labels:
    """The class of each image; without classes, of none."""

    origin: str  # where they are from, in words
    classes: tuple[str, ...] = ()  # words sorted as text, whole numbers by value; at least 2, or none
    numbers: dict[str, int] = field(default_factory=dict)  # of the class of each image, by the image's name

    def of(self, names: Sequence[str]) -> Tensor | None:
        """Return the labels of images in this order, int64 (N,); None where there are no classes."""
        return torch.tensor([self.numbers[name] for name in names], dtype=torch.int64) if self.classes else None


@dataclass(frozen=True)
class Entry:
    """A line of a file of labels."""

    place: str  # in the file, for messages
    name: str
    label: str


def read_labels(source: Source, choice: str) -> Labels:
    """Read the labels of all images of a source.

    choice: "auto", from the dataset.json at its top, else from folders; "folders"; "none"; or a .csv or .json, looked
    for as a path and then in the source. Raises DataError where a file does not label each image once.
    """
    if choice == "none":
        return Labels("none")
    if choice == "folders":
        return from_folders(source)
    if choice == "auto":
        return from_index(source) or from_folders(source)
    return from_file(source, choice)


def from_folders(source: Source) -> Labels:
    """The class of an image is the first folder on its way, below the one that all images share, however deep it lies.

    There are classes only where every image has one and there are two or more of them.
    """
    start = len(source.top)
    folders = {name: name[start:].rpartition("/")[0].partition("/")[0] for name in source.names}
    return Labels("folders") if "" in folders.values() else numbered(folders, "folders")


def from_index(source: Source) -> Labels | None:
    """Read the dataset.json beside the images, whose folders are no classes; None where there is none of StyleGAN's."""
    for name in (INDEX, source.top + INDEX):
        if read := source.tables.get(name):
            where = f"data.labels=auto: {name} in {source.path}"
            content = parse_json(read_table(read, where), where)
            if not isinstance(content, dict) or "labels" not in content:
                return None  # of another program
            hint = "; data.labels=folders or none leaves it aside"
            if content["labels"] is None:
                return Labels(f"none: {name} has labels=null")
            return labelled(source, of_json(content["labels"], where, hint), name, where, hint)
    return None


def from_file(source: Source, given: str) -> Labels:
    where = f"data.labels={given}"
    text = read_table(find_table(source, given, where), where)
    if given.lower().endswith(".json"):
        content = parse_json(text, where)
        entries = of_json(content.get("labels") if isinstance(content, dict) else None, where)
    else:
        entries = of_csv(text, source, where)
    found = labelled(source, entries, given, where)
    if not found.classes:
        raise DataError(f"{where}: gives all images one label; at least 2 are needed, or data.labels=none")
    return found


def labelled(source: Source, entries: Iterable[Entry], origin: str, where: str, hint: str = "") -> Labels:
    """Match the entries of a file with the images. Raises DataError unless each image has one entry, and only they."""
    spellings = {name.removeprefix(source.top): name for name in source.names} | {name: name for name in source.names}
    found: dict[str, Entry] = {}
    unknown: list[Entry] = []
    for entry in entries:
        name = spellings.get(member_name(entry.name))
        if name is None:
            unknown.append(entry)
        elif name in found:
            raise DataError(f"{where}: {entry.place}: {entry.name} is listed twice, first in {found[name].place}{hint}")
        else:
            found[name] = entry
    if unknown:
        others = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
        raise DataError(
            f"{where}: {unknown[0].place}: there is no image {unknown[0].name}{others} in {source.path}{hint}"
        )
    if missing := [name for name in source.names if name not in found]:
        raise DataError(
            f"{where}: {len(missing)} of {len(source.names)} images have no label, first {missing[0]}; "
            f"list or remove them{hint or '; data.labels=none needs no labels'}"
        )
    labels = {name: found[name].label for name in source.names}
    if all(re.fullmatch(r"[+-]?\d{1,18}", label) for label in labels.values()):
        return numbered({name: str(int(label)) for name, label in labels.items()}, origin, by=int)
    return numbered(labels, origin)


def numbered(labels: dict[str, str], origin: str, *, by: Callable[[str], int | str] = str) -> Labels:
    """Number the classes in the order of `by`; fewer than two are none."""
    classes = sorted(set(labels.values()), key=by)
    if len(classes) < 2:
        return Labels(origin)
    numbers = {label: number for number, label in enumerate(classes)}
    return Labels(origin, tuple(classes), {name: numbers[label] for name, label in labels.items()})


# Files of labels.


def find_table(source: Source, given: str, where: str) -> Read:
    path = Path(given).expanduser()
    if path.exists() and not path.is_dir():
        return partial(read_file, str(path), source.limits.check_table)
    for name in (member_name(given), source.top + member_name(given)):
        if read := source.tables.get(name):
            return read
    raise DataError(f"{where}: there is no such file, neither here nor in {source.path}")


def read_table(read: Read, where: str) -> str:
    try:
        return read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: is no text in UTF-8 ({error.reason} at byte {error.start})") from error
    except (OSError, TooLarge) as error:
        raise DataError(f"{where}: cannot be read ({reason(error)})") from error


def of_csv(text: str, source: Source, where: str) -> Iterator[Entry]:
    """Read rows of file and label, with commas, semicolons or tabs; a first row without an image is a header."""
    first = text.partition("\n")[0]
    delimiter = next((mark for mark in ",;\t" if mark in first), ",")
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for count, row in enumerate(row for row in rows if any(map(str.strip, row))):
            place = f"line {rows.line_num}"
            if len(row) != 2:
                raise DataError(f"{where}: {place} has {len(row)} field{'s' * (len(row) != 1)}; {ROW}")
            name, label = map(str.strip, row)
            if count == 0 and not is_image(name):
                continue
            if not name or not label:
                raise DataError(f"{where}: {place} has an empty field; {ROW}")
            yield Entry(place, name, label)
    except csv.Error as error:
        raise DataError(f"{where}: line {rows.line_num} cannot be read ({error}); {ROW}") from error


def parse_json(text: str, where: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of too many digits
        raise DataError(f"{where}: is damaged ({error}); {LAYOUT}") from error


def of_json(labels: object, where: str, hint: str = "") -> Iterator[Entry]:
    if not isinstance(labels, list):
        raise DataError(f"{where}: has no list of labels; {LAYOUT}{hint}")
    for count, entry in enumerate(labels, start=1):
        match entry:
            case [str(name), str() | int() as label] if not isinstance(label, bool) and str(label).strip():
                yield Entry(f"entry {count}", name, str(label).strip())
            case _:
                raise DataError(
                    f"{where}: entry {count} is {json.dumps(entry)[:80]}; expected a file and its label, "
                    f"a word or a whole number{hint}"
                )
