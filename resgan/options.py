"""The options: one strict model for each variant, one line for each option. Defaults stand in conf/.

Hydra composes conf/ and the command line; these models check the outcome before any data is read. What the data
decides (image size, channels) is no option.
"""

import difflib
import types
import typing
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from resgan.runs import flat, plain

Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class OptionsError(ValueError):
    """One line for each option that is not valid: its name, its value, and what is."""


def option(meaning: str, **limits: Any) -> Any:
    return Field(description=meaning, **limits)


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


# Networks.


class Adam(Options):
    """How one network is trained."""

    lr: float = option("learning rate of Adam", gt=0)
    lr_final: Annotated[float, Field(gt=0)] | None = option("where it is after burn_in_kimg; null: it stays")
    betas: Annotated[list[float], Field(min_length=2, max_length=2)] = option("Adam's two decay rates")
    beta2_final: Annotated[float, Field(ge=0, lt=1)] | None = option("the second after burn_in_kimg; null: it stays")
    decay: Literal["none", "linear", "cosine"] = option("how the learning rate falls to 0 over the run")

    @model_validator(mode="after")
    def _betas_below_one(self) -> "Adam":
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError("betas: each is at least 0 and below 1")
        if self.lr_final is not None and self.decay != "none":
            raise ValueError(f"lr_final={self.lr_final:g}: decay={self.decay} moves the rate too; valid is decay=none")
        return self


class Generator(Adam):
    residual: bool = option("THE SWITCH: is a block's input added back to its output?")
    latent_dim: int = option("size of the latent", ge=1)
    batch_size: Positive | None = option("latents in a step of the generator; null: batch_size")
    ema_kimg: NotNegative = option("half-life of the averaged weights, in thousands of images; 0 for no average")
    ema_kimg_final: NotNegative | None = option("what it is after burn_in_kimg; null: it stays")
    ema_ramp: NotNegative = option("the half-life never exceeds this share of the images seen; 0 for no limit")


class Disc(Adam):
    residual: bool = option("THE SWITCH: is a block's input added back to its output?")
    steps: int = option("steps of the discriminator for one of the generator", ge=1)


class Block(Options):
    """What the lab networks and the perceptrons have: the block the switch stands in."""

    residual: bool
    block: Literal["preact", "postact", "bottleneck", "stylegan2"] = option("what the branch of a block is")
    blocks: int = option("blocks per stage (mlp: in all)", ge=0, le=1000)
    norm: Literal["none", "batch", "group", "pixel", "layer"] = option("normalisation in every block")
    spectral: bool = option("spectral normalisation of every layer")
    join: Literal["sum", "scaled", "gated"] = option("x+F | F, (x+F)/sqrt 2 | F, or x+gF | gF with a learned g")
    init: Literal["he", "glorot", "orthogonal", "zero_last", "fixup", "dirac"] = option("initialisation of the weights")
    branch_scale: float = option("a fixed factor on every branch, such as 0.1 or 0.3", gt=0)
    layer_scale: Annotated[float, Field(gt=0)] | None = option(
        "where a learned factor on each channel of a branch begins; null: there is none"
    )

    @model_validator(mode="after")
    def _blocks_can_learn(self) -> "Block":
        if self.init in ("zero_last", "fixup") and not self.residual:
            raise ValueError(
                f"init={self.init}: ends every branch in zero, and a plain network of such branches passes nothing on; "
                "dirac starts a plain network near the identity"
            )
        factors = {
            "join=gated": self.join == "gated",
            f"branch_scale={self.branch_scale}": self.branch_scale != 1,
            f"layer_scale={self.layer_scale}": self.layer_scale is not None,
        }
        if sum(factors.values()) > 1:
            raise ValueError(
                " with ".join(name for name, used in factors.items() if used) + ": one factor on a branch is enough"
            )
        if self.block == "bottleneck" and self.norm != "none":
            raise ValueError(f"norm={self.norm}: block=bottleneck has no place for a norm; valid is none")
        return self


class TellsGenerator(Options):
    conditional: Literal["none", "norm", "concat"] = option(
        "how it is told the class: in its norms, or beside the latent"
    )


class TellsDisc(Options):
    conditional: Literal["none", "projection", "concat"] = option(
        "how it is told the class: in the logit, or beside the image"
    )


NETWORK = "lab (images), mlp (points, small images), or one of a paper: resnet, resnet101, r3gan, dcgan"
LAB_WIDTH = "channels: one number, or one per stage, lowest resolution first"
GROUP_SIZE = "channels of a group in the 3x3 of a bottleneck"


class LabGenerator(Generator, Block, TellsGenerator):
    name: Literal["lab"] = option(NETWORK)
    width: Positive | list[Positive] = option(LAB_WIDTH)
    group_size: Positive = option(GROUP_SIZE)
    image_skips: bool = option("an image at every resolution, and their sum (the skips of StyleGAN2)")


class LabDisc(Disc, Block, TellsDisc):
    name: Literal["lab"] = option(NETWORK)
    width: Positive | list[Positive] = option(LAB_WIDTH)
    group_size: Positive = option(GROUP_SIZE)
    image_skips: bool = option("the image again at every resolution (the skips of StyleGAN2)")


class MlpGenerator(Generator, Block, TellsGenerator):
    name: Literal["mlp"] = option(NETWORK)
    width: Positive = option("features of every layer")


class MlpDisc(Disc, Block, TellsDisc):
    name: Literal["mlp"] = option(NETWORK)
    width: Positive = option("features of every layer")


class Published(Options):
    """What networks of papers have in common."""

    spectral: bool = option("spectral normalisation of every layer")
    init: Literal["published", "he", "glorot", "orthogonal"] = option("initialisation of the weights")


class PublishedResidual(Published):
    """Of those whose branches begin at zero."""

    residual: bool

    @model_validator(mode="after")
    def _blocks_can_learn(self) -> "PublishedResidual":
        if self.init == "published" and not self.residual:
            raise ValueError(
                "init=published: ends every branch in zero, and a plain network of such branches passes nothing on; "
                "valid for residual=false are he, glorot, orthogonal"
            )
        return self


class Projects(Options):
    """Of those with projections, which are those with norms."""

    norm: Literal["none", "batch", "group", "pixel", "layer"] = option("normalisation, where the paper has one")
    projection: Literal["skip", "trunk"] = option("where projections stand: on the skip, as published, or on the trunk")


class ResnetGenerator(Generator, Published, Projects, TellsGenerator):
    name: Literal["resnet"] = option(NETWORK)
    width: Positive | None = option("channels of the widest stage; null: as published")
    upsample: Literal["nearest", "bilinear"] = option("how the resolution grows")


class ResnetDisc(Disc, Published, Projects, TellsDisc):
    name: Literal["resnet"] = option(NETWORK)
    width: Positive | None = option("channels of the widest stage; null: as published")
    pool: Literal["sum", "mean"] = option("over the pixels that are left")


class Resnet101Generator(Generator, Published, Projects):
    name: Literal["resnet101"] = option(NETWORK)
    width: Positive = option("channels at 32 pixels; 64 as published")


class Resnet101Disc(Disc, Published, Projects):
    name: Literal["resnet101"] = option(NETWORK)
    width: Positive = option("channels at 32 pixels; 64 as published")


class DcganGenerator(Generator, Published, Projects):
    name: Literal["dcgan"] = option(NETWORK)
    width: Positive = option("channels of the widest stage; 1024 as published")


class DcganDisc(Disc, Published, Projects):
    name: Literal["dcgan"] = option(NETWORK)
    width: Positive = option("channels of the widest stage; 512 as published")


class R3ganGenerator(Generator, PublishedResidual):
    name: Literal["r3gan"] = option(NETWORK)
    width: Positive | list[Positive] = option(LAB_WIDTH)
    blocks: Positive = option("blocks per stage")
    group_size: Positive = option(GROUP_SIZE)
    norm: Literal["none"] = option("there is none")
    conditional: Literal["none", "concat"] = option("how it is told the class: a code beside the latent")


class R3ganDisc(Disc, PublishedResidual):
    name: Literal["r3gan"] = option(NETWORK)
    width: Positive | list[Positive] = option(LAB_WIDTH)
    blocks: Positive = option("blocks per stage")
    group_size: Positive = option(GROUP_SIZE)
    norm: Literal["none"] = option("there is none")
    conditional: Literal["none", "projection"] = option("how it is told the class: the logit is that of the class")


AnyGenerator = Annotated[
    LabGenerator | MlpGenerator | ResnetGenerator | Resnet101Generator | R3ganGenerator | DcganGenerator,
    Field(discriminator="name"),
]
AnyDisc = Annotated[LabDisc | MlpDisc | ResnetDisc | Resnet101Disc | R3ganDisc | DcganDisc, Field(discriminator="name")]


# The game.


class Loss(Options):
    name: Literal["nonsaturating", "hinge", "wasserstein", "least_squares", "relativistic"] = option(
        "the loss of G and D"
    )
    r1: NotNegative = option("weight gamma of R1, gamma/2 |grad D|^2 on real samples; 0 for none")
    r1_final: NotNegative | None = option("what it is after burn_in_kimg; null: it stays")
    r1_interval: int = option("apply R1 every so many D steps, with as many times its weight", ge=1)
    r2: NotNegative = option("weight gamma of R2, the same on fakes")
    r2_final: NotNegative | None = option("what it is after burn_in_kimg; null: it stays")
    r2_interval: int = option("apply R2 every so many D steps", ge=1)
    gp: NotNegative = option("weight lambda of the gradient penalty, lambda (|grad D| - 1)^2 between real and fake")
    gp_interval: int = option("apply the gradient penalty every so many D steps", ge=1)
    gp_with_spectral: bool = option("allow it beside spectral normalisation, which bounds the same gradient")


class Augment(Options):
    """What is done to every picture before D sees it, real or not, at random."""

    operations: list[Literal["flip", "translation", "colour", "cutout"]] = option("which; [] for none")
    p: float = option("the share of pictures each is done to", ge=0, le=1)
    p_final: Annotated[float, Field(ge=0, le=1)] | None = option("what it is after burn_in_kimg; null: it stays")
    adapt: Literal["none", "r_t", "r_v"] = option(
        "move p by how D overfits: its sign on reals, or its fall to held-out ones"
    )
    target: float = option("p goes up where D overfits more than this, down where less", gt=0, lt=1)
    adapt_kimg: float = option("how long p takes from 0 to 1 at the most", gt=0)

    @model_validator(mode="after")
    def _one_of_both_moves(self) -> "Augment":
        if self.adapt != "none" and self.p_final is not None:
            raise ValueError(f"p_final={self.p_final:g}: adapt={self.adapt} moves p too; take one of them")
        if self.adapt != "none" and not self.operations:
            raise ValueError(f"adapt={self.adapt}: there are no operations; valid is none, or name some")
        return self


# Data.


class Gaussians(Options):
    name: Literal["gaussians"] = option("a grid of Gaussians in the plane, with exact scores")
    modes: int = option("how many: a square number", ge=4)
    size: int = option("points to train on", ge=2)


class Shapes(Options):
    name: Literal["shapes"] = option("1,200 coloured shapes of which half are trained on, with exact scores")
    size: int = option("pixels: a multiple of 16", ge=16)
    flip: Literal[False] = option("not for this data: the scores know no mirror images")


class Folder(Options):
    name: Literal["folder"] = option("pictures in a directory, zip or tar, with or without subfolders")
    path: str = option("the directory, zip or tar")
    size: Positive | None = option("resize and crop to this many pixels; null: as they are, all of one square size")
    channels: Literal[1, 3] = option("1 for grey, 3 for colour")
    holdout: float = option("share of the pictures kept out of training", ge=0, lt=1)
    flip: bool = option("mirror pictures at random")


class Torchvision(Options):
    name: Literal["cifar10", "cifar100", "mnist", "fashionmnist", "kmnist", "svhn", "stl10"] = option(
        "a set of torchvision"
    )
    root: str = option("the folder its files are in")
    download: bool = option("fetch the files if they are not there")
    flip: bool = option("mirror pictures at random")


Data = Annotated[Gaussians | Shapes | Folder | Torchvision, Field(discriminator="name")]


class DataOptions(Options):
    data: Data


# How a run is scored, executed and logged.


ScoreName = Literal["frechet", "infinity", "kernel", "inception_score", "precision_recall"]


class Metrics(Options):
    samples: int = option("samples to score, of the averaged generator", ge=2)
    extractor: Literal["cifarnet", "inception", "dinov2", "pixels", "module", "none"] = option(
        "features that are compared"
    )
    weights: Annotated[str, Field(min_length=1)] | None = option(
        "their file; of inception also download; of module file.py:NAME; random for tests"
    )
    resize: Literal["default", "clean"] = option("of pictures for inception: TensorFlow 1's, or clean-fid's")
    scores: Annotated[list[ScoreName], Field(min_length=1)] = option("scores that features give")
    norm_mode: Literal["running", "batch", "recomputed"] = option("what batch norms of the generator go by")
    cache: Annotated[str, Field(min_length=1)] | None = option(
        "where statistics of real pictures are kept; null: $RESGAN_CACHE or ~/.cache/resgan"
    )

    @model_validator(mode="after")
    def _weights_are_named(self) -> "Metrics":
        if self.weights is None and self.extractor in ("inception", "dinov2", "module"):
            raise ValueError(f"weights=null: metrics.extractor={self.extractor} needs the file of its weights")
        return self


class Trainer(Options):
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = option("where to run")
    precision: Literal["32-true", "bf16-mixed"] = option("bf16-mixed pays where the hardware has bfloat16")
    threads: Positive | None = option("CPU threads of torch; null: all; 1 where jobs run side by side")
    channels_last: bool = option("memory format of images; the same function, faster")
    data_on_device: bool = option("hold the data on the accelerator")
    deterministic: bool = option("refuse operations of an accelerator that differ from run to run")
    progress: bool = option("show a progress bar")


class Wandb(Options):
    mode: Literal["auto", "online", "offline", "disabled"] = option("auto: online where a key is set, else offline")
    project: str = option("where the run belongs")
    entity: str | None = option("the user or team it belongs to; null: yours")
    name: str | None = option("its name; null: the arm and the seed")
    tags: list[str] = option("words to find it by")


class Tuning(Options):
    best: Literal["none", "shared", "own"] = option(
        "rates and penalties of a tuning study: best of all arms, or of each"
    )
    runs: Annotated[str, Field(min_length=1)] | None = option("the directory of that study")

    @model_validator(mode="after")
    def _runs_are_named(self) -> "Tuning":
        if (self.best == "none") != (self.runs is None):
            raise ValueError(f"best={self.best} with runs={plain(self.runs)}: give both or none")
        return self


class TrainOptions(Options):
    """All options of `python -m resgan.train`."""

    study: Annotated[str, Field(min_length=1)] | None = option("a designed experiment, arms x seeds: see below")
    seed: int = option("of weights, data order and latents; the same seed in two arms makes them a pair", ge=0)
    run_dir: Annotated[str, Field(min_length=1)] | None = option(
        "the run directory; null: a new one with date and time under runs/"
    )
    total_kimg: float = option("length of the run, in thousands of real images shown to D", gt=0)
    burn_in_kimg: NotNegative = option("over so many thousand images options go along a cosine to their ..._final")
    batch_size: int = option("images in a batch", ge=1)
    score_kimg: NotNegative = option("score every so many thousand images; 0: only at the end")
    sample_kimg: NotNegative = option("write a grid of samples every so many thousand images; 0: only at the end")
    save_kimg: NotNegative = option("save a checkpoint every so many thousand images; 0: only at the end")
    generator: AnyGenerator
    disc: AnyDisc
    loss: Loss
    augment: Augment
    data: Data
    metrics: Metrics
    tuning: Tuning
    trainer: Trainer
    wandb: Wandb

    @model_validator(mode="after")
    def _fit_together(self) -> "TrainOptions":
        if self.loss.gp and self.disc.spectral and not self.loss.gp_with_spectral:
            raise ValueError(
                f"loss.gp={self.loss.gp:g}: disc.spectral=true bounds the gradient already; take one of them, "
                "or set loss.gp_with_spectral=true"
            )
        points = self.data.name == "gaussians"
        for network, given in (("generator", self.generator), ("disc", self.disc)):
            if points and given.name != "mlp":
                raise ValueError(f"{network}={given.name}: data=gaussians are points in the plane; valid is mlp")
        self._both_are_told()
        self._relativistic_needs_pairs()
        self._augments_pictures()
        self._finals_have_time()
        return self

    def _both_are_told(self) -> None:
        told = {name: getattr(getattr(self, name), "conditional", "none") for name in ("generator", "disc")}
        if (told["generator"] == "none") != (told["disc"] == "none"):
            said = " with ".join(f"{name}.conditional={how}" for name, how in told.items())
            raise ValueError(f"{said}: tell both networks the class, or neither")

    def _relativistic_needs_pairs(self) -> None:
        size = self.generator.batch_size
        if self.loss.name == "relativistic" and size not in (None, self.batch_size):
            raise ValueError(
                f"generator.batch_size={size}: loss=relativistic pairs each fake with a real picture; "
                f"valid is null, or batch_size={self.batch_size}"
            )

    def _augments_pictures(self) -> None:
        augment = self.augment
        if augment.operations and self.data.name == "gaussians":
            raise ValueError(
                f"augment.operations={plain(augment.operations)}: data=gaussians has no pictures; valid is []"
            )
        if augment.adapt == "r_t" and self.loss.name in ("relativistic", "wasserstein", "least_squares"):
            raise ValueError(
                f"augment.adapt=r_t: loss={self.loss.name} gives D no zero point, so that its sign says nothing; "
                "valid are none, r_v"
            )

    def _finals_have_time(self) -> None:
        finals = [
            name for name, value in flat(self.model_dump()).items() if name.endswith("_final") and value is not None
        ]
        if bool(finals) != bool(self.burn_in_kimg):
            said = f"{finals[0]}: needs burn_in_kimg" if finals else "no option has a ..._final that it could go to"
            raise ValueError(f"burn_in_kimg={self.burn_in_kimg:g}: {said}")


class EvaluateOptions(Options):
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
    root: str = option("of a torchvision set: the folder its files are in")
    seed: int = option("of the latents, and of the data set where it is given by name", ge=0)
    averaged: bool = option("the averaged weights of a checkpoint; false: the raw ones")
    outdir: Annotated[str, Field(min_length=1)] | None = option(
        "where metrics.jsonl goes; null: evaluation/, in the run of the checkpoint or here"
    )
    metrics: Metrics
    device: Literal["auto", "cpu", "gpu", "mps"] = option("where to run")
    progress: bool = option("show progress bars")

    @model_validator(mode="after")
    def _one_subject(self) -> "EvaluateOptions":
        if (self.ckpt is None) == (self.fake is None):
            raise ValueError(f"ckpt={plain(self.ckpt)} with fake={plain(self.fake)}: give one of them")
        if self.fake is not None and self.real is None:
            raise ValueError("real=null: fake pictures need something to be compared with")
        return self


class SampleOptions(Options):
    """All options of `python -m resgan.sample`."""

    ckpt: str = option("the checkpoint, e.g. runs/.../checkpoints/final.ckpt")
    outdir: str = option("where the samples go; made if it is not there")
    seeds: str = option("which samples: e.g. 0-63, or 1,5,8-12")
    format: Literal["png", "grid", "npz", "zip"] = option("a file each, one picture, one array, or an archive of files")
    class_: int | str | None = Field(
        description="of a GAN that is told the class: its number or name; null: as in the data", alias="class"
    )
    averaged: bool = option("the averaged weights; false: the raw ones")
    truncation: Annotated[float, Field(gt=0)] | None = option(
        "cut the normal of the latents at +- this; null: not at all"
    )
    interpolate: int = option("so many steps from each seed to the next; 0: the seeds alone", ge=0)
    columns: Positive | None = option("of the grid; null: about a square")
    device: Literal["auto", "cpu", "gpu", "mps"] = option("where to run")


# Checking.

Model = TypeVar("Model", bound=Options)


def check(model: type[Model], values: dict[str, Any]) -> Model:
    """The values as a `model`. Raises OptionsError."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found: dict[str, list[str]] = {}  # an option of several types has a complaint of each
        for option, expected in (describe(item, model) for item in error.errors()):
            found.setdefault(option, []).append(expected)
        lines = (
            f"{name}: {' or '.join(dict.fromkeys(what)).replace('or expected', 'or')}" if name else what[0]
            for name, what in found.items()
        )
        raise OptionsError("; ".join(lines)) from None


EXPECTED = {
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "finite_number": "expected a finite number",
    "string_type": "expected text",
    "string_too_short": "expected a name",
    "list_type": "expected a list, as in [8,16]",
    "literal_error": "valid are {expected}",
    "greater_than": "expected more than {gt:g}",
    "greater_than_equal": "expected at least {ge:g}",
    "less_than": "expected less than {lt:g}",
    "less_than_equal": "expected at most {le:g}",
    "missing": "is missing",
}


def describe(error: Any, model: type[Options]) -> tuple[str, str]:
    """One of pydantic's errors as (option=value, what is expected)."""
    # The location of a variant holds its tag, and of a union the name of its type: neither is typed by a user.
    steps = [step for step in error["loc"] if isinstance(step, str)]
    variants = {"lab", "mlp", "resnet", "resnet101", "r3gan", "dcgan", "gaussians", "shapes", "folder", *SETS}
    name = ".".join(s for k, s in enumerate(steps) if not (k == 1 and s in variants) and not _is_type(s))
    context = error.get("ctx", {})
    if error["type"] == "value_error":
        return "", f"{name}.{context['error']}" if name else str(context["error"])
    if error["type"] == "extra_forbidden":
        return name, f"there is no such option here{did_you_mean(name, model)}"
    if error["type"] == "union_tag_invalid":
        return f"{name}={context['tag']}", f"valid are {context['expected_tags']}"
    if error["type"] in ("model_type", "model_attributes_type", "union_tag_not_found"):
        return name, "is a group of options; choose one of its files, see --help"
    expected: str = EXPECTED.get(error["type"]) or (error["msg"][0].lower() + error["msg"][1:])
    return (name if error["type"] == "missing" else f"{name}={plain(error['input'])}"), expected.format(**context)


def did_you_mean(name: str, model: type[Options]) -> str:
    close = nearest(name, [known for known in names(model) if known != name])
    return f"; did you mean {close}?" if close else "; see --help"


def _is_type(step: str) -> bool:
    return "[" in step or step in ("int", "float", "str", "constrained-int", "constrained-float", "list")


SETS = typing.get_args(Torchvision.model_fields["name"].annotation)


def nearest(name: str, known: list[str]) -> str | None:
    """The known option most like a mistyped one."""
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return found[0] if found else None


def names(model: type[Options], prefix: str = "", *, variant: str | None = None) -> dict[str, str]:
    """Every option of a model, dotted, with its meaning: for --help and for the nearest right name.

    variant: of the kinds of a group, the one of this name only.
    """
    found: dict[str, str] = {}
    for attribute, field in model.model_fields.items():
        name = field.alias or attribute
        models = [t for t in _members(field.annotation) if isinstance(t, type) and issubclass(t, Options)]
        chosen = [part for part in models if variant in choices(part.model_fields.get("name"))]
        for part in chosen or models:
            found |= {k: v for k, v in names(part, f"{prefix}{name}.").items() if k not in found}
        if not models:
            valid = choices(field)
            found[prefix + name] = f"{field.description}" + (f" ({', '.join(map(plain, valid))})" if valid else "")
    return found


def choices(field: Any) -> tuple[Any, ...]:
    """The values of an option, or of its list's entries, that has a fixed set of them."""
    annotation = getattr(field, "annotation", None)
    if typing.get_origin(annotation) is list:
        annotation = typing.get_args(annotation)[0]
    return typing.get_args(annotation) if typing.get_origin(annotation) is Literal else ()


def _members(annotation: Any) -> tuple[Any, ...]:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)
