"""The options of `python -m resgan.train`. The defaults are in conf/.

Hydra composes conf/ and the command line; these models check the result before any data is read. Properties of the
data (image size, channels) are not options.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from resgan.base.plain_data import PlainData, flat, format_value
from resgan.options.choices import Adaptation, Operation, PrecisionOrAuto, WandbMode
from resgan.options.data import AnyData
from resgan.options.metrics import MetricsOptions
from resgan.options.networks import AnyDisc, AnyGenerator
from resgan.options.numbers import (
    MOST_RUNS,
    Hours,
    Kimg,
    Length,
    Machines,
    Positive,
    Processes,
    Seed,
    Share,
    Threads,
    Weight,
)
from resgan.options.seeds import parse_seeds
from resgan.options.tuning import TuningOptions, searched_options
from resgan.options.validation import FileOf, Options, check, option

MOST_SEEDS = 1000  # trained as one: each is built before the first step


class LossOptions(Options):
    name: Annotated[str, FileOf("loss")] = option("the loss of G and D")
    r1: Weight = option("weight gamma of R1, gamma/2 |grad D|^2 on real samples; 0 for none")
    r1_final: Weight | None = option("r1 after burn_in_kimg; null: unchanged")
    r1_interval: Positive = option("n: apply R1 only in every n-th D step, with n times its weight")
    r2: Weight = option("weight gamma of R2, gamma/2 |grad D|^2 on fake samples; 0 for none")
    r2_final: Weight | None = option("r2 after burn_in_kimg; null: unchanged")
    r2_interval: Positive = option("n: apply R2 only in every n-th D step, with n times its weight")
    gp: Weight = option("weight lambda of the gradient penalty, lambda (|grad D| - 1)^2 between real and fake")
    gp_interval: Positive = option("n: apply the penalty only in every n-th D step, with n times its weight")
    gp_with_spectral: bool = option("allow gp beside spectral normalisation, which bounds the same gradient")


class AugmentOptions(Options):
    """Random augmentation of every image that D sees, real or fake."""

    operations: list[Operation] = option("operations to apply at random; [] for none")
    p: Share = option("share of the images that each operation is applied to")
    p_final: Share | None = option("p after burn_in_kimg; null: unchanged")
    adapt: Adaptation = option("adapt p to D's overfitting: sign on reals, or drop on held-out images")
    target: float = option("overfitting above which p rises, and below which it falls", gt=0, lt=1)
    adapt_kimg: Length = option("thousands of images that p takes from 0 to 1 at its fastest")

    @model_validator(mode="after")
    def _one_of_both_moves(self) -> "AugmentOptions":
        if self.adapt != "none" and self.p_final is not None:
            raise ValueError(f"p_final={self.p_final:g}: adapt={self.adapt} changes p too; use one of them")
        if self.adapt != "none" and not self.operations:
            raise ValueError(f"adapt={self.adapt}: there are no operations; use none, or name some")
        return self


class TrainerOptions(Options):
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = option("device to run on")
    precision: PrecisionOrAuto = option("auto: bf16 on hardware with it, but not for points or studies")
    threads: Threads | None = option("CPU threads of torch; null: all, or 1 where jobs run side by side")
    channels_last: bool = option("channels-last memory format of images; the same function, faster")
    fused: bool = option("fuse resampling with the convolution beside it; the same function, faster")
    compile: bool = option("torch.compile both networks, except in steps with penalties; pays on an accelerator")
    data_on_device: bool = option("keep the data on the accelerator")
    devices: Processes = option("processes on this machine that train a run together, one for each device")
    nodes: Machines = option("machines that train a run together; more than 1 only under torchrun or srun")
    strategy: Literal["auto", "ddp"] = option("how several processes share a run; auto: ddp")
    stack: int = option(
        "runs of a sweep or replicate to train as one, where possible; 1: one by one", ge=1, le=MOST_RUNS
    )
    max_hours: Hours | None = option("hours after which the command saves and stops, as after Ctrl-C; null: none")
    deterministic: bool = option("refuse accelerator operations whose results differ from run to run")
    progress: bool = option("show a progress bar")


class WandbOptions(Options):
    mode: WandbMode = option("auto: online where a key is set, else offline")
    project: str = option("W&B project of the run")
    entity: str | None = option("W&B user or team that owns the run; null: yours")
    name: str | None = option("name of the run; null: the arm and the seed")
    tags: list[str] = option("tags to find the run by")

    @model_validator(mode="after")
    def _has_names_for_wandb(self) -> "WandbOptions":
        """Refuse what W&B would refuse when the run begins, by its wandb.Settings."""
        if not 1 <= len(self.project) <= 128 or set(self.project) & set("/\\#?%:"):
            raise ValueError(f"project={self.project}: expected 1 to 128 characters, without / \\ # ? % :")
        for tag in self.tags:
            if not 1 <= len(tag) <= 64:
                raise ValueError(f"tags={format_value(self.tags)}: each has 1 to 64 characters")
        return self


class TrainOptions(Options):
    """All options of `python -m resgan.train`."""

    _overrides: tuple[str, ...] = PrivateAttr(default=())

    study: Annotated[str, Field(min_length=1)] | None = option("a designed experiment, arms x seeds: see below")
    seed: Seed = option("seed of weights, data order and latents; runs of two arms with one seed are a pair")
    seeds: Annotated[str, Field(min_length=1)] | None = option(
        "several seeds, as in 0-15, trained as one in this process, each as a run; null: seed"
    )
    replicate: Annotated[int, Field(ge=0, le=9_999)] | None = option(
        "number of a replicate, with its own search (tuning.candidates) and seeds; null: seed"
    )
    run_dir: Annotated[str, Field(min_length=1)] | None = option(
        "the run directory; null: a new one under runs/, named by date and time"
    )
    init_from: Annotated[str, Field(min_length=1)] | None = option(
        "checkpoint or run directory whose weights a new run begins with; null: none"
    )
    init_optimisers: bool = option("begin with the optimisers' moments of init_from too")
    total_kimg: Length = option("length of the run, in thousands of real images shown to D; it may grow later")
    burn_in_kimg: Kimg = option("thousands of images in which options with a _final value move to it (cosine); 0: none")
    batch_size: Positive = option("images in a batch")
    score_kimg: Kimg = option("thousands of images between scores; 0: only at the start and at the end")
    sample_kimg: Kimg = option("thousands of images between grids of samples; 0: only at the end")
    save_kimg: Kimg = option("thousands of images between checkpoints; 0: only at the end")
    tensorboard: bool = option("also write tensorboard/ in the run directory")
    csv: bool = option("also write csv/metrics.csv in the run directory")
    generator: AnyGenerator
    disc: AnyDisc
    loss: LossOptions
    augment: AugmentOptions
    data: AnyData
    metrics: MetricsOptions
    tuning: TuningOptions
    trainer: TrainerOptions
    wandb: WandbOptions

    @model_validator(mode="after")
    def _fit_together(self) -> "TrainOptions":
        if self.loss.gp and self.disc.spectral and not self.loss.gp_with_spectral:
            raise ValueError(
                f"loss.gp={self.loss.gp:g}: disc.spectral=true bounds the gradient already; take one of them, "
                "or set loss.gp_with_spectral=true"
            )
        points = self.data.sample_shape == (2,)
        for network, given in (("generator", self.generator), ("disc", self.disc)):
            if points and given.name not in ("mlp", "module"):
                where = f"data={self.data.name} are points in the plane"
                raise ValueError(f"{network}={given.name}: {where}; use mlp or module")
        self._both_are_conditional()
        self._relativistic_needs_pairs()
        self._augments_images()
        self._finals_have_time()
        self._can_be_stacked()
        self._can_be_shared()
        self._can_be_searched()
        self._begins_from_something()
        self._can_be_compiled()
        return self

    def _both_are_conditional(self) -> None:
        ways = {name: getattr(getattr(self, name), "conditional", "none") for name in ("generator", "disc")}
        if (ways["generator"] == "none") != (ways["disc"] == "none"):
            given = " with ".join(f"{name}.conditional={way}" for name, way in ways.items())
            raise ValueError(f"{given}: make both networks class-conditional, or neither")

    def _relativistic_needs_pairs(self) -> None:
        size = self.generator.batch_size
        if self.loss.name == "relativistic" and size not in (None, self.batch_size):
            raise ValueError(
                f"generator.batch_size={size}: loss=relativistic pairs each fake with a real image; "
                f"use null, or batch_size={self.batch_size}"
            )

    def _augments_images(self) -> None:
        augment = self.augment
        if augment.operations and self.data.sample_shape == (2,):
            raise ValueError(
                f"augment.operations={format_value(augment.operations)}: data={self.data.name} has no images; use []"
            )
        if augment.adapt == "r_t" and self.loss.name in ("relativistic", "wasserstein", "least_squares"):
            raise ValueError(
                f"augment.adapt=r_t: loss={self.loss.name} gives D no zero point, so its sign means nothing; "
                "use none or r_v"
            )

    def _finals_have_time(self) -> None:
        finals = [
            name for name, value in flat(self.model_dump()).items() if name.endswith("_final") and value is not None
        ]
        if bool(finals) != bool(self.burn_in_kimg):
            said = f"{finals[0]}: needs burn_in_kimg" if finals else "no option has a ..._final value to move to"
            raise ValueError(f"burn_in_kimg={self.burn_in_kimg:g}: {said}")

    def _can_be_stacked(self) -> None:
        seeds = parse_seeds(self.seeds, most=MOST_SEEDS) if self.seeds is not None else []
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds={self.seeds}: has a seed twice")
        for name in ("generator", "disc"):
            if getattr(self, name).spectral and self.seeds is not None:
                raise ValueError(
                    f"seeds={self.seeds}: {name}.spectral=true cannot be stacked; sweep over seed= instead"
                )
            if getattr(self, name).spectral and self.trainer.stack > 1:
                raise ValueError(f"trainer.stack={self.trainer.stack}: {name}.spectral=true cannot be stacked; use 1")

    def _can_be_shared(self) -> None:
        """Check that batches divide among the processes."""
        trainer, count = self.trainer, self.trainer.devices * self.trainer.nodes
        wanted = f"trainer.devices={trainer.devices}" + (f" trainer.nodes={trainer.nodes}" if trainer.nodes > 1 else "")
        if count == 1:
            return
        sizes = {"batch_size": self.batch_size, "generator.batch_size": self.generator.batch_size or self.batch_size}
        for name, size in sizes.items():
            if size % count:
                raise ValueError(f"{name}={size}: does not divide by {count}, the number of processes ({wanted})")
        for name, value in (("seeds", self.seeds), ("trainer.stack", trainer.stack if trainer.stack > 1 else None)):
            if value is not None:
                raise ValueError(f"{name}={value}: a stack is one process; leave it out with {wanted}")

    def _can_be_searched(self) -> None:
        if self.replicate is not None and self.seeds is not None:
            raise ValueError(f"seeds={self.seeds}: replicate={self.replicate} has its own seeds; leave one out")
        if not self.tuning.candidates:
            return
        if self.replicate is None:
            raise ValueError(
                f"tuning.candidates={self.tuning.candidates}: a search belongs to a replicate; "
                "give replicate=0, or replicate=range(8) in a study"
            )
        config = flat(self.model_dump())
        searched = searched_options(config)
        if self.tuning.penalty and not any(config[name] for name in searched if name.startswith("loss.")):
            raise ValueError(
                f"tuning.penalty={format_value(self.tuning.penalty)}: this loss has no penalty to search; use null"
            )
        for name in searched:
            if (final := config.get(f"{name}_final")) is not None:
                raise ValueError(f"{name}_final={format_value(final)}: the search decides {name} alone; use null")

    def _begins_from_something(self) -> None:
        if self.init_optimisers and self.init_from is None:
            raise ValueError("init_optimisers=true: needs init_from, the checkpoint that has them")

    def _can_be_compiled(self) -> None:
        if self.trainer.compile and (self.generator.spectral or self.disc.spectral):
            raise ValueError(
                "trainer.compile=true: spectral normalisation changes its vectors between passes of D, which compiled "
                "code does not support; use false"
            )

    @property
    def overrides(self) -> list[str]:
        """The overrides that `configure` composed these options from; empty in a command, whose job has them."""
        return list(self._overrides)

    def remember(self, overrides: Sequence[str]) -> None:
        self._overrides = tuple(overrides)

    def with_values(self, values: PlainData) -> "TrainOptions":
        """Return the options with some values replaced, given by dotted name. Raises OptionsError."""
        nested = self.model_dump()
        for name, value in values.items():
            *group, key = name.split(".")
            (nested[group[0]] if group else nested)[key] = value
        options = check(TrainOptions, nested)
        if self._overrides:
            options.remember([*self._overrides, *(f"{name}={format_value(value)}" for name, value in values.items())])
        return options

    def each_seed(self) -> list["TrainOptions"]:
        """Return the options of every run that a result is drawn from, each as if it were alone.

        Replicate r of k seeds has the seeds rk to rk + k - 1, so that no two replicates share one.
        """
        seeds = [self.seed] if self.seeds is None else parse_seeds(self.seeds)
        if self.replicate is not None:
            count = self.tuning.fresh_seeds
            seeds = list(range(self.replicate * count, (self.replicate + 1) * count))
        return [self.model_copy(update={"seed": seed, "seeds": None}) for seed in seeds]
