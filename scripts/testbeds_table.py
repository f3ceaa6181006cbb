"""Print the measured tables of docs/testbeds.md: python scripts/testbeds_table.py

Which images are valid on data=shapes, if damage affects all classes equally, how exact and fast the distance is, and
which copies `copying` detects. One thread; a minute.
"""

import time
from collections.abc import Iterator
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from resgan.base.images import to_float, to_uint8
from resgan.base.rng import make_generator
from resgan.builders.scorer import build_manifold_scores
from resgan.data import shapes
from resgan.metrics.manifold_scores import ManifoldScores
from resgan.options.data import Shapes

SAMPLES = 5000
NOISE = (0.04, 0.09)


@cache
def scores(count: int = 6000) -> ManifoldScores:
    options = Shapes(name="shapes", size=16, count=count, withhold=False, flip=False)
    return build_manifold_scores(options, shapes.load_shapes(size=16, count=count, withhold=False, seed=0), seed=0)


def drawn(labels: Tensor, centres: Tensor) -> Tensor:
    return to_float(shapes.render(labels, centres))


def blurred(images: Tensor, sd: Tensor) -> Tensor:
    """Blur by Gaussians of standard deviations (N,) in pixels; beyond the border all is grey."""
    place = torch.arange(-7, 8.0)
    kernels = torch.exp(-((place / sd.view(-1, 1)) ** 2) / 2)
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(3, 0)
    for shape, padding in (((-1, 1, 1, 15), (0, 7)), ((-1, 1, 15, 1), (7, 0))):
        flat = images.reshape(1, -1, 16, 16)
        images = F.conv2d(flat, kernels.reshape(shape), padding=padding, groups=flat.shape[1]).view(-1, 3, 16, 16)
    return images


def overlaid(one: Tensor, other: Tensor) -> Tensor:
    """Take each pixel from the image with more ink there."""
    return torch.where(one.abs().amax(1, keepdim=True) >= other.abs().amax(1, keepdim=True), one, other)


def table(head: str, rows: list[str]) -> None:
    print(f"{head}\n|{' --- |' + ' ---: |' * (head.count('|') - 2)}")
    print("\n".join(rows), end="\n\n")


# Fixed points.


def fixed_points() -> Iterator[tuple[str, Tensor]]:
    random = make_generator("testbeds", "fixed points")
    labels = torch.randint(24, (SAMPLES,), generator=random)
    centres = shapes.draw_centres(labels, random)
    images = drawn(labels, centres)
    other = (labels + torch.randint(1, 24, labels.shape, generator=random)) % 24
    forms = (labels // 6 + torch.randint(1, 4, labels.shape, generator=random)) % 4
    there, elsewhere = drawn(other, centres), drawn(other, shapes.draw_centres(other, random))
    turned = drawn(forms * 6 + labels % 6, centres)
    yield "fresh draws", images
    yield "uniform noise", 2 * torch.rand(images.shape, generator=random) - 1
    yield "Gaussian noise, sd 0.1", 0.1 * torch.randn(images.shape, generator=random)
    for name, grey in (("mid-grey", 0.0), ("black", -1.0), ("white", 1.0)):
        yield name, torch.full((1, 3, 16, 16), grey)
    yield "equal blends of two classes, one place", (images + there) / 2
    yield "equal blends of two classes, two places", (images + elsewhere) / 2
    yield "equal blends of two forms, one place and colour", (images + turned) / 2
    yield "unions of two classes, two places", overlaid(images, elsewhere)
    yield "unions of two forms, one place and colour", overlaid(images, turned)
    yield "equal blends of one class, two places", (images + drawn(labels, shapes.draw_centres(labels, random))) / 2


def fixed_point_rows() -> list[str]:
    rows = []
    for name, images in fixed_points():
        distances = scores().manifold.locate(images.clamp(-1, 1)).distances / shapes.TAU
        shares = " | ".join(f"{float((distances < factor).double().mean()):.3f}" for factor in (0.5, 1, 1.5))
        rows.append(
            f"| {name} | {shares} | {distances.min() * shapes.TAU:.2f} | {distances.median() * shapes.TAU:.2f} |"
        )
    return rows


# Equal damage in all classes.


def damages() -> Iterator[tuple[str, Tensor]]:
    """Yield all classes at the same centres, with the same damage, ordered by centre, then class."""
    random = make_generator("testbeds", "damage")
    centres = shapes.draw_centres(torch.zeros(400, dtype=torch.int64), random).repeat_interleave(24, 0)
    images = drawn(torch.arange(24).repeat(400), centres)
    level = torch.rand(400, generator=random).repeat_interleave(24)
    noise = torch.randn(400, 3, 16, 16, generator=random).repeat_interleave(24, 0)
    yield "gain 0.60 to 0.68", (0.6 + 0.08 * level).view(-1, 1, 1, 1) * images
    yield "gain 0.64", 0.64 * images
    yield "blur, sd 1.35 to 1.53 pixels", blurred(images, 1.35 + 0.18 * level)
    yield "noise, sd 0.09 to 0.10", images + (0.09 + 0.01 * level).view(-1, 1, 1, 1) * noise
    yield "noise, sd 0.0957", images + 0.0957 * noise


def damage_rows() -> list[str]:
    rows = []
    for name, images in damages():
        found = scores().manifold.locate(images.clamp(-1, 1))
        valid = (found.distances < shapes.TAU).double().view(400, 4, 6).mean(0)
        by_form = " | ".join(f"{share:.3f}" for share in valid.mean(1).tolist())
        rows.append(f"| {name} | {valid.mean():.3f} | {by_form} | {valid.min():.3f} to {valid.max():.3f} |")
    return rows


# The error of the distance, and what it costs.


def nearest_by_search(image: Tensor) -> tuple[float, int]:
    """Return the distance of an image (3, 16, 16) in [-1, 1] to the nearest class, and the label of that class.

    Search all classes at centres 0.1 apart, then the three nearest at centres 0.01 apart, as images. tests/metrics/
    compares with it too.
    """
    ink = torch.einsum("chw,kc->khw", image.double(), shapes.colours().double()).flatten(1)
    near = []
    for label in range(24):
        grid, masks = fine_masks(label // 6)
        squares = image.double().square().sum() + 3 * masks.square().sum(1) - 2 * masks @ ink[label % 6]
        near.append((float(squares.min()), label, grid[squares.argmin()]))
    line = torch.arange(-0.12, 0.121, 0.01, dtype=torch.float64)
    found = []
    for _, label, centre in sorted(near)[:3]:
        centres = (centre + torch.cartesian_prod(line, line)).clamp(shapes.LOW, shapes.HIGH)
        masks = shapes.masks(torch.full((len(centres),), label // 6), centres)
        pictures = masks.unsqueeze(1) * shapes.colours()[label % 6].view(3, 1, 1)
        found.append((float((pictures - image).flatten(1).norm(dim=1).min()), label))
    return min(found)


@cache
def fine_masks(form: int) -> tuple[Tensor, Tensor]:
    line = torch.arange(shapes.LOW, shapes.HIGH + 0.05, 0.1, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    return grid, shapes.masks(torch.full((len(grid),), form), grid).flatten(1)


def error_rows(count: int = 150) -> list[str]:
    random = make_generator("testbeds", "error")
    labels = torch.randint(24, (count,), generator=random)
    centres = shapes.draw_centres(labels, random)
    images, other = drawn(labels, centres), (labels + torch.randint(1, 24, labels.shape, generator=random)) % 24
    elsewhere = drawn(other, shapes.draw_centres(other, random))
    beside = (centres + 0.8 * torch.randn(centres.shape, generator=random)).clamp(shapes.LOW, shapes.HIGH)
    noise = torch.randn(images.shape, generator=random)
    kinds = {
        "fresh draws": images,
        "noise of sd 0.095": images + 0.095 * noise,
        "noise of sd 0.3": images + 0.3 * noise,
        "blur of sd 1.5": blurred(images, torch.full((count,), 1.5)),
        "0.7 and 0.3 of two classes": 0.7 * images + 0.3 * elsewhere,
        "equal blends of two classes": (images + elsewhere) / 2,
        "equal blends of one class, 0.8 pixels apart": (images + drawn(labels, beside)) / 2,
        "uniform noise": 2 * torch.rand(images.shape, generator=random) - 1,
    }
    rows = []
    for name, pictures in kinds.items():
        given = to_uint8(pictures)
        found = scores().manifold.locate(given).distances.double()
        searched = torch.tensor([nearest_by_search(to_float(image))[0] for image in given])
        error = found - searched
        verdicts = int(((found < shapes.TAU) != (searched < shapes.TAU)).sum())
        rows.append(f"| {name} | {searched.median():.2f} | {error.min():+.4f} | {error.max():+.4f} | {verdicts} |")
    return rows


def seconds(rounds: int = 5) -> float:
    """Return the CPU seconds for all scores of 10,000 samples, half of them valid; the minimum of some rounds."""
    images = drawn(*labels_and_centres(10_000)) + 0.0957 * torch.randn(10_000, 3, 16, 16)
    scores().compute(images[:300])
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        scores().compute(images)
        taken.append(time.process_time() - start)
    return min(taken)


def labels_and_centres(count: int) -> tuple[Tensor, Tensor]:
    random = make_generator("testbeds", "draws")
    labels = torch.randint(24, (count,), generator=random)
    return labels, shapes.draw_centres(labels, random)


# Copying.


def copying_rows() -> list[str]:
    rows = []
    for count in (240, 1200, 6000):
        own, random = scores(count), make_generator("testbeds", "copies")
        replayed = to_float(own.train[torch.arange(SAMPLES) % count])
        noise = torch.randn(replayed.shape, generator=random)
        located = own.manifold.locate(own.train)
        index = torch.arange(SAMPLES) % count
        angle = 6.283185 * torch.rand(SAMPLES, generator=random)
        away = torch.stack([angle.cos(), angle.sin()], dim=1)
        moved = partial(own.copying, located.labels[index])
        found = [own.compute(replayed)["copying"], *(own.compute(replayed + sd * noise)["copying"] for sd in NOISE)]
        found += [moved((located.centres[index] + step * away).clamp(shapes.LOW, shapes.HIGH)) for step in (0.1, 0.3)]
        found += [own.compute(drawn(*labels_and_centres(SAMPLES)))["copying"]]
        rows.append(f"| {count:,} | {' | '.join(f'{share:.3f}' for share in found)} |")
    return rows


def main() -> None:
    torch.set_num_threads(1)
    print(f"{seconds():.2f} s for all scores of 10,000 samples\n")
    table("| samples | within tau / 2 | tau (valid) | 1.5 tau | least distance | median |", fixed_point_rows())
    table(f"| damage | valid | {' | '.join(shapes.FORMS)} | the 24 classes |", damage_rows())
    table("| images | median distance | error from | to | other verdicts of 150 |", error_rows())
    noisy = " | ".join(f"noise {sd:g}" for sd in NOISE)
    table(f"| training images | replayed | {noisy} | moved 0.1 | moved 0.3 | fresh draws |", copying_rows())


if __name__ == "__main__":
    main()
