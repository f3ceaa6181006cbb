"""A replicate: its search, its fresh seeds, what is refused, and that stopping it does not change its outcome."""

import functools
import json
import math
import signal
from pathlib import Path

import pytest
import yaml
from helpers.options import TINY, options_of
from helpers.processes import run, start

from resgan.base.errors import OptionsError
from resgan.base.plain_data import flat
from resgan.experiment import plan, replicate
from resgan.experiment.replicate import train_replicate
from resgan.experiment.searches import check_searches, edges_found, open_searches, plan_of_searches
from resgan.experiment.study import Job, Study
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.report.records import read_runs
from resgan.runs.directory import RunError

SEARCHED = ("replicate=2", "tuning.candidates=8", "tuning.keep=2", "tuning.rungs=[0.25,1]", "tuning.fresh_seeds=2")
RATES = ("generator.lr", "disc.lr", "loss.r1")


@functools.cache
def composed() -> TrainOptions:
    return check(TrainOptions, options_of(*TINY, *SEARCHED))


def options(**values) -> TrainOptions:
    return composed().with_values({name.replace("__", "."): value for name, value in values.items()})


def centred(given: TrainOptions) -> float:
    """A score that is best in the middle of every range."""
    base = composed()
    factors = (given.generator.lr / base.generator.lr, given.disc.lr / base.disc.lr, given.loss.r1 / base.loss.r1)
    return 0.2 + sum(abs(math.log(factor)) for factor in factors) / 20


def fast_disc(given: TrainOptions) -> float:
    """A score that is better the faster D learns."""
    return 0.5 - 10 * given.disc.lr


@pytest.fixture
def trained(monkeypatch):
    """Replace training by a session that writes made-up results, lists its directories, and has a score and a limit."""

    class Session(list):
        score = staticmethod(centred)
        limit = 1000  # runs until it is killed
        job = Job([], [], None)

        def __call__(self, runs, root, job, *, most=None):
            results = []
            for one, at in runs:
                if len(self) == self.limit:
                    raise KeyboardInterrupt
                at.claim(one.model_dump())
                tv = self.score(one)
                at.write_result(
                    {
                        "status": "diverged" if math.isnan(tv) else "finished",
                        "seed": one.seed,
                        "primary": "tv",
                        "objective": 1.0 if math.isnan(tv) else tv,
                        "scores": {"tv": tv, "validity": 1 - tv, "distance": 1 + tv, "variance_ratio": 1.0},
                        "cards": {}, "parameters": {"generator": 1, "disc": 1}, "best": None, "start": None,
                        "seconds": 1.0,
                        "images_seen": round(1000 * one.total_kimg),
                    }
                )  # fmt: skip
                self.append(at.path)
                results.append(at.read_result())
            return results

    session = Session()
    monkeypatch.setattr(replicate, "train_together", session)
    return session


def search_of(path: Path) -> dict:
    return json.loads((path / "search.json").read_text())


def config_of(path: Path) -> dict:
    return yaml.safe_load((path / "config.yaml").read_text())


def rates_of(config: dict) -> dict:
    return {name: flat(config)[name] for name in RATES}


# Where runs lie, and what they are.


def test_the_runs_of_a_replicate(trained, tmp_path):
    train_replicate(options(run_dir=str(tmp_path / "x"), study="mine"), trained.job)
    found = search_of(tmp_path / "x")
    rungs = [[config_of(path) for path in sorted((tmp_path / "x/search" / f"rung-{k}").iterdir())] for k in (0, 1)]
    assert [len(rung) for rung in rungs] == [8, 4]
    for share, rung in zip((0.25, 1), rungs, strict=True):
        for config in rung:
            assert config["total_kimg"] == share * composed().total_kimg
            assert (config["seed"], config["replicate"], config["study"]) == (1_000_002, 2, "mine_tuning")
    for number, config in enumerate(rungs[0]):
        candidate = found["candidates"][number]
        assert rates_of(config) == {name: candidate[name] for name in RATES}
    winner = found["candidates"][found["winner"]]
    for seed in (4, 5):
        config = config_of(tmp_path / "x" / str(seed))
        assert (config["seed"], config["replicate"], config["study"]) == (seed, 2, "mine")
        assert config["total_kimg"] == composed().total_kimg
        assert rates_of(config) == {name: winner[name] for name in RATES}
    assert len(trained) == 8 + 4 + 2


def test_the_winner_is_the_best_and_the_objective_is_that_of_fresh_seeds(trained, tmp_path):
    trained.score = lambda one: centred(one) + (0.1 * one.seed if one.seed < 10 else 0)
    objective = train_replicate(options(run_dir=str(tmp_path / "x")), trained.job)
    found = search_of(tmp_path / "x")
    scores = {run["candidate"]: run["primary"] for run in found["rungs"][0]["outcomes"]}
    assert found["winner"] == min(scores, key=scores.__getitem__)
    assert objective == pytest.approx(min(scores.values()) + 0.1 * (4 + 5) / 2)


def test_every_arm_of_a_study_searches_one_list_below_its_own_directory(trained, tmp_path):
    lists = []
    for residual, arm in ((True, "both"), (False, "residual-D")):
        job = Job([f"generator.residual={residual}", "replicate=2"], [], tmp_path)
        train_replicate(options(generator__residual=residual), job)
        lists.append(search_of(tmp_path / arm / "2")["candidates"])
    assert lists[0] == lists[1]
    assert len(set(trained)) == len(trained) == 2 * (8 + 4 + 2)


def test_no_result_is_drawn_from_a_search(trained, tmp_path):
    train_replicate(options(run_dir=str(tmp_path / "x")), trained.job)
    assert [(record.seed, record.is_tuning) for record in read_runs([tmp_path])] == [(4, False), (5, False)]
    searched = read_runs([tmp_path / "x" / "search"])
    assert len(searched) == 12
    assert all(record.is_tuning for record in searched)


def test_a_directory_that_is_called_search_is_no_search(trained, tmp_path):
    train_replicate(options(run_dir=str(tmp_path / "search" / "x"), tuning__candidates=0), trained.job)
    assert [record.seed for record in read_runs([tmp_path])] == [4, 5]


def test_without_a_search_a_replicate_is_its_fresh_seeds(trained, tmp_path):
    train_replicate(options(run_dir=str(tmp_path / "x"), tuning__candidates=0), trained.job)
    assert [path.name for path in trained] == ["4", "5"]
    assert not (tmp_path / "x" / "search.json").exists()


# What makes a winner doubtful.


def test_an_edge_is_refused_unless_it_is_accepted(trained, tmp_path, capsys):
    trained.score = fast_disc
    given = options(run_dir=str(tmp_path / "x"))
    with pytest.raises(OptionsError) as caught:
        train_replicate(given, trained.job)
    found = search_of(tmp_path / "x")
    fastest = max(candidate["disc.lr"] for candidate in found["candidates"])
    assert f"the highest disc.lr of all, {fastest:g} (tuning.disc_lr=[0.2,5.0])" in str(caught.value)
    assert "tuning.accept_edge=true" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {"option": "disc.lr", "value": fastest, "side": "highest"} in found["edges"]
    assert not (tmp_path / "x" / "4").exists()
    before = len(trained)
    train_replicate(given.with_values({"tuning.accept_edge": True}), trained.job)
    assert "accepted: the best candidate has the highest disc.lr" in capsys.readouterr().err
    assert [path.name for path in trained[before:]] == ["4", "5"]  # and nothing is searched again
    assert search_of(tmp_path / "x") == found


def test_a_tie_is_refused_unless_it_is_accepted(trained, tmp_path):
    trained.score = lambda one: math.nan
    given = options(run_dir=str(tmp_path / "x"), tuning__accept_edge=False)
    with pytest.raises(OptionsError, match=r"candidates 0, 1, 2, 3, 4, 5, 6, 7 are tied in rung 0"):
        train_replicate(given, trained.job)
    assert not (tmp_path / "x" / "4").exists()
    with pytest.raises(SystemExit) as caught:  # every fresh seed diverges too
        train_replicate(given.with_values({"tuning.accept_edge": True}), trained.job)
    assert caught.value.code == 3
    assert search_of(tmp_path / "x")["winner"] == 0


# What is refused.


def test_what_the_search_decides_may_not_be_typed_beside_it(trained, tmp_path):
    for override, says in (
        ("generator.lr=0.002", "generator.lr=0.002: the search (tuning.candidates) decides generator.lr"),
        ("+loss.r2=1", "loss.r2=1: the search (tuning.candidates) decides loss.r2"),
        ("seed=3", "seed=3: replicate=2 has its own seeds"),
    ):
        with pytest.raises(OptionsError) as caught:
            train_replicate(options(run_dir=str(tmp_path / "x")), Job([override], [override], None))
        assert says in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    one_less = options(run_dir=str(tmp_path / "x"), tuning__generator_lr=None, tuning__accept_edge=True)
    train_replicate(one_less, Job(["generator.lr=0.002"], [], None))  # the search decides nothing of G


def test_a_candidate_that_is_not_valid_in_an_arm_is_refused_before_anything_is_made(trained, tmp_path):
    published = check(TrainOptions, options_of("generator=sngan", "disc=sngan", "metrics=exact", *SEARCHED))
    wrong = published.with_values({"tuning.inits": ["he", "dirac"], "run_dir": str(tmp_path / "x")})
    with pytest.raises(OptionsError, match=r"generator.init=dirac: expected"):
        train_replicate(wrong, trained.job)
    assert trained == []
    assert list(tmp_path.iterdir()) == []
    runs = [(["replicate=0"], wrong.with_values({"replicate": 0}))]
    with pytest.raises(OptionsError, match=r"generator.init=dirac: expected"):
        check_searches(Study("mine", tmp_path, runs, at_once=1))


def test_another_search_in_the_same_directory_is_refused(trained, tmp_path):
    train_replicate(options(run_dir=str(tmp_path / "x")), trained.job)
    with pytest.raises(RunError, match=r"replicate was 2, is 3"):
        train_replicate(options(run_dir=str(tmp_path / "x"), replicate=3), trained.job)
    with pytest.raises(RunError, match=r"tuning.keep was 2, is 4"):
        train_replicate(options(run_dir=str(tmp_path / "x"), tuning__keep=4), trained.job)


# Continuing.


@pytest.mark.parametrize("limit", [0, 3, 8, 10, 13])  # in the first rung, after it, in the second, in the fresh seeds
def test_stopped_anywhere_it_goes_on_to_the_same_outcome(trained, tmp_path, limit):
    train_replicate(options(run_dir=str(tmp_path / "whole")), trained.job)
    trained.clear()
    trained.limit = limit
    given = options(run_dir=str(tmp_path / "x"))
    with pytest.raises(KeyboardInterrupt):
        train_replicate(given, trained.job)
    trained.limit = 1000
    assert (search_of(tmp_path / "x")["winner"] is None) == (limit < 12)
    train_replicate(given, trained.job)
    assert len(trained) == len(set(trained)) == 8 + 4 + 2  # none twice
    assert search_of(tmp_path / "x") == search_of(tmp_path / "whole")


# The plan.


def study_of(place: Path, *, replicates=2) -> Study:
    runs = []
    for r in range(replicates):
        for residual in (False, True):
            job = [f"replicate={r}", f"generator.residual={residual}"]
            given = options(replicate=r, generator__residual=residual)
            runs += [(job, one) for one in given.each_seed()]
    return Study("mine", place, runs, at_once=1)


def test_the_plan_counts_searches_until_they_have_ended(trained, tmp_path, monkeypatch):
    study = study_of(tmp_path)
    assert plan.units_of(study) == (2, "2 replicates x 2 seeds")
    first = "each replicate of an arm begins with a search: 8 for 0.75 kimg, 4 for 3 kimg, as long as 6 of its runs"
    assert plan_of_searches(study) == [first]
    monkeypatch.setattr(plan, "seconds_of_run", lambda *_, **__: 1.0)
    todo = [one for _, one in study.runs]
    assert plan.seconds_of_runs(study, todo, open_searches(study)) == pytest.approx(8 + 4 * 6)
    for job, one in study.runs[:3]:  # the first arm of the first replicate, and half of the second
        train_replicate(one, Job(job, [], tmp_path))
    assert plan_of_searches(study) == [first, "2 of 4 searches have ended already"]
    assert len(open_searches(study)) == 2
    assert [plan.status_of(study, job, one) for job, one in study.runs] == ["finished"] * 4 + ["open"] * 4


def test_edges_are_counted_beside_chance(trained, tmp_path):
    trained.score = fast_disc
    study = study_of(tmp_path)
    for job, one in study.runs[::2]:
        train_replicate(one.with_values({"tuning.accept_edge": True}), Job(job, [], tmp_path))
    highest = "disc.lr: the highest of all candidates was best in 4 of 4 searches (0.5 by chance)"
    assert highest in edges_found(study)


def test_a_study_is_refused_before_it_begins_for_what_a_search_decides(tmp_path):
    study = study_of(tmp_path)
    check_searches(study)
    swept = Study("mine", tmp_path, [([*job, "disc.lr=0.001"], one) for job, one in study.runs], at_once=1)
    with pytest.raises(OptionsError, match=r"disc.lr=0.001: the search"):
        check_searches(swept)


# With real training.

REAL = [*TINY, "data.size=300", "metrics.samples=300", "total_kimg=1", "save_kimg=0.1", "replicate=1",
        "tuning.candidates=4", "tuning.keep=2", "tuning.rungs=[0.5,1]", "tuning.fresh_seeds=1",
        "tuning.accept_edge=true", "run_dir=x"]  # fmt: skip


def scores_in(folder: Path) -> dict[str, dict]:
    found = sorted(folder.rglob("result.json"))
    return {str(file.parent.relative_to(folder)): json.loads(file.read_text())["scores"] for file in found}


@pytest.mark.slow
def test_killed_in_the_middle_of_a_rung_it_ends_as_one_that_was_not(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir(), killed.mkdir()
    process = run("train", *REAL, cwd=whole)
    assert process.returncode == 0, process.stderr
    assert "replicate 1: the best of 4 is candidate" in process.stderr
    assert len(scores_in(whole / "x")) == 4 + 2 + 1
    assert {path.parts[-3] for path in whole.rglob("*.ckpt")} == {"1"}  # only those of the fresh seed
    process = start("train", *REAL, cwd=killed)
    process.wait_for(lambda: (killed / "x/search/rung-0/candidate-01/checkpoints/last.ckpt").exists())
    process.send(signal.SIGKILL).wait()
    assert len(scores_in(killed / "x")) < 4
    again = run("train", *REAL, cwd=killed)
    assert again.returncode == 0, again.stderr
    assert scores_in(killed / "x") == scores_in(whole / "x")
    assert search_of(killed / "x") == search_of(whole / "x")
