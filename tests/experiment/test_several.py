"""A run of several processes: a killed process, errors, launchers, and what is refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.options import TINY
from helpers.processes import start

from resgan import train
from resgan.base.errors import OptionsError
from resgan.base.processes import Place
from resgan.experiment import several
from resgan.experiment.fitting import fit
from resgan.experiment.several import find_place
from resgan.experiment.study import Job
from resgan.training.launched import launched_place

TWO = [*TINY, "data.size=300", "metrics.samples=300", "trainer.devices=2", "trainer.progress=false", "wandb=disabled"]
LONG = [*TWO, "total_kimg=1000", "score_kimg=0", "save_kimg=0.5"]


def workers_of(pid: int) -> list[int]:
    """The processes that a run has started."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
            arguments = (status.parent / "cmdline").read_text()
        except OSError:  # it has ended
            continue
        if int(lines["PPid"]) == pid and "resgan.experiment.worker" in arguments:
            found.append(int(lines["Pid"]))
    return found


@pytest.mark.slow  # four interpreters, one after the other
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_is_killed_and_the_run_goes_on(tmp_path):
    process = start("train", *LONG, "run_dir=x", cwd=tmp_path)
    process.wait_for(lambda: (tmp_path / "x/checkpoints/last.ckpt").exists())
    [worker] = workers_of(process.pid)
    os.kill(worker, signal.SIGKILL)
    assert process.wait(60).returncode == 1
    assert process.stderr.count("another process of this run has ended") == 1
    assert {"trainer.devices=2", "run_dir=x"} <= set(process.stderr.split("with:")[-1].split())

    process = start("train", *LONG, "run_dir=x", cwd=tmp_path)  # a signal that reaches one stops both, after one step
    process.wait_for(lambda: "continues x" in process.stderr and workers_of(process.pid))
    [worker] = workers_of(process.pid)
    metrics = tmp_path / "x/metrics.jsonl"
    before = len(metrics.read_text())
    process.wait_for(lambda: len(metrics.read_text()) > before)
    os.kill(worker, signal.SIGTERM)
    assert process.wait(60).returncode == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in process.stderr
    assert "Traceback" not in process.stderr


BREAKS = """
import torch.distributed as dist
from torchmetrics import Metric

updates = []  # the first is a trial, when the score is made

class Breaks(Metric):
    higher_is_better = False

    def __init__(self, reals):
        super().__init__()

    def update(self, samples):
        updates.append(samples)
        if len(updates) > 1 and dist.get_rank() == 1:
            raise ValueError("mine")

    def compute(self):
        return 0.0
"""


def test_an_error_in_one_process_while_scoring_ends_the_others(tmp_path):
    """The first waits for the states of a score at that moment."""
    (tmp_path / "my.py").write_text(BREAKS)
    process = start("train", *TWO, "metrics.own=my.py:Breaks", "run_dir=x", cwd=tmp_path).wait(300)
    assert process.returncode == 1, process.stderr
    assert process.stderr.count("another process of this run has ended") == 1
    assert "ValueError: mine" in process.stderr


# What a launcher starts.


@pytest.mark.slow  # it starts four interpreters
def test_torchrun_starts_the_processes_and_a_finished_run_ends_them(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "resgan.train"]
    for arguments in (TWO, []):  # the directory alone has the number of processes too
        ended = subprocess.run(
            [*torchrun, *arguments, "run_dir=x"], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.count("everything lies in") == 1  # the first process alone speaks
    assert "finished already" in ended.stderr


SLURM = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
         "SLURM_STEP_NODELIST": "node[07-08]", "SLURM_JOB_ID": "1234567"}  # fmt: skip
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "node07", "MASTER_PORT": "29500"}


@pytest.fixture
def environment(monkeypatch):
    for name in [*SLURM, *TORCHRUN]:
        monkeypatch.delenv(name, raising=False)

    def set_to(values: dict[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return set_to


def test_the_place_of_a_process(environment):
    assert launched_place() is None
    environment(SLURM)
    assert launched_place() == Place(3, 4, 1, "tcp://node07:19567")
    environment(TORCHRUN)
    assert launched_place() == Place(3, 4, 1, "env://")


def test_a_batch_script_is_one_process(environment):
    environment({name: value for name, value in SLURM.items() if "STEP" not in name})
    assert launched_place() is None


def test_launchers_and_options_agree(environment, made):
    job, sweep = Job([], [], None), Job([], [], Path("s"))
    environment(TORCHRUN)
    assert find_place(made(), job) is None  # a single process is not disturbed
    assert find_place(made("trainer.devices=2", "trainer.nodes=2"), job) == Place(3, 4, 1, "env://")
    with pytest.raises(
        OptionsError, match=r"trainer.devices=2 trainer.nodes=1: 4 processes were started; give as many"
    ):
        find_place(made("trainer.devices=2"), job)
    with pytest.raises(OptionsError, match="a sweep inside 4 processes"):
        find_place(made("trainer.devices=4"), sweep)


def test_from_python_there_is_no_launcher(environment, made):
    environment(TORCHRUN)
    with pytest.raises(OptionsError, match=r"fit starts its own processes, and here are 4 of a launcher"):
        fit(made("trainer.devices=2", "trainer.nodes=2"))


def test_nodes_need_a_launcher(environment, made):
    with pytest.raises(OptionsError, match=r"trainer.nodes=2: start a process for each device by torchrun or srun"):
        find_place(made("trainer.nodes=2"), Job([], [], None))


def test_no_more_processes_than_devices(monkeypatch, made):
    monkeypatch.setattr(several, "find_accelerator", lambda *_: "cuda")
    monkeypatch.setattr(several.torch.cuda, "device_count", lambda: 2)
    several.check_processes(made("trainer.devices=2"), Job([], [], None))
    with pytest.raises(OptionsError, match=r"trainer.devices=3: this machine has 2 of them"):
        several.check_processes(made("trainer.devices=3"), Job([], [], None))


@pytest.fixture
def made():
    from helpers.options import options_of

    from resgan.options.train import TrainOptions
    from resgan.options.validation import check

    return lambda *overrides: check(TrainOptions, options_of(*TINY, "batch_size=60", *overrides))


# What is refused.


@pytest.mark.parametrize(("arguments", "says"), [
    (["trainer.devices=3"], "batch_size=50: does not divide by 3, the number of processes (trainer.devices=3)"),
    (["trainer.devices=2", "generator.batch_size=25", "loss=hinge"], "generator.batch_size=25: does not divide by 2"),
    (["trainer.devices=2", "seeds=0-3"], "seeds=0-3: a stack is one process; leave it out with trainer.devices=2"),
    (["trainer.devices=2", "trainer.stack=4"], "trainer.stack=4: a stack is one process; leave it"),
    (["trainer.nodes=2"], "trainer.nodes=2: start a process for each device by torchrun or srun"),
])  # fmt: skip
def test_what_cannot_be(refused, arguments, says):
    assert says in refused(train, *TINY, *arguments)


def test_a_process_that_cannot_begin_ends_the_run(monkeypatch):
    monkeypatch.setattr(several.sys, "executable", "/bin/false")
    with (
        pytest.raises(OptionsError, match=r"trainer.devices=2: a process ended at its start \(1\)"),
        several.started(2, "cpu"),
    ):
        pass
