"""The options of the networks: one strict model per kind of generator and of discriminator."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from resgan.base.plain_data import format_value
from resgan.options.choices import (
    Decay,
    DiscConditioning,
    FanIn,
    GeneratorConditioning,
    Init,
    Join,
    Kind,
    Norm,
    NormPlace,
    Pool,
    Projection,
    PublishedInit,
    Skip,
    Upsample,
)
from resgan.options.numbers import (
    MOST_BLOCKS,
    Blocks,
    Factor,
    Kimg,
    Multiple,
    Positive,
    ShareBelowOne,
    Signed,
    Weight,
    Width,
)
from resgan.options.validation import Options, option

NETWORK = "lab (images), mlp (points, small images), of a paper (resnet, resnet101, r3gan, dcgan), or a module"
LAB_WIDTH = "channels: one number, or one per stage, lowest resolution first"
GROUP_SIZE = "channels per group in the 3x3 of a bottleneck"

Betas = Annotated[list[ShareBelowOne], Field(min_length=2, max_length=2)]
Stages = Field(min_length=1, max_length=16)  # of a list, one number for each stage


class AdamOptions(Options):
    """Options for training one network."""

    lr: Factor = option("learning rate of Adam")
    lr_final: Factor | None = option("learning rate after burn_in_kimg; null: unchanged")
    betas: Betas = option("Adam's decay rates beta1 and beta2")
    beta2_final: ShareBelowOne | None = option("beta2 after burn_in_kimg; null: unchanged")
    decay: Decay = option("how the learning rate falls to 0 over the run")

    @model_validator(mode="after")
    def _one_changes_the_rate(self) -> "AdamOptions":
        if self.lr_final is not None and self.decay != "none":
            raise ValueError(f"lr_final={self.lr_final:g}: decay={self.decay} changes the rate too; use decay=none")
        return self


class GeneratorTraining(AdamOptions):
    batch_size: Positive | None = option("latents per generator step; null: batch_size")
    ema_kimg: Kimg = option("half-life of the averaged weights, in thousands of images; 0: no average")
    ema_kimg_final: Kimg | None = option("that half-life after burn_in_kimg; null: unchanged")
    ema_ramp: Weight = option("upper limit of the half-life, as a share of the images seen; 0: no limit")


class DiscTraining(AdamOptions):
    steps: Positive = option("discriminator steps per generator step")


# Options in a network's group that concern its training, not its architecture.
TRAINING = {*GeneratorTraining.model_fields, *DiscTraining.model_fields}


class GeneratorOptions(GeneratorTraining):
    residual: bool = option("THE SWITCH: is a block's input added back to its output?")
    latent_dim: Width = option("size of the latent")


class DiscOptions(DiscTraining):
    residual: bool = option("THE SWITCH: is a block's input added back to its output?")


class WithBlocks(Options):
    """Options of the blocks in the lab networks and the perceptrons, with the switch."""

    residual: bool
    block: Kind = option("kind of block")
    norm: Norm = option("normalisation in every block")
    norm_place: NormPlace = option("place of the norm: before the block, join(n(x), F(n(x))), or inside F")
    spectral: bool = option("spectral normalisation of every layer")
    join: Join = option("x+F/sqrt L (L blocks), x+F, (x+F)/sqrt 2, or x+gF (g learned)")
    init: Init = option("initial weights")
    branch_scale: Factor = option("fixed factor on every branch, such as 0.1 or 0.3")
    layer_scale: Factor | None = option(
        "initial value of a learned factor on each channel of a branch; null: no factor"
    )
    inner: Multiple = option("the width inside a branch, as a multiple of the block's")
    skip: Skip = option("the skip: x, Q x, x alone, or its gradient alone")
    skip_scale: Signed | None = option("initial value of a learned factor on the skip; null: no factor")
    skip_final: Weight | None = option("final s in s join + (1 - s) F, from 1 over burn_in_kimg; null: s stays 1")

    @property
    def has_no_blocks(self) -> bool:
        """True where the switch has nothing to act on."""
        blocks = getattr(self, "blocks", 0)
        return not any(blocks) if isinstance(blocks, list) else blocks == 0

    @model_validator(mode="after")
    def _blocks_can_learn(self) -> "WithBlocks":
        factors = {
            "join=gated": self.join == "gated",
            f"branch_scale={self.branch_scale}": self.branch_scale != 1,
            f"layer_scale={self.layer_scale}": self.layer_scale is not None,
        }
        if sum(factors.values()) > 1:
            raise ValueError(
                " with ".join(name for name, used in factors.items() if used) + ": use one factor on the branch"
            )
        if self.block == "bottleneck" and self.norm != "none":
            raise ValueError(f"norm={self.norm}: block=bottleneck has no place for a norm; use none")
        if self.inner != 1 and self.block == "bottleneck":
            raise ValueError(f"inner={self.inner}: block=bottleneck has an inner width of its own; use 1")
        if self.skip_scale is not None and self.skip_final is not None:
            raise ValueError(
                f"skip_scale={self.skip_scale:g} with skip_final={self.skip_final:g}: use one factor on the skip"
            )
        if self.skip == "gradient" and self.skip_scale is not None:
            raise ValueError(
                f"skip_scale={self.skip_scale:g}: skip=gradient carries the value 0, from which no factor learns; "
                "use null"
            )
        if self.spectral and self.init in ("zero_last", "fixup"):
            raise ValueError(
                f"spectral=true: init={self.init} ends every branch in zero, which no singular value can divide; "
                "take one of them"
            )
        if self.has_no_blocks and getattr(self, "conditional", "none") == "norm":
            given = f"blocks={format_value(getattr(self, 'blocks', 0))}"
            raise ValueError(f"conditional=norm: with {given} no norm is class-conditional; use none or concat")
        return self

    @model_validator(mode="after")
    def _can_begin_so(self) -> "WithBlocks":
        """Refuse an `init` where other options would keep it from being the start it is named after."""
        needs: dict[str, bool] = {}
        if self.init == "looks_linear":
            widths = getattr(self, "width", [])
            needs = {
                "block=preact": self.block == "preact",
                "norm=none": self.norm == "none",
                "spectral=false": not self.spectral,
                "inner=1": self.inner == 1,
                "branch_scale=1": self.branch_scale == 1,
                "layer_scale=null": self.layer_scale is None,
                "an even width": not any(width % 2 for width in (widths if isinstance(widths, list) else [widths])),
            }
        if self.init == "matched":
            inside = self.norm != "none" and self.norm_place == "branch"
            needs = {"spectral=false": not self.spectral, "norm_place=trunk": not inside}
        if missing := ", ".join(need for need, met in needs.items() if not met):
            raise ValueError(f"init={self.init}: needs {missing}, without which it is another start")
        return self


class LabNetwork(WithBlocks):
    """Options of the lab networks only, which are made of stages and are for images."""

    blocks: Blocks | Annotated[list[Blocks], Stages] = option(
        "blocks per stage: one number, or one per stage, lowest resolution first"
    )
    width: Width | Annotated[list[Width], Stages] = option(LAB_WIDTH)
    fan_in: FanIn = option("taps in a 3x3's initial fan-in: those inside the image, or all nine")
    first_bias: bool = option("draw the first layer's bias like its weights; false: start it at 0")
    group_size: Width = option(GROUP_SIZE)


class ConditionalGenerator(Options):
    conditional: GeneratorConditioning = option("how the class enters: in the norms, or beside the latent")


class ConditionalDisc(Options):
    conditional: DiscConditioning = option("how the class enters: in the logit, or beside the image")


class LabGeneratorOptions(GeneratorOptions, LabNetwork, ConditionalGenerator):
    name: Literal["lab"] = option(NETWORK)
    image_skips: bool = option("an image at every resolution, and their sum (the skips of StyleGAN2)")


class LabDiscOptions(DiscOptions, LabNetwork, ConditionalDisc):
    name: Literal["lab"] = option(NETWORK)
    image_skips: bool = option("the image as input at every resolution (the skips of StyleGAN2)")


class MlpGeneratorOptions(GeneratorOptions, WithBlocks, ConditionalGenerator):
    name: Literal["mlp"] = option(NETWORK)
    blocks: Blocks = option("blocks in all")
    width: Width = option("features of every layer")


class MlpDiscOptions(DiscOptions, WithBlocks, ConditionalDisc):
    name: Literal["mlp"] = option(NETWORK)
    blocks: Blocks = option("blocks in all")
    width: Width = option("features of every layer")


class PublishedOptions(Options):
    """Options that all published networks have."""

    spectral: bool = option("spectral normalisation of every layer")
    init: PublishedInit = option("initial weights")


class PublishedResidualOptions(PublishedOptions):
    """Options of the published networks whose branches begin at zero."""

    residual: bool

    @model_validator(mode="after")
    def _blocks_can_learn(self) -> "PublishedResidualOptions":
        if self.init == "published" and not self.residual:
            raise ValueError(
                "init=published: ends every branch in zero, and a plain network of such branches outputs a constant; "
                "with residual=false use he, glorot or orthogonal"
            )
        if self.init == "published" and self.spectral:
            raise ValueError(
                "spectral=true: init=published ends every branch in zero, which no singular value can divide; "
                "use he, glorot or orthogonal with it"
            )
        return self


class WithProjections(Options):
    """Options of the published networks with projections, which are also the ones with norms."""

    norm: Norm = option("normalisation, where the paper has one")
    projection: Projection = option("place of the projections: on the skip, as published, or on the trunk")


class ResnetGeneratorOptions(GeneratorOptions, PublishedOptions, WithProjections, ConditionalGenerator):
    name: Literal["resnet"] = option(NETWORK)
    width: Width | None = option("channels of the widest stage; null: as published")
    upsample: Upsample = option("method of upsampling")


class ResnetDiscOptions(DiscOptions, PublishedOptions, WithProjections, ConditionalDisc):
    name: Literal["resnet"] = option(NETWORK)
    width: Width | None = option("channels of the widest stage; null: as published")
    pool: Pool = option("pooling over the remaining pixels")


class Resnet101GeneratorOptions(GeneratorOptions, PublishedOptions, WithProjections):
    name: Literal["resnet101"] = option(NETWORK)
    width: Width = option("channels at 32 pixels; 64 as published")


class Resnet101DiscOptions(DiscOptions, PublishedOptions, WithProjections):
    name: Literal["resnet101"] = option(NETWORK)
    width: Width = option("channels at 32 pixels; 64 as published")


class DcganGeneratorOptions(GeneratorOptions, PublishedOptions, WithProjections):
    name: Literal["dcgan"] = option(NETWORK)
    width: Width = option("channels of the widest stage; 1024 as published")


class DcganDiscOptions(DiscOptions, PublishedOptions, WithProjections):
    name: Literal["dcgan"] = option(NETWORK)
    width: Width = option("channels of the widest stage; 512 as published")


class R3ganGeneratorOptions(GeneratorOptions, PublishedResidualOptions):
    name: Literal["r3gan"] = option(NETWORK)
    width: Width | Annotated[list[Width], Stages] = option(LAB_WIDTH)
    blocks: int = option("blocks per stage", ge=1, le=MOST_BLOCKS)
    group_size: Width = option(GROUP_SIZE)
    norm: Literal["none"] = option("this network has no norm")
    conditional: Literal["none", "concat"] = option("how the class enters: as an embedding beside the latent")


class R3ganDiscOptions(DiscOptions, PublishedResidualOptions):
    name: Literal["r3gan"] = option(NETWORK)
    width: Width | Annotated[list[Width], Stages] = option(LAB_WIDTH)
    blocks: int = option("blocks per stage", ge=1, le=MOST_BLOCKS)
    group_size: Width = option(GROUP_SIZE)
    norm: Literal["none"] = option("this network has no norm")
    conditional: Literal["none", "projection"] = option("how the class enters: it chooses the logit")


class ModuleOptions(Options):
    """Options of a user-defined network."""

    residual: bool
    path: str = option("class of the network, as file.py:NAME")
    kwargs: dict[str, Any] = option("keyword arguments of the class, which gets no others")

    @property
    def spectral(self) -> bool:
        """False: nothing is known of a user-defined network."""
        return False

    @model_validator(mode="after")
    def _the_switch_reaches_it(self) -> "ModuleOptions":
        if self.residual != self.kwargs.get("residual", False):
            switch = f"residual={format_value(self.residual)}"
            raise ValueError(f"{switch}: the class is called with kwargs alone; give kwargs.{switch} as well")
        return self


class ModuleGeneratorOptions(GeneratorOptions, ModuleOptions):
    name: Literal["module"] = option(NETWORK)


class ModuleDiscOptions(DiscOptions, ModuleOptions):
    name: Literal["module"] = option(NETWORK)


AnyGenerator = Annotated[
    LabGeneratorOptions
    | MlpGeneratorOptions
    | ResnetGeneratorOptions
    | Resnet101GeneratorOptions
    | R3ganGeneratorOptions
    | DcganGeneratorOptions
    | ModuleGeneratorOptions,
    Field(discriminator="name"),
]
AnyDisc = Annotated[
    LabDiscOptions
    | MlpDiscOptions
    | ResnetDiscOptions
    | Resnet101DiscOptions
    | R3ganDiscOptions
    | DcganDiscOptions
    | ModuleDiscOptions,
    Field(discriminator="name"),
]
