"""A sweep whose jobs are trained as stacks: the same runs, messages and refusals as job by job."""

import json
import re
import shutil
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.options import TINY, options_of
from helpers.processes import run, start

from resgan import train
from resgan.experiment import plan
from resgan.experiment.study import Study
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.configuration import differences
from resgan.runs.directory import Run

SWEEP = ["-m", *TINY, "generator.residual=true,false", "disc.lr=1e-3,3e-3", "seed=4", "total_kimg=1",
         "trainer.progress=false", "trainer.precision=32-true", "wandb=disabled"]  # fmt: skip


def results(folder: Path) -> dict[str, dict]:
    return {str(path.parent.relative_to(folder)): json.loads(path.read_text()) for path in folder.rglob("result.json")}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """Return (process, folder) of a sweep of four runs in stacks of three at most."""
    folder = tmp_path_factory.mktemp("swept")
    process = run("train", *SWEEP, "trainer.stack=3", "run_dir=s", cwd=folder)
    assert process.returncode == 0, process.stderr
    return process, folder


def test_the_runs_are_those_of_job_by_job(swept, tmp_path):
    process, folder = swept
    one_by_one = run("train", *SWEEP, "run_dir=s", cwd=tmp_path)
    assert one_by_one.returncode == 0, one_by_one.stderr
    found, expected = results(folder / "s"), results(tmp_path / "s")
    assert found.keys() == expected.keys()
    assert len(found) == 4
    for place, result in found.items():
        for name in ("status", "arm", "seed", "images_seen", "parameters", "flops", "cards"):
            assert result[name] == expected[place][name]
        ours, theirs = Run(folder / "s" / place), Run(tmp_path / "s" / place)
        assert differences(ours.stored_config(like={}), theirs.stored_config(like={})) == []
        assert {path.relative_to(ours.path) for path in ours.path.rglob("*")} == {
            path.relative_to(theirs.path) for path in theirs.path.rglob("*")
        }
        assert ours.sessions()[0]["command"].endswith("trainer.stack=3 run_dir=s")
    assert sorted(Run(folder / "s" / place).sessions()[0]["together"] for place in found) == [1, 3, 3, 3]
    tables = process.stderr.count(" at step 0), "), one_by_one.stderr.count(" at step 0), ")
    assert tables == (4, 4)
    assert not (folder / "s" / "multirun.yaml").exists()


def test_what_is_finished_is_not_made_again_and_what_fails_is_named(swept, tmp_path):
    """One run is missing, one lies in a directory of another configuration."""
    shutil.copytree(swept[1] / "s", tmp_path / "s")
    gone, foreign = sorted((tmp_path / "s").rglob("result.json"))[1:3]
    shutil.rmtree(gone.parent)
    config = foreign.parent / "config.yaml"
    config.write_text(config.read_text().replace("total_kimg: 1", "total_kimg: 5"))
    again = run("train", *SWEEP, "trainer.stack=3", "run_dir=s", cwd=tmp_path)
    assert again.returncode == 1
    assert again.stderr.count("finished already") == 2
    assert len(re.findall("job failed: .*total_kimg was 5", again.stderr)) == 1
    assert "at least one job of the sweep failed" in again.stderr
    assert gone.exists()


def test_a_signal_stops_all_and_the_command_continues_them(tmp_path):
    process = start("train", *SWEEP, "total_kimg=500", "trainer.stack=8", "run_dir=s", cwd=tmp_path)
    process.wait_for(lambda: len(list(tmp_path.rglob("last.ckpt"))) == 4)
    process.send(signal.SIGTERM).wait()
    assert process.returncode == 128 + signal.SIGTERM
    said = process.stderr.splitlines()
    [place] = [place for place, line in enumerate(said) if line.endswith("continue with:")]
    assert said[place + 1].endswith("trainer.stack=8 run_dir=s")
    assert said[-1].startswith("resgan: sweep: 4 open")
    assert not list(tmp_path.rglob("result.json"))


@pytest.mark.parametrize(("arguments", "says"), [
    (["-m", "seed=0,1", "hydra/launcher=joblib"], "a stack is one process; use 1 with hydra/launcher=joblib"),
    (["study=smoke", "disc.spectral=true"], "disc.spectral=true cannot be stacked; use 1"),
    (["disc.spectral=true"], "disc.spectral=true cannot be stacked; use 1"),
])  # fmt: skip
def test_stacks_that_cannot_be(refused, arguments, says):
    assert f"trainer.stack=3: {says}" in refused(train, *TINY, *arguments, "trainer.stack=3", "run_dir=r")


def test_the_plan_times_stacks(monkeypatch):
    """Five runs, four of one structure, in stacks of three at most: 3 + 1 and 1."""
    options = [check(TrainOptions, options_of(*TINY))]
    options += [options[0].with_values(own) for own in (
        {"seed": 1}, {"generator.residual": not options[0].generator.residual}, {"disc.lr": 0.1}, {"disc.blocks": 3}
    )]  # fmt: skip
    seen = []

    def seconds_of_run(stack, *, side_by_side):
        seen.append(len(stack))
        return {3: 1.0, 1: 10.0}[len(stack)]

    monkeypatch.setattr(plan, "seconds_of_run", seconds_of_run)
    study = Study("x", Path("x"), [([], one) for one in options], 1, stack_size=3)
    assert plan.seconds_of_runs(study, options) == 3 * 1 + 10 + 10
    assert sorted(seen) == [1, 1, 3]


# Replicates.

SEARCHES = ["-m", *TINY, "generator.residual=true,false", "replicate=0,1", "data.size=300", "metrics.samples=300",
            "total_kimg=1", "tuning.candidates=4", "tuning.keep=2", "tuning.rungs=[0.5,1]", "tuning.fresh_seeds=1",
            "tuning.accept_edge=true", "trainer.progress=false", "trainer.precision=32-true",
            "wandb=disabled", "run_dir=s"]  # fmt: skip


@pytest.mark.slow
def test_replicates_share_stacks_and_are_those_of_job_by_job(tmp_path):
    """Two arms x two replicates: rungs of 16 and 8 runs and 4 fresh seeds, in stacks of 6 at most."""
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir(), alone.mkdir()
    process = run("train", *SEARCHES, "trainer.stack=6", cwd=together)
    assert process.returncode == 0, process.stderr
    one_by_one = run("train", *SEARCHES, cwd=alone)
    assert one_by_one.returncode == 0, one_by_one.stderr
    found, expected = results(together / "s"), results(alone / "s")
    assert found.keys() == expected.keys()
    assert len(found) == 16 + 8 + 4
    sizes = Counter(Run(together / "s" / place).sessions()[0]["together"] for place in found)
    assert sizes == {6: 2 * 6 + 6, 4: 4 + 4, 2: 2}
    assert {Run(alone / "s" / place).sessions()[0]["together"] for place in expected} == {1}
    for search in (together / "s").rglob("search.json"):
        ours, theirs = (json.loads((folder / search.relative_to(together)).read_text()) for folder in (together, alone))
        assert [ours[name] for name in ("candidates", "seed")] == [theirs[name] for name in ("candidates", "seed")]
        assert ours["winner"] is not None
        fresh = {place: result for place, result in found.items() if "search" not in place}
    assert sorted(result["seed"] for result in fresh.values()) == [0, 0, 1, 1]
    assert process.stderr.count(", replicate 1: the best of 4 is candidate") == 2  # one in each arm
    assert process.stderr.count(" at step 0), ") == 4
    again = run("train", *SEARCHES, "trainer.stack=6", cwd=together)
    assert again.returncode == 0, again.stderr
    assert results(together / "s") == found


def test_a_replicate_that_ends_at_an_edge_fails_and_the_others_go_on(tmp_path):
    arguments = [given for given in SEARCHES if "accept_edge" not in given]
    process = run("train", *arguments, "trainer.stack=32", cwd=tmp_path)
    searches = {path.parent: json.loads(path.read_text()) for path in (tmp_path / "s").rglob("search.json")}
    doubtful = [path for path, search in searches.items() if search["edges"]]
    assert len(searches) == 4
    assert doubtful  # 4 candidates on 3 axes leave hardly any winner inside
    assert process.returncode == 1
    assert process.stderr.count("job failed:") == len(doubtful)
    for path in searches:
        assert (path / path.name / "result.json").exists() == (path not in doubtful)


def test_the_plan_times_the_stacks_of_replicates(monkeypatch):
    """Four searches of 4 and 2 candidates at a half and all of the length, and four fresh seeds, in stacks of 6."""
    single = [one for one in SEARCHES[1:] if not one.endswith((",false", "=0,1"))]
    first = check(TrainOptions, options_of(*single, "replicate=0"))
    options = [first.with_values({"replicate": r, "generator.residual": g}) for r in (0, 1) for g in (True, False)]
    monkeypatch.setattr(plan, "seconds_of_run", lambda stack, **_: 60 / len(stack))
    study = Study("x", Path("x"), [([], one) for one in options], 1, stack_size=6)
    assert plan.seconds_of_runs(study, options, options) == 60 * (3 * 0.5 + 2 * 1 + 1)
    spread = replace(study, at_once=2)  # each job makes stacks of its own
    monkeypatch.setattr(plan, "jobs_side_by_side", lambda study: 1)
    assert plan.seconds_of_runs(spread, options, options) == 4 * (60 / 4 * (4 * 0.5 + 2) + 60)
