"""The range of every number that may be given: wide enough for any use, narrow enough to be computed with."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

IMAGE = 0.001  # kimg: fewer are no image

MOST_SAMPLES = 100_000_000
MOST_PIXELS = 8192  # of a side
MOST_BLOCKS = 256  # of a stage: built one by one, some milliseconds each
MOST_RUNS = 10_000  # runs, trials, candidates
MOST = 1_000_000  # of what is counted in steps: images in a batch, intervals, frames


def whole_image(kimg: float) -> float:
    """Refuse a share of an image, which a schedule would round to never."""
    if 0 < kimg < IMAGE:
        raise PydanticCustomError("share_of_image", "expected 0, or at least {least} (one image)", {"least": IMAGE})
    return kimg


# Whole numbers.
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
ShortSeed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # as NumPy and Optuna take it
Positive = Annotated[int, Field(ge=1, le=MOST)]
Samples = Annotated[int, Field(ge=2, le=MOST_SAMPLES)]  # samples to train on, or to score
Pixels = Annotated[int, Field(ge=1, le=MOST_PIXELS)]
Width = Annotated[int, Field(ge=1, le=65_536)]  # channels, features, dimensions of the latent
Multiple = Annotated[int, Field(ge=1, le=256)]  # of a width
Blocks = Annotated[int, Field(ge=0, le=MOST_BLOCKS)]
Processes = Annotated[int, Field(ge=1, le=1024)]  # processes, devices, jobs side by side
Threads = Annotated[int, Field(ge=1, le=256)]  # each has a stack of megabytes, and systems allow some hundreds
Machines = Annotated[int, Field(ge=1, le=10_000)]
Runs = Annotated[int, Field(ge=0, le=MOST_RUNS)]

# Other numbers, where float32 holds them, and products of two of them less one of the widths above.
Kimg = Annotated[float, Field(ge=0, le=1e9), AfterValidator(whole_image)]  # thousands of images; 0: never, none
Length = Annotated[float, Field(ge=IMAGE, le=1e9)]  # thousands of images
Factor = Annotated[float, Field(ge=1e-30, le=1e30)]  # learning rates and factors that are not 0
Weight = Annotated[float, Field(ge=0, le=1e30)]  # of a penalty; 0: none
Signed = Annotated[float, Field(ge=-1e30, le=1e30)]
Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
Hours = Annotated[float, Field(ge=0.0001, le=100_000)]
ReadFactor = Annotated[float, Field(ge=1e-6, le=1e6)]  # a factor on what is read at most
Amount = Annotated[float, Field(ge=0.001, le=1e9)]  # a speed, gigabytes
Price = Annotated[float, Field(ge=0, le=1e9)]
