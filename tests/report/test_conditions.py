"""Lists of conditions in a report: against values written out, and by simulation."""

import csv
import itertools

import numpy as np
import pytest
from helpers.made_runs import make_run, make_study

from resgan.report import effects as fx
from resgan.report.condition_page import comparisons_table, headline
from resgan.report.conditions import conditions
from resgan.report.page import files
from resgan.report.panels import panels
from resgan.report.records import read_runs

BOTH = {"orthogonal": ("skip=orthogonal",), "from_0": ("join=sum", "skip_scale=0.0"), "wide": ("inner=3",)}
# Logit of 1 - tv, by condition: residual is better than plain by 2, and so on.
LEVELS = {"plain": 0.0, "residual": 2.0, "orthogonal": 2.0, "from_0": 1.0, "wide": -1.0}


def make_list(path, *, seeds=8, noise=0.05, levels=LEVELS, **given):
    rng = np.random.default_rng(0)
    for seed, (name, level) in itertools.product(range(seeds), levels.items()):
        residual = name not in ("plain", "wide")
        overrides = tuple(f"{net}.{option}" for net in ("generator", "disc") for option in BOTH.get(name, ()))
        tv = 1 / (1 + np.exp(level + noise * rng.normal()))
        make_run(path / name / str(seed), g=residual, d=residual, seed=seed, tv=float(tv), overrides=overrides, **given)
    return path


def listed(path, **given):
    return conditions(panels(read_runs([path])), mixed_code=False, **given)


def test_differences_from_both_references(tmp_path):
    [found] = listed(make_list(tmp_path))
    names = ["plain", "residual", "residual, join=sum, skip_scale=0.0", "residual, skip=orthogonal", "plain, inner=3"]
    assert [condition.name for condition in found.all] == names
    levels = dict(
        zip(names, [LEVELS[name] for name in ("plain", "residual", "from_0", "orthogonal", "wide")], strict=True)
    )
    for name, differences in found.against.items():
        for reference, one in differences.items():
            # From 8 replicates: a standard error of .05 sqrt(2 / 8) = .025.
            assert one.mean == pytest.approx(levels[name] - levels[reference], abs=0.1)
            assert one.interval is not None
            assert one.interval[0] < one.mean < one.interval[1]
    verdicts = {name: [one.verdict for one in differences.values()] for name, differences in found.against.items()}
    assert verdicts == {
        "residual": ["helps"],
        "residual, join=sum, skip_scale=0.0": ["helps", "hurts"],
        "residual, skip=orthogonal": ["helps", "within the margin"],
        "plain, inner=3": ["hurts", "hurts"],
    }


def test_only_runs_that_differ_in_their_blocks_are_conditions(tmp_path):
    """Runs of another length, of other commits, or of a study of four arms are none."""
    make_list(tmp_path / "a")
    make_run(tmp_path / "long", g=True, d=True, overrides=("total_kimg=9",))
    other = {"commit": "f" * 16, "dirty": False}
    make_run(tmp_path / "code", g=True, d=True, overrides=("disc.inner=2",), git=other)
    [found] = listed(tmp_path)
    assert len(found.all) == 5
    assert listed(make_study(tmp_path / "arms", seeds=2)) == []


def test_conditions_of_one_network_say_so(tmp_path):
    for seed in range(2):
        for name, d, overrides in (
            ("plain", False, ()),
            ("identity", True, ()),
            ("forward", True, ("disc.skip=forward",)),
        ):
            make_run(tmp_path / name / str(seed), g=False, d=d, seed=seed, tv=0.5, overrides=overrides)
    [found] = listed(tmp_path)
    assert [condition.name for condition in found.all] == ["plain", "residual D", "residual D, disc.skip=forward"]


def test_a_run_that_diverged_is_counted_and_not_in_the_differences(tmp_path):
    make_list(tmp_path, seeds=3)
    (tmp_path / "wide" / "2" / "config.yaml").unlink()
    both = tuple(f"{net}.inner=3" for net in ("generator", "disc"))
    make_run(tmp_path / "again", g=False, d=False, seed=2, tv=None, overrides=both)
    [found] = listed(tmp_path)
    [row] = [row for row in comparisons_table(found) if row[0] == "plain, inner=3"]
    assert row[1].startswith("3, 1, 0, 0 (divergence")
    assert {one.replicates for one in found.against["plain, inner=3"].values()} == {2}
    assert found.against["residual"]["plain"].replicates == 3


def test_the_page(tmp_path):
    page = files(panels(read_runs([make_list(tmp_path, picture=True)])), [], mixed_code=False)
    text = page["report.md"].decode()
    assert text.splitlines()[0] == ("# Residual is better than plain; of 3 other conditions, 2 are better than it")
    assert (
        "Beside plain, better: residual, join=sum, skip_scale=0.0 / residual, skip=orthogonal; worse: plain, inner=3.\n"
        "Beside residual, worse: residual, join=sum, skip_scale=0.0 / plain, inner=3; within the margin: residual, "
        "skip=orthogonal.\n"
    ) in text
    assert "40 runs, 5 conditions, 8 replicates." in text
    assert "four arms" not in text
    assert {"figures/list1.png", "figures/list1-curves.svg", "figures/list1-samples.png"} <= page.keys()
    for name in ("figures/list1.png", "figures/list1-samples.png"):
        assert name in text
    rows = list(csv.DictReader(page["differences.csv"].decode().splitlines()))
    assert len(rows) == 1 + 2 * 3
    assert (rows[0]["condition"], rows[0]["less"], rows[0]["verdict"]) == ("residual", "plain", "helps")
    assert float(rows[0]["difference"]) == pytest.approx(2, abs=0.1)
    assert float(rows[0]["p"]) == fx.smallest_p(8)
    assert "effects.csv" not in page


def test_too_few_seeds_are_a_description_and_runs_that_learned_nothing_tell_nothing(tmp_path):
    [few] = listed(make_list(tmp_path / "few", seeds=3))
    assert headline(few).startswith(
        "A description: residual is not told apart from plain; of 3 other conditions, none is"
    )  # the smallest p is .25
    flat = dict.fromkeys(LEVELS, 0.0)
    [short] = listed(make_list(tmp_path / "short", levels=flat, start=0.4))
    assert headline(short) == "These runs are too short to tell"
    assert short.against == {}  # and no verdict anywhere


def test_a_list_beside_a_study_of_four_arms(tmp_path):
    make_list(tmp_path / "list")
    make_study(tmp_path / "arms", seeds=8, g=2.0, overrides=("total_kimg=9",))
    text = files(panels(read_runs([tmp_path])), [], mixed_code=False)["report.md"].decode()
    assert "## Conditions beside their references" in text
    assert "## The four arms" in text
    assert len(text.split("## The four arms")) == 2


# The corrected test.


def test_max_flip_against_every_assignment_written_out():
    x = np.random.default_rng(3).normal(size=(7, 3)) + [0.8, 0, 0]
    t = lambda y: np.abs(y.sum(0)) / np.sqrt((y**2).sum(0))  # noqa: E731
    largest = [t(x * np.array(signs)[:, None]).max() for signs in itertools.product([-1, 1], repeat=7)]
    expected = [np.mean([other >= one - 1e-9 for other in largest]) for one in t(x)]
    np.testing.assert_allclose(fx.max_flip(x), expected, rtol=0, atol=1e-12)
    assert fx.max_flip(x).min() == fx.sign_flip(x)
    assert list(fx.max_flip(np.zeros((4, 2)))) == [1, 1]


def test_the_level_of_a_list_is_kept():
    """Seventeen differences of ten equal conditions, 8 replicates: at most 5 % of lists may find one."""
    rng = np.random.default_rng(5)
    found, lists = 0, 1000
    for _ in range(lists):
        y = rng.normal(size=(8, 10)) + rng.normal(size=(8, 1))
        x = np.concatenate([y[:, 1:] - y[:, :1], y[:, 2:] - y[:, 1:2]], axis=1)
        found += fx.max_flip(x).min() <= fx.LEVEL
    assert found / lists <= 0.05 + 2.6 * (0.05 * 0.95 / lists) ** 0.5  # 2.6 standard errors
    assert found / lists >= 0.03  # 6 of 128 flips count: 4.7 %
