"""The spec in a checkpoint: the options of both networks that a network is built from, without those of training."""

import math
from typing import Annotated, Any

from pydantic import Field, model_validator

from resgan.base.errors import OptionsError
from resgan.base.plain_data import PlainData
from resgan.options.networks import TRAINING, AnyDisc, AnyGenerator
from resgan.options.validation import Options, check

Side = Annotated[int, Field(ge=1, le=2**16)]
LARGEST_SAMPLE, LARGEST_LATENT = 2**26, 2**20  # numbers

# Options of training have no place in a spec; any valid values stand in for them while the others are checked.
ADAM = {"lr": 1.0, "lr_final": None, "betas": [0.0, 0.0], "beta2_final": None, "decay": "none"}
AVERAGE = {"batch_size": None, "ema_kimg": 0.0, "ema_kimg_final": None, "ema_ramp": 0.0}
STAND_INS: dict[str, PlainData] = {"generator": ADAM | AVERAGE, "disc": ADAM | {"steps": 1}}


class SpecOptions(Options):
    """The spec, of today's names, as typed data."""

    data: str = ""  # the name of the data set
    shape: Annotated[list[Side], Field(min_length=1, max_length=3)]
    seed: Annotated[int, Field(ge=0)]
    generator: AnyGenerator
    disc: AnyDisc
    classes: dict[str, Annotated[float, Field(ge=0, le=1)]]  # names and shares; empty: not class-conditional

    @model_validator(mode="after")
    def _can_be_sampled(self) -> "SpecOptions":
        if math.prod(self.shape) > LARGEST_SAMPLE:
            raise ValueError(f"shape={self.shape}: expected at most {LARGEST_SAMPLE:,} numbers")
        if self.generator.latent_dim > LARGEST_LATENT:
            raise ValueError(f"generator.latent_dim={self.generator.latent_dim}: expected at most {LARGEST_LATENT:,}")
        if self.classes and abs(sum(self.classes.values()) - 1) > 1e-3:
            raise ValueError("classes: expected shares that sum to 1")
        return self


def check_spec(spec: PlainData) -> None:
    """Check a spec in today's names. Raises OptionsError, which names the option and says what is valid."""
    values: dict[str, Any] = dict(spec)
    for network, stand_ins in STAND_INS.items():
        own = dict(spec[network])
        if strange := sorted(TRAINING & own.keys()):
            raise OptionsError(f"{network}.{strange[0]}: has no place in a spec")
        if own.get("name") == "module":
            own.pop("sha256", None)  # of the file of a user-defined class
        values[network] = stand_ins | own
    check(SpecOptions, values)
