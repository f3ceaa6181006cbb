"""Grids: the three wirings in G and in D."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from helpers.made_runs import make_run
from scipy import stats

from resgan.report import page
from resgan.report.grid import Grid, contrasts_table, grids, scores_table
from resgan.report.panels import panels
from resgan.report.records import Record, read_runs
from resgan.runs.history import completed_card

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
        assert float(rows[name][3]) == 0.12  # 2 / 16 from four seeds, as printed
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
    """The unfinished run joins them though it is read first."""
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
    parts = page.make_page(found, [], mixed_code=False).parts
    assert [part.heading.startswith("The four arms") for part in parts].count(True) == 1


def test_no_grid_without_image_skips(tmp_path):
    for g, d in itertools.product((False, True), repeat=2):
        make_run(tmp_path / f"{g}{d}" / "0", g=g, d=d)
    assert grids(read_runs([tmp_path]), mixed_code=False) == []


# The contrasts against a second implementation, on records made without runs.

GS, DS, SEEDS = ["plain", "skip", "residual"], ["plain", "residual"], range(6)
# Effect of each wiring, more is better: sizes and signs differ, and runs add noise.
ADDED = {("skip", "G"): 0.3, ("residual", "G"): -0.2, ("residual", "D"): 1.0}
NAMES = {"plain": "plain", "skip": "image skips", "residual": "residual"}


def planned() -> dict[tuple[int, str, str], float]:
    """The score of every run, (seed, G, D), on the scale of the intervals."""
    rng = np.random.default_rng(5)
    return {
        (seed, g, d): ADDED.get((g, "G"), 0.0) + ADDED.get((d, "D"), 0.0) + 0.3 * rng.normal()
        for seed in SEEDS
        for g in GS
        for d in DS
    }


def grid_of(y: dict[tuple[int, str, str], float | None], *, score: str = "tv", unfinished: tuple = ()) -> Grid:
    """Make a grid of runs with these scores; None: diverged."""
    records = []
    for (seed, g, d), value in y.items():
        config = {"seed": seed}
        for network, wiring in (("generator", g), ("disc", d)):
            residual, skips = WIRINGS[wiring]
            config |= {f"{network}.residual": residual, f"{network}.image_skips": skips}
        # Lower tv is better; it is a share, on the logit scale, and a distance is on the logarithmic scale.
        found = None if value is None else 1 / (1 + math.exp(value)) if score == "tv" else math.exp(-value)
        result = {
            "status": "diverged" if value is None else "finished",
            "primary": score,
            "scores": {score: found},
            "cards": {score: completed_card(score, {"n_fake": 100})},
        }
        records.append(Record(Path(), config, None if (seed, g, d) in unfinished else result, ()))
    return Grid(tuple(records))


def test_contrasts_against_plain_loops():
    y = planned()
    contrasts = {}
    for g in ("skip", "residual"):
        contrasts[f"{NAMES[g]} in G"] = [np.mean([y[s, g, d] - y[s, "plain", d] for d in DS]) for s in SEEDS]
    contrasts["residual in D"] = [np.mean([y[s, g, "residual"] - y[s, g, "plain"] for g in GS]) for s in SEEDS]

    p = {}
    for name, x in contrasts.items():
        flipped = [abs(np.dot(signs, x)) for signs in itertools.product((1, -1), repeat=len(SEEDS))]
        p[name] = np.mean(np.array(flipped) >= abs(sum(x)) - 1e-12)
    # Holm: the k-th smallest p of m (from 0) times m - k, and none below the one before it.
    holm, largest = {}, 0.0
    for k, name in enumerate(sorted(p, key=p.get)):
        holm[name] = largest = max(largest, min(1.0, (len(p) - k) * p[name]))
    assert len(set(p.values())) == 3
    assert sum(f"{holm[name]:.2g}" != f"{p[name]:.2g}" for name in p) >= 2  # else its absence would go unnoticed

    rows = contrasts_table(grid_of(y))[1:]
    assert [row[0] for row in rows] == list(contrasts)
    for name, effect, interval, raw, corrected in rows:
        x = contrasts[name]
        low, high = stats.ttest_1samp(x, 0).confidence_interval(0.95)
        assert (effect, interval) == (f"{np.mean(x):+.3g}", f"{low:+.3g} to {high:+.3g}")
        assert (raw, corrected) == (f"{p[name]:.2g}", f"{holm[name]:.2g}")


@pytest.mark.parametrize("cell", [("plain", "plain"), ("skip", "residual"), ("residual", "plain")])
def test_a_seed_with_a_run_that_has_not_ended_counts_nowhere(cell):
    """Until the run has ended, the table is as if its seed had not begun: the others have nothing to compare with."""
    y = planned()
    others = {run: value for run, value in y.items() if run[0] != 2}
    waiting = grid_of(y, unfinished=((2, *cell),))
    assert waiting.seeds == [0, 1, 3, 4, 5]
    assert contrasts_table(waiting) == contrasts_table(grid_of(others)) != contrasts_table(grid_of(y))
    # In the table of scores its cell counts one run fewer, and does not call the run diverged.
    column, row = 1 + DS.index(cell[1]), 1 + GS.index(cell[0])
    assert scores_table(waiting)[row][column] == scores_table(grid_of(others))[row][column]
    assert not any("diverged" in text for row in scores_table(waiting) for text in row)


@pytest.mark.parametrize("score", ["tv", "fd_pixels_100_full"])
def test_a_diverged_run_stands_where_the_worst_does(score):
    """For a share all wrong, taken as half a sample of 100 away from it; for a distance the worst run seen."""
    y = planned()
    gone = (4, "skip", "residual")  # it was not the worst
    worst = math.log(0.005 / 0.995) if score == "tv" else min(value for run, value in y.items() if run != gone)
    diverged = grid_of(y | {gone: None}, score=score)
    assert diverged.seeds == list(SEEDS)
    assert contrasts_table(diverged) == contrasts_table(grid_of(y | {gone: worst}, score=score))
    assert contrasts_table(diverged) != contrasts_table(grid_of(y, score=score))
    cells = [text for row in scores_table(diverged)[1:] for text in row[1:]]
    seen = [value for (s, g, d), value in y.items() if (g, d) == gone[1:] and s != gone[0]]
    mean = np.mean([1 / (1 + math.exp(v)) if score == "tv" else math.exp(-v) for v in seen])
    assert [text for text in cells if "diverged" in text] == [cells[3]]
    assert cells[3].startswith(f"{mean:.3g} ")
    assert cells[3].endswith(" (1 diverged)")
