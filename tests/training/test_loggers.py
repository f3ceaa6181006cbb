"""TensorBoard and CSV: the values of metrics.jsonl against images, each once, also after a stop; no reason to stop."""

import csv
import importlib.util

import pytest
import torch
import yaml
from helpers.options import TINY
from helpers.processes import run as run_command

from resgan import train
from resgan.base.images import save_png
from resgan.cli.compose import configure
from resgan.experiment.session import build_all
from resgan.experiment.study import Job
from resgan.runs.configuration import differences
from resgan.runs.directory import Run
from resgan.training import loggers
from resgan.training.loggers import open_csv, open_tensorboard, shown

CONFIG = {"seed": 3, "generator": {"residual": True, "width": [8, 16], "lr_final": None}}
SCORES = [
    {"images_seen": n, "kind": "scores", "seconds": n / 10, "scores": {"tv": 1 - n / 1000, "kl": None}}
    for n in (0, 100, 200, 300, 400)
]
LOSSES = [{"images_seen": n, "kind": "losses", "seconds": n / 50, "loss_d": n / 100} for n in (100, 200, 300)]


def rates(images_seen):
    return {"disc": images_seen / 1000}


def begin(path, lines) -> Run:
    run = Run(path)
    path.mkdir(exist_ok=True)
    for line in lines:
        run.append(line)
    return run


def log_all(logger, lines) -> None:
    before = loggers.START
    for line in lines:
        logger.log(shown(line, before, rates), images_seen=line["images_seen"])
        before = line if line["kind"] == "losses" else before


def in_order(lines):
    return sorted(lines, key=lambda line: line["images_seen"])


def up_to(images_seen, lines=(*SCORES, *LOSSES)):
    return in_order(line for line in lines if line["images_seen"] <= images_seen)


def rows(path) -> list[dict]:
    with open(path / "csv" / "metrics.csv", newline="") as file:
        return [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_the_rate_is_that_since_the_losses_before():
    first = shown(LOSSES[0], loggers.START, rates)
    assert first == {"train/loss_d": 1.0, "train/lr_disc": 0.1, "train/images_per_second": 50.0}
    assert shown(LOSSES[1] | {"seconds": 12.0}, LOSSES[0], rates)["train/images_per_second"] == 100 / 10
    older = {"images_seen": 9, "kind": "losses", "loss_d": 1.0}  # without seconds
    assert "train/images_per_second" not in shown(older, loggers.START, rates)
    assert shown({"images_seen": 0, "kind": "start", "logit_spread": 1.0}, loggers.START, rates) == {}
    assert shown(SCORES[0], loggers.START, rates) == SCORES[0]["scores"]


def test_the_learning_rates_are_those_of_the_steps():
    """Half of the way, and a quarter, with a cosine and without a decay; while the GAN itself has not begun."""
    words = [*TINY, "generator.lr=0.4", "generator.decay=cosine", "disc.lr=0.2", "disc.decay=none", "total_kimg=4"]
    words += ["disc.lr_final=0.1", "burn_in_kimg=2"]
    [components] = build_all([(configure(*words), None)], Job([], [], None))
    found = [components.gan.learning_rates(images_seen) for images_seen in (0, 1000, 2000, 4000)]
    assert [rate["generator"] for rate in found] == pytest.approx([0.4, 0.2 * (1 + 0.5**0.5), 0.2, 0.0])
    assert [rate["disc"] for rate in found] == pytest.approx([0.2, 0.15, 0.1, 0.1])


def test_a_csv_that_goes_on_has_each_row_once(tmp_path):
    """The first session gets to 400 images and is killed; the second goes on from the checkpoint at 200."""
    run = begin(tmp_path / "run", [{"images_seen": 0, "kind": "start", "logit_spread": 1.0}])
    first = open_csv(run, CONFIG, rates)
    for line in up_to(400):
        run.append(line)
    log_all(first, up_to(400))
    assert max(row["step"] for row in rows(run.path)) == 400  # written at once
    run.forget_after(200)
    second = open_csv(run, CONFIG, rates)
    assert [row["step"] for row in rows(run.path)] == [0, 100, 100, 200, 200]
    later = in_order(line for line in (*SCORES, *LOSSES) if line["images_seen"] > 200)
    second.log(shown(later[0], LOSSES[1], rates), images_seen=300)
    log_all(second, later[1:2])
    second.finish(0)
    found = rows(run.path)
    assert [row["step"] for row in found] == [0, 100, 100, 200, 200, 300, 300]
    assert [row["tv"] for row in found if "tv" in row] == [line["scores"]["tv"] for line in SCORES[:4]]
    assert [row["train/loss_d"] for row in found if "train/loss_d" in row] == [1.0, 2.0, 3.0]
    assert [row["train/images_per_second"] for row in found if "train/loss_d" in row][:2] == [50.0, 50.0]
    assert yaml.safe_load((run.path / "csv" / "hparams.yaml").read_text())["generator"]["width"] == [8, 16]


def test_a_csv_asked_for_later_has_what_was_measured_before(tmp_path):
    run = begin(tmp_path / "run", up_to(300))
    open_csv(run, CONFIG, rates).finish(0)
    assert [row["step"] for row in rows(run.path)] == [line["images_seen"] for line in up_to(300)]


def read(path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    return EventAccumulator(str(path / "tensorboard"), size_guidance={"scalars": 0, "images": 0}).Reload()


def test_a_tensorboard_that_goes_on_has_each_value_once(tmp_path):
    pytest.importorskip("tensorboard")
    run = begin(tmp_path / "run", [])
    first = open_tensorboard(run, CONFIG, rates, ["tv"], images_seen=0)
    picture = torch.randint(256, (3, 4, 6), dtype=torch.uint8)
    log_all(first, up_to(400))
    for images_seen in (0, 200, 400):
        first.log_image("samples", picture, images_seen=images_seen)
    assert [event.step for event in read(run.path).Scalars("tv")] == [0, 100, 200, 300, 400]  # before it is closed
    second = open_tensorboard(run, CONFIG, rates, ["tv"], images_seen=200)
    second.log({"tv": 0.25}, images_seen=300)
    second.finish(0)
    found = read(run.path)
    assert [(event.step, event.value) for event in found.Scalars("tv")][2:] == [(200, pytest.approx(0.8)), (300, 0.25)]
    assert [event.step for event in found.Scalars("train/loss_d")] == [100, 200]
    assert [event.step for event in found.Images("samples")] == [0, 200]
    assert (found.Images("samples")[0].height, found.Images("samples")[0].width) == (4, 6)
    assert "_hparams_/session_start_info" in found.summary_metadata


def test_a_tensorboard_asked_for_later_has_what_was_measured_before(tmp_path):
    pytest.importorskip("tensorboard")
    run = begin(tmp_path / "run", up_to(200))
    for images_seen in (100, 200, 300):  # the last is of a session that was killed after its checkpoint
        save_png(torch.full((1, 4, 4), 7, dtype=torch.uint8), run.samples / f"{images_seen:09d}.png")
    open_tensorboard(run, CONFIG, rates, ["tv"], images_seen=200).finish(0)
    found = read(run.path)
    assert [event.step for event in found.Scalars("tv")] == [0, 100, 200]
    assert [event.step for event in found.Images("samples")] == [100, 200]


def test_a_logger_that_fails_is_left_out(tmp_path, capsys):
    run = begin(tmp_path / "run", [])
    logger = open_csv(run, CONFIG, rates)
    logger.log({"tv": 0.5}, images_seen=0)
    (run.path / "csv" / "metrics.csv").unlink()
    (run.path / "csv" / "metrics.csv").mkdir()
    for images_seen in (1, 2):
        logger.log({"tv": 0.5}, images_seen=images_seen)
    logger.finish(0)
    said = capsys.readouterr().err
    assert said.startswith("resgan: CSV failed (")
    assert said.endswith("; the run goes on without it\n")
    assert said.count("\n") == 1


def test_without_tensorboard_nothing_begins(refused, monkeypatch):
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "tensorboard" else there(name))
    assert refused(train, *TINY, "tensorboard=true", "wandb=disabled") == (
        "resgan: tensorboard=true: not installed; pip install 'resgan[tensorboard]'\n"
    )
    build_all([(configure(*TINY, "csv=true"), None)], Job([], [], None))  # needs no extra


def test_they_are_no_part_of_what_a_run_is():
    assert not differences(configure().model_dump(), configure("csv=true", "tensorboard=true").model_dump())


def test_a_run_with_csv(tmp_path):
    process = run_command("train", *TINY, "csv=true", "run_dir=run", "wandb=disabled", "loss.r1=0.1", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    measured = [line for line in Run(tmp_path / "run").measurements() if line["kind"] != "start"]
    found = rows(tmp_path / "run")
    assert [row["step"] for row in found] == [line["images_seen"] for line in measured]
    for row, line in zip(found, measured, strict=True):
        if line["kind"] == "scores":
            assert row["tv"] == line["scores"]["tv"]
        else:
            assert row["train/loss_g"] == line["loss_g"]
            assert row["train/images_per_second"] > 0
            assert 0 <= row["train/lr_disc"] <= 1e-2
