"""Score a checkpoint, or pictures from anywhere: `python -m resgan.evaluate ckpt=PATH`."""

import datetime
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from resgan.checking import OptionsError, check
from resgan.command import CONF, Command, Job, files_of, find_accelerator, run_command, say
from resgan.options import DataOptions, EvaluateOptions
from resgan.runs import Run, check_writable, plain, unlike

if TYPE_CHECKING:
    from torch import Tensor

    from resgan.data.dataset import Dataset
    from resgan.metrics.scorer import Scorer

COMMAND = Command(
    name="evaluate",
    options=EvaluateOptions,
    about="""Score a checkpoint, or pictures from anywhere, against real pictures: Frechet and kernel distances,
Inception score, precision, recall, density, coverage, and the exact scores of the testbeds. Each score has a name that
says what it is, a card that says how it was made, and where it is known what a perfect generator would score.""",
    examples="""  python -m resgan.evaluate ckpt=runs/mine/checkpoints/final.ckpt
  python -m resgan.evaluate ckpt=runs/factorial metrics.samples=2000        all runs of a study, in one table
  python -m resgan.evaluate ckpt=runs/mine/checkpoints/final.ckpt metrics=inception metrics.weights=inception.pth
  python -m resgan.evaluate fake=samples.npz real=cifar10 root=~/data
  python -m resgan.evaluate fake=theirs.zip real=pictures/test size=32 outdir=theirs""",
)
AT_ONCE = 6  # columns of a table


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One thing to score: how to get its samples, and what they are measured by."""

    name: str
    samples: Any  # () -> Tensor
    scorer: "Scorer"
    images_seen: int | None  # of a checkpoint


def main() -> None:
    run_command(COMMAND, evaluate)


def evaluate(options: EvaluateOptions, job: Job) -> None:
    outdir = find_outdir(options)
    check_writable("outdir", outdir)
    device = find_accelerator("device", options.device)
    entries = list(entries_of(options, device=device))
    refuse_mixed_cards(entries)
    lines, count = [], len(entries)
    while entries:  # and each forgets, once it is scored, what it read
        entry = entries.pop(0)
        if count > 1:
            say(f"{len(lines) + 1} of {count}: {entry.name}")
        lines.append(score(entry))
        outdir.mkdir(parents=True, exist_ok=True)
        Run(outdir).append(lines[-1])
    print(report(lines, outdir))


def find_outdir(options: EvaluateOptions) -> Path:
    if options.outdir:
        return Path(options.outdir).expanduser()
    if options.ckpt is None:
        return Path("evaluation")
    path = Path(options.ckpt).expanduser()
    run = path.absolute().parent.parent
    return (path if path.is_dir() else run if (run / "config.yaml").exists() else path.parent) / "evaluation"


def score(entry: Entry) -> dict[str, Any]:
    """A line of metrics.jsonl."""
    from resgan import __version__

    started = time.monotonic()
    scores = entry.scorer.measure(entry.samples())
    return {
        "kind": "evaluation",
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "subject": entry.name,
        "images_seen": entry.images_seen,
        "scores": scores,
        "floors": entry.scorer.floors(),
        "cards": entry.scorer.cards,
        "seconds": round(time.monotonic() - started, 1),
        "resgan": __version__,
    }


# What is scored.


def entries_of(options: EvaluateOptions, *, device: str) -> Iterator[Entry]:
    from resgan.scoring import extractor_of

    load = cache(partial(extractor_of, options.metrics, device=device))
    if options.fake is not None:
        yield of_pictures(options, load)
        return
    read = cache(partial(real_of, options))  # runs of a study share their data
    for path in checkpoints_below(Path(options.ckpt or "").expanduser()):
        yield of_checkpoint(options, path, read, load, device=device)


def checkpoints_below(path: Path) -> list[Path]:
    """A checkpoint itself, or the final ones of all runs below a directory."""
    if not path.is_dir():
        return [path]
    found = sorted(path.rglob("checkpoints/final.ckpt"))
    if not found:
        raise OptionsError(
            f"ckpt={path}: there is no checkpoints/final.ckpt below; give a checkpoint, or finished runs"
        )
    return found


def of_pictures(options: EvaluateOptions, load: Any) -> Entry:
    from resgan.data.pictures import load_pictures
    from resgan.scoring import Subject, build_scorer

    assert options.fake is not None
    reading = {"size": options.size, "channels": options.channels, "progress": options.progress}
    fakes = load_pictures(options.fake, option="fake", **reading)
    data, dataset = real_of(options, None, options.seed)
    check_same_shape(tuple(fakes.shape[1:]), dataset, f"fake={options.fake}")
    scorer = build_scorer(
        options.metrics,
        data,
        dataset,
        seed=options.seed,
        fakes=Subject(count=len(fakes), averaged=None, norm_mode=None),
        load=load,
        bars=("real", "generated") if options.progress else (),
    )
    return Entry(name=options.fake, samples=lambda: fakes, scorer=scorer, images_seen=None)


def of_checkpoint(options: EvaluateOptions, path: Path, read: Any, load: Any, *, device: str) -> Entry:
    from resgan.build import load_gan
    from resgan.scoring import Subject, build_scorer

    gan = load_gan(path, device=device)
    trained_on, seed = data_of_run(path, options)
    data, dataset = read(trained_on, seed)
    check_same_shape(tuple(gan.spec["shape"]), dataset, f"ckpt={path}")
    scorer = build_scorer(
        options.metrics,
        data,
        dataset,
        seed=seed,
        fakes=Subject.generator(
            options.metrics, norm=gan.spec["generator"].get("norm", "none"), averaged=options.averaged
        ),
        load=load,
        bars=("real", "generated") if options.progress else (),
    )
    return Entry(
        name=str(path), samples=partial(draw, options, path, device), scorer=scorer, images_seen=gan.images_seen
    )


def draw(options: EvaluateOptions, path: Path, device: str) -> "Tensor":
    """Samples of a checkpoint, which is opened only now: a study may have many. Raises OptionsError for NaN."""
    import torch
    from tqdm import tqdm

    from resgan import sampling
    from resgan.build import load_gan
    from resgan.keys import keyed_generator

    gan = load_gan(path, device=device)
    random = keyed_generator(options.seed, "evaluate")
    z = torch.randn(options.metrics.samples, gan.spec["generator"]["latent_dim"], generator=random)
    shares = list(gan.spec.get("classes", {}).values())
    labels = sampling.classes_at(torch.rand(len(z), generator=random), shares) if shares else None
    raw = gan.generator if options.averaged else gan.generator_raw
    generator = sampling.with_norm_mode(raw, options.metrics.norm_mode, dim=z.shape[1], shares=shares)
    batches = -(-len(z) // sampling.CHUNK)
    with tqdm(
        total=batches, desc="generating", unit="batch", delay=1, disable=None if options.progress else True
    ) as bar:
        samples = sampling.generate(generator, z, labels, between=partial(advance, bar))
    if not samples.isfinite().all():
        raise OptionsError(f"ckpt={path}: its samples are not finite (NaN or infinity); there is nothing to score")
    return samples


def advance(bar: Any) -> None:
    bar.update()


# What it is compared with.


def data_of_run(path: Path, options: EvaluateOptions) -> tuple[Any, int]:
    """The options of the data that a checkpoint's run was trained on, and their seed; None where `real` says more."""
    if options.real is not None:
        return None, options.seed
    config = Run(path.absolute().parent.parent).config
    try:
        values = yaml.safe_load(config.read_text())
        data = values["data"] | ({"cache": options.cache} if values["data"]["name"] == "folder" else {})
        return check(DataOptions, {"data": data}).data, values["seed"]
    except OSError:
        raise OptionsError(
            f"real=null: {path} lies in no run (there is no {config}); say what to compare with, e.g. real=shapes"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, OptionsError) as error:
        raise OptionsError(f"real=null: {config} is damaged; say what to compare with, e.g. real=shapes") from error


def real_of(options: EvaluateOptions, trained_on: Any, seed: int) -> tuple[Any, "Dataset"]:
    """(options of the data set, or None for a path; the data set, its reference what is compared with)."""
    from resgan.build import build_dataset

    names = [name for name in files_of("data") if name != "folder"]
    if trained_on is None and options.real not in names:
        return None, dataset_at(options, valid=names)
    data = trained_on or data_named(str(options.real), options)
    return data, with_split(build_dataset(data, seed=seed, progress=options.progress), options.split)


def data_named(name: str, options: EvaluateOptions) -> Any:
    """The options of a data set as conf/data has them."""
    values = yaml.safe_load((CONF / "data" / f"{name}.yaml").read_text())
    values = values.get("data", values)
    return check(DataOptions, {"data": values | ({"root": options.root} if "root" in values else {})}).data


def with_split(dataset: "Dataset", split: str | None) -> "Dataset":
    if split in (None, dataset.split):
        return dataset
    if split == "train":
        return replace(dataset, reference=dataset.train, split="trained")
    if split == "holdout" and len(dataset.holdout) > 1:
        return replace(dataset, reference=dataset.holdout, split="holdout")
    held_out = "" if len(dataset.holdout) > 1 else f", and {dataset.name} has none held out"
    raise OptionsError(f"split={split}: valid are {dataset.split}, train, holdout{held_out}")


def dataset_at(options: EvaluateOptions, *, valid: list[str]) -> "Dataset":
    from resgan.cache import cache_directory
    from resgan.data.dataset import DataError, Dataset
    from resgan.data.folder import source_name
    from resgan.data.pictures import load_pictures

    assert options.real is not None
    path = Path(options.real).expanduser()
    if not path.exists():
        raise DataError(f"real={options.real}: neither a path nor a data set; of these there are {', '.join(valid)}")
    samples = load_pictures(
        path,
        option="real",
        size=options.size,
        channels=options.channels,
        progress=options.progress,
        cache_directory=cache_directory() if options.cache else None,
    )
    name = source_name(path)
    split = options.split or re.sub(r"[^A-Za-z0-9.-]", "", name) or "real"
    return Dataset(name=name, train=samples, holdout=samples[:0], reference=samples, split=split)


def check_same_shape(fake: tuple[int, ...], dataset: "Dataset", where: str) -> None:
    if fake != dataset.shape:
        mine, theirs = ("x".join(map(str, shape)) for shape in (fake, dataset.shape))
        raise OptionsError(
            f"{where}: samples are {mine} and real ones {theirs}; set size and channels to make them alike"
        )


# What is said.


def refuse_mixed_cards(entries: list[Entry]) -> None:
    """Numbers that were made in different ways do not stand in one table."""
    first = entries[0]
    for entry in entries[1:]:
        if found := unlike(first.scorer.cards, entry.scorer.cards):
            name, fields = found
            said = "; ".join(f"{field} was {plain(theirs)}, is {plain(mine)}" for field, theirs, mine in fields)
            raise OptionsError(
                f"{first.name} and {entry.name} cannot stand in one table: {name}: {said}; evaluate them apart"
            )


def report(lines: list[dict[str, Any]], outdir: Path) -> str:
    """A table for each few subjects, then the cards."""
    parts = []
    for start in range(0, len(lines), AT_ONCE):
        parts.append(table(lines[start : start + AT_ONCE], start=start))
    names = [f"  [{k}] {line['subject']}" for k, line in enumerate(lines, start=1)] if len(lines) > 1 else []
    return "\n".join([*parts, *names, *cards(lines[0]["cards"]), f"  written to {outdir / 'metrics.jsonl'}"])


def table(lines: list[dict[str, Any]], *, start: int) -> str:
    """Scores by row, subjects by column, and the floors."""
    heads = ["value"] if len(lines) == 1 and not start else [f"[{start + k}]" for k in range(1, len(lines) + 1)]
    rows = [["score", *heads, "perfect"]]
    for name in lines[0]["scores"]:
        values = [*(line["scores"].get(name) for line in lines), lines[0]["floors"].get(name)]
        rows.append([name, *("-" if value is None else f"{value:.4g}" for value in values)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  "
        + "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def cards(cards: dict[str, dict[str, Any]]) -> list[str]:
    """What all scores have in common, said once, and what only some have."""
    common = {
        key: value
        for key, value in next(iter(cards.values())).items()
        if all(c.get(key) == value for c in cards.values())
    }
    lines = ["  all scores: " + in_words(common)]
    groups: dict[str, list[str]] = {}
    for name, card in cards.items():
        groups.setdefault(in_words({k: v for k, v in card.items() if k not in common}), []).append(name)
    return lines + [f"  {shortened(names)}: {words}" for words, names in groups.items() if words]


def shortened(names: list[str]) -> str:
    return ", ".join(names) if len(names) < 6 else f"{names[0]} to {names[-1]}"


def in_words(card: dict[str, Any]) -> str:
    """The line in metrics.jsonl has the whole card."""
    short = card | ({"weights_sha256": card["weights_sha256"][:16]} if "weights_sha256" in card else {})
    return ", ".join(f"{key.replace('_', ' ')} {plain(value)}" for key, value in short.items() if value is not None)


if __name__ == "__main__":
    main()
