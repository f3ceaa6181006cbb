"""Scores of checkpoints, or of images from any source, against real images."""

import datetime
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import torch
import yaml
from torch import Tensor

from resgan import __version__
from resgan.base.cache import cache_directory
from resgan.base.console import say, say_once
from resgan.base.device import find_accelerator
from resgan.base.errors import OptionsError
from resgan.base.files import WriteError, make_directory
from resgan.base.plain_data import PlainData, flat, format_value
from resgan.base.progress import progress_bar
from resgan.base.rng import make_generator
from resgan.builders.data import build_dataset
from resgan.builders.scorer import SampleSource, build_extractor, make_scorer
from resgan.builders.trained_gan import load_gan_for
from resgan.data.dataset import DataError, Dataset
from resgan.data.folder import check_different, source_name
from resgan.data.image_files import load_images
from resgan.experiment.score_table import format_scores
from resgan.experiment.study import Job
from resgan.metrics.cards import first_card_difference
from resgan.metrics.features import Extractor
from resgan.metrics.scorer import Scorer
from resgan.nets import sampling
from resgan.options.conf import files_of, read_file
from resgan.options.data import DataOptions, DataSet
from resgan.options.evaluate import EvaluateOptions
from resgan.options.validation import check, names
from resgan.runs.directory import Run, check_writable
from resgan.runs.history import completed
from resgan.training import checkpoints

Load = Callable[[], Extractor]
Read = Callable[[DataSet | None, int], tuple[DataSet | None, Dataset]]


@dataclass(frozen=True, kw_only=True)
class EvaluationTarget:
    """One thing to score: how to get its samples, and the scorer that measures them."""

    name: str
    samples: Callable[[], Tensor]
    scorer: Scorer
    images_seen: int | None  # of a checkpoint


def evaluate(options: EvaluateOptions, job: Job) -> None:
    outdir, unwritten = find_outdir(options), None
    check_writable("outdir", outdir)
    device = find_accelerator("device", options.device)
    targets = list(evaluation_targets(options, device=device))
    refuse_mixed_targets(targets)
    lines, count = [], len(targets)
    while targets:  # each is dropped once it is scored, with what it read
        target = targets.pop(0)
        if count > 1:
            say(f"{len(lines) + 1} of {count}: {target.name}")
        lines.append(score(target))
        try:
            make_directory(outdir)
            Run(outdir).append(lines[-1])
        except WriteError as error:  # the scores are on the screen at least
            unwritten = error
    print(format_scores(lines, None if unwritten else outdir))
    if unwritten:
        raise unwritten


def find_outdir(options: EvaluateOptions) -> Path:
    if options.outdir:
        return Path(options.outdir).expanduser()
    if options.ckpt is None:
        return Path("evaluation")
    path = Path(options.ckpt).expanduser()
    run = path.absolute().parent.parent
    return (path if path.is_dir() else run if (run / "config.yaml").exists() else path.parent) / "evaluation"


def score(target: EvaluationTarget) -> PlainData:
    """Score a target, and return a line of metrics.jsonl."""
    started = time.monotonic()
    scores = target.scorer.measure(target.samples())
    return {
        "kind": "evaluation",
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "subject": target.name,
        "images_seen": target.images_seen,
        "scores": scores,
        "not_computed": target.scorer.not_computed(scores),
        "floors": target.scorer.ideal_scores(),
        "cards": target.scorer.cards,
        "seconds": round(time.monotonic() - started, 1),
        "resgan": __version__,
    }


def scores_of(options: EvaluateOptions, *, fake: Tensor | None = None, real: Tensor | None = None) -> PlainData:
    """Return scores by name of one checkpoint, or of images. Tensors replace what the options name."""
    device = find_accelerator("device", options.device)
    load = cache(partial(build_extractor, options.metrics, device=device))
    if fake is None and real is None:
        [target] = evaluation_targets(options, device=device)
    elif options.ckpt is None:
        target = target_from_images(options, load, fake=fake, real=real)
    else:
        assert real is not None
        reals = dataset_of(options, real)
        path = Path(options.ckpt).expanduser()
        target = target_from_checkpoint(options, path, lambda *_: (None, reals), load, device=device)
    for name, why in target.scorer.left_out.items():
        say(f"{name} is left out: {why}")
    return target.scorer.measure(target.samples())


def evaluation_targets(options: EvaluateOptions, *, device: str) -> Iterator[EvaluationTarget]:
    load = cache(partial(build_extractor, options.metrics, device=device))
    if options.fake is not None:
        yield target_from_images(options, load)
        return
    read: Read = cache(partial(read_reals, options))  # type: ignore[assignment]  # runs of a study share their data
    for path in checkpoints_below(Path(options.ckpt or "").expanduser()):
        yield target_from_checkpoint(options, path, read, load, device=device)


def checkpoints_below(path: Path) -> list[Path]:
    """Return the checkpoint itself, or the final checkpoints of all runs below a directory; of a run, the newest."""
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("checkpoints/final.ckpt"))
    if not found and (path / "checkpoints").is_dir():
        found = [checkpoints.find(path)]
        say(f"ckpt={path}: has not ended; takes {found[0].relative_to(path)}")
    if not found:
        raise OptionsError(
            f"ckpt={path}: there is no checkpoints/final.ckpt below; give a checkpoint, or finished runs"
        )
    return found


def target_from_images(
    options: EvaluateOptions, load: Load, *, fake: Tensor | None = None, real: Tensor | None = None
) -> EvaluationTarget:
    assert options.fake is not None
    fakes = images_at(options, Path(options.fake), option="fake") if fake is None else fake
    data, dataset = read_reals(options, None, options.seed) if real is None else (None, dataset_of(options, real))
    check_same_shape(tuple(fakes.shape[1:]), dataset, f"fake={options.fake}")
    scorer = make_scorer(
        options.metrics,
        data,
        dataset,
        seed=options.seed,
        fakes=SampleSource(count=len(fakes), averaged=None, norm_mode=None),
        load=load,
        bars=("real", "generated") if options.progress else (),
    )
    return EvaluationTarget(name=options.fake, samples=lambda: fakes, scorer=scorer, images_seen=None)


def target_from_checkpoint(
    options: EvaluateOptions, path: Path, read: Read, load: Load, *, device: str
) -> EvaluationTarget:
    gan = load_gan_for(options, path, device=device)
    trained_on, seed = data_of_run(path, options)
    data, dataset = read(trained_on, seed)
    check_same_shape(tuple(gan.spec["shape"]), dataset, f"ckpt={path}")
    scorer = make_scorer(
        options.metrics,
        data,
        dataset,
        seed=seed,
        fakes=SampleSource.generator(
            options.metrics, norm=gan.spec["generator"].get("norm", "none"), averaged=options.averaged
        ),
        load=load,
        bars=("real", "generated") if options.progress else (),
    )
    return EvaluationTarget(
        name=str(path), samples=partial(draw_samples, options, path, device), scorer=scorer, images_seen=gan.images_seen
    )


def draw_samples(options: EvaluateOptions, path: Path, device: str) -> Tensor:
    """Samples of a checkpoint, which is opened only now: a study may have many. Raises OptionsError for NaN."""
    gan = load_gan_for(options, path, device=device)
    random = make_generator(options.seed, "evaluate")
    z = torch.randn(options.metrics.samples, gan.spec["generator"]["latent_dim"], generator=random)
    shares = list(gan.spec.get("classes", {}).values())
    labels = sampling.classes_at(torch.rand(len(z), generator=random), shares) if shares else None
    raw = gan.generator if options.averaged else gan.generator_raw
    generator = sampling.with_norm_mode(raw, options.metrics.norm_mode, dim=z.shape[1], shares=shares)
    batches = -(-len(z) // sampling.CHUNK)
    with progress_bar(total=batches, label="generating", unit="batches", show=options.progress) as bar:
        samples = sampling.generate(generator, z, labels, on_batch=bar.update)
    if not samples.isfinite().all():
        raise OptionsError(f"ckpt={path}: its samples are not finite (NaN or infinity); there is nothing to score")
    return samples


# The reals.


def data_of_run(path: Path, options: EvaluateOptions) -> tuple[DataSet | None, int]:
    """Return the data options and seed of a checkpoint's run; None and the seed of `options` where `real` is set."""
    if options.real is not None:
        return None, options.seed
    config = Run(path.absolute().parent.parent).config
    try:
        values = completed(flat(yaml.safe_load(config.read_text())), names(DataOptions))
        data = {key.removeprefix("data."): value for key, value in values.items() if key.startswith("data.")}
        data |= {"cache": options.cache} if data["name"] == "folder" else {}
        return check(DataOptions, {"data": data}).data, values["seed"]
    except OSError:
        raise OptionsError(
            f"real=null: {path} belongs to no run (there is no {config}); give real, e.g. real=shapes"
        ) from None
    except (yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise OptionsError(f"real=null: {config} is damaged; give real, e.g. real=shapes") from error


def read_reals(options: EvaluateOptions, trained_on: DataSet | None, seed: int) -> tuple[DataSet | None, Dataset]:
    """Read the reals: (options of the data set, None for a path; the data set, whose reference is compared with)."""
    names = [name for name in files_of("data") if name != "folder"]
    if trained_on is None and options.real not in names:
        return None, dataset_at(options, valid=names)
    data = trained_on or data_options(str(options.real), options)
    dataset = build_dataset(data, seed=seed, progress=options.progress)
    if dataset.note:
        say_once(dataset.note)
    return data, with_split(dataset, options.split)


def data_options(name: str, options: EvaluateOptions) -> DataSet:
    """Read the options of a data set from conf/data."""
    values = {key.removeprefix("data."): value for key, value in read_file("data", name).of_group("data").items()}
    return check(DataOptions, {"data": values | ({"root": options.root} if "root" in values else {})}).data


def with_split(dataset: Dataset, split: str | None) -> Dataset:
    if split in (None, dataset.split):
        return dataset
    if split == "train":
        return replace(dataset, reference=dataset.train, split="trained")
    if split == "holdout" and len(dataset.holdout) > 1:
        return replace(dataset, reference=dataset.holdout, split="holdout")
    held_out = "" if len(dataset.holdout) > 1 else f", and {dataset.name} has none held out"
    raise OptionsError(f"split={split}: expected {dataset.split}, train or holdout{held_out}")


def dataset_at(options: EvaluateOptions, *, valid: list[str]) -> Dataset:
    assert options.real is not None
    path = Path(options.real).expanduser()
    if not os.path.lexists(path):
        raise DataError(f"real={options.real}: neither a path nor a data set; the data sets are {', '.join(valid)}")
    samples = images_at(options, path, option="real", cache_directory=cache_directory() if options.cache else None)
    if path.suffix != ".npz":
        check_different(samples, path, option="real", limits=options.limits, deep_only=True)
    name = source_name(path)
    split = options.split or re.sub(r"[^A-Za-z0-9.-]", "", name) or "real"
    return Dataset(name=name, train=samples, holdout=samples[:0], reference=samples, split=split)


def images_at(options: EvaluateOptions, path: Path, *, option: str, cache_directory: Path | None = None) -> Tensor:
    return load_images(
        path,
        option=option,
        size=options.size,
        channels=options.channels,
        progress=options.progress,
        fit=options.fit,
        enlarge=options.enlarge,
        limits=options.limits,
        cache_directory=cache_directory,
    )


def dataset_of(options: EvaluateOptions, samples: Tensor) -> Dataset:
    split = options.split or "real"
    return Dataset(name="tensor", train=samples, holdout=samples[:0], reference=samples, split=split)


def check_same_shape(fake: tuple[int, ...], dataset: Dataset, where: str) -> None:
    if fake != dataset.shape:
        mine, theirs = ("x".join(map(str, shape)) for shape in (fake, dataset.shape))
        raise OptionsError(
            f"{where}: samples are {mine} and real ones {theirs}; set size and channels so that they match"
        )


def refuse_mixed_targets(targets: list[EvaluationTarget]) -> None:
    """Refuse targets whose scores were made in different ways: they cannot stand in one table."""
    first = targets[0]
    for target in targets[1:]:
        if found := first_card_difference(first.scorer.cards, target.scorer.cards):
            name, fields = found
            changes = (f"{key} was {format_value(theirs)}, is {format_value(mine)}" for key, theirs, mine in fields)
            raise OptionsError(
                f"{first.name} and {target.name} cannot be compared in one table: {name}: {'; '.join(changes)}; "
                "evaluate them separately"
            )
