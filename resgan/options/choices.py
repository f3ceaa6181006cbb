"""The fixed sets of choices, each defined once for both the options and the constructors."""

from typing import Literal

# Blocks.
Kind = Literal["preact", "postact", "bottleneck", "stylegan2"]
Join = Literal["stable", "sum", "scaled", "gated"]
Norm = Literal["none", "batch", "group", "pixel", "layer"]
NormPlace = Literal["trunk", "branch"]
Init = Literal["he", "glorot", "orthogonal", "matched", "looks_linear", "zero_last", "fixup", "dirac"]
Skip = Literal["identity", "orthogonal", "forward", "gradient"]
FanIn = Literal["effective", "nominal"]

# Images at a path.
Fit = Literal["crop", "pad", "resize"]

# Published networks.
PublishedInit = Literal["published", "he", "glorot", "orthogonal"]
Projection = Literal["skip", "trunk"]
Upsample = Literal["nearest", "bilinear"]
Pool = Literal["sum", "mean"]

# Classes.
GeneratorConditioning = Literal["none", "norm", "concat"]
DiscConditioning = Literal["none", "projection", "concat"]

# Training.
Decay = Literal["none", "linear", "cosine"]
Operation = Literal["flip", "colour", "translation", "cutout"]
Adaptation = Literal["none", "r_t", "r_v"]

Precision = Literal["32-true", "bf16-mixed"]
PrecisionOrAuto = Literal["auto", "32-true", "bf16-mixed"]
WandbMode = Literal["auto", "online", "offline", "disabled"]

# Scores.
ScoreName = Literal["frechet", "infinity", "kernel", "small_kernel", "inception_score", "precision_recall"]
ScoreChoice = Literal["all", ScoreName]
NormMode = Literal["running", "batch", "recomputed"]
Direction = Literal["lower", "higher", "none"]
Scale = Literal["share", "distance", "plain"]
Counted = Literal["n_fake", "n_real", "valid"]
