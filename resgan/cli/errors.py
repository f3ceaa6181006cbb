"""Translate Hydra's errors to one line that names the option and what is valid."""

import contextlib
import re
from collections.abc import Iterator

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from resgan.base.console import one_line
from resgan.base.errors import OptionsError
from resgan.cli.arguments import last_value
from resgan.cli.command import Command
from resgan.cli.help import meanings_of
from resgan.cli.launchers import missing
from resgan.options.conf import files_of, read_primary
from resgan.options.other_names import value_called
from resgan.options.validation import did_you_mean, fields_of, names


@contextlib.contextmanager
def explained(command: Command, arguments: list[str]) -> Iterator[None]:
    """Turn an error of Hydra or OmegaConf inside into an OptionsError of one line."""
    try:
        yield
    except (HydraException, OmegaConfBaseException) as error:
        raise OptionsError(explain(error, command, arguments)) from None
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        raise OptionsError(explain(error, command, arguments)) from None


def explain(error: Exception, command: Command, arguments: list[str]) -> str:
    """Explain an error of Hydra or OmegaConf in one line, given the arguments that were composed."""
    text = str(error)
    if match := re.search(r"Could not override '([^']*)'", text):
        return f"{match[1]}: there is no such option{did_you_mean(match[1], candidates(match[1], command, arguments))}"
    if match := re.search(r"Could not find '([^']*)/([^'/]*)'", text):
        group, *inner = match[1].split("/")
        name = "/".join([*inner, match[2]])
        if group == "hydra":
            return of_hydra(name)
        return unknown_file(group, name)
    if match := re.search(r"Ambiguous value for argument '(.*)'$|Sweep parameters '(.*)' requires", text, re.MULTILINE):
        return several_values(match[1] or match[2], command)
    if match := re.search(r"Could not append to config\. An item is already at '([^']*)'", text):
        return f"+{match[1]}: exists already; leave out the +"
    if type(error).__name__ == "MissingMandatoryValue":
        name = getattr(error, "full_key", None) or text.split()[-1]
        return f"{name}: required; give it as {name}=..."
    if "Config group override must be" in text:  # a number, or true
        words = [word.lstrip("+").partition("=") for word in arguments]
        group, _, value = next((parts for parts in reversed(words) if parts[2] and files_of(parts[0])
                                and parts[2] not in files_of(parts[0])), ("", "", ""))  # fmt: skip
        return unknown_file(group, value) if group else f"{one_line(error)}; see --help"
    if "override_grammar" in text:
        line = one_line(error).split(" See https")[0]
        return f"{line}; expected option=value, with values such as true, 0.5, [8,16] or 'any text'"
    return one_line(error)


def unknown_file(group: str, name: str) -> str:
    ours = value_called(group, name)
    hint = f"; did you mean {group}={ours}?" if ours else ""
    return f"{group}={name}: expected one of {', '.join(files_of(group)) or 'none'}{hint}"


def several_values(given: str, command: Command) -> str:
    """Explain several values of an option on a line that is no sweep."""
    name, _, values = given.partition("=")
    kind = str(getattr(fields_of(command.options).get(name), "annotation", ""))
    other = ""
    if name == "seed" and "seeds" in names(command.options) and re.fullmatch(r"[\d,]+", values):
        other = f", or seeds={values} to train them as one"
    elif "list[" in kind:
        other = f", or {name}=[{values}] for a list"
    return f"{given}: several values make several runs; add -m for a sweep{other}"


def of_hydra(name: str) -> str:
    """Explain a launcher or sweeper that is not there, as launcher/slurm."""
    kind, _, chosen = name.partition("/")
    if kind == "launcher":
        return missing(chosen)
    if kind == "sweeper":
        return f"hydra/sweeper={chosen}: not installed; python -m resgan.sweep searches, with a current Optuna"
    return f"hydra/{kind}={chosen}: Hydra has no such file"


def candidates(option: str, command: Command, arguments: list[str]) -> dict[str, str]:
    """Return candidates for a misspelt option: the options of its group in the chosen file, with their meanings."""
    group = option.split(".")[0]
    choice = last_value(group, arguments) or read_primary(command.primary)[1].get(group)
    return meanings_of(group, choice, command) if choice in files_of(group) else names(command.options)
