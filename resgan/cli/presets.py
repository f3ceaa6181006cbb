"""Check a user's own files of options, in the directory of --config-dir, before Hydra reads them."""

from pathlib import Path

import yaml

from resgan.base.errors import OptionsError
from resgan.cli.arguments import flags_of

MOST_VALUES = 10_000  # of a file, aliases written out
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_presets(arguments: list[str]) -> None:
    """Read the files that a line chooses. Raises OptionsError for one that is no YAML, or too large."""
    flags, words = flags_of(arguments)
    folder = dict(flags).get("--config-dir")
    if folder is None:
        return
    for word in words:
        group, _, names = word.lstrip("+").partition("=")
        for name in names.split(","):
            path = Path(folder, group, f"{name}.yaml")
            if path.is_file():
                check_file(path)


def check_file(path: Path) -> None:
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise OptionsError(f"{path}: is no YAML ({error.problem or error.context}{where})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: is no YAML ({type(error).__name__})") from None
    except OSError as error:
        raise OptionsError(f"{path}: cannot be read ({error.strerror})") from None
    if node is not None and count_values(node, {}) > MOST_VALUES:
        raise OptionsError(f"{path}: has more than {MOST_VALUES:,} values, with its aliases written out")


def count_values(node: yaml.Node, counted: dict[int, int]) -> int:
    """Count the values below a node, each alias as often as it stands; one that holds itself is without end."""
    if id(node) not in counted:
        counted[id(node)] = MOST_VALUES + 1  # while it is counted
        parts = node.value if isinstance(node, yaml.CollectionNode) else []  # of a mapping: pairs
        inner = [one for part in parts for one in (part if isinstance(part, tuple) else (part,))]
        counted[id(node)] = 1 + sum(count_values(one, counted) for one in inner)
    return counted[id(node)]
