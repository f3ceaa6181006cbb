"""Measure the cost of a score: resgan's FID against torchmetrics' default, in turns, on the same images and weights.

    python scripts/bench/evaluate.py [--images 32] [--rounds 5] [--threads N]

Print, for Inception's features and for the Frechet distance at 2048 features, both times, their ratio, and the
difference of the values; and what a second evaluation against the same reference still computes for the reals. The
weights are random (they affect only the score), so nothing is downloaded. Run it alone on the machine.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from resgan.metrics import inception
from resgan.metrics.extractors import load_extractor
from resgan.metrics.features import extract
from resgan.metrics.frechet import frechet_distance
from resgan.metrics.reference import Reference, moments_of


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def in_turns(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median seconds of both, which alternate in each round, after a round that is not counted."""
    ours(), theirs()
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    return median(a for a, _ in times), median(b for _, b in times)


def compare_features(path: Path, pictures: torch.Tensor, rounds: int) -> None:
    extractor = load_extractor("inception", weights=str(path))
    default = FrechetInceptionDistance(2048, feature_extractor_weights_path=str(path))
    same_resize = FrechetInceptionDistance(2048, feature_extractor_weights_path=str(path), antialias=False)
    ours, theirs = in_turns(lambda: extract(extractor, pictures), lambda: default.update(pictures, real=False), rounds)
    mine, reference = extract(extractor, pictures), same_resize.inception(pictures)
    apart = float((mine - reference).abs().max() / reference.abs().max())
    print(f"Inception's features of {len(pictures)} images 32x32")
    print(f"  ours           {len(pictures) / ours:7.2f} images/s")
    print(f"  torchmetrics   {len(pictures) / theirs:7.2f} images/s   ratio {theirs / ours:.2f}")
    print(f"  features apart by {apart:.1e} of the largest (torchmetrics with antialias=False, which is FID's resize)")


def compare_distances(rounds: int) -> None:
    generator = torch.Generator().manual_seed(0)
    fake, real = (torch.randn(5000, 2048, generator=generator) * scale for scale in (1.0, 1.2))
    fakes, reals = moments_of(fake), moments_of(real)
    _ = reals.root  # which the cache holds

    class Features(torch.nn.Module):
        num_features = 2048

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    theirs = FrechetInceptionDistance(Features())
    theirs.update(fake, real=False)
    theirs.update(real, real=True)

    def compute() -> float:
        theirs._computed = None  # else it would return its cached value
        return float(theirs.compute())

    mine, them = in_turns(lambda: frechet_distance(fakes, reals), compute, rounds)
    apart = abs(frechet_distance(fakes, reals) / compute() - 1)
    print("Frechet distance at 2048 numbers, the reference's factor at hand")
    print(f"  ours           {mine:7.2f} s")
    print(f"  torchmetrics   {them:7.2f} s   ratio {them / mine:.2f}")
    print(f"  values apart by {apart:.1e}")


def second_evaluation(path: Path, pictures: torch.Tensor) -> None:
    extractor = load_extractor("inception", weights=str(path))
    with tempfile.TemporaryDirectory() as folder:
        first = seconds(lambda: Reference(extractor, pictures, cache=Path(folder)).moments.root)
        again = seconds(lambda: Reference(extractor, pictures, cache=Path(folder)).moments.root)
    print(f"The real side of {len(pictures)} images: {first:.2f} s at first, {again:.2f} s again (read from disk)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    pictures = torch.randint(
        256, (arguments.images, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "inception.pth"
        torch.save(inception.random_state(), path)
        print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {arguments.rounds} rounds")
        compare_features(path, pictures, arguments.rounds)
        compare_distances(arguments.rounds)
        second_evaluation(path, pictures)


if __name__ == "__main__":
    main()
