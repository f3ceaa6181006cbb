"""The options of `python -m resgan.sample`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.options.checkpoint import CheckpointOptions
from resgan.options.seeds import parse_seeds
from resgan.options.validation import Positive, option


class SampleOptions(CheckpointOptions):
    """All options of `python -m resgan.sample`."""

    ckpt: str = option("the checkpoint, e.g. runs/.../checkpoints/final.ckpt")
    outdir: str = option("where the samples go; made if it is not there")
    seeds: str = option("which samples: e.g. 0-63, or 1,5,8-12")
    format: Literal["png", "grid", "npz", "zip"] = option("a file each, one picture, one array, or an archive of files")
    class_: str | int | None = Field(
        description="class to sample, number or name (class-conditional GANs); null: as often as in the data",
        alias="class",
    )
    averaged: bool = option("the averaged weights; false: the raw ones")
    truncation: Annotated[float, Field(gt=0)] | None = option(
        "cut the normal of the latents at +- this; null: not at all"
    )
    interpolate: int = option("so many steps from each seed to the next; 0: the seeds alone", ge=0)
    columns: Positive | None = option("of the grid; null: about a square")
    device: Literal["auto", "cpu", "gpu", "mps"] = option("where to run")

    @model_validator(mode="after")
    def _seeds_are_numbers(self) -> "SampleOptions":
        parse_seeds(self.seeds)
        return self
