"""Use from Python: public names, runs and errors."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.interrupting import interrupted_at
from helpers.options import TINY, options_of

import resgan
from resgan.base.plain_data import flat
from resgan.options.train import TrainOptions
from resgan.options.validation import check

ROOT = Path(__file__).resolve().parent.parent


def python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_names_survive_the_import_of_every_module():
    """A module of the same name would replace a function once it is imported."""
    for module in pkgutil.walk_packages(resgan.__path__, "resgan."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert len(resgan.__all__) == len(set(resgan.__all__)) > 40
    for name in resgan.__all__:
        found = getattr(resgan, name)
        assert callable(found), name
        assert not isinstance(found, types.ModuleType), name
        assert found.__name__ == name


def test_importing_it_is_light_and_completion_knows_all_names():
    said = python("import resgan, sys; print(sorted({'torch', 'hydra', 'pydantic'} & set(sys.modules)), *dir(resgan))")
    heavy, *names = said.split()
    assert heavy == "[]"
    assert names == sorted(resgan.__all__)
    with pytest.raises(AttributeError, match="fitt"):
        _ = resgan.fitt


def test_the_page_lists_them():
    """Rebuild the page with: python scripts/python_reference.py > docs/python.md"""
    printed = subprocess.run(
        [sys.executable, "scripts/python_reference.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (ROOT / "docs" / "python.md").read_text() == printed.stdout
    assert all(f"| `{name}` | " in printed.stdout for name in resgan.__all__)
    assert all(len(inspect.getdoc(getattr(resgan, name)) or "") > 10 for name in resgan.__all__)


# Options.


def test_options_are_those_of_the_command_line():
    words = ["data=gaussians", "generator.residual=false", "loss=hinge", "seed=4", "run_dir=a=b"]
    options = resgan.configure(*words)
    assert flat(options.model_dump()) == flat(options_of(*words[:-1], "run_dir='a=b'"))
    assert options.overrides == words
    assert resgan.configure() == check(TrainOptions, options_of())
    assert options.with_values({"seed": 5}).overrides == [*words, "seed=5"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["batch_size=0"], "batch_size=0: expected at least 1"),
        (["generator.residul=true"], "generator.residul: there is no such option; did you mean generator.residual?"),
        (["data=nothing"], "data=nothing: expected one of"),
        (["data=_torchvision"], "data=_torchvision: expected one of"),
        (["study=factorial"], "study=factorial: stands for many runs"),
        (["seed=0,1"], "seed=0,1: is a sweep"),
        (["data=folder"], "data.path: required"),
        (["total_kimg"], "expected option=value"),
    ],
)
def test_what_is_invalid_raises_in_one_line(words, said):
    with pytest.raises(resgan.OptionsError) as caught:
        resgan.configure(*words)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


# Runs.


def test_a_run_from_python_is_that_of_the_command(tmp_path, capsys):
    """The run is trained, found finished, loaded and scored."""
    options = resgan.configure(*TINY, "wandb=disabled", f"run_dir={tmp_path / 'a'}", "trainer.progress=false")
    result = resgan.fit(options)
    assert (result.path, result.status) == (tmp_path / "a", "finished")
    assert 0 <= result.scores["tv"] <= 1
    assert "resgan.sample" not in capsys.readouterr().out  # only the command prints the table
    assert resgan.fit(options) == result
    assert "is finished already" in capsys.readouterr().err
    gan = resgan.load_gan(result.checkpoint)
    found = resgan.score(result.checkpoint, None, "metrics.samples=500")
    again = resgan.score(gan.sample(range(500)), "gaussians")
    assert found.keys() == again.keys() == result.scores.keys()
    with pytest.raises(resgan.UserError, match="samples are 2 and real ones 3x8x8"):
        resgan.score(result.checkpoint, torch.zeros(20, 3, 8, 8, dtype=torch.uint8))  # a checkpoint against a tensor
    assert found["validity"] == pytest.approx(again["validity"], abs=0.15)  # of 500 other samples: 5 sd of .03
    with pytest.raises(resgan.UserError, match="batch_size was 50, is 25"):
        resgan.fit(options.with_values({"batch_size": 25}))
    with pytest.raises(resgan.OptionsError, match="fit trains one run"):
        resgan.fit(options.with_values({"seeds": "0-3"}))


def test_ctrl_c_raises_with_the_state_saved(tmp_path):
    options = resgan.configure(
        *TINY, "wandb=disabled", f"run_dir={tmp_path / 'a'}", "trainer.progress=false", "total_kimg=2000"
    )
    with interrupted_at(tmp_path / "a", images=1000), pytest.raises(KeyboardInterrupt):
        resgan.fit(options)
    assert list((tmp_path / "a" / "checkpoints").glob("*.ckpt"))
    assert not (tmp_path / "a" / "result.json").exists()


def test_a_run_that_diverges_has_a_result(tmp_path):
    result = resgan.fit(
        resgan.configure(*TINY, "wandb=disabled", f"run_dir={tmp_path / 'a'}", "generator.lr=1e30", "disc.lr=1e30")
    )
    assert result.status == "diverged"
    assert set(result.scores.values()) == {None}


# Scores.


def test_images_are_scored_as_files_of_them_are(tmp_path):
    rng = np.random.default_rng(0)
    fake, real = (rng.integers(0, 256, (80, 8, 8, 3), dtype=np.uint8) for _ in range(2))
    for name, images in (("fake", fake), ("real", real)):
        np.savez(tmp_path / f"{name}.npz", images)
    options = ("metrics.extractor=pixels", "metrics.scores=[frechet]", f"metrics.cache={tmp_path / 'cache'}")
    tensors = [torch.from_numpy(images).permute(0, 3, 1, 2) for images in (fake, real)]
    by_files = resgan.score(tmp_path / "fake.npz", tmp_path / "real.npz", *options)
    by_tensors = resgan.score(*tensors, *options)
    by_floats = resgan.score(tensors[0] / 127.5 - 1, tensors[1], *options)
    assert list(by_files.values()) == list(by_tensors.values()) == list(by_floats.values())
    with pytest.raises(resgan.UserError, match="samples are 3x8x8 and real ones 3x4x4"):
        resgan.score(tensors[0], tensors[1][:, :, :4, :4], *options)
