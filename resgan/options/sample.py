"""The options of `python -m resgan.sample`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.options.checkpoint import CheckpointOptions
from resgan.options.seeds import parse_seeds
from resgan.options.validation import Positive, option


class SampleOptions(CheckpointOptions):
    """All options of `python -m resgan.sample`."""

    ckpt: str = option("the checkpoint, e.g. runs/.../checkpoints/final.ckpt")
    outdir: str = option("directory for the samples; created if missing")
    seeds: str = option("seeds of the samples, e.g. 0-63 or 1,5,8-12")
    format: Literal["png", "grid", "npz", "zip"] = option("a file per sample, one image, one array, or a zip of files")
    class_: str | int | None = Field(
        description="number or name of a class (class-conditional GANs); null: all, as often as in the data",
        alias="class",
    )
    averaged: bool = option("use the averaged weights; false: the raw weights")
    truncation: Annotated[float, Field(gt=0)] | None = option(
        "truncate the latents' normal distribution at +- this; null: no truncation"
    )
    interpolate: int = option("interpolation steps from each seed to the next; 0: the seeds alone", ge=0)
    columns: Positive | None = option("columns of the grid; null: interpolate, or if that is 0 about a square")
    device: Literal["auto", "cpu", "gpu", "mps"] = option("device to run on")

    @model_validator(mode="after")
    def _seeds_are_numbers(self) -> "SampleOptions":
        parse_seeds(self.seeds)
        return self
