"""The files of conf/, read as plain YAML without Hydra: for help, for error messages, and for names that are valid."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from resgan.base.plain_data import PlainData, flat

PACKAGE = Path(__file__).resolve().parent.parent
# In a wheel conf/ lies inside the package, in a checkout beside it.
CONF = next((d for d in (PACKAGE / "conf", PACKAGE.parent / "conf") if (d / "train.yaml").is_file()), PACKAGE / "conf")


@dataclass(frozen=True)
class ConfFile:
    """One file of a group, with what it inherits from others of its group."""

    values: PlainData  # options by their dotted names, of this group and of others
    selects: dict[str, str]  # files that it chooses in other groups, by group
    swept: dict[str, str]  # options that a study sweeps over, and their values

    def of_group(self, group: str) -> PlainData:
        return {key: value for key, value in self.values.items() if key.startswith(f"{group}.")}


def files_of(group: str) -> list[str]:
    """List a group's files by name, those in a folder with it; bases, whose names begin with _, are no choice."""
    names = (str(path.relative_to(CONF / group).with_suffix("")) for path in (CONF / group).rglob("*.yaml"))
    return sorted(name for name in names if not name.startswith("_"))


def read_primary(name: str) -> tuple[PlainData, dict[str, str | None]]:
    """Read a command's own file: its options outside groups, dotted, and which file of each group it chooses."""
    primary = read_yaml(CONF / f"{name}.yaml")
    entries = [entry for entry in primary.pop("defaults", []) if isinstance(entry, dict)]
    primary.pop("hydra", None)
    groups = {key: chosen for entry in entries for key, chosen in entry.items() if not key.startswith("override")}
    return flat(primary), groups


@cache
def read_file(group: str, name: str) -> ConfFile:
    """Read one file of a group over those it inherits from."""
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
    # By the parser in C where there is one: conf/ has many files, and help is to be at once.
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
