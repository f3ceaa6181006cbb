"""Benchmark of a machine: what it runs, and what it reports."""

import pytest
import torch
from helpers.options import options_of

from resgan.experiment import benchmark
from resgan.experiment.benchmark import AS_GIVEN, Variant, advice, cycle_of, measure, steps_of_cycle, variants_of
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training.gan import GAN

TINY = ["generator.width=4", "disc.width=4", "generator.latent_dim=3", "batch_size=4", "trainer.precision=32-true"]


def options(*overrides: str) -> TrainOptions:
    return check(TrainOptions, options_of(*TINY, *overrides))


@pytest.mark.parametrize(("overrides", "steps"), [
    (["loss.r1_interval=4", "loss.r2_interval=6"], 12),
    (["loss.r1_interval=4", "loss.r2=0"], 4),
    (["loss=wasserstein", "disc.steps=5"], 5),
])  # fmt: skip
def test_a_cycle_has_every_kind_of_step(overrides, steps):
    assert steps_of_cycle(options(*overrides)) == steps


def test_every_variant_plays_steps(monkeypatch):
    """Each variant runs its cycle; the speed of this machine is not tested."""
    played = []
    step = GAN.training_step

    def count(gan, batch, k):
        played.append(tuple(batch.shape if isinstance(batch, torch.Tensor) else batch[0].shape))
        return step(gan, batch, k)

    monkeypatch.setattr(GAN, "training_step", count)
    monkeypatch.setattr(benchmark, "SECONDS", 0.0)
    given = options("data=gaussians", "loss.r1_interval=2", "loss.r2_interval=1", "trainer.threads=2")
    variants = variants_of(given, "cpu", 2)
    assert [v.typed for v in variants] == [
        "as given", "trainer.precision=bf16-mixed", "seeds=0-3", "seeds=0-15",
        "trainer.threads=1", "seeds=0-3 trainer.threads=1", "seeds=0-15 trainer.threads=1",
    ]  # fmt: skip
    found = measure(given, variants, "cpu", 2)
    assert list(found) == variants
    assert all(speed > 0 for speed in found.values())
    assert {shape for shape in played} == {(4, 2), (4, 4, 2), (16, 4, 2)}
    assert len(played) >= 2 * len(variants)
    assert torch.get_num_threads() == 2


def test_variants_are_changes_of_what_is_given():
    spectral = options("disc.spectral=true", "trainer.precision=bf16-mixed", "trainer.fused=false")
    assert [v.typed for v in variants_of(spectral, "cuda", 8)] == [
        "as given", "trainer.precision=32-true", "trainer.channels_last=false", "trainer.fused=true",
        "trainer.compile=true",
    ]  # fmt: skip


def test_classes_and_held_out_pictures_are_made_up():
    given = options(
        "generator.conditional=norm", "disc.conditional=projection", "augment=adaptive", "loss.r1=0", "loss.r2=0"
    )
    cycle_of(given, AS_GIVEN, "cpu")()


def test_the_advice_is_what_was_faster():
    bf16, four, alone = Variant(("trainer.precision", "bf16-mixed")), Variant(stack_size=4), Variant(threads=1)
    first, second = advice({AS_GIVEN: 100.0, bf16: 150.0, four: 180.0, alone: 60.0}, "cpu", 2)
    assert first == "for one run: trainer.precision=bf16-mixed"
    assert second.startswith("for many seeds: seeds=0-3 (1.80 times")
    first, second = advice({AS_GIVEN: 100.0, bf16: 104.0, four: 80.0, alone: 60.0}, "cpu", 2)
    assert first == "for one run: nothing is faster than what is given"
    assert second.startswith("for many seeds: trainer.threads=1 hydra/launcher=joblib (1.20 times")
    assert advice({AS_GIVEN: 100.0, bf16: 100.0, four: 80.0}, "cuda", 2)[1] == "for many seeds: one after the other"
