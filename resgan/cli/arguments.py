"""The command line as it was typed, and as Hydra's grammar wants it."""

import datetime
import re
from pathlib import Path

from resgan.base.errors import OptionsError
from resgan.cli.command import Command
from resgan.options.conf import CONF, files_of
from resgan.options.validation import names

# Paths, names of classes and lists of seeds are taken as typed; Hydra's grammar would stumble over =, (, { and more.
AS_TYPED = re.compile(
    r"(ckpt|class|fake|real|outdir|run_dir|seeds|data\.path|data\.root|root|generator\.path|disc\.path|metrics\.weights|metrics\.own|metrics\.cache|hydra\.sweep\.dir|wandb\.(?:project|entity|name))"
    r"=(?!['\"\[])(.+)",
    re.DOTALL,
)


def quoted(argument: str) -> str:
    """A path as Hydra's grammar wants it, ckpt=a=b.ckpt -> ckpt='a=b.ckpt'; and kwargs as options that are new."""
    if re.match(r"(generator|disc)\.kwargs\.", argument):
        return f"++{argument}"
    match = AS_TYPED.fullmatch(argument)
    if not match or match[2] == "null":
        return argument
    return f"{match[1]}='" + match[2].replace("'", r"\'") + "'"


def last_value(option: str, arguments: list[str]) -> str | None:
    """The value of an option on the command line; None where it is not given, or null."""
    given = [argument.split("=", 1)[1] for argument in arguments if re.match(rf"\+*{re.escape(option)}=.", argument)]
    return given[-1].strip("'\"") if given and given[-1] != "null" else None


def is_sweep(arguments: list[str]) -> bool:
    return bool({"-m", "--multirun"} & set(arguments)) or last_value("study", arguments) is not None


def sweep_place(arguments: list[str]) -> Path | None:
    """The directory of a sweep's runs: run_dir, runs/<study>, or one named by date and time; None outside a sweep."""
    if not is_sweep(arguments) or any(argument.startswith("hydra.sweep.dir=") for argument in arguments):
        return None
    if given := last_value("run_dir", arguments):
        return Path(given).expanduser()
    return Path("runs") / (last_value("study", arguments) or f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}")


def refuse_bases(arguments: list[str]) -> None:
    """Refuse the files of conf/ that others inherit from as a choice. Raises OptionsError."""
    for argument in arguments:
        group, _, chosen = argument.lstrip("+").partition("=")
        for name in chosen.split(","):
            if name.startswith("_") and (CONF / group / f"{name}.yaml").is_file():
                raise OptionsError(f"{group}={name}: valid are {', '.join(files_of(group))}")


def refuse_stacks_side_by_side(arguments: list[str]) -> None:
    """Refuse a stack of jobs beside a launcher that spreads them over processes. Raises OptionsError.

    A study is composed before it begins, and checked then; a replicate makes stacks of its own.
    """
    if any(last_value(name, arguments) is not None for name in ("study", "replicate")):
        return
    stack, launcher = last_value("trainer.stack", arguments), last_value("hydra/launcher", arguments)
    if is_sweep(arguments) and stack not in (None, "1") and launcher not in (None, "basic"):
        raise OptionsError(
            f"trainer.stack={stack}: a stack is one process; valid beside hydra/launcher={launcher} is 1"
        )


def one_job_for_all_seeds(arguments: list[str], command: Command) -> list[str]:
    """The arguments for Hydra: with `seeds` or `replicate`, a study that sweeps over the seed has one job for all."""
    sweeps = last_value("study", arguments) is not None and {"seed", "seeds"} <= set(names(command.options))
    given = any(last_value(option, arguments) for option in ("seeds", "replicate"))
    if sweeps and given and last_value("seed", arguments) is None:
        return [*arguments, "seed=0"]
    return arguments
