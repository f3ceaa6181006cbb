"""Training on own images: a run keeps its labels, and what cannot be trained on leaves nothing."""

from pathlib import Path

import numpy as np
import pytest
from helpers.options import options_of
from PIL import Image

from resgan import train
from resgan.experiment.session import train as train_run
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.directory import Run, RunError

SMALL = ["generator.width=4", "disc.width=4", "generator.blocks=1", "disc.blocks=1", "generator.latent_dim=3"]
SHORT = ["metrics.samples=24", "batch_size=4", "total_kimg=0.016", "score_kimg=0", "sample_kimg=0", "save_kimg=0"]
QUIET = ["trainer.accelerator=cpu", "trainer.threads=1", "trainer.progress=false", "wandb=disabled", "data.cache=false"]
DATA = ["data=folder", "data.path=digits", "data.size=16", "data.fit=pad", "data.labels=labels.csv", "data.channels=1"]
CLASSES = ["generator.conditional=concat", "disc.conditional=projection"]


def digits(folder: Path, *, count: int = 24) -> Path:
    folder.mkdir()
    for k in range(count):
        pixels = np.random.default_rng(k).integers(256, size=(14, 14), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k:02}.png")
    write_labels(folder, [k % 3 for k in range(count)])
    return folder


def write_labels(folder: Path, labels: list[int]) -> None:
    (folder / "labels.csv").write_text("".join(f"{k:02}.png,{label}\n" for k, label in enumerate(labels)))


def run(*more: str) -> Run:
    arguments = [*DATA, *SMALL, *SHORT, *QUIET, "run_dir=run", *more]
    train_run(check(TrainOptions, options_of(*arguments)), Job(arguments, arguments, None))
    return Run(Path("run"))


def test_a_run_by_class_does_not_go_on_with_other_labels(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = digits(tmp_path / "digits")
    first = run(*CLASSES)
    assert capsys.readouterr().err.count("digits: 24 images to 16 x 16: 24 given black bars (smaller)\n") == 1
    [session] = first.sessions()
    first.result.unlink()
    before = {path: path.read_bytes() for path in sorted(first.path.rglob("*")) if path.is_file()}
    write_labels(folder, [1, 0, *(k % 3 for k in range(2, 24))])  # as many of each class, but others
    with pytest.raises(RunError, match="the labels of data=digits have changed since this run began"):
        run(*CLASSES)
    assert {path: path.read_bytes() for path in sorted(first.path.rglob("*")) if path.is_file()} == before
    write_labels(folder, [k % 3 for k in range(24)])
    assert run(*CLASSES).sessions()[1]["labels"] == session["labels"]
    assert first.result.exists()


def test_images_that_decode_to_the_same_leave_no_run(tmp_path, refused):
    (tmp_path / "deep").mkdir()
    for k in range(4):
        Image.fromarray(np.full((16, 16), 60 * k, dtype=np.uint16)).save(tmp_path / "deep" / f"{k}.png")
    line = refused(
        train, "data=folder", "data.path=deep", "data.cache=false", "run_dir=run", *SMALL, *SHORT, *QUIET[:-1]
    )
    assert "data.path=deep: all images are the same after decoding to 8 bits at 16 x 16" in line
    assert "16-bit grey of 0 to 180" in line
