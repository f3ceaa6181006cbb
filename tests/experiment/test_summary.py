"""The end of a run on the screen."""

import json

import pytest
from helpers.made_runs import make_run

from resgan.experiment.score_table import NAME_WIDTH, WIDTH, explained_scores
from resgan.experiment.study import Job
from resgan.experiment.summary import closing_table
from resgan.runs.directory import Run

JOB = Job([], ["data=gaussians"], None)
LONG = "precision_a_module_of_ones_own_0123abcd_k3_50k_holdout"


def test_a_score_stands_between_perfect_and_untrained():
    """Undefined values are a dash, unknown ones blank, and numbers are aligned with their headings."""
    lines = explained_scores(
        {"tv": 0.25, "kl": None, "own": 1234567.0},
        ideal={"tv": 0.0123456, "kl": 0.0},
        start={"tv": 1.0, "kl": float("nan"), "own": 2.0},
        meanings={"tv": "what is wrong"},
    )
    assert lines[:4] == [
        "  score      value  perfect  step 0  meaning",
        "  tv          0.25  0.01235       1  what is wrong",
        "  kl             -        0       -",
        "  own    1.235e+06                2",
    ]
    assert lines[4].startswith("  - ")
    assert len(explained_scores({"tv": 0.25}, ideal={}, start={}, meanings={})) == 2  # nothing to explain


def test_what_was_not_computed_stands_below_with_the_reason():
    why = {"kl": "fewer samples are valid than there are modes", "kernel": "needs 1000 samples"}
    lines = explained_scores({"tv": 0.25, "kl": None}, ideal={}, start={}, meanings={}, not_computed=why)
    assert lines[2].split() == ["kl", "-"]
    assert lines[3:] == [f"  not computed: {name}: {reason}" for name, reason in why.items()]
    lines = explained_scores({"tv": None, "kl": None}, ideal={}, start={}, meanings={}, not_computed=why)
    assert sum("the run diverged" in line for line in lines) == 1


@pytest.mark.parametrize("name", ["tv", "n" * NAME_WIDTH, "n" * (NAME_WIDTH + 1), LONG])
def test_no_line_is_too_long(name):
    words = " ".join(["words"] * 40)
    scores = {"short": -1.234e-05, name: -1.234e-05}
    lines = explained_scores(scores, ideal=scores, start=scores, meanings=dict.fromkeys(scores, words))
    assert max(map(len, lines)) <= WIDTH
    assert sum(line.count("words") for line in lines) == 80
    assert sum(line.split()[0] == name for line in lines) == 1
    assert sum(line.count("-1.234e-05") for line in lines) == 6
    [column] = {line.index("words") for line in lines if "words" in line}
    assert column <= 2 + NAME_WIDTH + 3 * (2 + 10) + 2  # three numbers of ten characters, two spaces between columns


def test_a_result_from_before_it_held_perfect_scores_and_meanings(tmp_path):
    run = Run(make_run(tmp_path / "run", g=True, d=False, tv=0.5))
    (tv,) = [line for line in closing_table(run.path, [(run, run.read_result())], JOB).splitlines() if " tv " in line]
    assert tv.split() == ["tv", "0.5", "1"]  # the last is of step 0, in metrics.jsonl
    run.metrics.unlink()
    (tv,) = [line for line in closing_table(run.path, [(run, run.read_result())], JOB).splitlines() if " tv " in line]
    assert tv.split() == ["tv", "0.5"]


def test_several_seeds_have_a_row_each(tmp_path):
    runs = [Run(make_run(tmp_path / str(seed), g=True, d=False, tv=tv, picture=not seed)) for seed, tv in
            enumerate((0.5, None))]  # fmt: skip
    more = {"ideal": {"tv": 0.02}, "meanings": {"tv": "what is wrong"}}
    ended = [(run, run.read_result() | {"seed": seed} | more) for seed, run in enumerate(runs)]
    lines = closing_table(tmp_path, ended, JOB).splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["seed", "tv", "perfect", "step", "0"],
        ["0", "0.5", "0.02", "1"],
        ["1", "diverged", "0.02", "1"],
    ]
    assert lines[3] == "  tv: what is wrong"
    assert f"{tmp_path}/0/samples/000001000.png" in lines[6]
    assert not [line for line in lines if "reals.png" in line]  # there is none


def test_what_is_shown_of_a_diverged_run(tmp_path):
    run = Run(make_run(tmp_path / "run", g=True, d=False, tv=None))
    text = closing_table(run.path, [(run, json.loads(run.result.read_text()))], JOB)
    assert "  status                   diverged\n" in text
    assert "the run diverged, or too few samples are valid" in text
    assert "resgan.sample" not in text
