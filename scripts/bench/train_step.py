"""Measure the overhead of a training step: through Lightning, against a hand-written loop over the same modules.

    python scripts/bench/train_step.py            # all comparisons, a few minutes; the machine should be idle

Three figures:
- width 32, batch 64, 32 x 32: images per second through Lightning as a share of the loop's;
- a near-empty model: milliseconds per step added by Lightning, the callbacks and the batches;
- the defaults of data=gaussians: the share that they add to the loop's time.
Both sides take turns in one process; each figure is a median over pairs of neighbouring turns.
"""

import argparse
import copy
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from torch.optim.swa_utils import get_ema_multi_avg_fn

from resgan.base.signals import StopSignal
from resgan.builders.gan import build_gan
from resgan.builders.networks import spec_of
from resgan.builders.scorer import build_scorer
from resgan.data.dataset import Dataset
from resgan.options.conf import CONF
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.directory import Run
from resgan.runs.tracking import Tracker
from resgan.training.batches import Batches, DataModule
from resgan.training.callbacks import ProgressBar, RecorderCallback
from resgan.training.fit import fit
from resgan.training.gan import GAN
from resgan.training.losses import LOSSES
from resgan.training.recorder import Recorder, Schedule


def compose(*overrides: str) -> TrainOptions:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = OmegaConf.to_container(hydra_compose("train", list(overrides)), resolve=True)
    return check(TrainOptions, config)  # type: ignore[arg-type]


def make(options: TrainOptions, dataset: Dataset, steps: int) -> GAN:
    gan = build_gan(options, spec_of(options, dataset), dataset)
    gan.total_images = steps * options.batch_size
    return gan


def through_lightning(options: TrainOptions, dataset: Dataset, steps: int) -> float:
    """Return the seconds for `steps` steps as resgan trains: Trainer, recorder, progress bar, data module."""
    gan = make(options, dataset, steps)
    with tempfile.TemporaryDirectory() as folder:
        clock = Stopwatch()
        recorder = Recorder(
            run=Run(Path(folder)),
            gan=gan,
            scorer=build_scorer(options, dataset),
            schedule=Schedule(score=0, sample=0, save=0, total=2 * gan.total_images),  # only steps
            tracker=Tracker(mode="disabled", directory=Path(folder), run_id=None, config={}, project="", entity=None,
                            name=None, group=None, tags=[]),
            spec={},
            reference=[torch.zeros(4, *dataset.shape)],
            reals=torch.zeros(4, *dataset.shape),
            seconds=0.0,
        )  # fmt: skip
        data = DataModule(dataset, batch_size=options.batch_size, images_seen=0, total_images=gan.total_images,
                          seeds=[0], flip=False, on_device=False)  # fmt: skip
        recording = RecorderCallback([recorder], stop=StopSignal())
        callbacks = [recording, ProgressBar(recording, show=True), clock]
        fit(gan, data, callbacks=callbacks, accelerator="cpu", precision="32-true", deterministic=False)
    return clock.seconds


def by_hand(options: TrainOptions, dataset: Dataset, steps: int) -> float:
    """Return the seconds of the steps in a plain loop: same networks, Adam, losses, penalties, average and batches."""
    gan = make(options, dataset, steps)
    generator, disc, average = gan.generator, gan.disc, gan.generator_ema
    generator_adam, disc_adam = gan._adams
    disc_loss, generator_loss = LOSSES[options.loss.name]
    batches = Batches(dataset.train, size=options.batch_size, start=0, stop=gan.total_images, seed=0, flip=False)
    average_weights = get_ema_multi_avg_fn(0.99)
    start = 0.0
    for step, real in enumerate(batches):
        if step == 1:
            start = time.perf_counter()
        penalised = bool(options.loss.r1) and step % options.loss.r1_interval == 0
        with torch.no_grad():
            fake = generator(torch.randn(len(real), gan.latent_dim))
        real.requires_grad_(penalised)
        fake.requires_grad_(penalised)
        real_logits, fake_logits = disc(real), disc(fake)
        loss = disc_loss(real_logits, fake_logits)
        if penalised:
            for samples, logits in ((real, real_logits), (fake, fake_logits)):
                (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
                loss = loss + options.loss.r1 / 2 * options.loss.r1_interval * slope.square().flatten(1).sum(1).mean()
        disc_adam.zero_grad(set_to_none=True)
        loss.backward()
        disc_adam.step()

        disc.requires_grad_(False)
        fake_logits = disc(generator(torch.randn(len(real), gan.latent_dim)))
        with torch.no_grad():
            real_logits = disc(real)
        loss = generator_loss(real_logits, fake_logits)
        generator_adam.zero_grad(set_to_none=True)
        loss.backward()
        generator_adam.step()
        disc.requires_grad_(True)
        average_weights(list(average.parameters()), list(generator.parameters()), None)
    return time.perf_counter() - start


import pytorch_lightning as pl  # noqa: E402


class Stopwatch(pl.Callback):
    """Time from the end of the first step, which warms up, to the end of the last."""

    started = seconds = 0.0

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        self.started = self.started or now
        self.seconds = now - self.started


def compare(options: TrainOptions, dataset: Dataset, *, steps: int, rounds: int) -> list[tuple[float, float]]:
    """Return (seconds per step through Lightning, by hand) for each round; the order alternates between rounds."""
    pairs = []
    for k in range(rounds + 1):
        order = (through_lightning, by_hand) if k % 2 else (by_hand, through_lightning)
        found = {side: side(options, copy.copy(dataset), steps) / (steps - 1) for side in order}
        if k:  # the first round warms the machine up
            pairs.append((found[through_lightning], found[by_hand]))
    return pairs


def random_images(size: int) -> Dataset:
    images = torch.randint(256, (2000, 3, size, size), dtype=torch.uint8)
    return Dataset(name="random", train=images, holdout=images[:0], reference=images[:64], split="train")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=None, help="CPU threads; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    common = ["metrics.extractor=cifarnet", "metrics.samples=64"]

    real = compose(*common, "batch_size=64", "generator.width=32", "disc.width=32", "data.size=32")
    pairs = compare(real, random_images(32), steps=12, rounds=arguments.rounds)
    ratio = statistics.median(hand / ours for ours, hand in pairs)
    speed = statistics.median(64 / ours for ours, _ in pairs)
    print(f"width 32, batch 64, 32 x 32: {speed:.0f} img/s through Lightning, {ratio:.3f} of the hand-written loop")

    small = ["generator.width=8", "disc.width=8", "generator.blocks=1", "disc.blocks=1", "generator.latent_dim=4"]
    empty = compose(*common, *small, "batch_size=2", "data=gaussians", "data.size=1000", "metrics=exact")
    points = torch.randn(1000, 2)
    dataset = Dataset(name="points", train=points, holdout=points[:0], reference=points, split="train")
    pairs = compare(empty, dataset, steps=400, rounds=arguments.rounds)
    extra = statistics.median(1000 * (ours - hand) for ours, hand in pairs)
    hand = statistics.median(1000 * hand for _, hand in pairs)
    print(f"near-empty model: {extra:+.3f} ms a step on top of {hand:.3f} ms")

    usual = compose("data=gaussians", "metrics=exact")
    pairs = compare(usual, dataset, steps=200, rounds=arguments.rounds)
    share = statistics.median(ours / hand - 1 for ours, hand in pairs)
    hand = statistics.median(1000 * hand for _, hand in pairs)
    print(f"data=gaussians as it is: {100 * share:+.1f} % of the {hand:.2f} ms of a step")


if __name__ == "__main__":
    main()
