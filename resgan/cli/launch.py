"""Run a command through Hydra: compose, check and run each job, and report errors in one line."""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from resgan.base.console import end_unread, one_line, say, stop
from resgan.base.errors import OptionsError, UserError
from resgan.base.files import WriteError, write_atomically
from resgan.base.signals import cause_of, hand_on, once_unbroken_ends, stop_signals
from resgan.cli.arguments import (
    as_options,
    flags_first,
    one_job_for_all_seeds,
    only_prints,
    quoted,
    refuse_bases,
    refuse_endless,
    refuse_several_studies,
    refuse_stacks_side_by_side,
    sweep_place,
)
from resgan.cli.command import Command
from resgan.cli.errors import explain
from resgan.cli.launchers import in_this_process, is_of_a_launcher, on_a_cluster, share_this_machine
from resgan.cli.presets import check_presets
from resgan.cli.study import announced, options_from, shares_stacks, varied_options
from resgan.experiment.study import Job, Progress
from resgan.options.conf import CONF, named_as_typed


class JobFailed(Exception):
    """Raised after a job of a sweep has failed and its error is printed."""


def launch(command: Command, run: Callable[[Any, Job], object], arguments: list[str]) -> None:
    """Run all jobs of the command line `arguments`; invalid input ends the process with status 2."""
    try:
        arguments = as_options(arguments, command)
    except OptionsError as error:
        stop(one_line(error))
    waiting: list[tuple[Any, Job]] = []
    place = sweep_place(arguments)
    given = flags_first(one_job_for_all_seeds(arguments, command))
    sys.argv[1:] = [*map(quoted, given), *([quoted(f"hydra.sweep.dir={place}")] if place else [])]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # makes Hydra raise, where it would print a part and exit with 1
    try:
        refuse_bases(arguments)
        refuse_endless(arguments)
        refuse_several_studies(arguments)
        check_presets(arguments)
        refuse_stacks_side_by_side(arguments)
        if only_prints(arguments):
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=command.primary)(lambda config: None)()
            return
        with ending_on_signals(), tidied(place) as record, announced(command, given, place) as study:
            task = make_task(command, run, arguments, waiting, study.progress() if study else None, record)
            jobs = hydra.main(version_base="1.3", config_path=str(CONF), config_name=command.primary)(task)
            if not all([ran_well(partial(launch_jobs, jobs)), ran_well(partial(run_waiting, command, waiting))]):
                raise JobFailed
    except JobFailed:
        where = f" with run_dir={place}" if place else ""
        logs = f" (logs of all jobs in {place}/.submitit)" if place and (place / ".submitit").is_dir() else ""
        stop(f"at least one job of the sweep failed{logs}; the same command{where} runs what is missing", status=1)
    except WriteError as error:
        stop(one_line(error), error.status)
    except OptionsError as error:
        stop(one_line(error))
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeDecodeError) as error:
        stop(explain(error, command, sys.argv[1:]))
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        stop(explain(error, command, sys.argv[1:]))


def make_task(
    command: Command,
    run: Callable[[Any, Job], object],
    arguments: list[str],
    waiting: list[tuple[Any, Job]],
    progress: Progress | None,
    record: "SweepRecord | None",
) -> Callable[[DictConfig], object]:
    """Make the function that Hydra calls for each job, perhaps in another process.

    A job that shares a stack with others is not run at once, but appended to `waiting` until all jobs are composed.
    """

    started = time.time()

    def task(config: DictConfig) -> object:
        if record is not None:
            record.undo()
        settings = HydraConfig.get()
        overrides = list(settings.overrides.task)
        sweep = settings.mode == RunMode.MULTIRUN
        job = Job(
            overrides,
            arguments,
            progress=progress,
            started=time.time() if on_a_cluster(settings) else started,
            **facts_of_sweep(settings, arguments),
        )
        try:
            options = options_from(config, command, overrides)
            if sweep and command.run_stacked is not None and shares_stacks(settings, options):
                waiting.append((options, job))
                return None
            return run(options, job)
        except SystemExit as stopped:  # its state is saved
            if sweep and not in_this_process(settings):
                hand_on(stopped.code)
            raise
        except BrokenPipeError:
            end_unread()  # here and not further up, because Hydra would print its own message
        except Exception as error:
            if sweep and not isinstance(error, WriteError):  # the next run would find the disk as full
                say_failed(command, job, error)
                raise JobFailed from None
            if not isinstance(error, UserError | OmegaConfBaseException):
                raise
            stop(line_of(error, command, overrides), getattr(error, "status", 2))  # here for the same reason

    return task


def facts_of_sweep(settings: Any, arguments: list[str]) -> dict[str, Any]:
    """Return what a job knows of its sweep, as arguments of Job."""
    if settings.mode != RunMode.MULTIRUN:
        return {"sweep_dir": None}
    typed = [quoted(argument) for argument in arguments if "=" in argument and not argument.startswith("-")]
    return {
        "sweep_dir": Path(settings.sweep.dir),
        "side_by_side": share_this_machine(settings),
        "varied": varied_options(settings, OverridesParser.create().parse_overrides(typed)),
    }


def line_of(error: Exception, command: Command, overrides: list[str]) -> str:
    if isinstance(error, OmegaConfBaseException):
        return explain(error, command, sys.argv[1:])
    return named_as_typed(one_line(error), overrides)


def say_failed(command: Command, job: Job, error: Exception) -> None:
    """Print which job of a sweep failed, and why; with the traceback unless it is the user's mistake."""
    say(f"job failed: {' '.join(job.overrides) or '(defaults)'}: {line_of(error, command, job.overrides)}")
    if not isinstance(error, UserError | OmegaConfBaseException):
        traceback.print_exception(error)


def launch_jobs(jobs: Callable[[], object]) -> None:
    """Run the jobs of the command; one that its launcher has lost, as where it was killed, counts as failed."""
    try:
        jobs()
    except JobFailed:
        raise
    except Exception as error:
        if not is_of_a_launcher(error):
            raise
        say(f"hydra/launcher: {one_line(error)}")
        raise JobFailed from None


def ran_well(jobs: Callable[[], object]) -> bool:
    """Run jobs; return False if one failed, so that the caller can still run what comes after."""
    try:
        jobs()
    except JobFailed:
        return False
    return True


def run_waiting(command: Command, waiting: list[tuple[Any, Job]]) -> None:
    """Run the stacked jobs, now that all are known."""
    failed: list[Job] = []

    def tell(job: Job, error: Exception) -> None:
        say_failed(command, job, error)
        failed.append(job)

    if waiting and command.run_stacked is not None:
        command.run_stacked(waiting, tell)
    if failed:
        raise JobFailed


@contextlib.contextmanager
def ending_on_signals() -> Iterator[None]:
    """End the command on a signal with the signal's status and no traceback. A run handles signals while it trains.

    Also where Hydra, which catches everything while it composes, makes an error of its own of the handler's SystemExit.
    """
    ended: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        ended.append(number)
        once_unbroken_ends(lambda: stop(f"stopped by {cause_of(number)}", status=128 + number))

    before = {number: signal.signal(number, end) for number in stop_signals()}
    try:
        yield
    except Exception:
        if ended:
            raise SystemExit(128 + ended[0]) from None
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class SweepRecord:
    """Hydra's record of a sweep, multirun.yaml, which goes, since every run has its own; a file of its name stays."""

    def __init__(self, place: Path) -> None:
        self.path = place / "multirun.yaml"
        self.before = (self.path.read_bytes(), self.path.stat()) if self.path.is_file() else None

    def undo(self) -> None:
        """Put back what lay there before Hydra wrote: once the first job begins, so that a kill finds it there."""
        if self.before is None:
            self.path.unlink(missing_ok=True)
        elif not self.path.exists() or self.path.read_bytes() != self.before[0]:
            write_atomically(self.path, self.before[0])
            os.utime(self.path, ns=(self.before[1].st_atime_ns, self.before[1].st_mtime_ns))


@contextlib.contextmanager
def tidied(sweep_place: Path | None) -> Iterator[SweepRecord | None]:
    """Leave nothing of Hydra's in the directory of a sweep, nor the directory itself where nothing has run."""
    if sweep_place is None:
        yield None
        return
    new = [path for path in (sweep_place, sweep_place.parent) if not path.exists()]
    record = SweepRecord(sweep_place)
    try:
        yield record
    finally:
        with contextlib.suppress(OSError):  # the directory is missing, or holds runs
            record.undo()
            for path in new:
                path.rmdir()
