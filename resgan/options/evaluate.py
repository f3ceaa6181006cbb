"""The options of `python -m resgan.evaluate`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.base.plain_data import format_value
from resgan.options.checkpoint import CheckpointOptions
from resgan.options.metrics import MetricsOptions
from resgan.options.validation import Positive, option


class EvaluateOptions(CheckpointOptions):
    """All options of `python -m resgan.evaluate`."""

    ckpt: Annotated[str, Field(min_length=1)] | None = option(
        "a checkpoint, or a directory: the final checkpoints of all runs below"
    )
    fake: Annotated[str, Field(min_length=1)] | None = option("pictures instead: a folder, zip, tar or npz")
    real: Annotated[str, Field(min_length=1)] | None = option(
        "compared with: a data set by name, or a folder, zip, tar, npz; null: the data of the run"
    )
    split: Annotated[str, Field(min_length=1)] | None = option(
        "train or holdout of a data set; of a folder what to call it: train if it is all of it"
    )
    size: Positive | None = option("resize and crop pictures of folders to so many pixels; null: as they are")
    channels: Literal[1, 3] = option("of pictures of folders: 1 for grey, 3 for colour")
    cache: bool = option("keep the decoded pictures of real, as data.cache does in training")
    root: str = option("of a torchvision set: the folder its files are in")
    seed: int = option("of the latents, and of the data set where it is given by name", ge=0)
    averaged: bool = option("the averaged weights of a checkpoint; false: the raw ones")
    outdir: Annotated[str, Field(min_length=1)] | None = option(
        "where metrics.jsonl goes; null: evaluation/, in the run of the checkpoint or here"
    )
    metrics: MetricsOptions
    device: Literal["auto", "cpu", "gpu", "mps"] = option("where to run")
    progress: bool = option("show progress bars")

    @model_validator(mode="after")
    def _one_subject(self) -> "EvaluateOptions":
        if (self.ckpt is None) == (self.fake is None):
            raise ValueError(f"ckpt={format_value(self.ckpt)} with fake={format_value(self.fake)}: give one of them")
        if self.fake is not None and self.real is None:
            raise ValueError("real=null: fake pictures need something to be compared with")
        return self
