"""The options of the scores."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.base.plain_data import format_value
from resgan.options.choices import NormMode, ScoreChoice
from resgan.options.numbers import Samples
from resgan.options.validation import Options, option

# Three sizes, none of which resgan can verify: it knows no sha256 of the authors' files, so it fetches none.
DINOV2 = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth"

Score = Annotated[ScoreChoice, "named in its meaning"]  # as a bare Literal, --help would name them once more


class MetricsOptions(Options):
    samples: Samples = option("samples to score; in training, of the averaged generator")
    extractor: Literal["cifarnet", "inception", "dinov2", "pixels", "module", "none"] = option(
        "features that the scores compare"
    )
    weights: Annotated[str, Field(min_length=1)] | None = option(
        "file of weights, or file.py:NAME (module), random (tests); null: shipped, or fetched once"
    )
    resize: Literal["default", "clean"] = option("resizing of images for inception: TensorFlow 1's, or clean-fid's")
    scores: Annotated[list[Score], Field(min_length=1)] = option(
        "all, or some of frechet, infinity, kernel, small_kernel, inception_score, precision_recall"
    )
    own: Annotated[str, Field(min_length=1)] | None = option("file.py:NAME of a user-defined score to add; null: none")
    norm_mode: NormMode = option("statistics that the generator's batch norms use")
    cache: Annotated[str, Field(min_length=1)] | None = option(
        "directory for statistics of real images; null: $RESGAN_CACHE or ~/.cache/resgan"
    )

    @model_validator(mode="after")
    def _all_stands_alone(self) -> "MetricsOptions":
        if "all" in self.scores and len(self.scores) > 1:
            raise ValueError(f"scores={format_value(self.scores)}: all stands alone; leave it out, or the others")
        return self

    @model_validator(mode="after")
    def _weights_are_named(self) -> "MetricsOptions":
        if self.weights is None and self.extractor == "module":
            raise ValueError("weights=null: metrics.extractor=module needs file.py:NAME of your network")
        if self.weights is None and self.extractor == "dinov2":
            raise ValueError(f"weights=null: metrics.extractor=dinov2 needs the file of its weights, such as {DINOV2}")
        return self
