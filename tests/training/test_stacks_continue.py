"""Stacks that were stopped or killed go on to the last bit, whenever it was, and with a member that diverges."""

import itertools
import json
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.killing import differences, in_child
from helpers.options import options_of

from resgan.experiment.session import train_together
from resgan.experiment.stacks import members_before, settle, stacks_to_train
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.directory import Run
from resgan.training import checkpoints, recorder
from resgan.training.gan import GAN

# 16 steps, with losses at every second, a checkpoint at every fourth, scores at every sixth; penalties are lazy.
POINTS = [
    "data=gaussians", "data.size=60", "generator.width=8", "disc.width=8", "generator.blocks=1", "disc.blocks=1",
    "generator.latent_dim=3", "generator.norm=batch", "batch_size=5", "loss.r1_interval=3", "loss.r2_interval=4",
    "metrics=exact", "metrics.samples=50", "total_kimg=0.08", "score_kimg=0.03", "save_kimg=0.02", "sample_kimg=0",
    "trainer.accelerator=cpu", "trainer.precision=32-true", "trainer.progress=false", "wandb=disabled",
]  # fmt: skip
SETTINGS = ({}, {"generator.lr": 1e-2}, {"disc.lr": 5e-3, "loss.r2": 3.0}, {"generator.residual": False})
DIVERGED, OTHERS = 2, (0, 1, 3)  # members, by their places in SETTINGS
POISONED = 45  # images after which one is
JOB = Job(overrides=["x=1"], arguments=["x=1"], sweep_dir=None)


@pytest.fixture(scope="module")
def options() -> list[TrainOptions]:
    first = check(TrainOptions, options_of(*POINTS))
    return [first.with_values({**own, "seed": seed}) for seed, own in enumerate(SETTINGS)]


def prepare(patch: pytest.MonkeyPatch) -> None:
    """Read losses at every second step, and let a weight of a member become no number in its tenth."""
    patch.setattr(recorder, "LOSS_EVERY", 2)
    training_step = GAN.training_step

    def step(gan: GAN, batch: torch.Tensor, batch_idx: int) -> None:
        training_step(gan, batch, batch_idx)
        if gan.images_seen == POISONED:
            with torch.no_grad():
                next(gan.disc.parameters())[DIVERGED] = float("nan")

    patch.setattr(GAN, "training_step", step)


@pytest.fixture(autouse=True)
def prepared(monkeypatch):
    prepare(monkeypatch)


def runs_in(folder: Path, options: list[TrainOptions]) -> list[tuple[TrainOptions, Run]]:
    return [(one, Run(folder / str(one.seed))) for one in options]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, options) -> Path:
    """Stack of four that was not disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        prepare(patch)
        train_together(runs_in(folder, options), folder, JOB)
    return folder


def go_on(folder: Path, options: list[TrainOptions]):
    return lambda: train_together(runs_in(folder, options), folder, JOB)


def lines(path: Path, kind: str) -> list[int]:
    return [line["images_seen"] for line in Run(path).measurements() if line["kind"] == kind]


def test_what_the_undisturbed_stack_does(whole):
    """Check that the runs have what the others are compared by: losses with lazy penalties, and one that diverges."""
    results = [json.loads((whole / str(seed) / "result.json").read_text()) for seed in range(4)]
    assert [result["status"] for result in results] == ["finished", "finished", "diverged", "finished"]
    [place] = lines(whole / str(DIVERGED), "diverged")
    assert place == 50  # after two checkpoints, and with checkpoints of the others to come
    assert results[DIVERGED]["images_seen"] == place
    for seed in OTHERS:
        assert lines(whole / str(seed), "losses") == list(range(10, 81, 10))
        assert all(
            {"r1", "r2"} <= set(line) for line in Run(whole / str(seed)).measurements() if line["kind"] == "losses"
        )
        best = checkpoints.load(whole / str(seed) / "checkpoints" / "best.ckpt")
        assert results[seed]["best"]["images_seen"] == best["images_seen"]
    for seed in range(4):
        [session] = Run(whole / str(seed)).sessions()
        assert (session["together"], session["stack"][seed]) == (4, ".")


# (function, the call at which the process is killed): between the saves of two members, at their first checkpoints and
# after; between the two names of one, where a member that diverged follows; between best.ckpt and its line; between
# results.
KILLS = [
    ("resgan.training.checkpoints.save_last", 2),
    ("resgan.training.checkpoints.save_last", 8),
    ("resgan.runs.directory.Run.append", 40),
    ("resgan.runs.directory.Run.write_result", 2),
    pytest.param("resgan.training.recorder.Recorder.save", 13, marks=pytest.mark.slow),
    pytest.param("os.replace", 52, marks=pytest.mark.slow),
    pytest.param("resgan.runs.directory.Run.record_session", 3, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("at", "count"), KILLS)
def test_killed(tmp_path, options, whole, at, count):
    folder = tmp_path
    assert in_child(go_on(folder, options), at=at, count=count) == -signal.SIGKILL
    assert in_child(go_on(folder, options)) == 0
    assert differences(folder, whole) == []


@pytest.mark.slow
@pytest.mark.parametrize("at", [
    "os.replace", "os.fsync", "resgan.runs.directory.Run.append", "resgan.training.checkpoints.save",
    "resgan.base.images.save_png", "resgan.training.gan.GAN.training_step", "resgan.metrics.scorer.Scorer.measure",
])  # fmt: skip
def test_killed_at_every_call(tmp_path, options, whole, at):
    """Kill at each call, and in every third case once more, a few calls of the same kind after the run goes on."""
    for count in itertools.count(1):
        folder = tmp_path / str(count)
        folder.mkdir()
        status = in_child(go_on(folder, options), at=at, count=count)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        if count % 3 == 0:
            in_child(go_on(folder, options), at=at, count=1 + count // 3)
        assert in_child(go_on(folder, options)) == 0
        assert differences(folder, whole) == [], f"killed at call {count}"
    assert count > 3


@pytest.mark.parametrize(
    "step", [pytest.param(1, marks=pytest.mark.slow), pytest.param(12, marks=pytest.mark.slow), 14]
)
def test_stopped_by_a_signal(tmp_path, options, whole, step):
    """Stop at the first step, when everything is due, and when losses alone are, for each member."""
    at = "resgan.training.gan.GAN.training_step"
    assert in_child(go_on(tmp_path, options), at=at, count=step, number=signal.SIGTERM) == 143
    places = {checkpoints.load(path)["images_seen"] for path in tmp_path.rglob("last.ckpt")}
    assert max(places) == 5 * step  # a member that had diverged stands at its last checkpoint
    assert in_child(go_on(tmp_path, options)) == 0
    assert differences(tmp_path, whole) == []


@pytest.mark.slow
@pytest.mark.parametrize("at", ["resgan.training.gan.GAN.training_step", "resgan.runs.directory.Run.append",
                                "resgan.metrics.scorer.Scorer.measure", "os.replace"])  # fmt: skip
def test_stopped_at_every_call(tmp_path, options, whole, at):
    for count in itertools.count(1):
        folder = tmp_path / str(count)
        folder.mkdir()
        status = in_child(go_on(folder, options), at=at, count=count, number=signal.SIGTERM)
        assert status in (0, 143, -signal.SIGTERM)  # killed by it where nobody listens: before and after the training
        assert in_child(go_on(folder, options)) == 0
        assert differences(folder, whole) == [], f"stopped at call {count}"
        if status == 0:
            break
    assert count > 3


# Who goes on with whom, and where.


def run_at(path: Path, *places: int, beside: tuple[str, ...] = (), diverged: int | None = None) -> SimpleNamespace:
    """Make a run with checkpoints at places, the oldest first, that was trained with those beside it."""
    run = Run(path)
    path.mkdir()
    for place in places:
        checkpoints.save_last(run.checkpoints, {"images_seen": place})
    if beside:
        run.record_session({"command": "x", "together": len(beside), "stack": [f"../{name}" for name in beside]})
    if diverged is not None:
        run.append({"images_seen": diverged, "kind": "diverged"})
    return SimpleNamespace(run=run, options=QUICK)


QUICK = check(TrainOptions, options_of(*POINTS))


def newest(one: SimpleNamespace) -> int | None:
    return checkpoints.newest_valid(one.run.checkpoints, lambda state: None).state.get("images_seen")


@pytest.mark.parametrize(("places", "common"), [
    ([(1, 2), (1, 2), (1, 2)], 2),
    ([(1, 2, 3), (1, 2), (1, 2)], 2),
    ([(1, 2), (1, 2), (1, 2, 3)], 2),
    ([(5,), (), ()], 0),  # killed at the first save
    ([(5,), (5, 6), (5,)], 5),
    ([(2, 3), (1,), (2, 3)], None),  # a member's newer ones were taken away
    ([(2, 3), (), (2, 3)], None),
    ([(), (), ()], 0),
])  # fmt: skip
def test_they_go_on_from_the_newest_place_of_all(tmp_path, places, common):
    runs = [run_at(tmp_path / str(k), *each) for k, each in enumerate(places)]
    assert settle([one.run for one in runs]) == common
    expected = [each[-1] if each else None for each in places] if common is None else [common or None] * 3
    assert list(map(newest, runs)) == expected


def test_a_stack_whose_first_save_is_its_last_begins_again(tmp_path):
    """A short run is saved at its end alone; killed there between two members, the others have nothing."""
    runs = [run_at(tmp_path / "0", 5), run_at(tmp_path / "1"), run_at(tmp_path / "2")]
    checkpoints.save(runs[0].run.checkpoints / "final.ckpt", {"images_seen": 5})
    assert settle([one.run for one in runs]) == 0
    assert list(map(newest, runs)) == [None, None, None]


def test_what_was_saved_is_not_dropped_for_one_that_lost_it(tmp_path):
    """Begun again at 0, a stack would take the only checkpoint of the others, or the end of runs made longer."""
    beside = ("0", "1")
    runs = [run_at(tmp_path / name, 5, beside=beside) for name in beside]
    for one in runs:
        one.run.note_save(5)
    (runs[1].run.checkpoints / "last.ckpt").unlink()
    assert settle([one.run for one in runs]) is None
    assert (newest(runs[0]), runs[1].run.last_save()) == (5, 5)  # so that the second is refused as lost
    ended = [run_at(tmp_path / "2", 5), run_at(tmp_path / "3")]
    for one in ended:
        one.run.result.write_text("{}")
    assert settle([one.run for one in ended]) is None
    assert newest(ended[0]) == 5


def test_damage_is_no_place(tmp_path):
    runs = [run_at(tmp_path / str(k), 1, 2) for k in range(3)]
    (runs[1].run.checkpoints / "last.ckpt").write_bytes(b"x")
    assert settle([one.run for one in runs]) == 1
    assert list(map(newest, runs)) == [1, 1, 1]
    (runs[1].run.checkpoints / "last.ckpt").write_bytes(b"x")  # the only one it has now: somebody has to look at it
    assert settle([one.run for one in runs]) is None
    assert newest(runs[0]) == 1


def test_who_has_diverged_is_anywhere_after(tmp_path):
    runs = [run_at(tmp_path / "0", 1, 2, 3), run_at(tmp_path / "1", 1, diverged=2), run_at(tmp_path / "2", 2, 3)]
    assert settle([one.run for one in runs]) == 3
    assert list(map(newest, runs)) == [3, 1, 3]
    runs = [run_at(tmp_path / "3", 1, 2), run_at(tmp_path / "4", 1, diverged=2), run_at(tmp_path / "5", 1)]
    assert settle([one.run for one in runs]) == 1  # killed when the first had saved and the second had diverged


def test_runs_go_on_with_those_they_were_trained_with(tmp_path):
    """A stack of three of a sweep was killed between two results: its first has ended, and the others are not begun."""
    first = ("b", "a", "0")
    runs = [run_at(tmp_path / name, 5, beside=first) for name in ("a", "b")]
    runs += [run_at(tmp_path / name) for name in ("c", "d", "e")]
    assert [[one.run.path.name for one in stack] for stack in stacks_to_train(runs, most=3)] == [
        ["b", "a"], ["c", "d", "e"],
    ]  # fmt: skip
    alone = run_at(tmp_path / "f", 5)
    alone.run.record_session({"command": "x", "together": 1})
    assert members_before(alone.run) == (alone.run.path,)
    stacks = stacks_to_train([*runs[2:], alone, run_at(tmp_path / "g")], most=None)
    assert [[one.run.path.name for one in stack] for stack in stacks] == [["f"], ["c", "d", "e", "g"]]
    # Killed before any checkpoint: as if they had not begun.
    early = [run_at(tmp_path / name, beside=("h", "i")) for name in ("h", "i")]
    assert len(stacks_to_train([*early, run_at(tmp_path / "j")], most=None)) == 1


def test_another_command_says_what_it_changes(tmp_path, options, capsys):
    """Two of four go on: a line says that the last bits will differ. All four together are silent."""
    at = "resgan.training.gan.GAN.training_step"
    assert in_child(go_on(tmp_path, options), at=at, count=14, number=signal.SIGTERM) == 143
    train_together(runs_in(tmp_path, options)[:2], tmp_path, JOB)
    said = capsys.readouterr().err
    assert (
        f"{tmp_path / '0'}: was trained as one of 4 runs, and goes on as one of 2: equal to a run that was not" in said
    )
    assert Run(tmp_path / "0").sessions()[-1]["stack"] == [".", "../1"]
