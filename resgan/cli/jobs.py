"""Compose and check all jobs of a line of `resgan.train` without running any: of a study, a sweep, or one run."""

from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser

from resgan.base.errors import OptionsError
from resgan.cli.arguments import (
    as_options,
    flags_first,
    is_sweep,
    one_job_for_all_seeds,
    quoted,
    refuse_bases,
    refuse_endless,
    refuse_several_studies,
    refuse_stacks_side_by_side,
    sweep_place,
)
from resgan.cli.compose import TRAIN
from resgan.cli.errors import explained
from resgan.cli.presets import check_presets
from resgan.cli.study import read_study
from resgan.experiment.study import Study


def compose_jobs(words: list[str]) -> Study:
    """Compose the jobs; those of a sweep or of one run are a study without a name. Raises OptionsError."""
    words = as_options(words, TRAIN)
    refuse_bases(words)
    refuse_endless(words)
    refuse_several_studies(words)
    check_presets(words)
    refuse_stacks_side_by_side(words)
    given = one_job_for_all_seeds(words, TRAIN)
    GlobalHydra.instance().clear()  # that of the command that asks, which has done its work: there can be only one
    with explained(TRAIN, given):
        refuse_several_values(given)
        study = read_study(TRAIN, given, sweep_place(given) or Path())
    if study is None:
        raise OptionsError("hydra/sweeper: this one chooses jobs as it goes, so they cannot be planned; use basic")
    return study


def refuse_several_values(words: list[str]) -> None:
    """Refuse an option with several values on a line that is no sweep. Raises OptionsError, Hydra's errors."""
    if is_sweep(words):
        return
    given = get_args_parser().parse_args([quoted(word) for word in flags_first(words)])
    for override in OverridesParser.create().parse_overrides(given.overrides):
        if override.is_sweep_override():
            raise OptionsError(f"{override.input_line}: several values make several runs; add -m for a sweep")
