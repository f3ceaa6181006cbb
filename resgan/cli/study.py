"""Prepare a sweep: compose and check every job; announce a study."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

from resgan.base.console import one_line, stop
from resgan.base.errors import OptionsError, UserError
from resgan.base.plain_data import PlainData, flat
from resgan.cli.arguments import PATHS, flags_first, last_value, quoted
from resgan.cli.command import Command
from resgan.cli.launchers import in_this_process, jobs_at_once, on_a_cluster
from resgan.experiment.study import Study
from resgan.options.conf import CONF, read_file
from resgan.options.train import TrainOptions
from resgan.options.validation import Options, check


def options_from(config: DictConfig, command: Command, overrides: Sequence[str]) -> Options:
    """Turn a composed configuration into the checked options of a command. Raises OptionsError, OmegaConf's errors."""
    refuse_environment(config)
    values = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(values, dict)
    given = {str(key): value for key, value in values.items()}
    for network in ("generator", "disc"):
        if isinstance(given.get(network), dict) and given[network].get("name") == "module":
            given[network] = for_own_network(network, given[network], overrides)
    return check(command.options, given)


def refuse_environment(config: DictConfig) -> None:
    """Refuse ${oc.env:...} in an option that is no path: what an option is stands in config.yaml, in checkpoints and at
    W&B, so that a secret would too. Raises OptionsError.
    """
    for name, value in flat(cast(PlainData, OmegaConf.to_container(config, resolve=False))).items():
        if "oc.env" in str(value) and name not in PATHS:
            raise OptionsError(f"{name}={value}: only a path may come from the environment, since options are stored")


def for_own_network(network: str, group: PlainData, overrides: Sequence[str]) -> PlainData:
    """Reset a user-defined network's group, except what was typed: data sets and studies mean other networks."""
    usual, typed = read_file(network, "module").of_group(network), {"kwargs"}
    for override in overrides:
        name, _, value = override.lstrip("+").partition("=")
        names = read_file("experiment", value).values if name == "experiment" else [name]
        typed |= {option.removeprefix(f"{network}.") for option in names}
    own = {key: usual[f"{network}.{key}"] for key in group if f"{network}.{key}" in usual}
    return own | {key: value for key, value in group.items() if key in typed}


@contextlib.contextmanager
def announced(command: Command, arguments: list[str], place: Path | None) -> Iterator[Study | None]:
    """Check and announce all jobs of a sweep before the first begins, and report on its runs however it ends."""
    if place is None:
        yield None
        return
    if not issubclass(command.options, TrainOptions):
        compose_each(command, arguments, lambda job, compose: compose(*job))
        yield None
        return
    study = read_study(command, arguments, place)
    if study is None or command.before_study is None:
        yield None
        return
    try:
        command.before_study(study)
    except UserError as error:
        stop(one_line(error))
    try:
        yield study
    finally:
        if command.after_study is not None:
            command.after_study(study)


def read_study(command: Command, arguments: list[str], place: Path) -> Study | None:
    """Compose and check all jobs of a sweep, or the only one of a line without; None if its sweeper chooses jobs as it
    goes. A study has a name, another sweep none. Raises OptionsError, Hydra's errors.
    """
    composed = compose_each(command, arguments, with_seed)
    if composed is None:
        return None
    settings, overrides, found = composed
    found = [(job, cast(TrainOptions, options)) for job, options in found]
    shares_stacks(settings, found[0][1])  # refuses
    runs = [(job, run) for job, options in found for run in options.each_seed()]
    seeds = len(runs) // len(found) if any(options.seeds is not None for _, options in found) else 1
    return Study(
        last_value("study", arguments) or "",
        place,
        runs,
        jobs_at_once(settings),
        seeds_of_job=seeds,
        on_cluster=on_a_cluster(settings),
        stack_size=found[0][1].trainer.stack,
        varied=varied_options(settings, overrides),
    )


def compose_each(
    command: Command, arguments: list[str], compose_job: Callable[[list[str], Callable[..., Any]], Options]
) -> tuple[Any, list[Override], list[tuple[list[str], Options]]] | None:
    """Compose and check the jobs of a line, each by `compose_job(overrides, compose)`; None as in `read_study`.

    Returns Hydra's settings, the overrides of the line, and each job's overrides and options.
    """
    given = get_args_parser().parse_args([quoted(argument) for argument in flags_first(arguments)])
    presets = [f"hydra.searchpath=['{Path(given.config_dir).absolute()}']"] if given.config_dir else []
    parse = OverridesParser.create().parse_overrides
    overrides = parse(given.overrides)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        single = [o.input_line or "" for o in overrides if not o.is_sweep_override()]
        settings = compose(command.primary, [*single, *presets], return_hydra_config=True).hydra
        if not has_fixed_jobs(settings):
            return None
        swept = [f"{option}={values}" for option, values in (settings.sweeper.params or {}).items()]
        [jobs] = BasicSweeper.split_arguments(parse([*swept, *given.overrides]), None)

        @functools.cache
        def compose_options(*job: str) -> Options:
            return options_from(compose(command.primary, [*job, *presets]), command, job)

        return settings, overrides, [(job, compose_job(job, compose_options)) for job in jobs]


def varied_options(settings: Any, overrides: Sequence[Override]) -> frozenset[str] | None:
    """Return the options that a sweep varies, by a study's file or as typed; None if its sweeper chooses them."""
    if not has_fixed_jobs(settings):
        return None
    typed = {override.key_or_group for override in overrides if override.is_sweep_override()}
    return frozenset(typed | set(settings.sweeper.params or {}))


def with_seed(job: list[str], compose_options: Callable[..., TrainOptions]) -> TrainOptions:
    """Return the options of a job. Seeds and replicates share one composition, which takes a tenth of a second."""
    first, numbers = list(job), {}
    for k, override in enumerate(job):
        name, _, value = override.partition("=")
        if name in ("seed", "replicate"):
            numbers[name] = value
            first[k] = f"{name}=0"
    if not all(value.isdecimal() for value in numbers.values()):
        return compose_options(*job)
    return compose_options(*first).with_values({name: int(value) for name, value in numbers.items()})


def shares_stacks(settings: Any, options: Options) -> bool:
    """Are the runs of a sweep's jobs trained in common stacks? A launcher of several processes lets replicates make
    their own. Raises OptionsError for other jobs there, and beside a sweeper that waits for results.
    """
    size = options.trainer.stack if isinstance(options, TrainOptions) else 1
    if size == 1:
        return False
    alone, fixed = in_this_process(settings), has_fixed_jobs(settings)
    if isinstance(options, TrainOptions) and options.replicate is not None:
        return alone and fixed
    if not alone:
        raise OptionsError(f"trainer.stack={size}: a stack is one process; use 1 where jobs run side by side")
    if not fixed:
        raise OptionsError(f"trainer.stack={size}: this hydra/sweeper waits for each result; use 1 with it")
    return True


def has_fixed_jobs(settings: Any) -> bool:
    """Return True if Hydra's sweeper knows all jobs beforehand, False if it chooses them as it goes."""
    return settings.sweeper._target_.endswith("BasicSweeper")
