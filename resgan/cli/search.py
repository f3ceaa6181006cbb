"""Read what `resgan.sweep` searches from its line: options of `resgan.train`, some of them with a range or a list."""

import contextlib
import itertools
from collections.abc import Sequence
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from resgan.base.errors import OptionsError
from resgan.base.plain_data import PlainData, flat, format_value
from resgan.cli.arguments import as_options, quoted
from resgan.cli.compose import TRAIN, compose_options
from resgan.cli.errors import explain
from resgan.experiment.sweep.space import Dimension, Search
from resgan.options.sweep import SweepOptions
from resgan.options.train import TrainOptions
from resgan.runs.naming import SPELLING, arm_name

SWITCHES = ("generator.residual", "disc.residual")
RATE, PENALTY = 5.0, 10.0  # factors of the default ranges, either way; as for tuning.generator_lr, tuning.penalty
NOT_HERE = ("study", "replicate", "run_dir", "hydra")
NOT_SEARCHED = ("seed", "seeds", "total_kimg")  # the luckiest seed is no finding, and trials are to be of one length


def read_search(words: Sequence[str], options: SweepOptions) -> tuple[Search, TrainOptions]:
    """Read the arms and the options to search, and check that every end of a range makes a run. Raises OptionsError.

    Returns also the options of a run where nothing is searched.
    """
    GlobalHydra.instance().clear()  # that of the command itself, which has been composed: there can be only one
    overrides = parse(words)
    swept = [override for override in overrides if override.is_sweep_override()]
    fixed = [word for word, override in zip(words, overrides, strict=True) if not override.is_sweep_override()]
    config: PlainData = {}
    with contextlib.suppress(OptionsError):  # what is searched may have no default
        config = flat(configured(fixed).model_dump())
    ends = {override.key_or_group: dimension_of(override, config).ends for override in swept}
    usual = configured([*fixed, *(f"{key}={values[0]}" for key, values in ends.items())])
    arms = arms_of(fixed, ends) if options.arms == "alike" else {"all": []}
    dimensions = [
        dimension_of(override, config)
        for override in swept
        if options.arms == "searched" or override.key_or_group not in SWITCHES
    ]
    if not dimensions:
        dimensions, tied = usual_search(config, fixed)
        fixed += tied
    for arm in arms.values():
        check_ends(fixed + arm, dimensions)
    found = Search(
        arms=arms,
        words=fixed,
        dimensions=tuple(dimensions),
        seeds=tuple(one.seed for one in usual.each_seed()),
        nested=usual.seeds is not None,
        images=round(1000 * usual.total_kimg),
        sampler=options.sampler,
        sampler_seed=options.sampler_seed,
        prune=options.prune,
    )
    return found, usual


def configured(words: Sequence[str]) -> TrainOptions:
    options = compose_options(TRAIN, words)
    assert isinstance(options, TrainOptions)
    return options


def parse(words: Sequence[str]) -> list[Override]:
    """Parse the words by Hydra's grammar. Raises OptionsError for what is no option of a trial."""
    for word in as_options(list(words), TRAIN):
        if word.startswith("-"):
            raise OptionsError(f"{word}: expected option=value; see --help")
        if word.lstrip("+~").partition("=")[0].partition(".")[0].partition("/")[0] in NOT_HERE:
            raise OptionsError(f"{word}: a trial is one run of python -m resgan.train; give its options")
    try:
        overrides = OverridesParser.create().parse_overrides([quoted(word) for word in words])
    except HydraException as error:
        raise OptionsError(explain(error, TRAIN, list(words))) from None
    given: dict[str, Override] = {}
    for override in overrides:
        key = override.key_or_group
        if override.is_sweep_override() and key in NOT_SEARCHED:
            raise OptionsError(f"{override.input_line}: is not searched; give one value")
        if key in given and (override.is_sweep_override() or given[key].is_sweep_override()):
            raise OptionsError(f"{override.input_line}: {given[key].input_line} is given too; leave one of them out")
        given[key] = override
    return overrides


def arms_of(fixed: Sequence[str], ends: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the overrides of each arm by its name: every combination of the values of switches, as far as given."""
    values = []
    for switch in SWITCHES:
        typed = [word for word in fixed if word.startswith(f"{switch}=")]
        values.append([f"{switch}={value}" for value in ends[switch]] if switch in ends else typed[-1:] or [""])
    arms = [[word for word in arm if word] for arm in itertools.product(*values)]
    return {arm_name([], residual=residual_of([*fixed, *arm])) if arm else "all": arm for arm in arms}


def residual_of(words: Sequence[str]) -> tuple[bool, bool]:
    options = configured(words)
    return options.generator.residual, options.disc.residual


def dimension_of(override: Override, config: PlainData) -> Dimension:
    """Translate a range or a list of Hydra's grammar; `config` has the defaults. Raises OptionsError."""
    name, value, said = override.key_or_group, override.value(), override.input_line or ""
    default = config.get(name, config.get(f"{name}.name"))  # a group, such as loss, has the name of its file
    log = "log" in getattr(value, "tags", ())
    if isinstance(value, ChoiceSweep):
        given = (str(choice) for choice in override.sweep_string_iterator())
        choices = tuple(dict.fromkeys(SPELLING.get(choice, choice) for choice in given))
        usual = default if isinstance(default, str) else format_value(default)
        return Dimension(name, choices=choices, default=usual if usual in choices else None)
    number = default if isinstance(default, int | float) and not isinstance(default, bool) else None
    if isinstance(value, RangeSweep):
        values = sorted(value.range())
        if not values:
            raise OptionsError(f"{said}: the range is empty")
        low, high, step = values[0], values[-1], abs(value.step)
        whole = all(isinstance(one, int) for one in values)
        if log and (not whole or step != 1):
            raise OptionsError(f"{said}: a logarithmic range has no steps; use interval({low},{high})")
        inside = default in values
    elif isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        low, high, step = value.start, value.end, None
        whole = "int(" in said or isinstance(number, int)
        inside = number is not None and low <= number <= high
    else:
        raise OptionsError(f"{said}: expected interval(low,high), range(first,end,step) or choice(a,b)")
    if not low <= high or (log and low <= 0):
        raise OptionsError(f"{said}: expected low <= high" + (", and low > 0 with log" if log else ""))
    return Dimension(name, low, high, step, log, whole, default=default if inside else None)


def usual_search(config: PlainData, fixed: Sequence[str]) -> tuple[list[Dimension], list[str]]:
    """Return what is searched where nothing is named, and the words that tie one weight to another.

    Both learning rates, and the penalties with one weight; what is typed stays as it is.
    """
    typed = {word.lstrip("+").partition("=")[0] for word in fixed}
    found = [around(option, config[option], RATE) for option in ("generator.lr", "disc.lr") if option not in typed]
    penalties = [f"loss.{name}" for name in ("r1", "r2", "gp") if config[f"loss.{name}"]]
    if typed.intersection(penalties):
        penalties = []
    found += [around(penalty, config[penalty], PENALTY) for penalty in penalties[:1]]
    if not found:
        raise OptionsError("nothing is left to search: give a range, as in disc.lr=tag(log,interval(1e-4,1e-2))")
    return found, [f"{other}=${{{penalties[0]}}}" for other in penalties[1:] if config[other] == config[penalties[0]]]


def around(option: str, value: float, factor: float) -> Dimension:
    return Dimension(option, low=value / factor, high=value * factor, log=True, default=value)


def check_ends(words: Sequence[str], dimensions: Sequence[Dimension]) -> None:
    """Compose a run at every end of every range. Raises OptionsError for what is no run."""
    first = {dimension.option: dimension.ends[0] for dimension in dimensions}
    for dimension in dimensions:
        for end in dimension.ends:
            values: dict[str, Any] = first | {dimension.option: end}
            configured([*words, *(f"{key}={value}" for key, value in values.items())])
