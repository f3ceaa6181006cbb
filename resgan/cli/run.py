"""The entry point of every command: --help at once, everything else through Hydra."""

import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from resgan.base.console import end_unread, stop
from resgan.base.signals import stop_signals
from resgan.base.versions import version_text
from resgan.cli.arguments import apart
from resgan.cli.command import Command
from resgan.cli.completion import SCRIPTS, TRAIN, complete, script
from resgan.cli.help import help_text
from resgan.experiment.study import Job

OWN_FLAGS = ("--help", "-h", "--hydra-help", "--version")


def run_with_words(command: Command, run: Callable[..., object]) -> None:
    """Run a command that passes on what is no option of its own: `run` gets these `words`, as typed."""
    if is_completion(sys.argv[1:]):
        print_completion(sys.argv[1:], [command, TRAIN])
        return
    own, words = apart(sys.argv[1:], {*command.options.model_fields, *OWN_FLAGS})
    sys.argv[1:] = own
    run_command(command, partial(run, words=words))


def run_command(command: Command, run: Callable[[Any, Job], object]) -> None:
    """Compose, check and run; invalid input ends the process with status 2, without a traceback."""
    arguments = sys.argv[1:]
    try:
        if {"--help", "-h"} & set(arguments):
            print(help_text(command))
        elif "--version" in arguments:
            print(version_text())
        elif is_completion(arguments):
            print_completion(arguments, [command])
        else:
            from resgan.cli.launch import launch  # not needed for --help, and importing Hydra takes a third of a second

            launch(command, run, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        end_unread()
    except KeyboardInterrupt:  # before the command listens to signals, such as while Hydra is imported
        end_undisturbed()
        stop("stopped by SIGINT", status=128 + signal.SIGINT)
    except SystemExit as ended:
        if isinstance(ended.code, int) and ended.code > 128:
            end_undisturbed()
        raise


def end_undisturbed() -> None:
    """Ignore further Ctrl-C once a signal ends the command: Python would print a traceback of its own exit."""
    if stop_signals():
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def is_completion(arguments: list[str]) -> bool:
    return arguments[:1] in (["--complete"], ["--completion"])


def print_completion(arguments: list[str], commands: list[Command]) -> None:
    """Print the script for a shell, or the words that the last of a line can become."""
    flag, value = arguments[0], " ".join(arguments[1:])
    if flag == "--complete":
        print("\n".join(complete(value, commands)))
    elif value in SCRIPTS:
        print(script(value))
    else:
        stop(f"--completion {value}".rstrip() + f": expected one of {', '.join(SCRIPTS)}")
