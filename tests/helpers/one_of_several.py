"""Train a few steps as one of several processes: python one_of_several.py NUMBER COUNT PORT OUT < cases.

Standard input has a JSON list of lists of overrides. The states that they end in are saved to OUT.
"""

import json
import sys

import torch

from helpers.options import options_of
from resgan.base.processes import ALONE, Place, Processes, joined
from resgan.builders.data import build_dataset, is_conditional
from resgan.builders.gan import build_gan
from resgan.builders.networks import spec_of
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training.batches import Batches

STEPS = 8


def state_after(overrides: list[str], processes: Processes = ALONE) -> dict:
    """Train in float64 and return the state, and the losses of the last step."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        options = check(TrainOptions, options_of(*overrides, "trainer.accelerator=cpu"))
        dataset = build_dataset(options.data, seed=options.seed, progress=False)
        gan = build_gan(options, spec_of(options, dataset), dataset)
        gan.join(processes)
        drawn = gan.randomness.held_out
        gan.randomness.held_out = lambda *given, **named: in_float64(drawn(*given, **named))
        batches = Batches(
            dataset.train,
            size=options.batch_size,
            start=0,
            stop=STEPS * options.batch_size,
            seed=options.seed,
            flip=len(dataset.shape) == 3,
            labels=dataset.labels if is_conditional(options) else None,
            processes=processes,
        )
        for step, batch in enumerate(batches):
            gan.training_step(batch.double() if isinstance(batch, torch.Tensor) else in_float64(batch), step)
        return {**gan.training_state(), "losses": dict(gan.losses)}
    finally:
        torch.set_default_dtype(before)


def in_float64(batch: tuple) -> tuple:
    samples, labels = batch
    return samples.double(), labels


def main() -> None:
    number, count, port, out = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
    torch.set_num_threads(1)
    with joined(Place(number, count, number, f"tcp://127.0.0.1:{port}"), accelerator="cpu") as processes:
        torch.save([state_after(overrides, processes) for overrides in json.load(sys.stdin)], out)


if __name__ == "__main__":
    main()
