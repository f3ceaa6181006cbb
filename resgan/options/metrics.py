"""The options of the scores."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.options.choices import NormMode, ScoreName
from resgan.options.validation import Options, option


class MetricsOptions(Options):
    samples: int = option("samples to score, of the averaged generator", ge=2)
    extractor: Literal["cifarnet", "inception", "dinov2", "pixels", "module", "none"] = option(
        "features that are compared"
    )
    weights: Annotated[str, Field(min_length=1)] | None = option(
        "their file; of inception also download; of module file.py:NAME; random for tests"
    )
    resize: Literal["default", "clean"] = option("of pictures for inception: TensorFlow 1's, or clean-fid's")
    scores: Annotated[list[ScoreName], Field(min_length=1)] = option("scores that features give")
    own: Annotated[str, Field(min_length=1)] | None = option("a score of your own as well: file.py:NAME")
    norm_mode: NormMode = option("what batch norms of the generator go by")
    cache: Annotated[str, Field(min_length=1)] | None = option(
        "where statistics of real pictures are kept; null: $RESGAN_CACHE or ~/.cache/resgan"
    )

    @model_validator(mode="after")
    def _weights_are_named(self) -> "MetricsOptions":
        if self.weights is None and self.extractor in ("inception", "dinov2", "module"):
            raise ValueError(f"weights=null: metrics.extractor={self.extractor} needs the file of its weights")
        return self
