"""Equal tuning: the best settings of all arms together, and of each, from the runs of a tuning study."""

import itertools
import shutil
from pathlib import Path

import pytest
from helpers.made_runs import make_run
from helpers.options import options_of

from resgan.base.errors import OptionsError
from resgan.base.plain_data import flat
from resgan.experiment.study import Job
from resgan.experiment.tuning import tuned
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.report.page import files
from resgan.report.records import ARM_NAMES, read_runs
from resgan.report.tables import tuning_table
from resgan.report.tuning import tuning_for, tunings
from resgan.runs.directory import RunError

RATES = (0.0005, 0.001, 0.002)
# tv by arm (plain, residual D, residual G, both) and rate. Ranks: plain 1 2 3, D 3 2 1, G 3 1 2, both 2 1 3.
SCORES = {
    (False, False): (0.1, 0.2, 0.3),
    (False, True): (0.3, 0.2, 0.1),
    (True, False): (0.9, 0.2, 0.3),
    (True, True): (0.2, 0.1, None),  # the last diverged
}


@pytest.fixture
def study(tmp_path) -> Path:
    for (arm, scores), seed in itertools.product(SCORES.items(), (1000, 1001)):
        for rate, tv in zip(RATES, scores, strict=True):
            make_run(
                tmp_path / "tuning" / f"{arm}{rate}" / str(seed),
                g=arm[0],
                d=arm[1],
                seed=seed,
                tv=tv,
                overrides=(f"disc.lr={rate}", "total_kimg=10"),
                study="tuning",
            )
    return tmp_path / "tuning"


def options(*overrides: str) -> TrainOptions:
    return check(TrainOptions, options_of("data=gaussians", "metrics=exact", *overrides))


def test_ranks_by_hand(study):
    [tuning] = tunings(read_runs([study]))
    assert [dict(values)["disc.lr"] for values in tuning.candidates] == list(RATES)
    assert tuning.ranks == {
        (False, False): [1, 2, 3],
        (False, True): [3, 2, 1],
        (True, False): [3, 1, 2],
        (True, True): [2, 1, 3],
    }
    assert tuning.shared_ranks == [9 / 4, 6 / 4, 9 / 4]
    assert dict(tuning.best())["disc.lr"] == 0.001
    assert [dict(tuning.best(arm))["disc.lr"] for arm in ARM_NAMES] == [0.0005, 0.002, 0.001, 0.001]


def test_seeds_that_disagree_are_ranked_each_for_itself(study):
    """A single very bad seed counts as one bad rank, and does not dominate the mean."""
    shutil.rmtree(study / "(False, False)0.0005" / "1001")
    make_run(study / "(False, False)0.0005" / "1001", g=False, d=False, seed=1001, tv=0.99,
             overrides=("disc.lr=0.0005", "total_kimg=10"), study="tuning")  # fmt: skip
    [tuning] = tunings(read_runs([study]))
    assert tuning.ranks[False, False] == [2, 1.5, 2.5]


def test_what_diverged_ranks_behind_the_worst_score(study):
    """Total variation is at most 1, the score of a run without valid samples, which ranks above a diverged run."""
    for seed in (1000, 1001):
        shutil.rmtree(study / "(True, True)0.0005" / str(seed))
        make_run(study / "(True, True)0.0005" / str(seed), g=True, d=True, seed=seed, tv=1.0,
                 overrides=("disc.lr=0.0005", "total_kimg=10"), study="tuning")  # fmt: skip
    [tuning] = tunings(read_runs([study]))
    assert tuning.ranks[True, True] == [2, 1, 3]


def test_a_run_takes_what_was_best(study):
    job = Job([], [], None)
    where = f"tuning.runs={study}"
    for arm, own in zip(ARM_NAMES, (0.0005, 0.002, 0.001, 0.001), strict=True):
        switches = (f"generator.residual={arm[0]}", f"disc.residual={arm[1]}")
        assert tuned(options(*switches, "tuning.best=own", where), job).disc.lr == own
        assert tuned(options(*switches, "tuning.best=shared", where), job).disc.lr == 0.001
    untouched = options("disc.lr=0.003")
    assert tuned(untouched, job) is untouched


def test_nothing_but_the_tuned_values_changes(study):
    before = options("tuning.best=own", f"tuning.runs={study}", "generator.residual=false", "disc.residual=false")
    after = tuned(before, Job([], [], None))
    changed = {key for key, value in flat(after.model_dump()).items() if value != flat(before.model_dump())[key]}
    assert changed == {"disc.lr", "trainer.precision"}
    assert (before.trainer.precision, after.trainer.precision) == ("auto", "32-true")  # as in every study


def test_what_a_tuning_study_cannot_decide_is_refused(study):
    job = Job([], [], None)
    given = ("tuning.best=shared", f"tuning.runs={study}")
    with pytest.raises(RunError, match=r"seed=1000 too; a fair comparison needs fresh seeds"):
        tuned(options(*given, "seed=1000"), job)
    with pytest.raises(RunError, match="was made with seed=1001 too; a fair comparison needs fresh seeds"):
        tuned(options(*given, "seeds='0-1,1001'"), job)
    with pytest.raises(RunError, match=r"no runs for this configuration: .*generator.join was stable, is sum"):
        tuned(options(*given, "generator.join=sum"), job)
    with pytest.raises(OptionsError, match=r"disc.lr=0.001: tuning.best=shared decides disc.lr"):
        tuned(options(*given), Job(["disc.lr=0.001"], [], None))
    shutil.rmtree(study / "(True, False)0.001" / "1001")
    with pytest.raises(RunError, match=r"has not ended: 1 runs are missing, first residual G, seed 1001"):
        tuned(options(*given), job)
    with pytest.raises(RunError, match=r"tuning.runs=nosuch: nosuch: there is no such directory"):
        tuned(options("tuning.best=shared", "tuning.runs=nosuch"), job)


def test_half_of_the_option_is_refused():
    with pytest.raises(OptionsError, match=r"tuning.best=own with runs=null: give both or none"):
        options("tuning.best=own")


def test_the_report_shows_the_ranks_and_draws_no_result(study):
    found = tunings(read_runs([study]))
    table = tuning_table(found[0])
    assert table[0] == ["settings", "plain", "residual D", "residual G", "both", "all arms"]
    assert table[2] == ["disc.lr=0.001", "2.00", "2.00", "1.00 (best)", "1.00 (best)", "1.50 (best)"]
    text = files([], found, mixed_code=False)["report.md"].decode()
    assert "no result is drawn" in text
    assert "| disc.lr=0.001 | 2.00 |" in text


def test_a_longer_run_may_be_tuned_by_a_shorter_and_not_by_another_data_set(study):
    found = "trainer.precision=32-true"
    config = flat(options("total_kimg=500", "score_kimg=7", found).model_dump())
    assert tuning_for(config, read_runs([study])).seeds == [1000, 1001]
    with pytest.raises(RunError, match=r"data.modes was 9, is 16"):
        tuning_for(flat(options("data.modes=16", found).model_dump()), read_runs([study]))
