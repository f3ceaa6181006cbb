"""Completion of the options in bash, zsh and fish: `eval "$(resgan-train --completion bash)"` serves all commands.

Libraries for it (argcomplete, shtab, click) know flags and subcommands, not option=value with groups of files; Hydra's
own offers an option's present value alone. So the shell asks the command, which answers from its options and conf/.
"""

import typing
from collections.abc import Iterable
from pathlib import Path

from pydantic.fields import FieldInfo

from resgan.base.plain_data import format_value
from resgan.cli.arguments import PATHS, last_value
from resgan.cli.command import Command
from resgan.options.conf import files_of, read_file, read_primary
from resgan.options.train import TrainOptions
from resgan.options.validation import choices, fields_of

COMMANDS = ("train", "sample", "evaluate", "describe", "bench", "plan", "sweep")
TRAIN = Command(name="train", options=TrainOptions, about="", examples="")
LAUNCHER, LAUNCHERS = "hydra/launcher", ("basic", "joblib")  # beside those of conf/
FLAGS = ("--help", "--version", "--completion", "-m")

# Each hands the words before the cursor to the command, which prints whole words.
SCRIPTS = {
    "bash": """\
_resgan() {
  local line="${COMP_LINE:0:COMP_POINT}" IFS=$'\\n' word
  word="${line##*[[:space:]]}"
  COMPREPLY=($("$1" --complete "$line" 2>/dev/null))
  case "$word" in *[=:]*) COMPREPLY=("${COMPREPLY[@]#"${word%"${word##*[=:]}"}"}");; esac
  case "${COMPREPLY[0]}" in *[=./,]) compopt -o nospace;; esac
}
complete -F _resgan COMMANDS
complete -d -W '--help --version --out --mixed-code --wandb' resgan-report""",
    "zsh": """\
_resgan() {
  local -a found
  found=("${(@f)$(${words[1]} --complete "${LBUFFER}" 2>/dev/null)}")
  [[ -n "$found" ]] && compadd -S '' -Q -- $found
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
compdef _resgan COMMANDS
compdef '_files -/' resgan-report""",
    "fish": """\
function _resgan
  (commandline -opc)[1] --complete (commandline -cp) 2>/dev/null
end
for name in COMMANDS
  complete -c $name -f -a '(_resgan)'
end
complete -c resgan-report -a '--help --version --out --mixed-code --wandb'""",
}


def script(shell: str) -> str:
    """Return what a shell must evaluate; "" for a shell that is not known."""
    return SCRIPTS.get(shell, "").replace("COMMANDS", " ".join(f"resgan-{name}" for name in COMMANDS))


def complete(line: str, commands: list[Command]) -> list[str]:
    """Return the words that the last one of a line can become. commands: whose options the line may have."""
    *before, word = line.split()[1:] + ([""] if line[-1:].isspace() or len(line.split()) == 1 else [])
    if word.startswith("-"):
        return [flag for flag in FLAGS if flag.startswith(word)]
    option, equals, value = word.partition("=")
    found: Iterable[str]
    if not equals:
        paths = paths_from(word) if commands[0].paths else []
        found = [*names_for(word, before, commands), *paths]
    else:
        head, comma, last = value.rpartition(",") if option not in PATHS else ("", "", value)
        values = next((known for command in commands if (known := values_of(option, last, before, command))), [])
        found = [f"{option}={head}{comma}{one}" for one in values]
    return [one for one in dict.fromkeys(found) if one.startswith(word)]


def names_for(word: str, before: list[str], commands: list[Command]) -> list[str]:
    """List options and groups: those of one group where it is named, else the top level and the groups."""
    found: list[str] = []
    for command in commands:
        groups = read_primary(command.primary)[1]
        options = [name for name in known_options(before, command) if name not in groups]
        if "." not in word:
            heads = {name.split(".")[0] for name in options if "." in name}
            found += [f"{name}=" for name in [*groups, *options] if "." not in name] + [f"{head}." for head in heads]
            found += [f"{LAUNCHER}="] if command.name == "train" else []
        else:
            found += [f"{name}=" for name in options]
    return sorted(found)


def known_options(before: list[str], command: Command) -> dict[str, FieldInfo]:
    """Map the options there are, given the files that a line has chosen so far, to their fields."""
    found: dict[str, FieldInfo] = {}
    groups = read_primary(command.primary)[1]
    for name, field in fields_of(command.options).items():
        if name.split(".")[0] not in groups or "." not in name:
            found[name] = field
    for group, chosen in chosen_files(before, command).items():
        own = read_file(group, chosen).values if chosen in files_of(group) else {}
        kind = own.get(f"{group}.name")
        fields = fields_of(command.options, variant=kind if isinstance(kind, str) else chosen)
        kinds = {f"{group}.name"} if isinstance(kind, str) else set()  # chosen by the file
        found |= {name: field for name, field in fields.items() if name.startswith(f"{group}.") and name not in kinds}
    return found


def chosen_files(before: list[str], command: Command) -> dict[str, str]:
    """Return the file of each group: as typed, as an experiment or a data set selects it, or the default."""
    files = {group: chosen for group, chosen in read_primary(command.primary)[1].items() if chosen is not None}
    typed = {group: value for group in read_primary(command.primary)[1] if (value := last_value(group, before))}
    for group in ("data", "experiment"):
        if group in typed and typed[group] in files_of(group):
            files |= read_file(group, typed[group]).selects
    return files | {group: value for group, value in typed.items() if group not in ("experiment", "study")}


def values_of(option: str, last: str, before: list[str], command: Command) -> list[str]:
    """List values of an option: files of its group, its choices, true and false, paths, or what it has in conf/."""
    groups = read_primary(command.primary)[1]
    if option in groups:
        return files_of(option)
    if option == LAUNCHER and command.name == "train":
        return [*files_of(option), *LAUNCHERS]
    field = known_options(before, command).get(option)
    if field is None:
        return []
    if option in PATHS:
        return paths_from(last)
    parts = [field.annotation, *typing.get_args(field.annotation)]
    found = [*choices(field)]
    found += [value for part in parts if typing.get_origin(part) is typing.Literal for value in typing.get_args(part)]
    found += [True, False] if bool in parts else []
    found += [None] if type(None) in parts else []
    return list(dict.fromkeys(map(format_value, found)))


def paths_from(beginning: str) -> list[str]:
    """List the files and folders that a path can become, as typed; a folder ends in /."""
    folder, slash, _ = beginning.rpartition("/")
    place = Path(f"{folder}{slash}" or ".").expanduser()
    try:
        found = [f"{folder}{slash}{path.name}" + ("/" if path.is_dir() else "") for path in sorted(place.iterdir())]
    except OSError:
        return []
    hidden = beginning.rpartition("/")[2].startswith(".")
    return [path for path in found if path.startswith(beginning) and (hidden or not Path(path).name.startswith("."))]
