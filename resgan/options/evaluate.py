"""The options of `python -m resgan.evaluate`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.base.plain_data import format_value
from resgan.options.checkpoint import CheckpointOptions
from resgan.options.choices import Fit
from resgan.options.metrics import MetricsOptions
from resgan.options.numbers import Pixels, ReadFactor, Seed
from resgan.options.validation import option


class EvaluateOptions(CheckpointOptions):
    """All options of `python -m resgan.evaluate`."""

    ckpt: Annotated[str, Field(min_length=1)] | None = option(
        "a checkpoint; a directory: the final ones of all runs below, or the newest of a run"
    )
    fake: Annotated[str, Field(min_length=1)] | None = option(
        "images to score instead of a checkpoint: a folder, zip, tar or npz"
    )
    real: Annotated[str, Field(min_length=1)] | None = option(
        "what to compare with: a data set's name, a folder, zip, tar or npz; null: the run's data"
    )
    split: Annotated[str, Field(min_length=1)] | None = option(
        "train or holdout of a data set; a name for a folder, train if it is a whole training set"
    )
    size: Pixels | None = option("pixels of a side of images of folders, see fit; null: as they are")
    fit: Fit = option("how images of folders become square: cut, with black bars, or squashed")
    enlarge: bool = option("enlarge smaller images of folders; false: refuse them, or with fit=pad add bars")
    channels: Literal[1, 3] = option("channels of images of folders: 1 for grey, 3 for colour")
    limits: ReadFactor = option(
        "factor on what is read at most: 100 megapixels of an image, 64 GiB of an archive or npz"
    )
    cache: bool = option("keep the decoded images of real, as data.cache does in training")
    root: str = option("folder with the files of a torchvision data set")
    seed: Seed = option("seed of the latents, and of a data set given by name")
    averaged: bool = option("use the averaged weights of a checkpoint; false: the raw weights")
    outdir: Annotated[str, Field(min_length=1)] | None = option(
        "directory for metrics.jsonl; null: evaluation/, in the checkpoint's run or here"
    )
    metrics: MetricsOptions
    device: Literal["auto", "cpu", "gpu", "mps"] = option("device to run on")
    progress: bool = option("show progress bars")

    @model_validator(mode="after")
    def _one_subject(self) -> "EvaluateOptions":
        if (self.ckpt is None) == (self.fake is None):
            raise ValueError(f"ckpt={format_value(self.ckpt)} with fake={format_value(self.fake)}: give one of them")
        if self.fake is not None and self.real is None:
            raise ValueError("real=null: fake images need something to be compared with")
        return self
