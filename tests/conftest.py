"""Small things that many tests share."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors; more threads only wait for each other
os.environ["WANDB_MODE"] = "disabled"
os.environ["RESGAN_CACHE"] = tempfile.mkdtemp(prefix="resgan-test-cache-")  # never the user's own

import torch

torch.set_num_threads(1)

# A run of a second: tiny networks on points in the plane, only exact scores.
TINY = [
    "data=gaussians",
    "data.size=500",
    "generator.width=16",
    "disc.width=16",
    "generator.blocks=1",
    "disc.blocks=1",
    "generator.latent_dim=4",
    "metrics=exact",
    "metrics.samples=500",
    "batch_size=50",
    "score_kimg=1",
    "sample_kimg=0",
    "save_kimg=1",
    "total_kimg=3",
    "trainer.accelerator=cpu",
    "trainer.threads=1",
    "loss.r1_interval=2",
]


@pytest.fixture
def tiny() -> list[str]:
    return list(TINY)


@pytest.fixture
def command(tmp_path):
    """Run `python -m resgan.<command> arguments...` in an empty directory, as a user would."""

    def run(name: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", f"resgan.{name}", *arguments],
            cwd=tmp_path,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Run a command here, and return the one line it is refused with; nothing may have been made."""

    def call(module, *arguments: str) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["command", *arguments])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(SystemExit) as caught:
            module.main()
        out, err = capsys.readouterr()
        assert caught.value.code == 2
        assert out == ""
        assert err.startswith("resgan: ")
        assert err.count("\n") == 1, err
        assert sorted(tmp_path.rglob("*")) == before
        return err

    return call


def options_of(*overrides: str, config: str = "train") -> dict:
    """What Hydra composes from conf/ and overrides, as plain data."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    conf = Path(__file__).resolve().parent.parent / "conf"
    with initialize_config_dir(str(conf), version_base="1.3"):
        return OmegaConf.to_container(compose(config, list(overrides)), resolve=True)


def disturbed(net: torch.nn.Module) -> torch.nn.Module:
    """In float64, all parameters moved, so that no zero or one of the start hides a mistake."""
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=random)
    return net.double()


def agree(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Of two implementations in float64: sums in another order differ in the 13th digit or so, mistakes in the first.

    And not because the network is dead or saturated, and gives one number whatever it is given.
    """
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 1e-5


@pytest.fixture
def in_float64():
    """So that only what is not the same differs: Adam makes much of rounding."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
