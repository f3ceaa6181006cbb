"""How a command meets Hydra: find conf/, compose, check, one line for what is wrong, and help at once."""

import contextlib
import datetime
import functools
import os
import re
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from resgan.checking import Options, OptionsError, check, did_you_mean, names, parse_seeds
from resgan.runs import flat, plain, stop_signals

HERE = Path(__file__).resolve().parent
# In a wheel conf/ lies inside the package, in a checkout beside it.
CONF = next((d for d in (HERE / "conf", HERE.parent / "conf") if (d / "train.yaml").is_file()), HERE / "conf")

# Paths, names of classes and lists of seeds are taken as typed; Hydra's grammar would stumble over =, (, { and more.
AS_TYPED = re.compile(
    r"(ckpt|class|fake|real|outdir|run_dir|seeds|data\.path|data\.root|root|metrics\.weights|metrics\.cache|hydra\.sweep\.dir|wandb\.(?:project|entity|name))"
    r"=(?!['\"\[])(.+)",
    re.DOTALL,
)

EXPECTED_ERRORS = ("OptionsError", "DataError", "RunError", "CheckpointError", "ExtractorError")


class JobFailed(Exception):
    """One job of a sweep failed, and has said so."""


@dataclass(frozen=True)
class Job:
    """What a command is told beside its options."""

    overrides: list[str]  # of this job
    arguments: list[str]  # of the command, as typed; a sweep's jobs share them
    sweep_dir: Path | None  # where a sweep keeps its runs; None outside a sweep
    side_by_side: bool = False  # do several jobs share this machine's cores?


@dataclass(frozen=True)
class Study:
    """What a study is about to do: every run, before the first begins."""

    name: str
    place: Path
    runs: list[tuple[list[str], Any]]  # (overrides, checked options)
    at_once: int  # jobs that run side by side; -1: one for each core
    together: int = 1  # runs that a job trains as one


@dataclass(frozen=True)
class Command:
    name: str  # of the module
    options: type[Options]
    about: str  # what it does, for --help
    examples: str
    config: str = ""  # whose file in conf/ it shares; empty: it has its own
    before_study: Callable[[Study], None] | None = None
    after_study: Callable[[Study], None] | None = None

    @property
    def primary(self) -> str:
        """Its file in conf/."""
        return self.config or self.name


def run_command(command: Command, run: Callable[[Any, Job], Any]) -> None:
    """Compose, check and run; the process ends with 2 for input that is not valid, without a traceback."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        print(help_text(command))
        return
    import hydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    task = task_of(command, run, arguments)
    place = sweep_place(arguments)
    given = one_job_for_all_seeds(arguments, command)
    sys.argv[1:] = [*map(quoted, given), *([quoted(f"hydra.sweep.dir={place}")] if place else [])]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises; otherwise it prints a part and exits with 1
    try:
        with ending_on_signals(), tidied(place), announced(command, given, place):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=command.primary)(task)()
    except JobFailed:
        where = f" with run_dir={place}" if place else ""
        stop(f"at least one job of the sweep failed; the same command{where} runs what is missing", status=1)
    except (HydraException, OmegaConfBaseException) as error:
        stop(describe(error, command))
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        stop(f"{one_line(error)}; see --help")


def task_of(command: Command, run: Callable[[Any, Job], Any], arguments: list[str]) -> Callable[[Any], Any]:
    """What Hydra calls for each job, perhaps in another process."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    def task(config: DictConfig) -> Any:
        hydra_config = HydraConfig.get()
        overrides = list(hydra_config.overrides.task)
        sweep = hydra_config.mode == RunMode.MULTIRUN
        sweep_dir = Path(hydra_config.sweep.dir) if sweep else None
        job = Job(overrides, arguments, sweep_dir, side_by_side=sweep and jobs_at_once(hydra_config) != 1)
        try:
            values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
            return run(check(command.options, values), job)  # type: ignore[arg-type]
        except Exception as error:
            line = describe(error, command) if isinstance(error, OmegaConfBaseException) else one_line(error)
            if sweep:
                say(f"job failed: {' '.join(overrides) or '(defaults)'}: {line}")
            if not is_expected(error):
                if not sweep:
                    raise
                traceback.print_exc()
            if not sweep:
                stop(line)  # here and not further up, because Hydra would print a line of its own
            raise JobFailed from None

    return task


@contextlib.contextmanager
def announced(command: Command, arguments: list[str], place: Path | None) -> Iterator[None]:
    """A study says before it begins what it will do, and at the end, however it ends, what is there."""
    study = study_of(command, arguments, place) if command.before_study else None
    if study is None:
        yield
        return
    assert command.before_study is not None
    try:
        command.before_study(study)
    except Exception as error:
        if not is_expected(error):
            raise
        stop(one_line(error))
    try:
        yield
    finally:
        if command.after_study is not None:
            command.after_study(study)


def study_of(command: Command, arguments: list[str], place: Path | None) -> Study | None:
    """Compose and check all jobs of a study; None where there is none, or a sweeper that finds its jobs as it goes."""
    name = last_value("study", arguments)
    if name is None or place is None:
        return None
    from hydra import compose, initialize_config_dir
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra._internal.utils import get_args_parser
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    given = get_args_parser().parse_args([quoted(argument) for argument in arguments])
    typed = given.overrides
    presets = [f"hydra.searchpath=['{Path(given.config_dir).absolute()}']"] if given.config_dir else []
    parse = OverridesParser.create().parse_overrides
    with initialize_config_dir(str(CONF), version_base="1.3"):
        single = [o.input_line or "" for o in parse(typed) if not o.is_sweep_override()]
        settings = compose(command.primary, [*single, *presets], return_hydra_config=True).hydra
        if not settings.sweeper._target_.endswith("BasicSweeper"):
            return None
        swept = [f"{option}={values}" for option, values in settings.sweeper.params.items()]
        [jobs] = BasicSweeper.split_arguments(parse([*swept, *typed]), None)

        @functools.cache
        def options_of(*overrides: str) -> Any:
            config = compose(command.primary, [*overrides, *presets])
            values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
            return check(command.options, values)  # type: ignore[arg-type]

        try:
            found = [(job, with_seed(job, options_of)) for job in jobs]
            runs = [(job, one) for job, options in found for one in each_seed(options)]
            return Study(name, place, runs, jobs_at_once(settings), together=len(runs) // len(found))
        except OptionsError as error:
            stop(one_line(error))


def with_seed(job: list[str], options_of: Callable[..., Any]) -> Any:
    """The options of a job. Seeds share one composition, which takes a tenth of a second."""
    seeds = [override.removeprefix("seed=") for override in job if override.startswith("seed=")]
    if not (seeds and seeds[-1].isdecimal()):
        return options_of(*job)
    others = options_of(*(override for override in job if not override.startswith("seed=")))
    return others.model_copy(update={"seed": int(seeds[-1])})


def each_seed(options: Any) -> list[Any]:
    """The options of every run of a job."""
    return [options] if options.seeds is None else [options.of_seed(seed) for seed in parse_seeds(options.seeds)]


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """A signal ends the command with its status and no traceback. While a run trains, it listens itself."""

    def end(number: int, frame: Any) -> None:
        stop(f"stopped by {signal.Signals(number).name}", status=128 + number)

    before = {number: signal.signal(number, end) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def last_value(option: str, arguments: list[str]) -> str | None:
    """What the command line says of an option; None where it says nothing, or null."""
    given = [argument.split("=", 1)[1] for argument in arguments if re.match(rf"\+*{re.escape(option)}=.", argument)]
    return given[-1].strip("'\"") if given and given[-1] != "null" else None


def is_sweep(arguments: list[str]) -> bool:
    return bool({"-m", "--multirun"} & set(arguments)) or last_value("study", arguments) is not None


def sweep_place(arguments: list[str]) -> Path | None:
    """Where a sweep keeps its runs, in words for Hydra: run_dir, runs/<study>, or a new directory with date, time."""
    if not is_sweep(arguments) or any(argument.startswith("hydra.sweep.dir=") for argument in arguments):
        return None
    if given := last_value("run_dir", arguments):
        return Path(given).expanduser()
    return Path("runs") / (last_value("study", arguments) or f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}")


def one_job_for_all_seeds(arguments: list[str], command: Command) -> list[str]:
    """What Hydra is given: with `seeds`, a study that sweeps over the seed has one job in their place."""
    sweeps = last_value("study", arguments) is not None and {"seed", "seeds"} <= set(names(command.options))
    if sweeps and last_value("seeds", arguments) and last_value("seed", arguments) is None:
        return [*arguments, "seed=0"]
    return arguments


def jobs_at_once(hydra_config: Any) -> int:
    """Of the launcher: 1 for Hydra's own; joblib's -1 is as many as there are cores."""
    return int(hydra_config.launcher.get("n_jobs") or 1)


@contextlib.contextmanager
def tidied(sweep_place: Path | None) -> Iterator[None]:
    """Remove the note that Hydra leaves of a sweep: every run says itself what it is."""
    if sweep_place is None:
        yield
        return
    new = [path for path in (sweep_place, sweep_place.parent) if not path.exists()]
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it is not there, or holds runs
            (sweep_place / "multirun.yaml").unlink(missing_ok=True)
            for path in new:
                path.rmdir()


def is_expected(error: BaseException) -> bool:
    """An error that is the user's to mend (ours by name: importing their modules would import torch)."""
    ours = type(error).__name__ in EXPECTED_ERRORS and type(error).__module__.startswith("resgan.")
    return ours or type(error).__module__.startswith("omegaconf.")


def one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def say(line: str) -> None:
    print(f"resgan: {line}", file=sys.stderr, flush=True)


def stop(line: str, status: int = 2) -> NoReturn:
    say(line)
    raise SystemExit(status)


def quoted(argument: str) -> str:
    """A path as Hydra's grammar wants it: ckpt=a=b.ckpt -> ckpt='a=b.ckpt'."""
    match = AS_TYPED.fullmatch(argument)
    if not match or match[2] == "null":
        return argument
    return f"{match[1]}='" + match[2].replace("'", r"\'") + "'"


def describe(error: Exception, command: Command) -> str:
    """Hydra's errors in one line that names the option and what is valid."""
    text = str(error)
    if match := re.search(r"Could not override '([^']*)'", text):
        return f"{match[1]}: there is no such option{did_you_mean(match[1], known_beside(match[1], command))}"
    if match := re.search(r"Could not find '([^']*)/([^'/]*)'", text):
        group, *inner = match[1].split("/")
        name = "/".join([*inner, match[2]])
        return f"{group}={name}: valid are {', '.join(files_of(group)) or 'none'}"
    if match := re.search(r"Could not append to config\. An item is already at '([^']*)'", text):
        return f"+{match[1]}: is there already; leave out the +"
    if type(error).__name__ == "MissingMandatoryValue":
        name = getattr(error, "full_key", None) or text.split()[-1]
        return f"{name}: is missing; give it as {name}=..."
    if "override_grammar" in text:
        line = one_line(error).split(" See https")[0]
        return f"{line}; expected option=value, with values such as true, 0.5, [8,16] or 'any text'"
    return one_line(error)


def known_beside(option: str, command: Command) -> dict[str, str]:
    """The options there are in place of one that is not: of its group, those of the file that is chosen."""
    group = option.split(".")[0]
    choice = last_value(group, sys.argv[1:]) or read_primary(command)[1].get(group)
    return read_group(group, choice, command)[2] if choice in files_of(group) else names(command.options)


# Help.


def help_text(command: Command) -> str:
    """Groups, options with their defaults and meanings, and examples; from the typed options and conf/."""
    usage = ["", f"usage: python -m resgan.{command.name} [option=value ...]", ""]
    known = names(command.options)
    primary, groups = read_primary(command)
    lines = [command.about, *usage, "options, with their defaults:"]
    lines += option_lines(primary, known)
    for group, chosen in groups.items():
        lines += ["", *group_lines(group, chosen, command)]
    return "\n".join([*lines, "", "examples:", command.examples.rstrip(), "", "Hydra's own flags: --hydra-help"])


def option_lines(defaults: dict[str, Any], meanings: dict[str, str]) -> list[str]:
    lines = []
    for name, value in defaults.items():
        said = assignment(name, value)
        gap = "\n" + 34 * " " if len(said) > 60 else " "
        lines.append(f"  {said:<32}{gap}{meanings[name]}")
    return lines


def assignment(name: str, value: Any) -> str:
    return f"{name}={'...' if value == '???' else plain(value)}"


def read_primary(command: Command) -> tuple[dict[str, Any], dict[str, str | None]]:
    """The options that stand in no group, dotted, and the groups: which of their files is chosen."""
    primary = read_yaml(CONF / f"{command.primary}.yaml")
    entries = [entry for entry in primary.pop("defaults", []) if isinstance(entry, dict)]
    primary.pop("hydra", None)
    groups = {key: chosen for entry in entries for key, chosen in entry.items() if not key.startswith("override")}
    return flat(primary), groups


def files_of(group: str) -> list[str]:
    """The names of a group's files; those in a folder are named with it."""
    return sorted(str(path.relative_to(CONF / group).with_suffix("")) for path in (CONF / group).rglob("*.yaml"))


def group_lines(group: str, chosen: str | None, command: Command) -> list[str]:
    """The file of a group that is chosen, option by option, and what the others do differently."""
    files = sorted(files_of(group), key=lambda name: (name != chosen, name))
    usual, _, meanings = read_group(group, chosen, command) if chosen else ({}, [], {})
    sections: dict[tuple[str, ...], list[str]] = {}  # lines -> the files they hold for
    for name in files:
        own, elsewhere, means = read_group(group, name, command)
        if name != chosen:  # an option that means the same there is said shortly, or not at all
            same = [key for key in own if key in usual and means[key] == meanings[key]]
            elsewhere = [*elsewhere, *(assignment(key, own[key]) for key in same if own[key] != usual[key])]
            own = {key: value for key, value in own.items() if key not in same}
        lines = ["  sets " + line for line in textwrap.wrap(" ".join(elsewhere), 110, break_long_words=False)]
        lines += option_lines(own, means)
        title = f"{group}={name}" + (" (the default)" if name == chosen else "")
        sections.setdefault(tuple(lines or ["  the same options"]), []).append(title)
    return [line for lines, titles in sections.items() for line in (", ".join(titles) + ":", *lines)]


def read_yaml(path: Path) -> dict[str, Any]:
    """By the parser in C where there is one: conf/ has many files, and help is to be at once."""
    import yaml

    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}


def read_group(group: str, name: str, command: Command) -> tuple[dict[str, Any], list[str], dict[str, str]]:
    """The options of one file of a group, dotted, what it sets elsewhere, as one would type it, and what they mean."""
    path = CONF / group / f"{name}.yaml"
    values = read_yaml(path)
    defaults = values.pop("defaults", [])
    entries = [entry for entry in defaults if isinstance(entry, dict)]
    for base in (entry for entry in defaults if isinstance(entry, str) and entry != "_self_"):
        values = read_yaml(CONF / group / f"{base}.yaml") | values  # a variant of that file
    selects = [f"{key.split('/')[-1]}={choice}" for entry in entries for key, choice in entry.items()]
    swept = values.pop("hydra", {}).get("sweeper", {}).get("params", {})
    # Long lists are broken after a comma, to fit the screen.
    selects += [
        f"{key}={choices.replace(',', ', ') if len(choices) > 80 else choices}" for key, choices in swept.items()
    ]
    found = flat(values, "" if "@package _global_" in path.read_text() else f"{group}.")
    title = f"{group}.name"  # of the kind of network, loss or data; but a run in W&B may have one too
    variant = found.pop(title) if isinstance(found.get(title), str) else name
    if found.get(group) == name:
        del found[group]
    own = {key: value for key, value in found.items() if key.startswith(f"{group}.")}
    elsewhere = [*selects, *(assignment(key, value) for key, value in found.items() if key not in own)]
    return own, elsewhere, names(command.options, variant=variant)


def find_accelerator(option: str, name: str) -> str:
    """ "cpu", "cuda" or "mps". Raises OptionsError where the machine has no such thing."""
    import torch

    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    wanted = {"auto": next(kind for kind in has if has[kind]), "gpu": "cuda"}.get(name, name)
    if not has[wanted]:
        raise OptionsError(f"{option}={name}: this machine has none; valid are auto, cpu")
    return wanted
