"""Steps of compiled networks equal those of plain ones."""

import pytest
import torch
from helpers.options import options_of
from torch._dynamo.utils import counters

from resgan.base.errors import OptionsError
from resgan.builders.data import build_dataset, mixed_batch
from resgan.builders.gan import build_gan
from resgan.builders.networks import spec_of
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training.gan import GAN

TINY = ["generator.width=4", "disc.width=4", "generator.latent_dim=3", "batch_size=4"]
ARMS = {
    "lazy penalties, relativistic": [*TINY, "loss.r1_interval=3", "loss.r2_interval=2"],
    "no penalty, batch norms, another batch for G": [
        *TINY, "loss=hinge", "loss.r1=0", "loss.r2=0", "generator.norm=batch", "generator.batch_size=6",
    ],
    "gradient penalty": [*TINY, "loss=wasserstein", "loss.gp_interval=2"],
}  # fmt: skip


def two(overrides: list[str]) -> tuple[GAN, GAN, torch.Tensor]:
    options = check(TrainOptions, options_of(*overrides))
    data = build_dataset(options.data, seed=0, progress=False)
    plain, compiled = (build_gan(options, spec_of(options, data), data) for _ in range(2))
    return plain, compiled, mixed_batch(data, options.batch_size, labelled=False)[0].to(torch.get_default_dtype())


def play(plain: GAN, compiled: GAN, real: torch.Tensor, steps: int) -> None:
    for step in range(steps):
        for gan in (plain, compiled):
            gan.training_step(real, step)
        for name, value in plain.losses.items():
            torch.testing.assert_close(compiled.losses[name], value, rtol=1e-7, atol=1e-9)
    for a, b in zip(plain.state_dict().values(), compiled.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    "name", [name if "lazy" in name else pytest.param(name, marks=pytest.mark.slow) for name in ARMS]
)
def test_compiled_steps_are_the_steps(name):
    """Compile only as far as differentiation, which has no second derivatives: penalties must run uncompiled."""
    plain, compiled, real = two(ARMS[name])
    keys = list(compiled.state_dict())
    torch._dynamo.reset()
    counters.clear()
    compiled.compile_networks(backend="aot_eager")
    play(plain, compiled, real, steps=4)
    assert counters["stats"]["unique_graphs"] >= 2  # of G and D
    assert list(compiled.state_dict()) == keys


@pytest.mark.slow  # the whole compiler: about a minute
@pytest.mark.usefixtures("in_float64")
def test_steps_by_the_whole_compiler_are_the_steps():
    plain, compiled, real = two(ARMS["lazy penalties, relativistic"])
    compiled.compile_networks()
    play(plain, compiled, real, steps=4)


def test_compiled_spectral_normalisation_is_refused():
    with pytest.raises(OptionsError, match=r"trainer\.compile=true: spectral normalisation"):
        check(TrainOptions, options_of("trainer.compile=true", "disc.spectral=true"))
