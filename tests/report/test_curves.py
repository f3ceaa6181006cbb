"""Curves: which panels are on one, over which replicates, which depths say nothing, and how verdicts are worded."""

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from helpers.made_runs import make_run, make_study

from resgan.report.curves import Curve, curves, lines_of, number_of
from resgan.report.page import effects_csv
from resgan.report.panels import panels
from resgan.report.records import read_run, read_runs
from resgan.report.tables import arms_table, notes
from resgan.report.verdict_tables import curve_notes, simple_effects_table, training_time_table
from resgan.report.wording import against_best_in_words, answer_of, headline, outcomes_in_words

ARMS = list(itertools.product((False, True), repeat=2))


def curves_of(*paths: Path) -> list[Curve]:
    return curves(panels(read_runs(paths)))


def depth(g: object, d: object | None = None) -> tuple[str, str]:
    return f"generator.blocks={g}", f"disc.blocks={g if d is None else d}"


def depths(path: Path, *cells: tuple[int, int], validity: dict | None = None, **given) -> list[Path]:
    """A study at each (depth of G, depth of D)."""
    return [
        make_study(
            path / f"{g}-{d}", overrides=depth(g, d), more={"validity": (validity or {}).get((g, d), 0.6)}, **given
        )
        for g, d in cells
    ]


# Lines.


@pytest.mark.parametrize(
    ("cells", "lines"),
    [
        ([(4, 4), (1, 1), (2, 2)], [("both", [(1, 1), (2, 2), (4, 4)])]),
        ([(1, 2), (2, 2), (4, 2)], [("G", [(1, 2), (2, 2), (4, 2)])]),
        ([(2, 1), (2, 16), (2, 2)], [("D", [(2, 1), (2, 2), (2, 16)])]),
        ([(1, 2), (2, 4)], [(None, [(1, 2)]), (None, [(2, 4)])]),
        ([(2, 2)], [(None, [(2, 2)])]),
        ([([4, 4, 1], [4, 4, 1]), ([1, 1, 1], [1, 1, 1])], [("both", [([1, 1, 1],) * 2, ([4, 4, 1],) * 2])]),
        ([(None, None)], [(None, [(None, None)])]),
    ],
)
def test_lines_through_cells(cells, lines):
    assert lines_of(cells) == lines


def test_three_curves_share_a_cell_and_no_short_ones_stand_between():
    both, g, d = [(1, 1), (2, 2), (4, 4)], [(1, 2), (2, 2), (4, 2)], [(2, 1), (2, 2), (2, 4)]
    found = lines_of({repr(cell): cell for cell in [*g, *both, *d]}.values())
    assert found == [("both", both), ("G", g), ("D", d)]


def test_depth_as_a_number():
    assert [number_of(blocks) for blocks in (4, [4, 4, 1], None, 0)] == [4, 3, 1, 0.5]


def test_three_curves_from_runs(tmp_path):
    found = curves_of(*depths(tmp_path, (1, 1), (2, 2), (4, 4), (1, 2), (4, 2), (2, 1), (2, 4), seeds=1))
    assert [(curve.title, curve.varied) for curve in found] == [
        ("depth of both", "both"), ("depth of G, D at 2", "G"), ("depth of D, G at 2", "D"),
    ]  # fmt: skip
    assert [[curve.depth_of(panel) for panel in curve.panels] for curve in found] == [["1", "2", "4"]] * 3


def test_another_setting_is_another_curve(tmp_path):
    first = depths(tmp_path / "a", (1, 1), (2, 2), seeds=2)
    other = [make_study(tmp_path / "b", seeds=2, overrides=(*depth(2), "generator.join=sum"))]
    found = curves_of(*first, *other)
    assert [(curve.title, len(curve.panels)) for curve in found] == [
        ("generator.join=stable", 2), ("generator.join=sum", 1),
    ]  # fmt: skip


# Replicates.


def searched_study(path: Path, *, replicates: int = 2, diverged: tuple = (), unfinished: tuple = ()) -> Path:
    """Two fresh seeds in each replicate, which has its own rates: tv is .2 and .4, .1 more with a residual G."""
    for replicate, k, (g, d) in itertools.product(range(replicates), range(2), ARMS):
        seed = 2 * replicate + k
        options = {"replicate": replicate, "tuning.candidates": 16, "disc.lr": 1e-3 * (1 + replicate + 2 * d)}
        tv = None if (seed, g, d) in diverged else 0.2 + 0.2 * k + 0.1 * g
        finished = (seed, g, d) not in unfinished
        make_run(path / f"{g}{d}" / str(seed), g=g, d=d, seed=seed, tv=tv, options=options, finished=finished)
    return path


def test_what_the_searches_found_is_in_the_table_of_the_arms(tmp_path):
    """Median and range of rates, counts of starts, and how many searches ended at an edge of a range."""
    for replicate, (g, d) in itertools.product(range(3), ARMS):
        options = {
            "replicate": replicate, "tuning.candidates": 16, "tuning.disc_lr": [0.25, 4.0], "tuning.generator_lr": None,
            "tuning.penalty": None, "tuning.inits": ["he", "looks_linear"], "disc.lr": 1e-3 * (1 + replicate + 2 * d),
            "generator.init": "he" if replicate or not g else "looks_linear",
        }  # fmt: skip
        place = tmp_path / f"{g}{d}" / str(replicate)
        for seed in (2 * replicate, 2 * replicate + 1):
            make_run(place / str(seed), g=g, d=d, seed=seed, options=options)
        (place / "search.json").write_text(json.dumps({"edges": [{"option": "disc.lr"}] * 2 if replicate == g else []}))
    [curve] = curves_of(tmp_path)
    rows = {row[0]: row[1:] for row in arms_table(curve.panels[0]) if row[0].startswith("searched")}
    assert rows == {
        "searched: disc.lr": ["0.002 (0.001 to 0.003)", "0.004 (0.003 to 0.005)"] * 2,
        "searched: generator.init": ["he 3", "he 3", "he 2, looks_linear 1", "he 2, looks_linear 1"],
        "searched: disc.init": ["he 3"] * 4,
        "searched: best at an edge of a range": ["1 of 3"] * 4,
    }


def logit(p: float) -> float:
    return math.log(p / (1 - p))


def test_seeds_of_a_replicate_are_averaged_on_the_transformed_scale(tmp_path):
    [curve] = curves_of(searched_study(tmp_path))
    assert curve.replicates == [0, 1]
    [panel] = curve.panels  # one panel, whatever learning rates the searches found
    y = panel.by_replicate("tv")
    plain, residual = -(logit(0.2) + logit(0.4)) / 2, -(logit(0.3) + logit(0.5)) / 2
    np.testing.assert_allclose(y, np.broadcast_to([[[plain], [residual]]], (2, 2, 2)), rtol=1e-12)
    assert curve.main_effects["G"].deepest.replicates == 2
    assert "searched anew in each replicate" in " ".join(notes(panel))


def test_a_replicate_has_the_seeds_that_finished(tmp_path):
    [curve] = curves_of(searched_study(tmp_path, diverged=((1, False, False),)))
    [panel] = curve.panels
    assert panel.by_replicate("tv")[0, 0, 0] == pytest.approx(-logit(0.2))
    assert panel.by_replicate("tv", diverged="worst")[0, 0, 0] == pytest.approx(
        (-logit(0.2) - logit(1 - 0.5 / 10_000)) / 2
    )
    assert panel.by_replicate("tv", diverged="best")[0, 0, 0] == pytest.approx(-logit(0.2))
    bounds = curve.bounds(panel)["G, plain D"]
    assert bounds[1] > bounds[0]  # if it had been all wrong, plain would be worse
    [diverged] = [o for o in curve.outcomes if o.network == "G"]
    assert (diverged.residual, diverged.plain, diverged.p) == ((0, 8), (1, 8), 1.0)


def test_a_replicate_whose_runs_all_diverged_in_an_arm_lacks_only_that_depth(tmp_path):
    runs = searched_study(tmp_path, replicates=3, diverged=((0, False, False), (1, False, False)))
    [curve] = curves_of(runs)
    found = curve.main_effects
    assert (found["G"].deepest.replicates, found["G, residual D"].deepest.replicates) == (2, 3)


def test_a_run_that_has_not_ended_leaves_out_its_seed(tmp_path):
    [curve] = curves_of(searched_study(tmp_path, unfinished=((1, True, True), (2, True, False), (3, True, False))))
    assert curve.panels[0].seeds == [0]
    assert curve.replicates == [0]


# Depths that say nothing.


def test_floor_and_ceiling_leave_the_curve_and_are_named(tmp_path):
    validity = {(1, 1): 0.29, (2, 2): 0.3, (4, 4): 0.96, (8, 8): 0.97}
    [curve] = curves_of(*depths(tmp_path, *validity, validity=validity, seeds=2, g=1.0))
    assert [curve.depth_of(panel) for panel in curve.kept] == ["2", "4"]
    assert curve.left_out == {
        "1": "at the floor: the best arm's validity is 0.29, under 0.3",
        "8": "at the ceiling: an arm's validity is 0.970, 0.97 or more",
    }
    assert answer_of(curve).startswith("At depth 4, from init=he,")
    assert "Depth 1 is not on the curve: at the floor" in " ".join(curve_notes(curve))
    rows = simple_effects_table(curve)
    assert [row[0] for row in rows] == ["depth", "1 (not on the curve)", "2", "4", "8 (not on the curve)"]
    assert [":" in row[1] for row in rows[1:]] == [False, True, True, False]  # a verdict, or none
    written = csv.DictReader(effects_csv([curve]).decode().splitlines())
    seen = {(row["depth"], row["on_curve"], bool(row["verdict"])) for row in written if row["score"] == "tv"}
    assert seen == {("1", "0", False), ("2", "1", True), ("4", "1", True), ("8", "0", False), ("slope", "1", False)}


def test_depths_that_cannot_tell_are_no_answer(tmp_path):
    """Studies at the floor are too short, those at the ceiling cannot tell; a third beside them can."""
    floor = depths(tmp_path / "a", (1, 1), validity={(1, 1): 0.1}, seeds=1)
    apart = [make_study(tmp_path / "b", seeds=8, overrides=("total_kimg=5",), g=2.0)]
    [short] = curves_of(*floor)
    assert headline([short]) == "These runs are too short to tell"
    assert answer_of(short) == (
        "These runs are too short to tell: depth 1, at the floor: the best arm's validity is 0.10, under 0.3"
    )
    ceiling = [make_study(tmp_path / "c", seeds=1, overrides=("total_kimg=6",), more={"validity": 0.98})]
    assert headline(curves_of(*ceiling)).startswith(
        "A description: no depth of this study can tell: depth 4: at the ceiling"
    )
    assert headline(curves_of(*floor, *ceiling)).startswith("A description: no depth of these studies can tell")
    assert headline(curves_of(*floor, *ceiling, *apart)) == (
        "A description: in the generator residual blocks help; in the discriminator residual blocks make a difference "
        "within the margin; 1 of 3 curves too short to tell; 1 of 3 curves cannot tell"
    )


def test_a_depth_that_learned_nothing_is_not_on_the_curve(tmp_path):
    """Nothing at depth 8 has moved: no verdict is drawn from it, though it is the deepest, and the others have one."""
    learned = depths(tmp_path / "a", (1, 1), (4, 4), seeds=8, g=1.0)
    still = make_study(tmp_path / "b", seeds=8, overrides=("generator.blocks=8", "disc.blocks=8"), start=0.5)
    [curve] = curves_of(*learned, still)
    assert [curve.depth_of(panel) for panel in curve.kept] == ["1", "4"]
    assert curve.left_out == {"8": "no arm is shown to be better at its end than at step 0, in tv"}
    assert not curve.too_short
    assert answer_of(curve).startswith("At depth 4,")


def test_an_endpoint_at_its_worst_value_is_too_short_where_validity_is_not_known(tmp_path):
    """A gain that is sure, and no gain to speak of: tv falls from 1 to .98, in every run."""
    for seed, (g, d) in itertools.product(range(8), ARMS):
        make_run(tmp_path / "a" / f"{g}{d}{seed}", g=g, d=d, seed=seed, tv=0.98)
        make_run(tmp_path / "b" / f"{g}{d}{seed}", g=g, d=d, seed=seed, tv=0.96 if g and d else 0.98)
    [worst], [better] = curves_of(tmp_path / "a"), curves_of(tmp_path / "b")
    assert worst.panels[0].learned
    assert worst.left_out == {"4": "at the worst value: tv of the best arm is 0.980, and 1 is the worst"}
    assert headline([worst]) == "These runs are too short to tell"
    assert not better.too_short


def test_a_single_run_has_learned_where_its_gain_exceeds_the_margin(tmp_path):
    """An odds ratio of 1.5: from .9 to .857, of which one run is this side and one the other."""
    for name, tv in (("less", 0.87), ("more", 0.85)):
        make_run(tmp_path / name, g=True, d=True, tv=tv, start=0.9)
    assert [panels(read_runs([tmp_path / name]))[0].learned for name in ("less", "more")] == [False, True]


def test_the_best_arm_decides_the_floor(tmp_path):
    for g, d in ARMS:
        make_run(tmp_path / f"{g}{d}", g=g, d=d, more={"validity": 0.5 if g and d else 0.1})
    assert curves_of(tmp_path)[0].left_out == {}


def test_a_study_that_learned_nothing_says_so_first(tmp_path):
    for seed, (g, d) in itertools.product(range(8), ARMS):
        make_run(tmp_path / "s" / f"{g}{d}{seed}", g=g, d=d, seed=seed, tv=0.9 + 0.005 * (seed % 3 - 1), start=0.9)
    found = curves_of(tmp_path / "s")
    assert headline(found) == "These runs are too short to tell"
    assert found[0].left_out == {"4": "no arm is shown to be better at its end than at step 0, in tv"}


def test_two_seeds_of_four_arms_that_learned_are_not_too_short(tmp_path):
    """An interval from two replicates is 9 times their spread; from all eight runs together it is narrow enough."""
    for seed, (g, d) in itertools.product(range(2), ARMS):
        make_run(tmp_path / f"{g}{d}{seed}", g=g, d=d, seed=seed, tv=0.6 + 0.25 * seed, start=0.97)
    assert not curves_of(tmp_path)[0].too_short


def test_one_arm_that_learns_is_enough(tmp_path):
    for seed, (g, d) in itertools.product(range(8), ARMS):
        make_run(tmp_path / f"{g}{d}{seed}", g=g, d=d, seed=seed, tv=0.5 if g and d else 0.9, start=0.9)
    assert not curves_of(tmp_path)[0].too_short


# Ends.


@pytest.mark.parametrize(
    ("loss_d", "tv", "start", "dead"),
    [
        (math.log(2), 0.95, 0.95, True),
        (math.log(2) * 1.005, 0.94, 0.95, True),
        (math.log(2) * 1.02, 0.95, 0.95, False),  # D tells some samples apart
        (math.log(2), 0.9, 0.95, False),  # G learned: a D that cannot tell samples apart is then as expected
        (None, 0.95, 0.95, False),  # nothing is known of D
    ],
)
def test_a_dead_discriminator(tmp_path, loss_d, tv, start, dead):
    run = make_run(tmp_path / "run", g=False, d=False, tv=tv, start=start, loss_d=loss_d)
    assert read_run(run).dead_disc == dead


def test_dead_discriminators_are_counted_by_the_switch(tmp_path):
    for seed, (g, d) in itertools.product(range(8), ARMS):
        dead = {"loss_d": math.log(2), "tv": 1.0} if not d and seed < 5 else {"loss_d": 0.5}
        make_run(tmp_path / f"{g}{d}{seed}", g=g, d=d, seed=seed, **dead)
    [curve] = curves_of(tmp_path)
    by_network = {outcome.network: outcome for outcome in curve.outcomes if outcome.name == "dead D"}
    assert (by_network["D"].residual, by_network["D"].plain) == ((0, 16), (10, 16))
    assert by_network["D"].p_holm < 0.05 < by_network["G"].p
    assert "end with a dead discriminator less often: 0 of 16, without 10 of 16" in " ".join(outcomes_in_words([curve]))


# Words.


def test_the_answer_names_both_states_of_the_other_network(tmp_path):
    [curve] = curves_of(make_study(tmp_path / "s", seeds=8, g=0.0, gxd=3.0))
    assert answer_of(curve) == (
        "At depth 4, from init=he, residual blocks in the generator hurt beside a plain D and help beside a residual "
        "D; in the discriminator they hurt beside a plain G and help beside a residual G"
    )


def test_the_answer_within_the_margin(tmp_path):
    [curve] = curves_of(make_study(tmp_path / "s", seeds=8, g=0.1, d=-0.1))
    assert answer_of(curve) == (
        "At depth 4, from init=he, residual blocks make a difference within the margin, in the generator and in the "
        "discriminator"
    )


def test_training_time_is_read_from_the_plain_arm(tmp_path):
    """Its logit of tv falls by log 2 per e-fold of images: an effect of log 2 costs e times as many images."""
    study = make_study(tmp_path / "s", seeds=8, g=math.log(2), noise=1e-3)
    assert curves_of(study)[0].gain is None  # two points after step 0
    assert "cannot be told" in " ".join(curve_notes(curves_of(study)[0]))
    for run in study.glob("g0d0/*"):
        images = np.arange(1, 6) * 200
        tv = 1 / (1 + np.exp(math.log(2) * np.log(images / 1000)))
        scores = [
            {"images_seen": int(n), "kind": "scores", "scores": {"tv": v}} for n, v in zip(images, tv, strict=True)
        ]
        (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in scores))
    [curve] = curves_of(study)
    assert curve.gain == pytest.approx(math.log(2), rel=1e-9)
    rows = dict(training_time_table(curve)[1:])
    assert rows["the margin"] == f"{math.exp(math.log(1.5) / math.log(2)):.2g}"
    assert rows["in G, beside a plain D"] == "2.7"
    assert rows["in D, beside a plain G"] == "1"


def test_which_arms_may_be_the_best(tmp_path):
    [curve] = curves_of(make_study(tmp_path / "a", seeds=4, g=1.0))
    assert against_best_in_words(curve) == (
        "Both, G, D or neither, at depth 4: G alone and both cannot be told from the best."
    )
    [curve] = curves_of(make_study(tmp_path / "b", seeds=4, g=1.0, d=-1.0))
    assert against_best_in_words(curve) == ("Both, G, D or neither, at depth 4: residual blocks in G alone are best.")
