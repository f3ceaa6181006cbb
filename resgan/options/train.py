"""The options of `python -m resgan.train`. Defaults stand in conf/.

Hydra composes conf/ and the command line; these models check the outcome before any data is read. What the data
decides (image size, channels) is no option.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from resgan.base.plain_data import PlainData, flat, format_value
from resgan.options.choices import Adaptation, Operation, PrecisionOrAuto, WandbMode
from resgan.options.data import AnyData
from resgan.options.metrics import MetricsOptions
from resgan.options.networks import AnyDisc, AnyGenerator
from resgan.options.seeds import parse_seeds
from resgan.options.tuning import TuningOptions, searched_options
from resgan.options.validation import FileOf, NotNegative, Options, Positive, check, option


class LossOptions(Options):
    name: Annotated[str, FileOf("loss")] = option("the loss of G and D")
    r1: NotNegative = option("weight gamma of R1, gamma/2 |grad D|^2 on real samples; 0 for none")
    r1_final: NotNegative | None = option("what it is after burn_in_kimg; null: it stays")
    r1_interval: int = option("apply R1 every so many D steps, with as many times its weight", ge=1)
    r2: NotNegative = option("weight gamma of R2, the same on fakes")
    r2_final: NotNegative | None = option("what it is after burn_in_kimg; null: it stays")
    r2_interval: int = option("apply R2 every so many D steps", ge=1)
    gp: NotNegative = option("weight lambda of the gradient penalty, lambda (|grad D| - 1)^2 between real and fake")
    gp_interval: int = option("apply the gradient penalty every so many D steps", ge=1)
    gp_with_spectral: bool = option("allow it beside spectral normalisation, which bounds the same gradient")


class AugmentOptions(Options):
    """Random augmentation of every picture that D sees, real or not."""

    operations: list[Operation] = option("which; [] for none")
    p: float = option("the share of pictures each is done to", ge=0, le=1)
    p_final: Annotated[float, Field(ge=0, le=1)] | None = option("what it is after burn_in_kimg; null: it stays")
    adapt: Adaptation = option("move p by how D overfits: its sign on reals, or its fall to held-out ones")
    target: float = option("p goes up where D overfits more than this, down where less", gt=0, lt=1)
    adapt_kimg: float = option("how long p takes from 0 to 1 at the most", gt=0)

    @model_validator(mode="after")
    def _one_of_both_moves(self) -> "AugmentOptions":
        if self.adapt != "none" and self.p_final is not None:
            raise ValueError(f"p_final={self.p_final:g}: adapt={self.adapt} moves p too; take one of them")
        if self.adapt != "none" and not self.operations:
            raise ValueError(f"adapt={self.adapt}: there are no operations; valid is none, or name some")
        return self


class TrainerOptions(Options):
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = option("where to run")
    precision: PrecisionOrAuto = option("auto: bf16 on hardware that has it, not for points or studies")
    threads: Positive | None = option("CPU threads of torch; null: all; 1 where jobs run side by side")
    channels_last: bool = option("memory format of images; the same function, faster")
    fused: bool = option("resampling as one with the convolution beside it; the same function, faster")
    compile: bool = option("torch.compile of both networks, but for steps with penalties; pays on an accelerator")
    data_on_device: bool = option("hold the data on the accelerator")
    stack: Positive = option("runs of a sweep or replicate that are trained as one, where they can be; 1: one by one")
    deterministic: bool = option("refuse operations of an accelerator that differ from run to run")
    progress: bool = option("show a progress bar")


class WandbOptions(Options):
    mode: WandbMode = option("auto: online where a key is set, else offline")
    project: str = option("where the run belongs")
    entity: str | None = option("the user or team it belongs to; null: yours")
    name: str | None = option("its name; null: the arm and the seed")
    tags: list[str] = option("words to find it by")


class TrainOptions(Options):
    """All options of `python -m resgan.train`."""

    _overrides: tuple[str, ...] = PrivateAttr(default=())

    study: Annotated[str, Field(min_length=1)] | None = option("a designed experiment, arms x seeds: see below")
    seed: int = option("of weights, data order and latents; the same seed in two arms makes them a pair", ge=0)
    seeds: Annotated[str, Field(min_length=1)] | None = option(
        "several, as in 0-15, trained as one in this process, a run each; null: seed"
    )
    replicate: Annotated[int, Field(ge=0, le=9_999)] | None = option(
        "a search of its own (tuning.candidates) and fresh seeds of its own; null: seed says all"
    )
    run_dir: Annotated[str, Field(min_length=1)] | None = option(
        "the run directory; null: a new one with date and time under runs/"
    )
    total_kimg: float = option("length of the run, in thousands of real images shown to D", gt=0)
    burn_in_kimg: NotNegative = option(
        "burn-in in thousands of images: options with a _final value are annealed to it (cosine)"
    )
    batch_size: int = option("images in a batch", ge=1)
    score_kimg: NotNegative = option("score every so many thousand images; 0: only at the start and at the end")
    sample_kimg: NotNegative = option("write a grid of samples every so many thousand images; 0: only at the end")
    save_kimg: NotNegative = option("save a checkpoint every so many thousand images; 0: only at the end")
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
                raise ValueError(f"{network}={given.name}: {where}; valid are mlp and module")
        self._both_are_conditional()
        self._relativistic_needs_pairs()
        self._augments_pictures()
        self._finals_have_time()
        self._can_be_stacked()
        self._can_be_searched()
        self._can_be_compiled()
        return self

    def _both_are_conditional(self) -> None:
        ways = {name: getattr(getattr(self, name), "conditional", "none") for name in ("generator", "disc")}
        if (ways["generator"] == "none") != (ways["disc"] == "none"):
            given = " with ".join(f"{name}.conditional={way}" for name, way in ways.items())
            raise ValueError(f"{given}: tell both networks the class, or neither")

    def _relativistic_needs_pairs(self) -> None:
        size = self.generator.batch_size
        if self.loss.name == "relativistic" and size not in (None, self.batch_size):
            raise ValueError(
                f"generator.batch_size={size}: loss=relativistic pairs each fake with a real picture; "
                f"valid is null, or batch_size={self.batch_size}"
            )

    def _augments_pictures(self) -> None:
        augment = self.augment
        if augment.operations and self.data.sample_shape == (2,):
            raise ValueError(
                f"augment.operations={format_value(augment.operations)}: data={self.data.name} has no pictures; "
                "valid is []"
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
        seeds = parse_seeds(self.seeds) if self.seeds is not None else []
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds={self.seeds}: names a seed twice")
        for name in ("generator", "disc"):
            if getattr(self, name).spectral and self.seeds is not None:
                raise ValueError(
                    f"seeds={self.seeds}: {name}.spectral=true cannot be trained so; sweep over seed= instead"
                )
            if getattr(self, name).spectral and self.trainer.stack > 1:
                raise ValueError(
                    f"trainer.stack={self.trainer.stack}: {name}.spectral=true cannot be trained so; valid is 1"
                )

    def _can_be_searched(self) -> None:
        if self.replicate is not None and self.seeds is not None:
            raise ValueError(f"seeds={self.seeds}: replicate={self.replicate} has seeds of its own; leave one out")
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
                f"tuning.penalty={format_value(self.tuning.penalty)}: this loss has no penalty to search; valid is null"
            )
        for name in searched:
            if (final := config.get(f"{name}_final")) is not None:
                raise ValueError(f"{name}_final={format_value(final)}: the search decides {name} alone; valid is null")

    def _can_be_compiled(self) -> None:
        if self.trainer.compile and (self.generator.spectral or self.disc.spectral):
            raise ValueError(
                "trainer.compile=true: spectral normalisation moves its vectors between passes of D, which compiled "
                "code does not take; valid is false"
            )

    @property
    def overrides(self) -> list[str]:
        """The words that `configure` composed these options of; none of a command, whose job has them."""
        return list(self._overrides)

    def remember(self, overrides: Sequence[str]) -> None:
        self._overrides = tuple(overrides)

    def with_values(self, values: PlainData) -> "TrainOptions":
        """The options with other values, given by their dotted names. Raises OptionsError."""
        nested = self.model_dump()
        for name, value in values.items():
            *group, key = name.split(".")
            (nested[group[0]] if group else nested)[key] = value
        options = check(TrainOptions, nested)
        if self._overrides:
            options.remember([*self._overrides, *(f"{name}={format_value(value)}" for name, value in values.items())])
        return options

    def each_seed(self) -> list["TrainOptions"]:
        """The options of every run that a result is drawn from, each as if it were alone.

        Seeds of replicate r with k of them: rk to rk + k - 1, so that no two replicates share one.
        """
        seeds = [self.seed] if self.seeds is None else parse_seeds(self.seeds)
        if self.replicate is not None:
            count = self.tuning.fresh_seeds
            seeds = list(range(self.replicate * count, (self.replicate + 1) * count))
        return [self.model_copy(update={"seed": seed, "seeds": None}) for seed in seeds]
