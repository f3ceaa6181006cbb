"""The command line, as typed and as Hydra's grammar requires it."""

import datetime
import re
from pathlib import Path

from resgan.base.errors import OptionsError
from resgan.base.plain_data import shortened
from resgan.cli.command import Command
from resgan.options.conf import CONF, files_of
from resgan.options.validation import did_you_mean, names

# Hydra's flags, short and long; those of them that take a value; those that print and run nothing; and those that have
# no use here, since a command has its own files and its own way to go on.
FLAGS = {"-h": "--help", "-r": "--run", "-m": "--multirun", "-i": "--info", "-c": "--cfg", "-p": "--package"} | {
    **{"-cd": "--config-dir", "--hydra-help": "--hydra-help", "--version": "--version", "--resolve": "--resolve"},
    **{long: long for long in ("--help", "--run", "--multirun", "--info", "--cfg", "--package", "--config-dir")},
}
VALUES = {  # None: any
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--package": None,
    "--config-dir": None,
}
PRINTING = {"--cfg", "--info", "--hydra-help"}
OF_CFG = ("--resolve", "--package")
USELESS = {
    **dict.fromkeys(("--config-path", "-cp", "--config-name", "-cn"), "--config-dir adds a directory with your files"),
    **dict.fromkeys(("--shell-completion", "-sc"), "use --completion bash, zsh or fish, which knows the values too"),
    "--experimental-rerun": "the command that a run prints at its end runs it again",
}
PATHS = {
    *("ckpt", "fake", "real", "outdir", "run_dir", "init_from", "root", "data.path", "data.labels", "data.root"),
    *("generator.path", "disc.path", "metrics.weights", "metrics.own", "metrics.cache", "tuning.runs"),
}
# Paths, class names and lists of seeds are taken literally; Hydra's grammar would stumble over =, (, { and more.
AS_TYPED = re.compile(
    r"(ckpt|class|fake|real|outdir|run_dir|init_from|storage|name|seeds|data\.path|data\.labels|data\.root|root|generator\.path|disc\.path|metrics\.weights|metrics\.own|metrics\.cache|hydra\.sweep\.dir|wandb\.(?:project|entity|name))"
    r"=(?!['\"\[])(.+)",
    re.DOTALL,
)

LONGEST, DIGITS = 50_000, 1000  # characters of a value, ten thousand seeds; digits of a number, which Python reads


def as_options(arguments: list[str], command: Command) -> list[str]:
    """Return the words of a line with each path that stands alone as the option it means, PATH -> ckpt=PATH.

    Raises OptionsError for other words that are no option=value, such as --lr.
    """
    found, words = [], list(arguments)
    while words:
        word = words.pop(0)
        if word.startswith("-"):
            refuse_unknown_flag(word, words, command)
            found += [word, *([words.pop(0)] if takes_next(word, words) else [])]
        elif word.startswith("~") or ("=" in word and not is_path(word)):
            found.append(word)
        else:
            found.append(f"{option_of_path(word, command)}={word}")
    check_flags(found)
    return found


def takes_next(word: str, later: list[str]) -> bool:
    """Does a flag take the next word as its value? Only --info need not have one. Raises OptionsError."""
    flag = FLAGS.get(word, "")
    if flag not in VALUES:
        return False
    if flag == "--info":
        return bool(later) and later[0] in (VALUES[flag] or ())
    if not later:
        raise OptionsError(f"{word}: expected {' or '.join(VALUES[flag] or ('a value',))} after it")
    return True


def check_flags(arguments: list[str]) -> None:
    """Raises OptionsError for values of flags that Hydra does not know, and for flags that do nothing alone."""
    given = dict(flags_of(arguments)[0])
    for flag, value in given.items():
        if (known := VALUES.get(flag)) and value not in known:
            raise OptionsError(f"{flag} {value}: expected one of {', '.join(known)}")
        if flag in OF_CFG and "--cfg" not in given:
            raise OptionsError(f"{flag}: expected beside --cfg job, which prints the options")
    if "--cfg" in given and "--multirun" in given:
        raise OptionsError("--cfg: prints the options of one run; leave -m out, and give each option one value")
    if (folder := given.get("--config-dir")) is not None and not Path(folder).is_dir():
        raise OptionsError(f"--config-dir {folder}: there is no such directory")


def flags_of(arguments: list[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Separate the flags, by their long names and with their values ("": none), from the other words."""
    flags, others, words = [], [], list(arguments)
    while words:
        word, equals, value = words[0].partition("=")
        flag = FLAGS.get(word) if words.pop(0).startswith("-") else None
        if flag is None:
            others.append(word + equals + value)
            continue
        if not equals and flag in VALUES and takes_next(word, words):
            value = words.pop(0)
        flags.append((flag, value or ("all" if flag == "--info" else "")))
    return flags, others


def is_path(word: str) -> bool:
    """Tell a path with = in it from an option: a/b=c.ckpt is one if the file is there."""
    return "/" in word.split("=")[0] and not word.startswith("hydra/") and Path(word).expanduser().exists()


def option_of_path(word: str, command: Command) -> str:
    """Return the option that a bare word of the line stands for. Raises OptionsError where there is none."""
    if word and word not in names(command.options) and command.paths:
        return command.paths.get(Path(word).suffix.lower(), command.paths[""])
    if word in names(command.options):
        raise OptionsError(f"{word}: expected {word}=value")
    if Path(word).expanduser().exists() and {"run_dir", "data.path"} <= set(names(command.options)):
        raise OptionsError(f"{word}: expected option=value, as in run_dir={word} or data=folder data.path={word}")
    raise OptionsError(f"{word}: expected option=value{did_you_mean(word, names(command.options))}")


def refuse_unknown_flag(word: str, later: list[str], command: Command) -> None:
    """Refuse a flag that is not Hydra's: --lr 0.1, as many tools have it. Raises OptionsError."""
    flag, _, value = word.partition("=")
    if flag in FLAGS:
        return
    if flag in USELESS:
        raise OptionsError(f"{flag}: {USELESS[flag]}")
    name, known = flag.strip("-").replace("-", "_"), names(command.options)
    value = value or (later[0] if later and "=" not in later[0] and not later[0].startswith("--") else "VALUE")
    if name in known:
        raise OptionsError(f"{flag}: options are written without dashes: {name}={value}")
    raise OptionsError(f"{flag}: options are written without dashes, and there is no {name}{did_you_mean(name, known)}")


def quoted(argument: str) -> str:
    """Quote a path for Hydra's grammar, ckpt=a=b.ckpt -> ckpt='a=b.ckpt'; mark kwargs as new options with ++."""
    if re.match(r"(generator|disc)\.kwargs\.", argument):
        return f"++{argument}"
    match = AS_TYPED.fullmatch(argument)
    if not match or match[2] == "null":
        return argument
    return f"{match[1]}='" + match[2].replace("'", r"\'").replace("${", r"\${") + "'"


def apart(arguments: list[str], own: set[str]) -> tuple[list[str], list[str]]:
    """Separate the words for a command's own options, or groups of them, from those that it passes on to another."""
    heads = [re.split(r"[.=]", argument.lstrip("+~"), maxsplit=1)[0] for argument in arguments]
    return (
        [argument for argument, head in zip(arguments, heads, strict=True) if head in own],
        [argument for argument, head in zip(arguments, heads, strict=True) if head not in own],
    )


def last_value(option: str, arguments: list[str]) -> str | None:
    """Return the value of an option on the command line; None if it is not given, or null."""
    given = [argument.split("=", 1)[1] for argument in arguments if re.match(rf"\+*{re.escape(option)}=.", argument)]
    return given[-1].strip("'\"") if given and given[-1] != "null" else None


def flags_first(arguments: list[str]) -> list[str]:
    """Move the flags to the front: Hydra's parser wants all overrides in one piece."""
    flags, others = flags_of(arguments)
    return [f"{flag}={value}" if value else flag for flag, value in flags] + others


def only_prints(arguments: list[str]) -> bool:
    return any(flag in PRINTING for flag, _ in flags_of(arguments)[0])


def is_sweep(arguments: list[str]) -> bool:
    flagged = any(flag == "--multirun" for flag, _ in flags_of(arguments)[0])
    return flagged or last_value("study", arguments) is not None


def sweep_place(arguments: list[str]) -> Path | None:
    """Choose the directory of a sweep: run_dir, runs/<study>, or one named by date and time; None if not a sweep."""
    if not is_sweep(arguments) or any(argument.startswith("hydra.sweep.dir=") for argument in arguments):
        return None
    if given := last_value("run_dir", arguments):
        return Path(given).expanduser()
    return Path("runs") / (last_value("study", arguments) or f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}")


def refuse_bases(arguments: list[str]) -> None:
    """Refuse the choice of a base, a file of conf/ that others inherit from. Raises OptionsError."""
    for argument in arguments:
        group, _, chosen = argument.lstrip("+").partition("=")
        for name in chosen.split(","):
            if name.startswith("_") and (CONF / group / f"{name}.yaml").is_file():
                raise OptionsError(f"{group}={name}: expected one of {', '.join(files_of(group))}")


def refuse_stacks_side_by_side(arguments: list[str]) -> None:
    """Refuse a stack of jobs with a launcher that spreads them over processes. Raises OptionsError.

    A study is left out because it is checked when it is composed; a replicate, because it makes its own stacks there.
    """
    if any(last_value(name, arguments) is not None for name in ("study", "replicate")):
        return
    stack, launcher = last_value("trainer.stack", arguments), last_value("hydra/launcher", arguments)
    if is_sweep(arguments) and stack not in (None, "1") and launcher not in (None, "basic"):
        raise OptionsError(f"trainer.stack={stack}: a stack is one process; use 1 with hydra/launcher={launcher}")


def refuse_several_studies(arguments: list[str]) -> None:
    """Refuse several studies on one line, also in a sweep: each is a sweep of its own. Raises OptionsError."""
    if "," in (study := last_value("study", arguments) or ""):
        raise OptionsError(f"study={study}: expected one study at a time")


def refuse_endless(arguments: list[str]) -> None:
    """Refuse values that take Hydra's parser minutes, and whole numbers that Python does not read: OptionsError."""
    for argument in arguments:
        option, _, value = argument.lstrip("+").partition("=")
        said = option + "=" + shortened(value.strip("'"))
        if len(value) > LONGEST:
            raise OptionsError(f"{said}: expected at most {LONGEST:,} characters")
        if re.search(rf"\d[\d_]{{{DIGITS - 1},}}", value):
            raise OptionsError(f"{said}: expected numbers of fewer than {DIGITS:,} digits")


def one_job_for_all_seeds(arguments: list[str], command: Command) -> list[str]:
    """Return the arguments for Hydra; with `seeds` or `replicate`, seed=0 overrides a study's own sweep over seeds."""
    sweeps = last_value("study", arguments) is not None and {"seed", "seeds"} <= set(names(command.options))
    given = any(last_value(option, arguments) for option in ("seeds", "replicate"))
    if sweeps and given and last_value("seed", arguments) is None:
        return [*arguments, "seed=0"]
    return arguments
