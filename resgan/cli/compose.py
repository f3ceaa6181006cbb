"""Compose options in Python from conf/, as the commands do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from resgan.base.errors import OptionsError
from resgan.cli.arguments import last_value, quoted, refuse_bases, refuse_endless
from resgan.cli.command import Command
from resgan.cli.errors import explained
from resgan.cli.study import options_from
from resgan.options.conf import CONF
from resgan.options.evaluate import EvaluateOptions
from resgan.options.train import TrainOptions
from resgan.options.validation import Options

if TYPE_CHECKING:
    from torch import Tensor

TRAIN = Command(name="train", options=TrainOptions, about="", examples="")
EVALUATE = Command(name="evaluate", options=EvaluateOptions, about="", examples="")


def configure(*overrides: str) -> TrainOptions:
    """Compose and check the options of one run from the words of the command line.

    configure("data=gaussians", "generator.residual=true", "disc.residual=false", "seed=1"); without any, the defaults.
    Raises OptionsError, a ValueError whose one line names the option, the value and what is valid.
    """
    options = cast(TrainOptions, compose_options(TRAIN, overrides))
    options.remember(overrides)
    return options


def score(
    fake: Tensor | str | Path, real: Tensor | str | Path | None = None, *overrides: str
) -> dict[str, float | None]:
    """Score samples against real ones; returns scores by name.

    fake: images (N, C, H, W), uint8, or floats in [-1, 1]; points (N, 2); a folder, zip, tar or npz; or a checkpoint.
    real: the same, or a data set by name, such as "cifar10"; None: what the checkpoint was trained on.
    overrides: options of `python -m resgan.evaluate`, such as "metrics=fid" or "metrics.scores=[frechet]".
    Raises OptionsError and other subclasses of ValueError, in one line.
    """
    from resgan.base.images import as_uint8
    from resgan.experiment.evaluation import scores_of

    tensors: dict[str, Tensor] = {}
    given = ["progress=false"]
    for name, value in (("fake", fake), ("real", real)):
        if isinstance(value, str | Path):
            name = "ckpt" if name == "fake" and Path(value).suffix == ".ckpt" else name
            given.append(f"{name}={value}")
        elif value is not None:
            tensors[name] = as_uint8(value) if value.ndim == 4 else value
            given.append(f"{name}=tensor")
    options = cast(EvaluateOptions, compose_options(EVALUATE, [*given, *overrides]))
    return scores_of(options, **tensors)


def compose_options(command: Command, overrides: Sequence[str]) -> Options:
    """Compose and check the options of a command. Raises OptionsError, also for overrides that make several jobs."""
    given = [quoted(override) for override in overrides]
    for name in ("study", "replicate"):
        if (value := last_value(name, given)) is not None:
            raise OptionsError(
                f"{name}={value}: stands for many runs, which is for the command line; give the options of one run"
            )
    refuse_bases(given)
    refuse_endless(given)
    with explained(command, given):
        for override in OverridesParser.create().parse_overrides(given):
            if override.is_sweep_override():
                raise OptionsError(f"{override.input_line}: is a sweep, which is for the command line; give one value")
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return options_from(compose(command.primary, given), command, given)
