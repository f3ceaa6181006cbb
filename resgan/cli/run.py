"""The entry point of every command: --help at once, everything else through Hydra."""

import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from resgan.base.console import end_unread
from resgan.cli.arguments import apart
from resgan.cli.command import Command
from resgan.cli.help import help_text
from resgan.experiment.study import Job


def run_with_words(command: Command, run: Callable[..., object]) -> None:
    """Run a command that passes on what is no option of its own: `run` gets these `words`, as typed."""
    own, words = apart(sys.argv[1:], {*command.options.model_fields, "--help", "-h", "--hydra-help"})
    sys.argv[1:] = own
    run_command(command, partial(run, words=words))


def run_command(command: Command, run: Callable[[Any, Job], object]) -> None:
    """Compose, check and run; invalid input ends the process with status 2, without a traceback."""
    arguments = sys.argv[1:]
    try:
        if {"--help", "-h"} & set(arguments):
            print(help_text(command))
        else:
            from resgan.cli.launch import launch  # not needed for --help, and importing Hydra takes a third of a second

            launch(command, run, arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        end_unread()
