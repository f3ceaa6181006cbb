"""Resuming: a run stopped by a signal or killed anywhere goes on to the same outcome, bit for bit."""

import json
import random
import signal
import time
from types import SimpleNamespace

import pytest
import torch
from helpers.comparing import final, measured, same
from helpers.options import TINY
from helpers.processes import run, start

from resgan.training import checkpoints
from resgan.training.recorder import Diverged, Recorder

POINTS = [*TINY, "disc.steps=2", "generator.norm=batch"]
LONG = [*POINTS, "total_kimg=15"]  # stopped by progress, not after some time: machines differ in speed
# What has most state: running statistics, the vectors of spectral norm, penalties that are lazy, D alone in some steps,
# classes, an augmentation driven by D on held-out images, and options that change over the run.
IMAGES = [
    "generator.width=8", "disc.width=8", "generator.blocks=1", "disc.blocks=1", "generator.norm=batch",
    "disc.norm=batch", "disc.spectral=true", "generator.spectral=true", "disc.steps=2", "metrics=exact",
    "metrics.samples=100", "batch_size=8", "total_kimg=0.4", "score_kimg=0.1", "sample_kimg=0.2", "save_kimg=0.1",
    "loss.r1_interval=3", "loss.r2_interval=5", "trainer.accelerator=cpu", "trainer.threads=1",
    "generator.conditional=norm", "disc.conditional=projection", "augment=adaptive", "augment.target=0.05",
    "augment.adapt_kimg=0.5", "loss=hinge", "generator.batch_size=12", "burn_in_kimg=0.3", "loss.r1_final=0.02",
    "disc.decay=none", "disc.lr_final=5e-4", "disc.beta2_final=0.9", "generator.ema_kimg_final=1",
    "generator.skip=orthogonal", "generator.skip_final=0", "disc.skip=gradient", "generator.inner=2",
]  # fmt: skip


def assert_same_run(path, whole) -> None:
    assert same(final(path), final(whole))
    assert measured(path) == measured(whole)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Run that was not interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    assert run("train", *LONG, "run_dir=run", cwd=folder).returncode == 0
    return folder / "run"


def images_in(path) -> int:
    """Return how many images the measurements of a run have reached."""
    text = (path / "metrics.jsonl").read_text() if (path / "metrics.jsonl").exists() else ""
    return max((json.loads(line)["images_seen"] for line in text.split("\n")[:-1]), default=0)


@pytest.mark.parametrize(("number", "status", "times"), [(signal.SIGTERM, 143, 3), (signal.SIGINT, 130, 1)])
def test_stopped_by_a_signal(tmp_path, whole, number, status, times):
    draw = random.Random(int(number))
    path = tmp_path / "run"
    seen = [0]
    for _ in range(times):
        process = start("train", *LONG, "run_dir=run", cwd=tmp_path)
        target = seen[-1] + draw.randint(1, 2000)  # it measures every 1,000
        process.wait_for(lambda n=target: images_in(path) >= n)
        time.sleep(0.01 * draw.random())
        process.send(number).wait()
        assert process.returncode == status, process.stderr
        assert "Traceback" not in process.stderr
        assert "continue with" in process.stderr
        seen.append(checkpoints.load(path / "checkpoints" / "last.ckpt")["images_seen"])
        assert not (path / "result.json").exists()
        assert seen[-1] > seen[-2]  # it makes progress each time
    assert run("train", *LONG, "run_dir=run", cwd=tmp_path).returncode == 0
    assert_same_run(path, whole)


SLOW_SCORES = "metrics.samples=60000"  # a second of drawing and measuring


def test_stopped_while_scoring(tmp_path):
    """Stopped at step 0, in the middle, and at the end, where no step is left when the run is continued."""
    options = [*POINTS, SLOW_SCORES, "total_kimg=2", "sample_kimg=1"]
    assert run("train", *options, "run_dir=whole", cwd=tmp_path).returncode == 0
    path = tmp_path / "run"
    for images in (0, 1000, 2000):
        process = start("train", *options, "run_dir=run", cwd=tmp_path)
        if images == 0:
            process.wait_for(lambda: '"start"' in text_of(path))
        else:
            # Steps are quick and scores are slow: the signal is sent once the previous scores are written.
            process.wait_for(lambda n=images - 1000: f'"images_seen": {n}, "kind": "scores"' in text_of(path))
            process.wait_for(lambda n=images: picture_of(path, n).exists())
        process.send(signal.SIGTERM).wait()
        assert process.returncode == 143, process.stderr
        assert checkpoints.load(path / "checkpoints" / "last.ckpt")["images_seen"] == images
        assert f'"images_seen": {images}, "kind": "scores"' not in text_of(path)
    assert run("train", *options, "run_dir=run", cwd=tmp_path).returncode == 0
    assert_same_run(path, tmp_path / "whole")
    assert json.loads((path / "result.json").read_text())["scores"] == measured(path)[-1]["scores"]


def text_of(path) -> str:
    return (path / "metrics.jsonl").read_text() if (path / "metrics.jsonl").exists() else ""


def picture_of(path, images):
    return path / "samples" / f"{images:09d}.png"


def test_killed(tmp_path, whole):
    draw = random.Random(5)
    path = tmp_path / "run"
    for further in (0, 1000, 2000):  # while the run starts, and later
        process = start("train", *LONG, "run_dir=run", cwd=tmp_path)
        target = images_in(path) + further
        process.wait_for(lambda n=target: (path / "metrics.jsonl").exists() and images_in(path) >= n)
        time.sleep(0.01 * draw.random())
        process.send(signal.SIGKILL).wait()
        assert process.returncode == -9
    # Half-written files, and measurements after the last checkpoint, neither count nor remain.
    (path / "checkpoints").mkdir(exist_ok=True)
    (path / "checkpoints" / "last.ckpt.unfinished-1").write_bytes(b"half")
    with open(path / "metrics.jsonl", "a") as file:
        file.write('{"images_seen": 14999, "kind": "scores", "scores": {"tv": 0.0}}\n{"images_seen": 15000, "ki')
    assert run("train", *LONG, "run_dir=run", cwd=tmp_path).returncode == 0
    assert_same_run(path, whole)
    assert not list(path.rglob("*unfinished*"))


def test_finished_is_finished(tmp_path, whole):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()}
    again = run("train", *LONG, f"run_dir={whole}", cwd=tmp_path)
    assert again.returncode == 0
    assert "is finished already (finished)" in again.stderr
    assert {path: path.stat().st_mtime_ns for path in whole.rglob("*") if path.is_file()} == before
    assert not list(tmp_path.iterdir())


def test_images_stopped_twice(tmp_path):
    assert run("train", *IMAGES, "run_dir=whole", cwd=tmp_path).returncode == 0
    path = tmp_path / "run"
    for images in (0, 200):
        process = start("train", *IMAGES, "run_dir=run", cwd=tmp_path)
        process.wait_for(lambda n=images: f'"images_seen": {n}, "kind": "scores"' in text_of(path))
        assert process.send(signal.SIGTERM).wait().returncode == 143
    assert run("train", *IMAGES, "run_dir=run", cwd=tmp_path).returncode == 0
    assert_same_run(path, tmp_path / "whole")


def test_divergence(tmp_path):
    options = [*TINY, "generator.lr=1e30", "run_dir=run"]
    first = run("train", *options, cwd=tmp_path)
    assert first.returncode == 3, first.stderr
    assert "diverged at" in first.stderr
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["status"] == "diverged"
    assert result["objective"] == 1.0  # total variation at its worst
    assert set(result["scores"].values()) == {None}
    for path in (tmp_path / "run").rglob("*.ckpt"):  # every checkpoint was saved before
        assert all(bool(torch.isfinite(w).all()) for w in checkpoints.load(path)["generator"].values())
    again = run("train", *options, cwd=tmp_path)
    assert again.returncode == 3
    assert "finished already (diverged)" in again.stderr


def test_the_start_is_never_the_best():
    """Step 0 is not training: a run that only gets worse still has a best, in result.json and as best.ckpt."""
    recorder = Recorder.__new__(Recorder)
    recorder.scorer = SimpleNamespace(primary="tv")
    for scored, best in [
        ({0: {"tv": 0.2}}, None),
        ({0: {"tv": 0.2}, 50: {"tv": 0.9}}, 50),
        ({0: {"tv": 0.2}, 50: {"tv": 0.9}, 100: {"tv": 0.95}, 150: {"tv": 0.8}, 200: {"tv": 0.8}}, 150),
        ({50: {"tv": None}, 100: {"tv": float("nan")}, 150: {"tv": float("inf")}}, None),  # null in the file
        ({50: {}, 150: {"tv": 3.0}, 100: {"tv": 2.0}}, 100),
    ]:
        recorder.scored = scored
        assert recorder.best == best


def test_a_state_that_is_no_number_is_not_kept():
    """Losses are from before a step: they can be finite where the weights no longer are."""
    gan = torch.nn.Linear(2, 2)
    gan.losses, gan.images_seen = {"loss_d": torch.tensor(1.0)}, 50
    recorder = Recorder.__new__(Recorder)
    recorder.gan = gan
    recorder.refuse_nan()
    with torch.no_grad():
        gan.weight[0, 1] = float("nan")
    with pytest.raises(Diverged):
        recorder.refuse_nan()
