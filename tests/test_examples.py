"""Run every script of examples/ as its first lines say, on little data."""

import ast
import json
import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.made_runs import make_study
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture
def play(tmp_path, monkeypatch, capsys):
    """Run an example with arguments in an empty directory, and return its output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")

    def run(name: str, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(ROOT / "examples" / name), run_name="__main__")
        return capsys.readouterr().out

    return run


def test_each_is_short_says_how_it_is_called_and_is_named_in_the_readme():
    listed = (ROOT / "README.md").read_text()
    for path in EXAMPLES:
        text = path.read_text()
        assert len(text.splitlines()) < 60, path
        assert f"python examples/{path.name}" in (ast.get_docstring(ast.parse(text)) or ""), path
        assert f"examples/{path.name}" in listed, path


def test_points_in_a_minute(play):
    said = play("points_in_a_minute.py", "5")
    assert re.search(r"tv 0\.\d+, validity 0\.\d+", said)
    assert ".png" in said


def test_your_own_images(play, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for k in range(40):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(folder / f"{k}.png")
    said = play("your_own_images.py", str(folder), "0.1")
    assert "between two seeds: (8, 3, 32, 32)" in said
    assert "fd_cifarnet_256_" in said


def test_block_in_your_loop(play):
    found = dict(re.findall(r"residual=(\w+): error ([\d.]+)", play("block_in_your_loop.py", "60")))
    assert found.keys() == {"False", "True"}
    assert float(found["True"]) != float(found["False"])


def test_your_own_network(play):
    said = play("your_own_network.py", "0.1")
    assert "'tv': 1.0" in said
    assert "(4, 3, 16, 16)" in said


def test_your_own_score(play):
    assert re.search(r"'ink': 0\.\d+, 'ink_ratio': \d", play("your_own_score.py"))


def test_study_into_pandas(play, tmp_path):
    pytest.importorskip("pandas")
    make_study(tmp_path / "study", seeds=3, noise=0.01, more={"validity": 0.5})
    said = play("study_into_pandas.py", str(tmp_path / "study"))
    assert re.search(r"False\s+False\s+0\.4\d+|False\s+False\s+0\.5\d+", said)
    assert "1000    0." in said


@pytest.mark.parametrize("name", ["the_switch_on_points", pytest.param("read_a_study", marks=pytest.mark.slow)])
def test_notebooks_run_from_top_to_bottom(name, tmp_path, monkeypatch):
    """Run cell by cell, on little data; the stored outputs are from the lengths that the cells name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    cells = json.loads((ROOT / "examples" / f"{name}.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert sum("KIMG = " in text for text in code) == 1
    space: dict = {}
    for text in code:
        exec(re.sub(r"KIMG = \d+", "KIMG = 4", text), space)
    assert all(cell["outputs"] for cell in cells if "plt.show()" in "".join(cell["source"]))
    assert name in (ROOT / "README.md").read_text()
