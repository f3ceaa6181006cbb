"""Launchers: where the jobs of a sweep run. SLURM is a stand-in (helpers/slurm) that runs jobs on this machine."""

import json
import multiprocessing
import os
import re
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.options import TINY
from helpers.processes import run, start

from resgan.base import device, signals
from resgan.base.errors import OptionsError
from resgan.cli import launchers
from resgan.cli.errors import of_hydra
from resgan.experiment import plan
from resgan.experiment.several import find_place
from resgan.experiment.study import Job, Study
from resgan.options.train import TrainOptions
from resgan.options.validation import check

SLURM = Path(__file__).resolve().parents[1] / "helpers" / "slurm"
SWEEP = ["-m", *TINY, "generator.residual=true,false", "trainer.progress=false", "wandb=disabled"]


@pytest.fixture
def slurm(tmp_path):
    """The environment of a login node."""
    place = tmp_path / "slurm"
    place.mkdir()
    inherited = {name: None for name in os.environ if name.startswith(("SLURM_", "SUBMITIT_"))}
    return inherited | {"PATH": f"{SLURM}:{os.environ['PATH']}", "FAKE_SLURM": str(place)}


def scores(directory: Path) -> dict[str, dict]:
    found = (json.loads(path.read_text()) for path in directory.rglob("result.json"))
    return {result["arm"]: result["scores"] for result in found}


def test_the_script_for_sbatch(slurm, tmp_path):
    overrides = ["hydra.launcher.partition=none", "hydra.launcher.timeout_min=90"]
    process = run("train", *SWEEP, "hydra/launcher=slurm", *overrides, cwd=tmp_path, **slurm, FAKE_SLURM_REFUSES="1")
    assert process.returncode == 1, process.stderr
    assert "invalid partition" in process.stderr
    assert "Traceback" not in process.stderr
    text = (tmp_path / "slurm" / "script.sh").read_text()
    asked = dict(line.removeprefix("#SBATCH --").split("=", 1) for line in text.splitlines() if "#SBATCH" in line)
    expected = {
        "array": "0-1%2",
        "partition": "none",
        "time": "90",
        "job-name": "resgan",
        "gpus-per-node": "1",
        "cpus-per-task": "4",
        "ntasks-per-node": "1",
        "signal": "USR2@120",
    }
    assert asked.items() >= expected.items()
    [command] = [line for line in text.splitlines() if line.startswith("srun")]
    assert f"{sys.executable} -u -m submitit.core._submit" in command
    assert re.search(r"runs/[^/]+/\.submitit/", command)  # beside the runs


@pytest.mark.slow
@pytest.mark.parametrize("name", ["local", "slurm", "joblib"])
def test_scores_are_those_of_jobs_in_sequence(name, slurm, tmp_path):
    """To the last bit. Without a launcher two jobs of one process each follow another."""
    for directory, launcher in (("one", []), ("other", [f"hydra/launcher={name}"])):
        process = run("train", *SWEEP, *launcher, f"run_dir={directory}", cwd=tmp_path, **slurm)
        assert process.returncode == 0, process.stderr
    assert len(scores(tmp_path / "one")) == 2
    assert scores(tmp_path / "one") == scores(tmp_path / "other")


@pytest.mark.slow
def test_processes_that_srun_starts_for_one_job(slurm, tmp_path):
    two = [*SWEEP, "trainer.devices=2", "hydra/launcher=slurm", "hydra.launcher.tasks_per_node=2"]
    process = run("train", *two, "run_dir=two", cwd=tmp_path, **slurm)
    assert process.returncode == 0, process.stderr
    assert run("train", *SWEEP, "run_dir=one", cwd=tmp_path, **slurm).returncode == 0
    one, shared = scores(tmp_path / "one"), scores(tmp_path / "two")
    assert len(one) == len(shared) == 2
    assert {arm.replace("_trainer.devices-2", ""): values["tv"] for arm, values in shared.items()} == {
        arm: pytest.approx(values["tv"], rel=1e-3) for arm, values in one.items()
    }


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the job in /proc")
def test_a_job_that_is_preempted_continues_after_its_requeue(slurm, tmp_path):
    """And its scores are those of one that was not."""
    job = ["-m", *TINY, "total_kimg=100", "score_kimg=0", "save_kimg=0", "trainer.progress=false", "wandb=disabled"]
    process = start("train", *job, "hydra/launcher=slurm", "run_dir=x", cwd=tmp_path, **slurm)
    process.wait_for(lambda: any(path.stat().st_size for path in (tmp_path / "x").glob("*/*/metrics.jsonl")))
    [pid] = processes_of(["-u", "-m", "submitit.core._submit"], tmp_path)
    os.kill(pid, signal.SIGUSR2)
    process.wait(180)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "slurm" / "requeued-0").exists()
    logs = "".join(path.read_text() for path in (tmp_path / "x" / ".submitit").rglob("*.err"))
    assert logs.count("stopped by SIGUSR2 at") == 1
    assert logs.count("continues x") == 1
    assert run("train", *job, "run_dir=whole", cwd=tmp_path).returncode == 0
    assert scores(tmp_path / "x") == scores(tmp_path / "whole")


def processes_of(arguments: list[str], directory: Path) -> list[int]:
    """Find the Python processes with these first arguments that work in a directory."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            given = (place / "cmdline").read_text().split("\0")
            if given[1 : 1 + len(arguments)] == arguments and (place / "cwd").resolve() == directory.resolve():
                found.append(int(place.name))
        except OSError:  # it has ended, or is not ours
            continue
    return found


def test_only_a_handler_of_others_gets_the_signal():
    caught = []
    before = signal.signal(signal.SIGUSR2, lambda number, frame: caught.append(number))
    try:
        for status in (0, None, "text", 1, 128 + signal.SIGINT, 128 + signal.SIGTERM, 128 + signal.SIGUSR2):
            signals.hand_on(status)
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert caught == [signal.SIGUSR2]


# What each launcher means.


def settings(target: str, **values) -> SimpleNamespace:
    launcher = {"_target_": target, **values}
    return SimpleNamespace(launcher=SimpleNamespace(_target_=target, get=launcher.get))


@pytest.mark.parametrize(
    ("given", "at_once", "here", "shared"),
    [
        (settings("hydra._internal.core_plugins.basic_launcher.BasicLauncher"), 1, True, False),
        (settings("x.JoblibLauncher", n_jobs=-1), -1, False, True),
        (settings("x.JoblibLauncher", n_jobs=4), 4, False, True),
        (settings("x.JoblibLauncher", n_jobs=1), 1, True, False),
        (settings("x.LocalLauncher"), -1, False, True),
        (settings("x.SlurmLauncher", array_parallelism=64), 64, False, False),
        (settings("x.SlurmLauncher", array_parallelism=1), 1, False, False),
        (settings("x.RayLauncher"), -1, False, True),
    ],
)
def test_how_many_jobs_and_where(given, at_once, here, shared):
    assert launchers.jobs_at_once(given) == at_once
    assert launchers.in_this_process(given) == here
    assert launchers.share_this_machine(given) == shared


def test_the_plan_of_a_study_on_a_cluster(monkeypatch, capsys, tmp_path):
    """A job there has its cores to itself, so it is timed with as many threads as here."""
    given = []
    monkeypatch.setattr(plan, "seconds_of_run", lambda stack, *, side_by_side: given.append(side_by_side) or 40)
    runs = [([f"seed={seed}"], check(TrainOptions, composed(f"seed={seed}"))) for seed in range(4)]
    study = Study("mine", tmp_path, runs, at_once=2, on_cluster=True)
    plan.announce(study)
    assert "about 80 s on machines as fast as this one, 2 side by side" in capsys.readouterr().err
    plan.announce(replace(study, on_cluster=False))
    assert "about 80 s on this machine, 2 side by side" in capsys.readouterr().err
    assert given == [False, True]


def test_a_launcher_that_is_not_there(tmp_path):
    process = run("train", *SWEEP, "hydra/launcher=slrum", cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr == "resgan: hydra/launcher=slrum: expected one of basic, gpus, joblib, local, slurm\n"


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("launcher/submitit_slurm", "hydra/launcher=submitit_slurm: needs a plugin; pip install 'resgan[slurm]'"),
        ("launcher/ray", "hydra/launcher=ray: needs a plugin; pip install 'resgan[ray]'"),
        (
            "sweeper/optuna",
            "hydra/sweeper=optuna: not installed; python -m resgan.sweep searches, with a current Optuna",
        ),
        ("job_logging/mine", "hydra/job_logging=mine: Hydra has no such file"),
    ],
)
def test_what_to_install_or_to_use(name, line):
    assert of_hydra(name) == line


def test_a_job_in_several_tasks_is_no_sweep_in_several_processes(monkeypatch):
    options = check(TrainOptions, composed("trainer.devices=2"))
    for name, value in {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "node1", "SLURM_PROCID": "1"}.items():
        monkeypatch.setenv(name, value)
    sweep = Job([], [], Path("x"))
    with pytest.raises(OptionsError, match="a sweep inside 2 processes"):
        find_place(options, sweep)
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    place = find_place(options, sweep)
    assert place is not None
    assert (place.number, place.count) == (1, 2)


def composed(*overrides: str) -> dict:
    from helpers.options import options_of

    return options_of(*TINY, *overrides)


# One job a device.


def test_each_job_takes_a_gpu_that_no_other_holds(tmp_path):
    context = multiprocessing.get_context("fork")

    def job():
        taken = context.SimpleQueue()
        process = context.Process(target=lambda: (taken.put(device.claim(["a", "b"], tmp_path)), time.sleep(60)))
        process.start()
        return process, taken.get()

    jobs = [job() for _ in range(3)]
    try:
        assert [number for _, number in jobs] == [0, 1, 0]  # one each, and then the first has two
        jobs[1][0].kill()
        jobs[1][0].join()
        jobs.append(job())  # what a job that was killed held is free
        assert jobs[-1][1] == 1
    finally:
        for process, _ in jobs:
            process.kill()
            process.join()


def test_a_job_beside_others_computes_on_the_gpu_it_took(monkeypatch, tmp_path):
    chosen = []
    cuda = SimpleNamespace(
        device_count=lambda: 2,
        get_device_properties=lambda k: SimpleNamespace(uuid=f"gpu-{k}"),
        set_device=chosen.append,
    )
    monkeypatch.setattr(device, "_claims", [])
    monkeypatch.setattr(device.torch, "cuda", cuda)
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))
    device.take_gpu()
    device.take_gpu()  # a worker keeps its GPU for its next job
    assert chosen == [0]
    for claim in device._claims:
        claim.close()
