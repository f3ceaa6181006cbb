"""The command `python -m resgan.plan`: its own words and those of resgan.train, its help, its refusals."""

import re
import resource
import shlex
import subprocess
import sys

import pytest
import yaml
from helpers.options import TINY, options_of

from resgan import plan
from resgan.base.errors import OptionsError
from resgan.base.plain_data import flat
from resgan.cli.arguments import apart
from resgan.cli.jobs import compose_jobs
from resgan.options.conf import CONF, files_of
from resgan.options.plan import PlanOptions
from resgan.options.validation import check, names


def test_help(tmp_path):
    code = "import runpy, sys; runpy.run_module('resgan.plan', run_name='__main__'); sys.exit('torch' in sys.modules)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run(
        [sys.executable, "-c", code, "study=smoke", "--help"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.returncode == 0, shown.stderr  # the status is 1 if torch was imported
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    assert "python -m resgan.plan [option=value ...]" in shown.stdout
    assert "cluster=here (the default):" in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 125


def test_every_file_describes_a_cluster_with_every_option():
    known = {name for name in names(PlanOptions) if name.startswith("cluster.")}
    assert set(flat(yaml.safe_load((CONF / "cluster" / "here.yaml").read_text()), "cluster.")) == known
    for name in files_of("cluster"):
        values = options_of(f"cluster={name}", config="plan")
        assert set(flat(values)) == known
        check(PlanOptions, values)


def test_the_examples_of_help_are_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in plan.COMMAND.examples.splitlines():
        own, words = apart(shlex.split(line)[3:], set(PlanOptions.model_fields))
        check(PlanOptions, options_of(*own, config="plan"))
        if words != ["study=factorial"]:  # a study is composed in test_the_jobs_of_a_line
            assert compose_jobs([word.replace("range(1000)", "range(2)") for word in words]).runs
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "says"), [
    ("cluster=nowhere", "cluster=nowhere: expected one of gpus_8x8, here"),
    ("cluster.nods=2", "cluster.nods: there is no such option; did you mean cluster.nodes?"),
    ("cluster.nodes=0", "cluster.nodes=0: expected at least 1"),
    ("generator.residul=true", "did you mean generator.residual?"),
    ("generator=null", "generator=null: expected one of dcgan, lab"),
    ("seed=1,2", "seed=1,2: several values make several runs; add -m"),
    ("-m seed=0,-1", "seed=-1: expected at least 0"),
    ("study=nosuch", "study=nosuch: expected one of controls"),
    ("data=gaussians data.modes=7", "data.modes=7: the grid is square"),
    ("data=folder", "data.path: required; give it as data.path=..."),
    ("trainer.devices=2", "trainer.devices=2: expected at most cluster.devices=1"),
])  # fmt: skip
def test_refusals(refused, arguments, says):
    assert says in refused(plan, *shlex.split(arguments))


def test_the_jobs_of_a_line():
    """One run, a sweep, seeds as one, replicates, a study: each run once, with its own options."""
    [(_, one)] = compose_jobs(["data=gaussians", "disc.lr=1e-3"]).runs
    assert flat(one.model_dump()) == flat(options_of("data=gaussians", "disc.lr=1e-3"))
    sweep = compose_jobs(["-m", "data=gaussians", "seed=range(3)", "disc.lr=1e-3,2e-3"])
    assert [(o.seed, o.disc.lr) for _, o in sweep.runs] == [(s, lr) for s in range(3) for lr in (1e-3, 2e-3)]
    assert sweep.seeds_of_job == 1
    seeds = compose_jobs(["data=gaussians", "seeds=0-3", "trainer.stack=8"])
    assert ([o.seed for _, o in seeds.runs], seeds.seeds_of_job, seeds.stack_size) == ([0, 1, 2, 3], 4, 8)
    replicates = compose_jobs(["-m", "data=gaussians", "replicate=1,2", "tuning.fresh_seeds=2"])
    assert [o.seed for _, o in replicates.runs] == [2, 3, 4, 5]
    study = compose_jobs(["study=smoke", "seeds=4-5"])
    assert (study.name, len(study.runs), study.seeds_of_job) == ("smoke", 8, 2)
    assert {o.seed for _, o in study.runs} == {4, 5}


def test_a_sweep_of_ones_own_presets(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "mine.yaml").write_text("# @package _global_\nbatch_size: 24\n")
    [(_, one)] = compose_jobs(["--config-dir", str(tmp_path), "experiment=mine"]).runs
    assert one.batch_size == 24


def test_a_sweeper_that_chooses_as_it_goes_cannot_be_planned(monkeypatch):
    monkeypatch.setattr("resgan.cli.jobs.read_study", lambda *given: None)
    with pytest.raises(OptionsError, match="hydra/sweeper"):
        compose_jobs(["study=smoke"])


def test_a_plan(tmp_path, monkeypatch, capsys):
    """Two arms of two seeds on a cluster of two devices; the table has every figure, and nothing is written."""
    line = ["cluster.devices=2", "-m", *TINY, "generator.residual=true,false", "seed=0,1", "cluster.price=3"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["plan", *line])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    plan.main()
    out, err = capsys.readouterr()
    assert err == "resgan: times 16 steps and a scoring of each of 2 kinds of run\n"
    head, *rows = out.splitlines()
    assert head == "this line: 4 runs in 4 jobs"
    split = [re.split(r"\s{2,}", row.strip())[:3] for row in rows if row.startswith("  ")]
    found = {name: (value, source) for name, value, source in split}
    assert found["cluster"] == ("1 x 2 x 1", "given")
    assert found["steps of a run"] == ("60", "computed")
    assert {name for name, (_, source) in found.items() if source == "measured"} == {
        "a step of a run", "a scoring of a run", "memory of a job"
    }  # fmt: skip
    assert found["cost"][1] == "computed"
    assert rows[-1].startswith("needs no cluster: ")
    assert not list(tmp_path.iterdir())
