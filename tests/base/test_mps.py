"""Apple's MPS, by stand-ins: operations that it lacks, and float64, which it has not."""

import os
import subprocess
import sys
import warnings

import pytest
import torch
from torch import nn

from resgan.base import console, device
from resgan.metrics import diversity, score
from resgan.metrics.diversity import VarianceRatio

NAME = "PYTORCH_ENABLE_MPS_FALLBACK"
# torch/aten/src/ATen/mps/MPSFallback.mm
WARNING = (
    "The operator '{}' is not currently supported on the MPS backend and will fall back to run on the CPU. "
    "This may have performance implications. (Triggered internally at MPSFallback.mm:15.)"
)
IMPORTED = (
    f"import os, sys; sys.platform = 'PLATFORM'; import resgan; print(os.environ.get('{NAME}'), 'torch' in sys.modules)"
)


@pytest.mark.parametrize(
    ("platform", "before", "after"), [("darwin", None, "1"), ("darwin", "0", "0"), ("linux", None, None)]
)
def test_the_fallback_is_on_before_torch_is_imported(platform, before, after):
    environment = {key: value for key, value in os.environ.items() if key != NAME} | ({NAME: before} if before else {})
    command = [sys.executable, "-c", IMPORTED.replace("PLATFORM", platform)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.split() == [str(after), "False"]


@pytest.fixture
def mps(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with warnings.catch_warnings():  # which restores showwarning
        warnings.simplefilter("always")
        monkeypatch.setattr(warnings, "showwarning", lambda *given: print("warning:", given[0], file=sys.stderr))
        device.say_fallbacks.cache_clear()
        console.say_once.cache_clear()
        yield
    device.say_fallbacks.cache_clear()


def test_what_it_lacks_is_said_in_one_line(mps, capsys):
    assert device.find_accelerator("trainer.accelerator", "auto") == "mps"
    assert device.find_accelerator("device", "mps") == "mps"
    for name in ("aten::_linalg_eigh.eigenvalues", "aten::_linalg_eigh.eigenvalues", "aten::special_ndtr"):
        warnings.warn(WARNING.format(name), UserWarning, stacklevel=1)
    warnings.warn("something else", UserWarning, stacklevel=1)
    assert capsys.readouterr().err.splitlines() == [
        "resgan: mps: has no aten::_linalg_eigh.eigenvalues, which is computed on the CPU",
        "resgan: mps: has no aten::special_ndtr, which is computed on the CPU",
        "warning: something else",
    ]


def test_on_other_devices_warnings_stay_what_they_are(mps, capsys):
    device.find_accelerator("trainer.accelerator", "cpu")
    warnings.warn(WARNING.format("aten::x"), UserWarning, stacklevel=1)
    assert capsys.readouterr().err.startswith("warning: The operator 'aten::x'")


class WithoutFloat64(torch.Tensor):
    """A tensor on a device that has no float64."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in (torch.Tensor.double, torch.Tensor.to) and torch.float64 in (torch.float64, *args, *kwargs.values()):
            raise TypeError(
                "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
            )
        found = super().__torch_function__(func, types, args, kwargs)
        return found.as_subclass(torch.Tensor) if func is torch.Tensor.cpu else found


def test_a_score_stays_where_float64_is_and_takes_samples_from_where_it_is_not(monkeypatch):
    """`meta`, a device of tensors without values, stands for MPS: a score that moved there would have no number."""
    monkeypatch.setattr(score, "has_float64", lambda kind: kind != "meta")
    real, fake = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)), torch.rand(40, 2)
    module = nn.ModuleDict({"score": VarianceRatio(real), "layer": nn.Linear(2, 1)}).to("meta")
    moved = module["score"]
    assert module["layer"].weight.device.type == "meta"
    assert moved.device.type == moved.total.device.type == "cpu"
    moved.update(fake.as_subclass(WithoutFloat64))
    expected = fake.double().var(0).sum() / real.double().var(0).sum()
    assert float(moved.compute()) == pytest.approx(float(expected), rel=1e-9)


def test_sums_are_made_on_the_cpu():
    fake = torch.rand(40, 3)
    total, squares = diversity.sums_of(fake.as_subclass(WithoutFloat64))
    assert total.dtype == squares.dtype == torch.float64
    assert torch.allclose(total, fake.double().sum(0))


def test_a_score_still_follows_its_module_where_float64_is():
    moved = nn.ModuleDict({"score": VarianceRatio(torch.randn(5, 2))}).to("meta")["score"]
    assert moved.device.type == moved.total.device.type == "meta"


def test_only_mps_has_no_float64():
    assert [device.has_float64(kind) for kind in ("cpu", "cuda", "mps")] == [True, True, False]
