"""The options of `python -m resgan.sample`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.base.plain_data import format_value
from resgan.options.checkpoint import CheckpointOptions
from resgan.options.conf import read_primary
from resgan.options.numbers import MOST, Positive
from resgan.options.seeds import parse_seeds
from resgan.options.validation import option

FILMS = ("gif", "mp4", "html")  # formats that can be films; html is also a page of samples
GIF_FPS = 50  # browsers slow a GIF down whose frames last less than 2 hundredths of a second
FOR_TRAINING = {"ckpt", "outdir", "format", "film", "fps", "loop"}  # the options that film=training takes


class SampleOptions(CheckpointOptions):
    """All options of `python -m resgan.sample`."""

    ckpt: str = option("a checkpoint, or a run directory: its final.ckpt, else the newest")
    outdir: str = option("directory for the samples; created if missing")
    seeds: str = option("seeds of the samples, e.g. 0-63 or 1,5,8-12")
    format: Literal["png", "grid", "npz", "zip", "gif", "mp4", "html"] = option(
        "files, one image, an array, a zip, a film or a page"
    )
    class_: str | int | None = Field(
        description="number or name of a class, several (cat,dog) or all: a row each; null: as in the data",
        alias="class",
    )
    averaged: bool = option("use the averaged weights; false: the raw weights")
    truncation: Annotated[float, Field(ge=0.001, le=4)] | None = option(
        "draw latents from the normal within +- this, e.g. 1: samples vary less; null: all of it"
    )
    interpolate: int = option("steps from each seed to the next, a walk; 0: the seeds alone", ge=0, le=MOST)
    loop: bool | None = option("end a walk where it began, and play again and again; null: films alone")
    film: Literal["training"] | None = option(
        "training: a film of the grids that a run saved while it trained; null: sample the GAN"
    )
    tiles: Positive = option("walks side by side in a film, each through its own part of the seeds")
    fps: Annotated[float, Field(ge=0.01, le=60)] | None = option(
        "frames a second of a film; null: 25, and 4 with film=training"
    )
    columns: Positive | None = option("columns of a grid or of tiles; null: about a square, or a row per walk or class")
    device: Literal["auto", "cpu", "gpu", "mps"] = option("device to run on")

    @property
    def is_film(self) -> bool:
        return self.format in FILMS and (self.film is not None or self.interpolate > 0)

    @property
    def looping(self) -> bool:
        return self.is_film if self.loop is None else self.loop

    @property
    def frames_a_second(self) -> float:
        return self.fps or (25 if self.film is None else 4)

    @model_validator(mode="after")
    def _seeds_suffice(self) -> "SampleOptions":
        count = len(parse_seeds(self.seeds))
        if self.interpolate and self.tiles > 1 and (count % self.tiles or count < 2 * self.tiles):
            raise ValueError(
                f"tiles={self.tiles} with seeds={self.seeds}: these are {count}, and each tile walks through as many; "
                f"give a multiple of {self.tiles}, at least {2 * self.tiles}"
            )
        if self.interpolate and count < 2:
            raise ValueError(f"interpolate={self.interpolate} with seeds={self.seeds}: a walk needs at least two seeds")
        return self

    @model_validator(mode="after")
    def _options_of_films(self) -> "SampleOptions":
        if self.format in ("gif", "mp4") and not self.is_film:
            raise ValueError(
                f"format={self.format}: a film needs interpolate=K, the steps from seed to seed, or film=training"
            )
        if self.fps and not self.is_film:
            raise ValueError(
                f"fps={self.fps:g}: is for films: format=gif, mp4 or html, with interpolate or film=training"
            )
        if self.tiles > 1 and not self.is_film:
            raise ValueError(f"tiles={self.tiles}: is for films: format=gif, mp4 or html, with interpolate")
        if self.loop is not None and not (self.interpolate or self.is_film):
            raise ValueError(f"loop={format_value(self.loop)}: there is no walk and no film; give interpolate=K")
        if self.format == "gif" and self.frames_a_second > GIF_FPS:
            raise ValueError(f"fps={self.fps:g}: a GIF shows at most {GIF_FPS} frames a second; use format=mp4 or html")
        return self

    @model_validator(mode="after")
    def _training_is_what_it_was(self) -> "SampleOptions":
        if self.film is None:
            return self
        if self.format not in FILMS:
            raise ValueError(f"film=training with format={self.format}: expected format=gif, mp4 or html")
        defaults = read_primary("sample")[0]
        for name, value in self.model_dump(by_alias=True, exclude={"generator", "disc"}).items():
            if name not in FOR_TRAINING and value != defaults[name]:
                raise ValueError(
                    f"film=training with {name}={format_value(value)}: the film shows grids that a run has saved; "
                    f"leave {name} out"
                )
        return self
