"""The options: one strict model for each variant, one line for each option. Defaults stand in conf/.

Hydra composes conf/ and the command line; these models check the outcome before any data is read. What the data
decides (image size, channels) is no option.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from resgan.checking import NotNegative, Options, Positive, option, parse_seeds
from resgan.network_options import AnyDisc, AnyGenerator
from resgan.runs import flat, plain

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

    operations: list[Literal["flip", "colour", "translation", "cutout"]] = option("which; [] for none")
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
    cache: bool = option("keep the decoded pictures in $RESGAN_CACHE or ~/.cache/resgan, keyed by their content")


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
    fused: bool = option("resampling as one with the convolution beside it; the same function, faster")
    compile: bool = option("torch.compile of both networks, but for steps with penalties; pays on an accelerator")
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
    seeds: Annotated[str, Field(min_length=1)] | None = option(
        "several, as in 0-15, trained as one in this process, a run each; null: seed"
    )
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
        self._can_be_stacked()
        self._can_be_compiled()
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

    def _can_be_stacked(self) -> None:
        if self.seeds is None:
            return
        seeds = parse_seeds(self.seeds)
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds={self.seeds}: names a seed twice")
        for name in ("generator", "disc"):
            if getattr(self, name).spectral:
                raise ValueError(
                    f"seeds={self.seeds}: {name}.spectral=true cannot be trained so; sweep over seed= instead"
                )

    def _can_be_compiled(self) -> None:
        if self.trainer.compile and (self.generator.spectral or self.disc.spectral):
            raise ValueError(
                "trainer.compile=true: spectral normalisation moves its vectors between passes of D, which compiled "
                "code does not take; valid is false"
            )

    def of_seed(self, seed: int) -> "TrainOptions":
        """The options of one of its runs, as if it were alone."""
        return self.model_copy(update={"seed": seed, "seeds": None})


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
    cache: bool = option("keep the decoded pictures of real, as data.cache does in training")
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
    class_: str | int | None = Field(
        description="of a GAN that is told the class: its number or name; null: as in the data", alias="class"
    )
    averaged: bool = option("the averaged weights; false: the raw ones")
    truncation: Annotated[float, Field(gt=0)] | None = option(
        "cut the normal of the latents at +- this; null: not at all"
    )
    interpolate: int = option("so many steps from each seed to the next; 0: the seeds alone", ge=0)
    columns: Positive | None = option("of the grid; null: about a square")
    device: Literal["auto", "cpu", "gpu", "mps"] = option("where to run")
