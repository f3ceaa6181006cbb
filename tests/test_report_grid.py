"""The three wirings in G and in D."""

import itertools
import math

import numpy as np
import pytest
from made_runs import make_run

from resgan.report import page
from resgan.report.grid import contrasts_table, grids, scores_table
from resgan.report.panels import panels
from resgan.report.records import read_runs

WIRINGS = {"plain": (False, False), "skip": (False, True), "residual": (True, False)}
PLANTED = {"plain": 0.0, "skip": 0.4, "residual": -0.3}  # on the logit of tv, positive is better


def make_grid(path, *, seeds=4, without=None) -> None:
    for seed, (g, (rg, sg)), (d, (rd, sd)) in itertools.product(range(seeds), WIRINGS.items(), WIRINGS.items()):
        if (seed, g, d) == without:
            continue
        tv = 1 / (1 + math.exp(PLANTED[g] + 2 * PLANTED[d] + 0.01 * seed))
        skips = (f"+generator.image_skips={sg}".lower(), f"+disc.image_skips={sd}".lower())
        make_run(path / f"{g}-{d}" / str(seed), g=rg, d=rd, seed=seed, tv=tv, overrides=skips)


def test_planted_effects_of_three_wirings(tmp_path):
    make_grid(tmp_path)
    records = read_runs([tmp_path])
    [grid] = grids(records, mixed_code=False)
    assert grid.wirings == (["plain", "image skips", "residual"],) * 2
    assert grid.seeds == [0, 1, 2, 3]
    rows = {row[0]: row for row in contrasts_table(grid)}
    for name, effect in (
        ("image skips in G", 0.4), ("residual in G", -0.3), ("image skips in D", 0.8), ("residual in D", -0.6),
    ):  # fmt: skip
        assert float(rows[name][1]) == pytest.approx(effect, abs=0.01)
        low, high = map(float, rows[name][2].split(" to "))
        assert low <= effect <= high
        assert float(rows[name][3]) == 0.12  # of four seeds 2 / 16, as printed
    scores = scores_table(grid)
    assert scores[0][1:] == ["plain", "image skips", "residual"]
    # G down, D across: at plain G and residual D the mean of 1 / (1 + exp(2 * -0.3 + ...)).
    mean = np.mean([1 / (1 + math.exp(-0.6 + 0.01 * s)) for s in range(4)])
    assert scores[1][3].startswith(f"{mean:.3g}")
    assert not scores[3][1].startswith(f"{mean:.3g}")


def test_a_seed_that_lacks_a_cell_is_no_block(tmp_path):
    make_grid(tmp_path, without=(2, "skip", "plain"))
    [grid] = grids(read_runs([tmp_path]), mixed_code=False)
    assert grid.seeds == [0, 1, 3]


def test_an_unfinished_run_joins_the_others_whatever_code_it_ran(tmp_path):
    """Though it is the first that is read."""
    make_grid(tmp_path)
    first = make_run(
        tmp_path / "a-first" / "9",
        g=False,
        d=False,
        seed=9,
        finished=False,
        git={"commit": "fedcba9876543210", "dirty": False},
        overrides=("+generator.image_skips=false", "+disc.image_skips=false"),
    )
    assert read_runs([tmp_path])[0].path == first
    assert len(grids(read_runs([tmp_path]), mixed_code=False)) == 1


def test_the_page_has_the_grid_and_the_four_arms_once(tmp_path):
    make_grid(tmp_path)
    found = panels(read_runs([tmp_path]))
    assert len(found) == 4
    text = page.files(found, [], mixed_code=False)["report.md"].decode()
    assert text.count("## Plain, image skips, residual blocks") == 1
    assert "effects need all four arms" not in text
    assert len(page.page_of(found, [], mixed_code=False).sections) == 1


def test_no_grid_without_image_skips(tmp_path):
    for g, d in itertools.product((False, True), repeat=2):
        make_run(tmp_path / f"{g}{d}" / "0", g=g, d=d)
    assert grids(read_runs([tmp_path]), mixed_code=False) == []
