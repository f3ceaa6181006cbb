"""Precision of a training step, and the device of its optimisers.

No accelerator is needed: every processor has autocast to bfloat16, TF32 is a setting that can be read where nothing
obeys it, and the device "meta", whose tensors have no values, stands for CUDA.
"""

import copy
from collections import Counter

import pytest
import pytorch_lightning as pl
import torch
from helpers.options import options_of
from helpers.precisions import Noting, precisions
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.nn.functional import softplus

from resgan.builders.data import build_dataset
from resgan.builders.gan import build_gan, build_stack
from resgan.builders.networks import spec_of
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training.gan import GAN
from resgan.training.recorder import Recorder

POINTS = ["data=gaussians", "data.size=50", "generator.width=8", "disc.width=8", "generator.latent_dim=3",
          "batch_size=10", "loss=relativistic", "disc.lr=0.1"]  # fmt: skip
UNPENALISED, PENALISED = (
    ["loss.r1=0", "loss.r2=0"],
    ["loss.r1=2", "loss.r1_interval=1", "loss.r2=0.5", "loss.r2_interval=1"],
)
REAL = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))


def make_gan(*overrides: str, seed: int = 0) -> GAN:
    options = check(TrainOptions, options_of(*POINTS, *overrides, f"seed={seed}"))
    data = build_dataset(options.data, seed=0, progress=False)
    return build_gan(options, spec_of(options, data), data)


# Float32 without TF32.


@pytest.mark.parametrize("penalty", ["r1", "r2", "gp"])
def test_a_step_with_a_penalty_is_without_tf32_there_and_back(penalty, tf32):
    """Check both derivatives too: a backward pass obeys the settings at the time when it runs."""
    gan = make_gan("loss.r1=0", "loss.r2=0", f"loss.{penalty}=1", f"loss.{penalty}_interval=2")
    gan.disc = Noting(gan.disc)
    gan._once = (gan.generator, gan.disc)
    assert "ieee" not in tf32.values()
    gan.discriminator_step(REAL)
    passes = len(gan.disc.seen("backward"))
    assert passes >= 3  # of real and fake samples, and at least one to differentiate a second time
    assert all(set(settings.values()) == {"ieee"} for settings in gan.disc.seen())
    assert precisions() == tf32
    gan.images_seen = 10  # a step without the penalty uses the user's settings
    gan.disc.notes.clear()
    gan.discriminator_step(REAL)
    assert gan.disc.seen() == [tf32] * 4


def test_the_figures_at_the_start_are_without_tf32(tf32):
    gan = make_gan()
    gan.disc = Noting(gan.disc)
    notes: list = gan.disc.notes
    gan.disc.__deepcopy__ = lambda memo: gan.disc  # notes of a copy would be lost
    recorder = Recorder.__new__(Recorder)
    recorder.gan, recorder.reference, recorder.lines = gan, (REAL.clone(),), Counter()
    recorder.run = recorder.tracker = type("Nothing", (), {"append": print, "summarise": print})()
    recorder.record_start()
    assert [way for way, _ in notes] == ["forward", "backward"]
    assert all(set(settings.values()) == {"ieee"} for _, settings in notes)
    assert precisions() == tf32


# bf16-mixed.


def in_bf16() -> torch.autocast:
    """Return autocast with the cache of bfloat16 weights, which Lightning switches off today; torch has it on."""
    return torch.autocast("cpu", torch.bfloat16)


def gradients(net: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in net.parameters()]


def test_a_step_with_penalties_is_in_float32():
    """Compare with a step by hand, without autocast, on the same fakes: bfloat16 would be off by 2^-9 and more."""
    gan = make_gan(*PENALISED)
    disc = copy.deepcopy(gan.disc)
    gan._descend = lambda optimiser, loss: loss.backward()  # keep the gradients for inspection
    with in_bf16():
        with torch.no_grad():
            fake = gan.generator(gan.latents("disc", 10))
        assert fake.dtype == torch.bfloat16
        gan.discriminator_step(REAL)
    real, fake = REAL.clone().requires_grad_(), fake.float().requires_grad_()
    real_logits, fake_logits = disc(real), disc(fake)
    total = softplus(fake_logits - real_logits).mean()
    for weight, samples, logits in ((2.0, real, real_logits), (0.5, fake, fake_logits)):
        (slope,) = torch.autograd.grad(logits.sum(), samples, create_graph=True)
        total = total + weight / 2 * slope.square().sum(1).mean()
    total.backward()
    for found, wanted in zip(gradients(gan.disc), gradients(disc), strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)  # sums of some tens of float32


def test_fakes_are_of_the_dtype_of_the_reals():
    """Check that D sees both in one dtype, with and without penalties: else rounding would tell them apart."""
    for arm in (PENALISED, UNPENALISED):
        gan, shown = make_gan(*arm), []
        gan.disc.register_forward_pre_hook(lambda net, given, shown=shown: shown.append(given[0].dtype))
        with in_bf16():
            gan.discriminator_step(REAL)
        assert shown == [torch.float32] * 2


@pytest.mark.parametrize("step", ["discriminator_step", "generator_step"])
def test_losses_take_logits_in_float32(step):
    """Check that bfloat16 logits are converted: 8 bits of logits near 5 leave two or three of a loss of e^-5."""
    gan, given, said = make_gan(*UNPENALISED, "loss=relativistic"), [], []

    def noted(loss):
        def compute(*logits: Tensor) -> Tensor:
            given.extend(tensor.dtype for tensor in logits)
            return loss(*logits)

        return compute

    gan.disc_loss, gan.generator_loss = noted(gan.disc_loss), noted(gan.generator_loss)
    gan.disc.register_forward_hook(lambda net, given, logits: said.append(logits.dtype))
    with in_bf16():
        getattr(gan, step)(REAL)
    assert said == [torch.bfloat16] * 2
    assert given == [torch.float32] * 2
    assert {value.dtype for value in gan.losses.values()} == {torch.float32}


def test_logits_in_float64_stay_what_they_are():
    torch.set_default_dtype(torch.float64)
    try:
        gan = make_gan(*UNPENALISED)
        gan.training_step(REAL.double(), 0)
        assert {value.dtype for value in gan.losses.values()} == {torch.float64}
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("step", "network"), [("discriminator_step", "disc"), ("generator_step", "generator")])
def test_after_its_step_a_network_is_computed_with_its_new_weights(step, network):
    """Check autocast's cache of bfloat16 weights, kept until its context ends: it may be from before the step."""
    gan = make_gan(*UNPENALISED, "generator.lr=0.1")
    net = getattr(gan, network)
    given = REAL if network == "disc" else gan.latents("generator", 10)
    with in_bf16():
        before = net(given)
        getattr(gan, step)(REAL)
        after = net(given)
    with in_bf16():
        afresh = net(given)
    assert torch.equal(after, afresh)
    assert not torch.allclose(before, after, atol=0.1)  # the step is large enough to show: each weight moves by 0.1


# A continued run on an accelerator.


class Meta(SingleDeviceStrategy):
    """Lightning as on one CUDA device, for which "meta" stands: its tensors have no values, but can be moved there."""

    def __init__(self) -> None:
        super().__init__(device=torch.device("meta"), accelerator=CPUAccelerator())

    def setup_environment(self) -> None: ...  # a CPU accelerator takes no other device

    def teardown(self) -> None: ...  # nothing can be moved back from there

    def reduce(self, tensor: Tensor, *args, **kwargs) -> Tensor:
        return torch.ones(())  # Lightning reads the count of batches


@pytest.fixture
def parameters_move_in_place():
    """Move parameters in place, as to CUDA: to "meta" torch would else make new ones, unknown to the optimisers."""
    torch.__future__.set_swap_module_params_on_conversion(True)
    yield
    torch.__future__.set_swap_module_params_on_conversion(False)


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.usefixtures("parameters_move_in_place")
def test_all_of_adam_is_beside_the_parameters_when_a_run_goes_on(stacked, monkeypatch):
    """Check the device of Adam's state: fused Adam refuses a count of steps on another device."""
    gans = []
    for seed in (0, 1)[: 1 + stacked]:
        begun, gan = make_gan(seed=seed), make_gan(seed=seed)
        begun.training_step(REAL, 0)
        gan.load_training_state(begun.training_state())
        gans.append(gan)
    options = check(TrainOptions, options_of(*POINTS))
    gan = build_stack([options] * len(gans), gans) if stacked else gans[0]
    found = []

    def step(batch: Tensor, batch_idx: int) -> None:
        for adam in gan._adams:
            for parameter, state in adam.state.items():
                found.append((parameter.device.type, {name: tensor.device.type for name, tensor in state.items()}))

    monkeypatch.setattr(gan, "training_step", step)
    trainer = pl.Trainer(strategy=Meta(), max_epochs=1, logger=False, enable_checkpointing=False,
                         enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(gan, torch.utils.data.DataLoader(REAL, batch_size=10))
    assert len(found) == len(list(gan.generator.parameters())) + len(list(gan.disc.parameters()))
    for device, state in found:
        assert (device, state) == ("meta", dict.fromkeys(("step", "exp_avg", "exp_avg_sq"), "meta"))
