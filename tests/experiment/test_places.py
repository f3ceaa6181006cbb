"""Directories of the runs of a sweep."""

from pathlib import Path

from resgan import configure
from resgan.experiment.study import Job, arm_directory
from resgan.runs.directory import Run
from resgan.runs.naming import earlier_arm_name


def test_runs_under_earlier_names_are_found(tmp_path):
    words = ["generator.residual=true", "disc.residual=false"]
    job = Job([*words, "seed=0"], [], tmp_path, varied=frozenset({"generator.residual"}))
    one = configure(*words)
    assert earlier_arm_name(job.overrides) == "disc.residual-false_generator.residual-true"
    assert arm_directory(tmp_path, one, job) == tmp_path / "residual-G"
    (tmp_path / "disc.residual-false_generator.residual-true").mkdir()
    assert arm_directory(tmp_path, one, job) == tmp_path / "disc.residual-false_generator.residual-true"


def test_an_arm_that_differs_in_what_the_sweep_does_not_vary_has_a_place_of_its_own(tmp_path):
    def place(*words: str) -> Path:
        job = Job([*words, "seed=0"], [], tmp_path, varied=frozenset({"seed"}))
        return arm_directory(tmp_path, configure(*words), job)

    first = place("loss.r1=1.0")
    assert first == tmp_path / "both"
    Run(first / "0").claim(configure("loss.r1=1.0").model_dump())
    assert place("loss.r1=1.0") == place("loss.r1=1.0", "total_kimg=900", "trainer.threads=2") == first
    assert place("loss.r1=2.0").name.startswith("both_")
    assert place("loss=hinge").name.startswith("both_")
    assert place("disc.residual=false") == tmp_path / "residual-G"
