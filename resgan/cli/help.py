"""The text of --help: groups, options with defaults and meanings, and examples."""

import textwrap

from resgan.base.plain_data import PlainData, format_value
from resgan.cli.command import Command
from resgan.options.conf import ConfFile, files_of, read_file, read_primary
from resgan.options.validation import names

FOOT = "Hydra's own flags: --hydra-help; ranges of numbers: docs/command-line.md"


def help_text(command: Command) -> str:
    usage = ["", f"usage: python -m resgan.{command.name} [option=value ...]", ""]
    known = names(command.options)
    primary, groups = read_primary(command.primary)
    lines = [command.about, *usage, "options, with their defaults:"]
    lines += option_lines(primary, known)
    for group, chosen in groups.items():
        lines += ["", *group_lines(group, chosen, command)]
    return "\n".join([*lines, "", "examples:", command.examples.rstrip(), "", FOOT])


def option_lines(defaults: PlainData, meanings: dict[str, str]) -> list[str]:
    lines = []
    for name, value in defaults.items():
        given = assignment(name, value)
        gap = "\n" + 34 * " " if len(given) > 60 else " "
        lines.append(f"  {given:<32}{gap}{meanings[name]}")
    return lines


def assignment(name: str, value: object) -> str:
    return f"{name}={'...' if value == '???' else format_value(value)}"


def group_lines(group: str, chosen: str | None, command: Command) -> list[str]:
    """Describe the chosen file of a group option by option, and how the other files differ from it."""
    files = sorted(files_of(group), key=lambda name: (name != chosen, name))
    usual, meanings = ({}, {}) if chosen is None else own_options(group, chosen, command)
    sections: dict[tuple[str, ...], list[str]] = {}  # lines -> the files they hold for
    for name in files:
        own, means = own_options(group, name, command)
        elsewhere = other_settings(group, name, read_file(group, name))
        if name != chosen:  # an option of the same meaning is shown by its value only, or left out if that is the same
            same = [key for key in own if key in usual and means[key] == meanings[key]]
            elsewhere += [assignment(key, own[key]) for key in same if own[key] != usual[key]]
            own = {key: value for key, value in own.items() if key not in same}
        lines = ["  sets " + line for line in textwrap.wrap(" ".join(elsewhere), 110, break_long_words=False)]
        lines += option_lines(own, means)
        title = f"{group}={name}" + (" (the default)" if name == chosen else "")
        sections.setdefault(tuple(lines or ["  the same options"]), []).append(title)
    return [line for lines, titles in sections.items() for line in (", ".join(titles) + ":", *lines)]


def own_options(group: str, name: str, command: Command) -> tuple[PlainData, dict[str, str]]:
    """Return the options of a file's own group except the name of its kind, and the meanings of all options with it."""
    own = read_file(group, name).of_group(group)
    kind = own.get(f"{group}.name")  # the kind of a network, loss or data set; wandb.name, of a run, is null
    if isinstance(kind, str):
        del own[f"{group}.name"]
    return own, meanings_of(group, name, command)


def meanings_of(group: str, name: str, command: Command) -> dict[str, str]:
    """Map every option, dotted, to its meaning when this file of the group is chosen."""
    kind = read_file(group, name).values.get(f"{group}.name")
    return names(command.options, variant=kind if isinstance(kind, str) else name)


def other_settings(group: str, name: str, file: ConfFile) -> list[str]:
    """List the options that a file sets in other groups, as they are typed."""
    # Long lists can break after a comma, to fit the screen.
    swept = [f"{key}={value.replace(',', ', ') if len(value) > 80 else value}" for key, value in file.swept.items()]
    others = {key: value for key, value in file.values.items() if key not in file.of_group(group)}
    if others.get(group) == name:  # study=NAME in the file of that study
        del others[group]
    return [
        *(f"{key}={choice}" for key, choice in file.selects.items()),
        *swept,
        *(assignment(key, value) for key, value in others.items()),
    ]
