"""A search by successive halving: its list, its ranking, which candidates go on, and what makes a winner doubtful."""

import contextlib
import functools
import itertools
import math

import pytest
import yaml
from helpers.options import options_of

from resgan.base.errors import OptionsError
from resgan.base.plain_data import flat
from resgan.experiment.search import (
    SEARCH_SEEDS,
    Outcome,
    Range,
    edges,
    halve,
    list_candidates,
    rank_rung,
    rung_sizes,
    search_length,
)
from resgan.options.train import TrainOptions
from resgan.options.tuning import searched_options
from resgan.options.validation import check

SEARCH = ("data=gaussians", "metrics=exact", "replicate=0", "tuning.candidates=16")
AXES = ("generator.lr", "disc.lr", "loss.r1")


@functools.cache
def composed() -> TrainOptions:
    return check(TrainOptions, options_of(*SEARCH))


def options(*overrides: str) -> TrainOptions:
    """Options composed once: a tenth of a second for each test would add up."""
    given = (override.split("=", 1) for override in overrides)
    return composed().with_values({name: yaml.safe_load(value) for name, value in given})


def of_replicate(given: TrainOptions, replicate: int) -> TrainOptions:
    return given.model_copy(update={"replicate": replicate})


# The list.


def test_the_list_is_the_same_in_all_arms_and_another_in_each_replicate():
    given = options("tuning.inits=[he,orthogonal,dirac]")
    lists = {}
    for replicate, g, d in itertools.product(range(4), (False, True), (False, True)):
        arm = of_replicate(given, replicate).with_values({"generator.residual": g, "disc.residual": d})
        lists.setdefault(replicate, []).append(list_candidates(arm))
    for same in lists.values():
        assert all(candidates == same[0] for candidates in same)
    values = [candidate["disc.lr"] for same in lists.values() for candidate in same[0]]
    assert len(set(values)) > 50  # of 64 values, to three digits


def test_the_list_covers_every_range_on_a_log_scale():
    """A third of each range holds a third of 16 candidates, give or take one: each sixteenth holds exactly one."""
    given = options("generator.lr=0.004")
    for replicate in range(5):
        candidates = list_candidates(of_replicate(given, replicate))
        for name, (low, high) in {"generator.lr": (0.2, 5), "disc.lr": (0.2, 5), "loss.r1": (0.1, 10)}.items():
            base = flat(given.model_dump())[name]
            shares = [math.log(candidate[name] / base / low) / math.log(high / low) for candidate in candidates]
            # Rounding to three digits moves a share by less than 0.005 / log(25) = 0.0016.
            assert all(-0.002 < share < 1.002 for share in shares)
            thirds = [sum(k / 3 <= share < (k + 1) / 3 for share in shares) for k in range(3)]
            assert min(thirds) >= 4
            sixteenths = sorted(16 * share for share in shares)
            assert all(k - 0.03 < place < k + 1.03 for k, place in enumerate(sixteenths))


def test_a_longer_list_begins_with_the_shorter():
    assert list_candidates(options())[:8] == list_candidates(options("tuning.candidates=8"))


def test_one_factor_for_all_penalties_and_those_that_are_off_stay_off():
    for candidate in list_candidates(options()):
        assert set(candidate) == {*AXES, "loss.r2"}
        assert candidate["loss.r1"] == candidate["loss.r2"]
    for candidate in list_candidates(options("loss.r2=0.05", "loss.r1=0.01")):
        assert candidate["loss.r2"] / candidate["loss.r1"] == pytest.approx(5, rel=0.01)  # three digits of each


def test_what_is_not_searched_is_no_part_of_a_candidate():
    found = list_candidates(options("tuning.penalty=null", "tuning.generator_lr=null"))
    assert all(set(candidate) == {"disc.lr"} for candidate in found)


def test_each_network_has_its_own_start_and_each_start_its_share():
    inits = ["he", "orthogonal", "dirac"]
    candidates = list_candidates(options("tuning.inits=[he,orthogonal,dirac]"))
    for name in ("generator.init", "disc.init"):
        assert all(sum(candidate[name] == init for candidate in candidates) >= 5 for init in inits)
    assert len({(candidate["generator.init"], candidate["disc.init"]) for candidate in candidates}) >= 8  # of nine


def test_a_search_decides_what_its_candidates_set():
    for more in ((), ("tuning.inits=[he,dirac]",), ("tuning.penalty=null",)):
        given = options(*more)
        decided = searched_options(flat(given.model_dump()))
        assert set(list_candidates(given)[0]) == {name for name in decided if name != "loss.gp"}  # which is 0
    assert searched_options(flat(options("tuning.candidates=0").model_dump())) == []


# Seeds.


def test_no_two_replicates_share_a_seed_and_no_result_has_one_of_a_search():
    given = options("tuning.fresh_seeds=4")
    seeds = [one.seed for r in range(50) for one in of_replicate(given, r).each_seed()]
    assert seeds == list(range(200))
    last = options("replicate=9999", "tuning.fresh_seeds=100").each_seed()[-1]
    assert last.seed < SEARCH_SEEDS


# Ranking.


def outcome(candidate: int, primary: float, validity=0.5, distance=1.0, *, diverged=False, collapsed=False) -> Outcome:
    return Outcome(candidate, diverged, collapsed, primary, validity, distance)


def order(outcomes: list[Outcome]) -> list[int]:
    return [one.candidate for one in rank_rung(outcomes, keep=1).outcomes]


def test_the_primary_endpoint_ranks_once_a_tenth_of_some_candidate_is_valid():
    """The two scores disagree; the validity of candidate 2 alone decides which of them ranks all candidates."""
    for validity, by, expected in ((0.0999, "distance", [2, 1, 0]), (0.1, "primary", [0, 1, 2])):
        outcomes = [outcome(0, 0.92, 0.08, 9.0), outcome(1, 0.93, 0.07, 5.0), outcome(2, 0.94, validity, 3.0)]
        assert order(outcomes) == expected
        assert rank_rung(outcomes, keep=1).ranked_by == by


def test_where_one_score_is_equal_the_other_decides():
    assert order([outcome(0, 0.7, 0.3, 4.0), outcome(1, 0.7, 0.3, 3.0)]) == [1, 0]
    assert order([outcome(0, 0.99, 0.01, 4.0), outcome(1, 0.98, 0.02, 4.0)]) == [1, 0]
    assert rank_rung([outcome(0, 0.7, 0.3, 4.0), outcome(1, 0.7, 0.3, 3.0)], keep=1).tied == []


def test_data_without_these_scores_is_ranked_by_its_primary_endpoint():
    assert order([outcome(0, 30.0, None, None), outcome(1, 20.0, None, None)]) == [1, 0]
    assert order([outcome(0, 0.95, 0.05, None), outcome(1, 0.94, 0.06, None)]) == [1, 0]


def test_what_collapsed_stands_behind_and_what_diverged_last():
    """One point inside one of nine modes is valid and has a tv of 8/9: better than slow learners by either score."""
    point = outcome(0, 8 / 9, 1.0, 0.5, collapsed=True)
    slow = [outcome(1, 0.97, 0.03, 6.0), outcome(2, 0.98, 0.02, 5.0)]
    lost = outcome(3, 1.0, None, None, diverged=True)
    assert order([lost, point, *slow]) == [2, 1, 0, 3]
    assert order([lost, point]) == [0, 3]


# Halving.


def test_sizes_and_cost():
    tuning = options().tuning
    assert rung_sizes(tuning) == [16, 5, 2]
    assert search_length(tuning) == 16 / 4 + 5 / 2 + 2
    # A single candidate that is left has won, and need not be trained again in full length.
    assert rung_sizes(options("tuning.candidates=4").tuning) == [4]
    assert rung_sizes(options("tuning.candidates=9", "tuning.rungs=[0.1,1]").tuning) == [9, 3]


def test_halving_by_hand():
    """Candidate 4 is best at first and loses in full length; candidate 7 misses the first cut."""
    table = {  # tv by rung
        0: {0: 0.60, 1: 0.55, 2: 0.90, 3: 0.50, 4: 0.10, 5: 0.80, 6: 0.45, 7: 0.61, 8: 0.70},
        1: {1: 0.20, 3: 0.30, 4: 0.25, 6: 0.35},
        2: {1: 0.15, 4: 0.18},
    }
    played = []

    def play(rung, candidates):
        scores = yield rung, list(candidates)
        return [outcome(candidate, scores[candidate]) for candidate in candidates]

    def all_rungs():
        nonlocal rungs
        rungs = yield from halve([9, 4, 2], play)

    rungs, steps, scores = [], all_rungs(), None
    with contextlib.suppress(StopIteration):
        while True:
            rung, candidates = steps.send(scores)
            played.append(candidates)
            scores = table[rung]
    assert played == [list(range(9)), [1, 3, 4, 6], [1, 4]]
    assert [one.candidate for one in rungs[0].outcomes] == [4, 6, 3, 1, 0, 7, 8, 5, 2]
    assert [rung.kept for rung in rungs] == [[1, 3, 4, 6], [1, 4], [1]]
    assert [rung.tied for rung in rungs] == [[], [], []]
    assert rungs[0].ranks == list(range(1, 10))


def test_a_tie_is_one_only_at_the_cut():
    equal = [outcome(0, 0.3), outcome(1, 0.5), outcome(2, 0.5), outcome(3, 0.9), outcome(4, 0.9)]
    assert [rank_rung(equal, keep=keep).tied for keep in (1, 2, 3, 4, 5)] == [[], [1, 2], [], [3, 4], []]
    assert rank_rung(equal, keep=2).kept == [0, 1]  # the first in the list
    assert rank_rung(equal, keep=2).ranks == [1, 2, 2, 4, 4]
    lost = [outcome(k, 1.0, diverged=True, validity=None, distance=None) for k in range(3)]
    assert rank_rung(lost, keep=1).tied == [0, 1, 2]


# Edges.


def test_an_edge_is_a_winner_that_no_candidate_lies_beyond():
    ranges = [Range({"generator.lr": 1.0}, 0.1, 10), Range({"loss.r1": 1.0, "loss.r2": 1.0}, 0.1, 10)]
    values = [(1.0, 0.3), (5.0, 0.2), (0.2, 9.0), (2.0, 0.4)]
    candidates = [{"generator.lr": g, "loss.r1": r, "loss.r2": r} for g, r in values]
    found = [edges(candidate, candidates, ranges) for candidate in candidates]
    assert found[0] == found[3] == []
    assert found[1] == [
        {"option": "generator.lr", "value": 5.0, "side": "highest"},
        {"option": "loss.r1", "value": 0.2, "side": "lowest"},
    ]
    assert [edge["side"] for edge in found[2]] == ["lowest", "highest"]


# What is refused.


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (("replicate=null",), "tuning.candidates=16: a search belongs to a replicate"),
        (("seeds='0-3'",), "seeds=0-3: replicate=0 has its own seeds"),
        (("tuning.candidates=1",), "tuning.candidates=1: there is nothing to choose from; expected 0, or 2 or more"),
        (("tuning.rungs=[0.5,0.25]",), "tuning.rungs=[0.5,0.25]: expected growing lengths"),
        (("tuning.rungs=[0.5,1.5]",), "tuning.rungs=1.5: expected at most 1"),
        (("tuning.keep=1",), "tuning.keep=1: expected at least 2"),
        (("tuning.disc_lr=[5,0.2]",), "tuning.disc_lr=[5.0,0.2]: expected two factors above 0, the lower one first"),
        (("tuning.disc_lr=[0,2]",), "tuning.disc_lr=0: expected at least 1e-30"),
        (("tuning.inits=[hee]",), "tuning.inits=hee: expected 'he'"),
        (("loss.r1=0", "loss.r2=0"), "tuning.penalty=[0.1,10.0]: this loss has no penalty to search; use null"),
        (("tuning.best=own", "tuning.runs=x"), "tuning.candidates=16: best=own takes the settings of another study"),
        (
            ("tuning.penalty=null", "tuning.generator_lr=null", "tuning.disc_lr=null"),
            "tuning.candidates=16: nothing is searched; give one of generator_lr, disc_lr, penalty, inits",
        ),
        (("burn_in_kimg=1", "disc.lr_final=0.0001"), "disc.lr_final=0.0001: the search decides disc.lr alone"),
        (("replicate=10000",), "replicate=10000: expected at most 9999"),
    ],
)
def test_what_is_not_valid_is_refused_in_one_line(overrides, says):
    with pytest.raises(OptionsError) as caught:
        options(*overrides)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
