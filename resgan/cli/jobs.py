"""Compose and check all jobs of a line of `resgan.train` without running any: of a study, a sweep, or one run."""

import functools
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from resgan.base.errors import OptionsError
from resgan.cli.arguments import (
    as_options,
    is_sweep,
    last_value,
    one_job_for_all_seeds,
    quoted,
    refuse_bases,
    refuse_stacks_side_by_side,
    sweep_place,
)
from resgan.cli.command import Command
from resgan.cli.compose import TRAIN
from resgan.cli.errors import explain
from resgan.cli.study import options_from, read_study, with_seed
from resgan.experiment.study import Study
from resgan.options.conf import CONF
from resgan.options.train import TrainOptions


def compose_jobs(words: list[str]) -> Study:
    """Compose the jobs; those of a sweep or of one run are a study without a name. Raises OptionsError."""
    words = as_options(words, TRAIN)
    refuse_bases(words)
    refuse_stacks_side_by_side(words)
    given = one_job_for_all_seeds(words, TRAIN)
    GlobalHydra.instance().clear()  # that of the command that asks, which has done its work: there can be only one
    try:
        if last_value("study", given) is None:
            return read_sweep(TRAIN, given)
        study = read_study(TRAIN, given, sweep_place(given) or Path())
    except (HydraException, OmegaConfBaseException) as error:
        raise OptionsError(explain(error, TRAIN, given)) from None
    except ValueError as error:
        if "Config group override" not in str(error):
            raise
        raise OptionsError(explain(error, TRAIN, given)) from None
    if study is None:
        raise OptionsError("hydra/sweeper: this one chooses jobs as it goes, so they cannot be planned; use basic")
    return study


def read_sweep(command: Command, words: list[str]) -> Study:
    """Compose and check the jobs of a sweep, or the only one of a line without a sweep. Raises OptionsError."""
    given = get_args_parser().parse_args([quoted(word) for word in words])
    presets = [f"hydra.searchpath=['{Path(given.config_dir).absolute()}']"] if given.config_dir else []
    overrides = OverridesParser.create().parse_overrides(given.overrides)
    swept = [override.input_line for override in overrides if override.is_sweep_override()]
    if swept and not is_sweep(words):
        raise OptionsError(f"{swept[0]}: several values make several runs; add -m for a sweep")
    [jobs] = BasicSweeper.split_arguments(overrides, None)
    with initialize_config_dir(str(CONF), version_base="1.3"):

        @functools.cache
        def compose_options(*job: str) -> TrainOptions:
            options = options_from(compose(command.primary, [*job, *presets]), command, job)
            assert isinstance(options, TrainOptions)
            return options

        found = [(job, with_seed(job, compose_options)) for job in jobs]
    runs = [(job, run) for job, options in found for run in options.each_seed()]
    seeds = len(runs) // len(found) if any(options.seeds is not None for _, options in found) else 1
    return Study("", Path(), runs, 1, seeds_of_job=seeds, stack_size=found[0][1].trainer.stack)
