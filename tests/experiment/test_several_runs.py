"""Whole runs of several processes are those of one: continued, stopped, killed, in a study, with networks of one's own.

A run is told what to do at which moment by a score of one's own (ACTS), which every process of the run executes.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.comparing import flat_tensors
from helpers.options import TINY
from helpers.processes import Process, start

from resgan.training import checkpoints

STEPS, BATCH, SAMPLES = 75, 40, 300
RUN = [
    *TINY, f"batch_size={BATCH}", f"data.size={SAMPLES}", f"metrics.samples={SAMPLES}", "metrics.own=acts.py:Acts",
    "trainer.progress=false", "wandb=disabled",
]  # fmt: skip
# A mean over the batch is added up in another order, which is worth at most BATCH roundings of 2^-24, and the steps add
# these up; as a part of the largest entry of a tensor. Measured: 6e-7. Another share of the batch makes 1e-2 and more.
ROUNDING = STEPS * BATCH * 2**-24

ACTS = '''
"""Keeps the states that are saved and the times of leaving; sends itself the signal of ACT="SIGNAL NUMBER MOMENT"."""

import atexit
import os
import time

import torch
import torch.distributed as dist
from torchmetrics import Metric

from resgan.metrics.scorer import Scorer
from resgan.runs.tracking import Tracker
from resgan.training.gan import GAN
from resgan.training.recorder import Recorder


class Acts(Metric):
    higher_is_better = False

    def __init__(self, reals):
        super().__init__()
        self.add_state("seen", torch.tensor(0.0), dist_reduce_fx="sum")  # exchanged where several processes measure

    def update(self, samples):
        self.seen += len(samples)

    def compute(self):
        return self.seen / 1000


def number():
    return dist.get_rank() if dist.is_initialized() else 0


def note(name):
    """The clock is that of the machine, one for all processes."""
    with open(name, "w") as file:
        file.write(str(time.monotonic()))


def act(moment):
    signal, process, at = os.environ.get("ACT", "0 0 never").split(maxsplit=2)
    if (int(process), at) == (number(), moment):
        note("acted")
        os.kill(os.getpid(), int(signal))


def after(method, then):
    def both(self, *given, **named):
        result = method(self, *given, **named)
        then(self)
        return result

    return both


def end(tracker):
    """Leave late as the first, when all the others have nothing to do but wait."""
    if not dist.is_initialized():
        return
    if number() == 0:
        time.sleep(1)
        note("left-0")
    else:
        atexit.register(note, f"left-{number()}")


measure, scored = Scorer.measure, []


def measure_or_act(self, samples):
    scored.append(self)
    act(f"score {len(scored)}")
    return measure(self, samples)


Scorer.measure = measure_or_act
GAN.training_step = after(GAN.training_step, lambda gan: act(f"step {gan.images_seen}"))
Recorder.save = after(Recorder.save, lambda it: torch.save(it.gan.training_state(), f"{number()}.pt"))
Tracker.finish = after(Tracker.finish, end)
'''


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "acts.py").write_text(ACTS)
    return tmp_path


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """Run of one process, without a break."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "acts.py").write_text(ACTS)
    train(*RUN, "run_dir=run", cwd=folder)
    return folder / "run"


def train(*arguments: str, cwd: Path, status: int = 0, **environment: str) -> Process:
    return ended(start("train", *arguments, cwd=cwd, **environment), status)


def ended(process: Process, status: int = 0) -> Process:
    """Wait for the end, long enough for a machine that does much else."""
    assert process.wait(300).returncode == status, process.stderr
    assert "Traceback" not in process.stderr
    return process


def scores_of(path: Path) -> dict:
    return json.loads((path / "result.json").read_text())["scores"]


def measured(path: Path) -> list[dict]:
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{**line.pop("scores", {}), **line, "seconds": None} for line in lines]


def alike(numbers: dict) -> dict:
    """Allow for rounding: numbers follow samples, and so the weights of a few layers, or count samples, of which one
    may lie at a border."""
    return {
        name: pytest.approx(value, rel=10 * ROUNDING, abs=1 / SAMPLES) if isinstance(value, float) else value
        for name, value in numbers.items()
    }


def files_in(path: Path) -> set[Path]:
    return {file.relative_to(path) for file in path.rglob("*")}


def assert_same_run(path: Path, alone: Path) -> None:
    """Assert that a run has the weights, scores, measurements and files of another, but for rounding."""
    assert files_in(path) == files_in(alone)
    found, expected = (flat_tensors(checkpoints.load(one / "checkpoints/final.ckpt")) for one in (path, alone))
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        largest = float(tensor.abs().max()) if tensor.numel() else 0
        torch.testing.assert_close(found[key], tensor, rtol=0, atol=ROUNDING * largest, msg=f"{key}: {{}}".format)
    assert measured(path) == list(map(alike, measured(alone)))
    assert scores_of(path) == alike(scores_of(alone))


def assert_same_states(folder: Path, count: int, *, images: int) -> None:
    """Assert that all processes have come to the same state, exactly."""
    states = [torch.load(folder / f"{number}.pt") for number in range(count)]
    first = flat_tensors(states[0])
    for state in states:
        assert state["images_seen"] == images
        assert flat_tensors(state).keys() == first.keys()
        assert all(torch.equal(tensor, first[key]) for key, tensor in flat_tensors(state).items())


def assert_left_after_first(folder: Path, count: int) -> None:
    """Assert that the others waited for the first, and then left by themselves: one that was killed notes nothing."""
    left = [float((folder / f"left-{number}").read_text()) for number in range(count)]
    assert all(left[0] < other < left[0] + 15 for other in left[1:])


def pids_in(folder: Path) -> list[int]:
    """The processes that runs in this folder have started and that are left, in the order of their numbers."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (process / "cmdline").read_text()
            if "resgan.experiment.worker" in arguments and (process / "cwd").readlink() == folder:
                found[arguments] = int(process.name)  # the number is the first in which they differ
        except OSError:  # it has ended, or is another user's
            continue
    return [found[arguments] for arguments in sorted(found)]


def assert_all_leave(folder: Path, *, until: float) -> None:
    while (left := pids_in(folder)) and time.monotonic() < until:
        time.sleep(0.1)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert left == []
    assert time.monotonic() < until


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_a_run_is_that_of_one_process(folder, whole, count):
    train(*RUN, f"trainer.devices={count}", "run_dir=run", cwd=folder)
    assert_same_run(folder / "run", whole)
    assert_same_states(folder, count, images=STEPS * BATCH)
    assert_left_after_first(folder, count)


@pytest.mark.slow
@pytest.mark.parametrize("counts", [(2, 1, 4), (1, 4, 2)])
def test_a_run_goes_on_with_another_number_of_processes(folder, whole, counts):
    for count, images in zip(counts, (1240, 2480, STEPS * BATCH), strict=True):
        at_last = images == STEPS * BATCH
        act = f"{int(signal.SIGTERM)} {count - 1} step {'never' if at_last else images}"  # the last process
        status = 0 if at_last else 128 + signal.SIGTERM
        train(*RUN, f"trainer.devices={count}", "run_dir=run", cwd=folder, status=status, ACT=act)
        assert_same_states(folder, count, images=images)
        if count > 1:
            assert_left_after_first(folder, count)
    assert_same_run(folder / "run", whole)


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize(("count", "number"), [(2, 0), (2, 1), (4, 2)])
def test_a_signal_to_any_process_stops_all_after_the_same_step(folder, count, number):
    options = [*RUN, "total_kimg=1000", "score_kimg=0", f"trainer.devices={count}", "run_dir=run"]
    process = start("train", *options, cwd=folder)
    process.wait_for((folder / "run/checkpoints/last.ckpt").exists)
    os.kill([process.pid, *pids_in(folder)][number], signal.SIGTERM)
    ended(process, 128 + signal.SIGTERM)
    assert pids_in(folder) == []
    stopped = checkpoints.load(folder / "run/checkpoints/last.ckpt")["images_seen"]
    assert f"stopped by SIGTERM at {stopped / 1000:.1f} kimg" in process.stderr
    assert_same_states(folder, count, images=stopped)
    assert_left_after_first(folder, count)


@needs_proc
@pytest.mark.slow
@pytest.mark.parametrize(("count", "number", "moment"), [
    (2, 1, "score 3"), (4, 3, "step 1240"), (2, 0, "step 1240"), (4, 0, "score 3"),
])  # fmt: skip
def test_where_one_process_is_killed_all_end_within_a_minute_and_the_run_can_go_on(
    folder, whole, count, number, moment
):
    act = f"{int(signal.SIGKILL)} {number} {moment}"
    status = 1 if number else -signal.SIGKILL
    process = train(*RUN, f"trainer.devices={count}", "run_dir=run", cwd=folder, status=status, ACT=act)
    assert process.stderr.count("another process of this run has ended") == (1 if number else 0)
    assert_all_leave(folder, until=float((folder / "acted").read_text()) + 60)
    assert checkpoints.load(folder / "run/checkpoints/last.ckpt")["images_seen"] == 1000
    train(*RUN, "run_dir=run", cwd=folder)
    assert_same_run(folder / "run", whole)


ALONE = """
import time
from resgan.experiment.several import started

with started(2, "cpu"):
    print("started", flush=True)
    time.sleep(600)
"""


@needs_proc
@pytest.mark.slow
def test_where_the_first_is_killed_before_it_has_joined_the_others_leave(folder):
    first = subprocess.Popen([sys.executable, "-c", ALONE], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    assert first.stdout.readline() == "started\n"
    assert len(pids_in(folder)) == 1
    first.kill()
    first.wait()
    assert_all_leave(folder, until=time.monotonic() + 60)


NETWORKS = """
from torch import nn


class G(nn.Sequential):
    latent_dim = 4

    def __init__(self, width=16):
        super().__init__(nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2))


class D(nn.Sequential):
    def __init__(self, width=16):
        super().__init__(nn.Linear(2, width), nn.SiLU(), nn.Linear(width, 1), nn.Flatten(0))
"""


@pytest.mark.slow
def test_networks_of_ones_own_are_trained_by_two_processes_as_by_one(folder):
    (folder / "my.py").write_text(NETWORKS)
    theirs = ("generator.", "disc.")  # options of resgan's networks
    given = [option for option in RUN if not option.startswith(theirs)]
    own = ["generator=module", "generator.path=my.py:G", "disc=module", "disc.path=my.py:D", "disc.kwargs.width=12"]
    for count in (1, 2):
        train(*given, *own, f"trainer.devices={count}", f"run_dir={count}", cwd=folder)
    assert_same_run(folder / "2", folder / "1")


@pytest.mark.slow
def test_the_jobs_of_a_study_have_two_processes_each_one_job_after_another(folder):
    for count in (1, 2):
        arms = ["-m", "generator.residual=true,false", f"trainer.devices={count}", f"run_dir={count}"]
        train(*arms, *RUN, cwd=folder)
    assert pids_in(folder) == []
    jobs = sorted(path.parent.relative_to(folder / "1") for path in (folder / "1").rglob("result.json"))
    assert len(jobs) == 2
    for job in jobs:
        assert_same_run(folder / "2" / job, folder / "1" / job)
