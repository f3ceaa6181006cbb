"""The options of the scores."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.options.choices import NormMode, ScoreName
from resgan.options.validation import Options, option


class MetricsOptions(Options):
    samples: int = option("samples to score; in training, of the averaged generator", ge=2)
    extractor: Literal["cifarnet", "inception", "dinov2", "pixels", "module", "none"] = option(
        "features that the scores compare"
    )
    weights: Annotated[str, Field(min_length=1)] | None = option(
        "extractor weights: a file, download (inception), file.py:NAME (module), random (tests)"
    )
    resize: Literal["default", "clean"] = option("resizing of images for inception: TensorFlow 1's, or clean-fid's")
    scores: Annotated[list[ScoreName], Field(min_length=1)] = option("scores from the features")
    own: Annotated[str, Field(min_length=1)] | None = option("file.py:NAME of a user-defined score to add; null: none")
    norm_mode: NormMode = option("statistics that the generator's batch norms use")
    cache: Annotated[str, Field(min_length=1)] | None = option(
        "directory for statistics of real images; null: $RESGAN_CACHE or ~/.cache/resgan"
    )

    @model_validator(mode="after")
    def _weights_are_named(self) -> "MetricsOptions":
        if self.weights is None and self.extractor in ("inception", "dinov2", "module"):
            raise ValueError(f"weights=null: metrics.extractor={self.extractor} needs the file of its weights")
        return self
