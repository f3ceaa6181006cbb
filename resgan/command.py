"""How a command meets Hydra: find conf/, compose, check, one line for what is wrong, and help at once."""

import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from resgan.options import Options, OptionsError, check, names, nearest
from resgan.runs import plain

HERE = Path(__file__).resolve().parent
# In a wheel conf/ lies inside the package, in a checkout beside it.
CONF = next((d for d in (HERE / "conf", HERE.parent / "conf") if (d / "train.yaml").is_file()), HERE / "conf")

# Values that are paths or lists of seeds are taken as typed; Hydra's grammar would stumble over =, (, { and more.
AS_TYPED = re.compile(
    r"(ckpt|fake|real|outdir|run_dir|seeds|data\.path|data\.root|metrics\.weights)=(?!['\"\[])(.+)", re.DOTALL
)

EXPECTED_ERRORS = ("OptionsError", "DataError", "RunError", "CheckpointError", "ExtractorError")


class JobFailed(Exception):
    """One job of a sweep failed, and has said so."""


@dataclass(frozen=True)
class Job:
    """What a command is told beside its options."""

    overrides: list[str]  # as typed for this job
    sweep_dir: Path | None  # where a sweep keeps its runs; None outside a sweep


@dataclass(frozen=True)
class Command:
    name: str  # of the module and of its file in conf/
    options: type[Options]
    about: str  # what it does, for --help
    examples: str


def run_command(command: Command, run: Callable[[Any, Job], Any]) -> None:
    """Compose, check and run; the process ends with 2 for input that is not valid, without a traceback."""
    if {"--help", "-h"} & set(sys.argv[1:]):
        print(help_text(command))
        return
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from hydra.types import RunMode
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    def task(config: DictConfig) -> Any:
        hydra_config = HydraConfig.get()
        overrides = list(hydra_config.overrides.task)
        sweep = hydra_config.mode == RunMode.MULTIRUN
        job = Job(overrides, Path(hydra_config.sweep.dir) if sweep else None)
        try:
            values = OmegaConf.to_container(config, resolve=True)
            return run(check(command.options, values), job)  # type: ignore[arg-type]
        except Exception as error:
            if not sweep:
                raise
            say(f"job failed: {' '.join(overrides) or '(defaults)'}: {one_line(error)}")
            if not is_expected(error):
                traceback.print_exc()
            raise JobFailed from error

    sys.argv[1:] = [quoted(argument) for argument in sys.argv[1:]]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then raises; otherwise it prints a part and exits with 1
    try:
        hydra.main(version_base="1.3", config_path=str(CONF), config_name=command.name)(task)()
    except JobFailed:
        stop("at least one job of the sweep failed; the same command runs what is missing", status=1)
    except (HydraException, OmegaConfBaseException) as error:
        stop(describe(error, command))
    except Exception as error:
        if not is_expected(error):
            raise
        stop(one_line(error))


def is_expected(error: BaseException) -> bool:
    """An error of ours that is the user's to mend (by name: importing their modules would import torch)."""
    return type(error).__name__ in EXPECTED_ERRORS and type(error).__module__.startswith("resgan.")


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
        known = list(names(command.options))
        close = nearest(match[1], known)
        hint = f"did you mean {close}?" if close else "see --help"
        return f"{match[1]}: there is no such option; {hint}"
    if match := re.search(r"Could not find '([^']*)/([^'/]*)'", text):
        folder = CONF / match[1]
        valid = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        return f"{match[1]}={match[2]}: valid are {valid or 'none'}"
    if match := re.search(r"Could not append to config\. An item is already at '([^']*)'", text):
        return f"+{match[1]}: is there already; leave out the +"
    if missing := getattr(error, "full_key", None):
        return f"{missing}: is missing; give it as {missing}=..."
    return one_line(error)


def help_text(command: Command) -> str:
    """Groups, options with their defaults and meanings, and examples; from the typed options and conf/."""
    defaults, groups = composed_defaults(command)
    lines = [command.about, "", f"usage: python -m resgan.{command.name} [option=value ...]", ""]
    if groups:
        lines += ["groups (choose a file of conf/):"]
        lines += [f"  {group + '=' + chosen:<26} {', '.join(valid)}" for group, (chosen, valid) in groups.items()]
        lines += [""]
    lines += ["options (with their defaults):"]
    for name, meaning in names(command.options).items():
        if name in ("generator.name", "disc.name", "loss.name", "data.name"):
            continue  # chosen by the group
        shown = f"{name}={plain(defaults[name])}" if name in defaults else name
        lines.append(f"  {shown:<34} {meaning}")
    return "\n".join([*lines, "", "examples:", command.examples.rstrip(), "", "Hydra's own flags: --hydra-help"])


def composed_defaults(command: Command) -> tuple[dict[str, Any], dict[str, tuple[str, list[str]]]]:
    """The defaults of conf/, dotted, and its groups: which file is chosen and which could be."""
    import yaml

    from resgan.runs import flat

    primary = yaml.safe_load((CONF / f"{command.name}.yaml").read_text())
    found, groups = {}, {}
    for entry in primary.pop("defaults", []):
        if not isinstance(entry, dict) or str(next(iter(entry))).startswith("override"):
            continue
        ((group, chosen),) = entry.items()
        valid = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
        groups[group] = (plain(chosen), valid)
        if chosen is not None:
            values = yaml.safe_load((CONF / group / f"{chosen}.yaml").read_text())
            values = {k: v for k, v in values.items() if k != "defaults"}
            found |= flat(values, f"{group}.")
    primary.pop("hydra", None)
    return found | flat(primary), groups


def find_accelerator(option: str, name: str) -> str:
    """ "cpu", "cuda" or "mps". Raises OptionsError where the machine has no such thing."""
    import torch

    has = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    wanted = {"auto": next(kind for kind in has if has[kind]), "gpu": "cuda"}.get(name, name)
    if not has[wanted]:
        raise OptionsError(f"{option}={name}: this machine has none; valid are auto, cpu")
    return wanted
