"""A look at images before training on them: what they are, what is wrong, and how training would see them."""

import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch
from PIL import ImageOps
from torch import Tensor

from resgan.base.errors import UserError
from resgan.base.files import make_directory
from resgan.base.images import save_png, to_image
from resgan.base.progress import progress_bar
from resgan.base.rng import make_generator
from resgan.data.dataset import DataError, printable
from resgan.data.fitting import Fitting, Size, area, by
from resgan.data.folder import (
    check_different,
    check_sizes,
    convert,
    decode,
    deep_range,
    for_all,
    open_image,
    source_name,
)
from resgan.data.labels import Labels, read_labels
from resgan.data.limits import Limits
from resgan.data.sources import Source, open_source
from resgan.options.data import Folder

SHOWN = 64  # images in the grid
LISTED = 20  # classes, and sizes, that are listed one by one
SIDES = (16, 32, 64)  # pixels, that are suggested: sizes that the lab networks train in minutes to hours
MODES = {
    "1": "1 (black and white)",
    "L": "L (grey)",
    "LA": "LA (grey, transparent)",
    "P": "P (palette)",
    "RGBA": "RGBA (transparent)",
    "I": "I (32-bit grey)",
    "I;16": "I;16 (16-bit grey)",
    "I;16B": "I;16B (16-bit grey)",
}


@dataclass(frozen=True)
class Seen:
    """One image as it is."""

    size: Size  # upright
    mode: str  # Pillow's
    grey: bool  # all channels are equal
    deep: tuple[int, int] | None  # least and largest value, of grey with more than 8 bits
    digest: bytes  # of size and pixels, as RGB of 8 bits


@dataclass(frozen=True)
class Survey:
    """All images at a path, and what options of `data=folder` make of them."""

    options: Folder
    typed: dict[str, object]  # the options that differ from the defaults, without the path
    source: Source
    seen: dict[str, Seen]  # by name
    broken: dict[str, str]  # errors of images that cannot be decoded, by name
    labels: Labels
    problems: list[str]  # for which training would refuse the images, but for those that are broken

    @property
    def sizes(self) -> Counter[Size]:
        return Counter(one.size for one in self.seen.values())

    @property
    def fitting(self) -> Fitting | None:
        """Return what training would do, at a suggested size where none is given; None: it takes images as they are."""
        options, sizes = self.options, self.sizes
        if options.size is not None:
            return Fitting(side=options.size, fit=options.fit, enlarge=options.enlarge)
        if len(sizes) < 2 and all(width == height for width, height in sizes):
            return None
        return suggested(sizes, options)

    def suggestions(self) -> dict[str, object]:
        """Return options that are not given and should be, by name."""
        found: dict[str, object] = {}
        if self.fitting and self.options.size is None:
            wanted = {"size": self.fitting.side, "fit": self.fitting.fit, "enlarge": self.fitting.enlarge}
            found |= {name: value for name, value in wanted.items() if value != getattr(self.options, name)}
        if self.options.channels == 3 and all(one.grey for one in self.seen.values()):
            found["channels"] = 1
        return found


def look(options: Folder, typed: dict[str, object], outdir: Path, *, progress: bool = True) -> int:
    """Print what the images are, and write a grid of them. Returns 1 where training would refuse them, else 0."""
    path = Path(options.path).expanduser()
    check_outdir(outdir, path)
    survey = take_survey(options, typed, open_source(path, Limits(options.limits)), progress=progress)
    lines = list(rows_of(survey))
    if survey.seen:
        images = draw(survey)
        lines += problem_rows(survey, images)
        lines += command_rows(survey)
        if len(images):
            make_directory(outdir)
            save_png(to_image(images, columns=8), outdir / "grid.png")
            lines.append(
                ("grid", f"{outdir / 'grid.png'}: {len(images)} images as training sees them{order_of(survey)}")
            )
    print(printable(f"{source_name(path)}: {len(survey.source.names):,} images in {options.path}"))
    previous = None
    for title, text in lines:
        print(f"  {title if title != previous else '':<12}{printable(text)}")
        previous = title
    return 1 if survey.broken or survey.problems else 0


def check_outdir(outdir: Path, path: Path) -> None:
    """Refuse a directory among the images, where the grid would be one of them. Raises UserError."""
    if path.is_dir() and outdir.resolve().is_relative_to(path.resolve()):
        raise UserError(f"outdir={outdir}: lies in {path}, where the grid would be one of the images; give another")


def take_survey(options: Folder, typed: dict[str, object], source: Source, *, progress: bool) -> Survey:
    bar = progress_bar(total=len(source.names), label=source.path.name, unit="images", show=progress)
    seen, broken = for_all(source.files(), lambda _, data: see(data), bar=bar, limits=source.limits)
    problems = []
    try:
        labels = read_labels(source, options.labels)
    except DataError as error:
        labels = Labels("none")
        problems.append(str(error))
    return Survey(options, typed, source, dict(sorted(seen.items())), broken, labels, problems)


def see(data: bytes) -> Seen:
    with open_image(data) as image:
        mode = image.mode
        ImageOps.exif_transpose(image, in_place=True)
        size = image.size
        pixels = np.asarray(convert(image, channels=3))
    return Seen(
        size=size,
        mode=mode,
        grey=bool((pixels == pixels[..., :1]).all()),
        deep=deep_range(data),
        digest=blake2b(pixels.tobytes(), key=str(size).encode(), digest_size=16).digest(),
    )


def suggested(sizes: Counter[Size], options: Folder) -> Fitting:
    """Suggest a size that all but a twentieth of the images have without being enlarged."""
    shorter = sorted(min(size) for size in sizes.elements())
    usual = shorter[len(shorter) // 20]
    if usual < SIDES[0] or options.fit == "pad":
        longest = max(max(size) for size in sizes)
        side = next((side for side in SIDES if side >= longest), SIDES[-1])
        return Fitting(side=side, fit="pad", enlarge=options.enlarge)
    side = max(side for side in SIDES if side <= usual)
    return Fitting(side=side, fit=options.fit, enlarge=options.enlarge or shorter[0] < side)


def draw(survey: Survey) -> Tensor:
    """Decode some images, drawn by a fixed key, as training would: uint8 (N, C, H, W), by class and name."""
    fitting = survey.fitting
    fit = [name for name, one in survey.seen.items() if fitting is None or fitting.takes(one.size)]
    order = torch.randperm(len(fit), generator=make_generator("look"))[:SHOWN]
    names = sorted((fit[k] for k in order.tolist()), key=lambda name: (survey.labels.numbers.get(name, 0), name))
    rows = {name: row for row, name in enumerate(names)}
    side = fitting.side if fitting else next(iter(survey.sizes))[0]
    images = torch.zeros(len(names), survey.options.channels, side, side, dtype=torch.uint8)
    pixels = images.numpy()
    files = ((name, file) for name, file in survey.source.files() if name in rows)
    for_all(
        files,
        lambda name, data: decode(data, pixels[rows[name]], fitting=fitting),
        bar=progress_bar(label="", unit="images", show=False),
        limits=survey.source.limits,
    )
    return images


def order_of(survey: Survey) -> str:
    return ", in the order of their classes" if survey.labels.classes else ""


# Rows of text: a title and what it says.

Row = tuple[str, str]


def rows_of(survey: Survey) -> Iterator[Row]:
    seen = survey.seen
    yield from size_rows(survey.sizes)
    modes = Counter(one.mode for one in seen.values())
    yield "modes", ", ".join(f"{MODES.get(mode, mode)} {count:,}" for mode, count in modes.most_common()) or "unknown"
    if deep := [one.deep for one in seen.values() if one.deep]:
        low, high = min(low for low, _ in deep), max(high for _, high in deep)
        kept = f"{max(0, low) >> 8} to {min(high, 65535) >> 8}"
        yield "16-bit", f"values {low} to {high} of 0 to 65535; the high byte is kept, here {kept} of 0 to 255"
    yield from class_rows(survey)
    firsts: dict[bytes, str] = {}
    equal = [(firsts[one.digest], name) for name, one in seen.items() if firsts.setdefault(one.digest, name) != name]
    example = f", such as {equal[0][1]} and {equal[0][0]}" if equal else ""
    equals = "image equals" if len(equal) == 1 else "images equal"
    yield "duplicates", f"{len(equal):,} {equals} another one{example}" if equal else "none"
    for name, error in sorted(survey.broken.items()):
        yield "damaged", f"{name} ({error})"
    if not survey.broken:
        yield "damaged", "none"


def size_rows(sizes: Counter[Size]) -> Iterator[Row]:
    if not sizes:
        return
    shapes = Counter[str]()
    for (width, height), count in sizes.items():
        shapes["wider than high" if width > height else "higher than wide" if width < height else "square"] += count
    shaped = ", ".join(f"{count:,} {shape}" for shape, count in shapes.most_common())
    if len(sizes) == 1:
        yield "sizes", f"all {by(next(iter(sizes)))}"
        return
    yield "sizes", f"{len(sizes):,} different, {by(min(sizes, key=area))} to {by(max(sizes, key=area))}; {shaped}"
    most = ", ".join(f"{by(size)} ({count:,})" for size, count in sizes.most_common(5))
    yield "sizes", f"most often {most}"


def class_rows(survey: Survey) -> Iterator[Row]:
    labels = survey.labels
    if not labels.classes:
        yield "classes", "none" + ("" if labels.origin in ("none", "folders") else f" ({labels.origin})")
        return
    counts = Counter(labels.numbers.values())
    each = [f"{name} ({counts[number]:,})" for number, name in enumerate(labels.classes)]
    more = f", and {len(each) - LISTED:,} more, of {min(counts.values()):,} to {max(counts.values()):,} images"
    listed = ", ".join(each[:LISTED]) + (more if len(each) > LISTED else "")
    yield "classes", f"{len(each):,} from {labels.origin}: {listed}"


def problem_rows(survey: Survey, images: Tensor) -> Iterator[Row]:
    """Say what training would do with the images, and why it would refuse them."""
    fitting = survey.fitting
    if fitting is None:
        yield "training", f"images as they are, {by(next(iter(survey.sizes)))}"
    else:
        done = fitting.in_words(survey.sizes) or f"images as they are, {by((fitting.side, fitting.side))}"
        yield "training", done if survey.options.size else f"{done} (suggested, as data.size is not given)"
    for check in (
        lambda: check_sizes({name: one.size for name, one in survey.seen.items()}, fitting),
        lambda: (
            len({one.digest for one in survey.seen.values()}) == 1
            and check_different(images, survey.source.path, limits=survey.options.limits)
        ),
    ):
        try:
            check()
        except DataError as error:
            survey.problems.append(str(error))
    for problem in survey.problems:
        yield "refused", problem


def command_rows(survey: Survey) -> Iterator[Row]:
    given = survey.typed | survey.suggestions()
    words = ["data=folder", f"data.path={survey.options.path}", *(f"data.{k}={in_yaml(v)}" for k, v in given.items())]
    if survey.broken:
        count = len(survey.broken)
        yield "refused", f"{count:,} damaged file{'s' * (count > 1)}; remove or replace {'them' if count > 1 else 'it'}"
    yield "train with", shlex.join(["python", "-m", "resgan.train", *words])
    if survey.labels.classes:
        yield "by class", "the same with generator.conditional=norm disc.conditional=projection"


def in_yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
