"""Fixtures shared by many tests."""

import os
import subprocess
import sys
import tempfile

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # with small tensors, more threads only wait for each other
os.environ["WANDB_MODE"] = "disabled"
os.environ["RESGAN_CACHE"] = tempfile.mkdtemp(prefix="resgan-test-cache-")  # never the user's cache

import torch
from helpers.options import TINY
from helpers.precisions import precisions

torch.set_num_threads(1)


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
    """Run a command in this process and return its one-line refusal; it may not have made any file."""

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


@pytest.fixture
def in_float64():
    """Compute in float64, so that rounding, which Adam amplifies, does not hide real differences."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def tf32():
    """Switch on TF32 and bfloat16 products everywhere, as a user may; restore the settings after the test."""
    before, old = precisions(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    torch.backends.cudnn.conv.fp32_precision = "tf32"
    torch.backends.mkldnn.conv.fp32_precision = "bf16"
    yield precisions()
    torch.set_float32_matmul_precision(old)
    torch.backends.cudnn.conv.fp32_precision = before["cuda convolutions"]
    torch.backends.mkldnn.conv.fp32_precision = before["cpu convolutions"]
    torch.backends.cuda.matmul.fp32_precision = before["cuda products"]
    torch.backends.mkldnn.matmul.fp32_precision = before["cpu products"]
