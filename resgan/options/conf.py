"""Read the files of conf/ as plain YAML, without Hydra: for --help, error messages and lists of valid names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from resgan.base.plain_data import PlainData, flat

PACKAGE = Path(__file__).resolve().parent.parent
# conf/ lies inside the package in a wheel, and beside it in a checkout.
CONF = next((d for d in (PACKAGE / "conf", PACKAGE.parent / "conf") if (d / "train.yaml").is_file()), PACKAGE / "conf")


@dataclass(frozen=True)
class ConfFile:
    """One file of a group, including the values it inherits from other files of the group."""

    values: PlainData  # options by dotted name, of this group and of others
    selects: dict[str, str]  # files it chooses in other groups, by group
    swept: dict[str, str]  # options that a study sweeps over, with their values

    def of_group(self, group: str) -> PlainData:
        return {key: value for key, value in self.values.items() if key.startswith(f"{group}.")}


def files_of(group: str) -> list[str]:
    """List the files of a group by name (folder/name in a subfolder), without the bases, whose names begin with _."""
    names = (str(path.relative_to(CONF / group).with_suffix("")) for path in (CONF / group).rglob("*.yaml"))
    return sorted(name for name in names if not name.startswith("_"))


def read_primary(name: str) -> tuple[PlainData, dict[str, str | None]]:
    """Read a command's own file: its options outside groups, dotted, and the file it chooses in each group."""
    primary = read_yaml(CONF / f"{name}.yaml")
    entries = [entry for entry in primary.pop("defaults", []) if isinstance(entry, dict)]
    primary.pop("hydra", None)
    groups = {key: chosen for entry in entries for key, chosen in entry.items() if not key.startswith("override")}
    return flat(primary), groups


@cache
def read_file(group: str, name: str) -> ConfFile:
    """Read one file of a group on top of the files it inherits from."""
    path = CONF / group / f"{name}.yaml"
    own = read_yaml(path)
    defaults = own.pop("defaults", [])
    swept = own.pop("hydra", {}).get("sweeper", {}).get("params", {})
    values: PlainData = {}
    selects: dict[str, str] = {}
    for entry in defaults:
        if isinstance(entry, dict):
            selects |= {key.split("/")[-1]: choice for key, choice in entry.items()}
        elif entry != "_self_":
            values |= read_file(group, entry).values
    values |= flat(own, "" if "@package _global_" in path.read_text() else f"{group}.")
    return ConfFile(values, selects, swept)


def read_yaml(path: Path) -> PlainData:
    # The C parser, where available: conf/ has many files, and --help must be instant.
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


def named_as_typed(line: str, words: Sequence[str]) -> str:
    """Name a network in a message by the file that the words choose: generator.name=resnet -> generator=sngan."""
    match = re.match(r"(generator|disc)\.name=\w+(?=:)", line)
    if match is None:
        return line
    chosen = None
    for word in words:
        option, _, value = word.lstrip("+").partition("=")
        if option == "experiment" and value in files_of("experiment"):
            chosen = read_file("experiment", value).selects.get(match[1], chosen)
        chosen = value if option == match[1] else None if option == f"{match[1]}.name" else chosen
    return line if chosen is None else f"{match[1]}={chosen}{line[match.end() :]}"
