"""From run directories to the page: which runs share a table, what is refused, and what a reader is told."""

import csv
import io
import itertools
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.made_runs import make_run, make_study
from PIL import Image

from resgan.base.images import save_png
from resgan.report import __main__ as command
from resgan.report import samples
from resgan.report.claims import CLAIMS, answer
from resgan.report.curves import curves
from resgan.report.page import effects_csv, files, make_page, varied_number
from resgan.report.panels import Score, natural_sort_key, panels
from resgan.report.records import read_runs, title
from resgan.report.tables import arms_table
from resgan.report.verdict_tables import family_table
from resgan.report.wording import headline
from resgan.runs.directory import RunError
from resgan.runs.history import completed_card


@pytest.fixture
def report(monkeypatch, capsys):
    """Run `python -m resgan.report`; return (status, output)."""

    def call(*arguments) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["report", *map(str, arguments)])
        try:
            command.main()
            status = 0
        except SystemExit as error:
            status = int(error.code or 0)
        return status, capsys.readouterr().err

    return call


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def files_below(path: Path) -> dict[Path, bytes]:
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def panels_of(*paths: Path, **given):
    return panels(read_runs(paths), **given)


def curves_of(*paths: Path):
    return curves(panels_of(*paths))


# What the numbers say.


def test_a_share_is_clipped_at_half_of_what_it_is_a_share_of(tmp_path):
    """With 400 valid of 10,000 samples, novelty resolves one in 400; with 100 real images, recall one in 100."""
    recall, precision = "recall_cifarnet_k3_10k_full", "precision_cifarnet_k3_10k_full"
    for g, d in itertools.product((False, True), repeat=2):
        more = {"validity": 0.04, "novelty": 0.0, "tv_valid": 1.0, recall: 0.0, precision: 0.0}
        diverged = (g, d) == (True, True)
        make_run(tmp_path / f"{g}{d}", g=g, d=d, tv=None if diverged else 0.5, more=more)
    [panel] = panels_of(tmp_path)
    for name, count in (("novelty", 400), ("tv_valid", 400), (recall, 100), (precision, 10_000), ("validity", 10_000)):
        floor = math.log(0.5 / (count - 0.5))
        assert panel.floor(name) == pytest.approx(floor), name
        if name != "validity":
            np.testing.assert_allclose(panel.blocks(name).flatten()[:3], floor, err_msg=name)
            assert np.isnan(panel.blocks(name)[0, 1, 1])
    assert panel.blocks("validity")[0, 0, 0] == pytest.approx(math.log(0.04 / 0.96))


def test_scores_that_no_run_or_not_every_run_has_are_no_hindrance(tmp_path):
    """A score is None with too few valid samples, or after divergence, which counts at the floor, if at all."""
    for (g, d), novelty in zip(itertools.product((False, True), repeat=2), (None, 0.2, 0.4, None), strict=True):
        more = {"validity": 0.5, "novelty": novelty, "tv_valid": None, "copying": None}
        make_run(tmp_path / "s" / f"{g}{d}", g=g, d=d, more=more)
    [panel] = panels_of(tmp_path / "s")
    np.testing.assert_array_equal(np.isfinite(panel.by_replicate("novelty")[0]), [[False, True], [True, False]])
    assert np.isnan(panel.by_replicate("tv_valid")).all()
    assert np.isnan(curves([panel])[0].effects("novelty")["G"].deepest.mean)
    rows = csv.DictReader(effects_csv(curves([panel])).decode().splitlines())
    assert {row["score"] for row in rows} == {"tv", "validity"}


@pytest.mark.parametrize(
    ("name", "scale", "low_is_good"),
    [
        ("tv", "share", True), ("tv_data", "share", True), ("tv_valid", "share", True), ("validity", "share", False),
        ("validity_1.5tau", "share", False), ("distance", "distance", True), ("classes", "plain", False),
        ("kl", "plain", True), ("fd_cifarnet_10k_draws", "distance", True),
    ],
)  # fmt: skip
def test_how_scores_of_old_cards_are_read(name, scale, low_is_good):
    """The names of the scores decide."""
    score = Score.of(name, {name: completed_card(name, {})})
    assert (score.scale, score.low_is_good, score.has_a_direction) == (scale, low_is_good, True)


@pytest.mark.parametrize("name", ["valid_diagonal", "copying", "recombination", "variance_ratio", "is2k_std"])
def test_what_is_right_in_the_middle_ranks_nothing(name):
    assert not Score.of(name, {name: completed_card(name, {})}).has_a_direction


def test_a_card_says_how_its_number_is_read(tmp_path):
    """The card decides, whatever the name suggests; an older card, which does not say, counts as the same card."""
    for (g, d), seed in itertools.product(itertools.product((False, True), repeat=2), range(2)):
        own = {} if seed else {"direction": "lower", "scale": "share", "counted": "n_fake"}
        make_run(tmp_path / f"{g}{d}" / str(seed), g=g, d=d, seed=seed, tv=[0.2, 0.3][g], card=own)
    [panel] = panels_of(tmp_path)
    assert panel.score_of("tv") == Score("tv", "share", "lower", "n_fake")
    for path in tmp_path.rglob("result.json"):
        result = json.loads(path.read_text())
        result["cards"]["tv"] |= {"direction": "higher", "scale": "plain"}
        path.write_text(json.dumps(result))
    [panel] = panels_of(tmp_path)
    assert panel.by_replicate("tv")[0].tolist() == [[0.2, 0.2], [0.3, 0.3]]  # as it is, and more is better


def test_planted_effects_are_found_with_sign_and_size(tmp_path):
    [curve] = curves_of(make_study(tmp_path / "s", seeds=8, g=0.8, d=-0.5, gxd=0.0))
    found = {name: effect.deepest for name, effect in curve.main_effects.items()}
    # The noise of a contrast has a standard deviation of 0.05, its mean over 8 seeds one of 0.018: 5 of them.
    assert found["G"].mean == pytest.approx(0.8, abs=0.09)
    assert found["D"].mean == pytest.approx(-0.5, abs=0.09)
    assert found["G x D"].mean == pytest.approx(0, abs=0.18)
    assert (found["G"].verdict, found["D"].verdict) == ("helps", "hurts")
    assert headline([curve]) == (
        "At depth 4, from init=he, residual blocks in the generator help; in the discriminator they hurt"
    )


def test_the_effects_table_names_the_factor_on_the_odds(tmp_path):
    [curve] = curves_of(make_study(tmp_path / "s", seeds=5, g=0.6931471805599453, noise=0.0))
    row = next(row for row in family_table(curve) if row[0] == "residual blocks in G")
    assert row[1] == "+0.693"
    assert row[3].startswith("0.5 ")  # log 2 on the logit of tv: half the odds of being wrong
    assert row[4] == "0.062"


def test_divergence_is_an_outcome_of_its_own(tmp_path):
    """Plain runs diverge in every seed: there are no scores to compare, but the exact test has an answer."""
    study = make_study(tmp_path / "s", seeds=8, g=0.0)
    for seed in range(8):
        shutil.rmtree(study / "g0d0" / str(seed))
        make_run(study / "g0d0" / str(seed), g=False, d=False, seed=seed, tv=None)
    [panel] = panels_of(study)
    assert len(panel.seeds) == 8
    [curve] = curves([panel])
    assert curve.main_effects is None
    assert curve.left_out == {"4": "no replicate finished in all four arms"}
    # By hand: 8 of 16 events dealt among 8 and 8 in one stratum, none in the other: 2 / C(16, 8).
    assert [(o.name, o.network, o.residual, o.plain) for o in curve.outcomes] == [
        ("diverged", "G", (0, 16), (8, 16)), ("diverged", "D", (0, 16), (8, 16)),
    ]  # fmt: skip
    assert curve.outcomes[0].p == pytest.approx(2 / math.comb(16, 8))
    counted = arms_table(panel)[1]
    assert counted[1].startswith("8, 8, 0, 0 (divergence 68% to 100%)")
    assert counted[2:] == ["8, 0, 0, 0"] * 3
    text = files([panel], [], mixed_code=False)["report.md"].decode()
    assert "8 runs diverged" in text
    assert "With residual blocks in G runs diverge less often: 0 of 16, without 8 of 16" in text


def test_a_collapse_is_counted(tmp_path):
    study = make_study(tmp_path / "s", seeds=2)
    shutil.rmtree(study / "g1d0" / "1")
    make_run(study / "g1d0" / "1", g=True, d=False, seed=1, variance_ratio=0.05)
    [panel] = panels_of(study)
    assert arms_table(panel)[1] == [
        "runs: ended, diverged, collapsed, dead D", "2, 0, 0, 0", "2, 0, 0, 0", "2, 0, 1, 0", "2, 0, 0, 0"
    ]  # fmt: skip


def test_a_single_seed_has_effects_without_intervals(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=1, g=1.0)
    assert report(study)[0] == 0
    text = (study / "report" / "report.md").read_text()
    assert text.startswith("# A description: at depth 4, from init=he, residual blocks are not told apart")
    assert "One replicate: effects without intervals" in text
    assert "no interval from one" in text
    assert "The smallest p that 1 replicate can give: 1." in text


def test_an_arm_that_is_missing_is_named_and_the_rest_is_shown(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=3)
    shutil.rmtree(study / "g1d0")
    assert report(study)[0] == 0
    text = (study / "report" / "report.md").read_text()
    assert "No run of residual G: effects need all four arms." in text
    assert "| runs: ended, diverged, collapsed, dead D | 3, 0, 0, 0 | 3, 0, 0, 0 | 3, 0, 0, 0 |" in text
    assert "No seed has ended in all four arms yet" in text


def test_unfinished_runs_are_left_out_and_said(tmp_path):
    study = make_study(tmp_path / "s", seeds=3)
    shutil.rmtree(study / "g1d1" / "2")
    make_run(study / "g1d1" / "2", g=True, d=True, seed=2, finished=False)
    [panel] = panels_of(study)
    assert panel.seeds == [0, 1]
    assert panel.incomplete_seeds == [2]
    assert "1 run not finished: left out." in make_page([panel], [], mixed_code=False).summary


# What may stand in one table.


def test_panels_are_told_apart_by_what_differs(tmp_path):
    joins = ("generator.join=sum", "disc.join=sum")
    found = panels_of(make_study(tmp_path / "a", seeds=2), make_study(tmp_path / "b", seeds=2, overrides=joins))
    assert [panel.title for panel in found] == ["join=stable", "join=sum"]
    assert [len(panel.records) for panel in found] == [8, 8]


def test_another_budget_is_another_panel(tmp_path):
    found = panels_of(
        make_study(tmp_path / "a", seeds=2), make_study(tmp_path / "b", seeds=2, overrides=("total_kimg=5",))
    )
    assert [panel.title for panel in found] == ["total_kimg=5", "total_kimg=512"]


def test_other_code_is_another_panel_unless_asked_for(tmp_path):
    first = make_study(tmp_path / "a", seeds=1)
    second = make_run(tmp_path / "b", g=True, d=True, seed=1, git={"commit": "fedcba9876543210", "dirty": True})
    assert [p.title for p in panels_of(first, second)] == ["code=0123456789", "code=fedcba9876+"]
    [mixed] = panels_of(first, second, mixed_code=True)
    assert len(mixed.records) == 5
    made = dict(make_page([mixed], [], mixed_code=True).made)
    assert made["code"] == "0123456789, fedcba9876+ (mixed in one table, as asked for)"


def test_scores_with_other_cards_are_refused_with_the_difference(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=1)
    make_run(study / "other", g=True, d=True, seed=1, card={"n_real": 7})
    status, said = report(study)
    assert status == 2
    assert said.count("\n") == 1
    assert "n_real 100 and 7" in said
    assert not (study / "report").exists()


def test_a_seed_counts_once(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=1)
    make_run(study / "again", g=True, d=True, seed=0)
    status, said = report(study)
    assert status == 2
    assert "leave one of them out" in said


def test_a_run_that_has_not_ended_stands_with_its_settings_whatever_began_it(tmp_path):
    study = make_study(tmp_path / "s", seeds=2)
    begun = make_run(tmp_path / "s" / "begun", g=True, d=True, seed=2, finished=False)
    (begun / "provenance.json").unlink()
    [panel] = panels_of(study)
    assert panel.incomplete_seeds == [2]


def test_files_of_wandb_are_no_runs(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=1)
    for folder in ("report/wandb/offline-run-1/files", "wandb/files", ".hydra"):
        (study / folder).mkdir(parents=True)
        (study / folder / "config.yaml").write_text("wandb_version: 1\n")
    assert report(study)[0] == 0


def test_the_same_directory_twice_is_one(tmp_path):
    study = make_study(tmp_path / "s", seeds=1)
    assert len(read_runs([study, study / "g1d1"])) == 4


def test_a_title_says_no_more_than_it_must():
    shared, own = {"join": "sum", "tuning.best": "shared", "disc.lr": 1}, {"join": "sum", "tuning.best": "own"}
    other = {"join": "scaled", "tuning.best": "shared", "disc.lr": 2}
    groups = [shared, own, other]
    assert [title(group, groups) for group in groups] == [
        "join=sum, tuning.best=shared", "join=sum, tuning.best=own", "join=scaled, tuning.best=shared"
    ]  # fmt: skip
    assert [title(group, [shared, other]) for group in (shared, other)] == ["join=sum", "join=scaled"]
    again = shared | {"disc.lr": 3}
    assert title(again, [shared, again, own]) == "tuning.best=shared, disc.lr=3"


def test_numbers_sort_as_numbers():
    assert sorted(["blocks=10", "blocks=2", "blocks=1"], key=natural_sort_key) == ["blocks=1", "blocks=2", "blocks=10"]


def test_an_option_that_grows_is_an_axis(tmp_path):
    depths = [("generator.blocks=1", "disc.blocks=1"), ("generator.blocks=2", "disc.blocks=2")]
    found = panels_of(*(make_study(tmp_path / str(k), seeds=2, overrides=d) for k, d in enumerate(depths)))
    assert varied_number(found) == "generator.blocks"
    assert varied_number(found[:1]) is None
    assert "figures/across.svg" in files(found, [], mixed_code=False)


# Claims.


def claim_of(contrast: str):
    return next(claim for claim in CLAIMS if claim.contrast == contrast)


SEARCHED = {"tuning.candidates": 16, "tuning.inits": []}
BEST_START = {"tuning.candidates": 16, "tuning.inits": ["he", "looks_linear"]}


def both_headlines(path: Path, second: dict | None = None, **effects) -> list:
    """Make a study from one start for all arms, and one from each arm's best, with other effects where given."""
    first = make_study(path / "common", options=SEARCHED, **effects)
    return curves_of(first, make_study(path / "best", options=BEST_START, **(second or effects)))


def test_a_claim_has_a_verdict_where_both_headlines_agree(tmp_path):
    found = both_headlines(tmp_path, g=0.8, d=-0.8)
    assert [curve.start for curve in found] == ["init=he", "the best start of he, looks_linear"]
    assert answer(claim_of("G"), found).finding == "helps"
    assert answer(claim_of("D"), found).finding == "hurts"
    assert answer(claim_of("G - D"), found).finding == "better in G"


def test_a_claim_within_the_margin(tmp_path):
    assert answer(claim_of("G"), both_headlines(tmp_path, g=0.1)).finding == "within the margin"


def test_one_headline_alone_no_search_or_few_replicates_are_a_description(tmp_path):
    [untuned] = curves_of(make_study(tmp_path / "untuned", g=0.8))
    assert untuned.main_effects["G"].deepest.verdict == "helps"
    assert "tuning.candidates" in answer(claim_of("G"), [untuned]).reason
    for one in both_headlines(tmp_path / "one", g=0.8):
        given = answer(claim_of("G"), [one])
        assert given.finding == "a description"
        assert "two studies: one start for all arms, and each arm's best" in given.reason
    few = answer(claim_of("G"), both_headlines(tmp_path / "few", seeds=5, g=0.8))
    assert few.finding == "a description"
    assert "5 replicates" in few.reason


def test_headlines_that_disagree_are_the_finding(tmp_path):
    found = both_headlines(tmp_path, g=0.8, second={"g": -0.8})
    given = answer(claim_of("G"), found)
    assert given.finding == "it depends"
    assert "helps, hurts" in given.reason
    assert headline(found).startswith("In the generator residual blocks help on 1, hurt on 1 of 2 curves; in the")


def test_claims_without_a_measurement_say_what_fills_them(tmp_path):
    [curve] = curves_of(make_study(tmp_path / "s", seeds=2))
    for claim in CLAIMS:
        given = answer(claim, [curve])
        assert (given.finding == "not measured") == (claim.contrast is None)
        assert claim.filled_by in given.reason or claim.contrast
    assert {claim.number for claim in CLAIMS} == set(range(1, 11))


# The files.


def test_the_report_is_a_pure_function_of_the_runs(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=3, g=0.5, picture=True)
    before = files_below(study)
    assert report(study, "--out", tmp_path / "a")[0] == 0
    assert report(study, "--out", tmp_path / "b")[0] == 0
    assert files_below(study) == before
    first, second = files_below(tmp_path / "a"), files_below(tmp_path / "b")
    assert first == second
    assert {str(path) for path in first} >= {"report.html", "report.md", "runs.csv", "effects.csv"}
    assert Path("figures/panel1-samples.png") in first


def test_real_samples_stand_beside_those_of_the_arms(tmp_path):
    """They have a third row of the same figure; none is taken for the last grid of an arm."""
    images = {"data.name": "shapes"}
    [panel] = panels_of(study := make_study(tmp_path / "s", seeds=1, picture=True, options=images))
    alone = samples.grids(panel, "x")
    white, black = (torch.full((1, 256, 256), grey, dtype=torch.uint8) for grey in (255, 0))
    for run in study.glob("*/0"):
        save_png(white, run / "samples" / "000001000.png")
        save_png(black, run / "samples" / "reals.png")
    beside = samples.grids(panel, "x")
    heights = []
    for picture in (alone, beside):
        with Image.open(io.BytesIO(picture.png)) as image:
            heights.append(image.height)
            pixels = np.asarray(image.convert("L"))
    assert heights[1] * 2 == pytest.approx(heights[0] * 3, abs=20)  # three rows for two
    dark = (pixels == 0).mean(1) > 0.4  # rows of pixels with the black half
    assert dark.sum() == 256
    assert dark[-256:].all()


def test_the_page_stands_alone_and_the_markdown_finds_its_figures(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=3, picture=True)
    assert report(study)[0] == 0
    html, md = ((study / "report" / name).read_text() for name in ("report.html", "report.md"))
    found = re.findall(r'(?:src|srcset|href)="([^"]*)"', html)
    sources, links = ([one for one in found if one.startswith("#") == inside] for inside in (False, True))
    assert len(sources) == 6  # an empty icon and four figures, one of them also narrow
    assert all(source.startswith("data:") for source in sources)
    assert len(links) > 3
    assert all(f'id="{link[1:]}"' in html for link in links)
    linked = re.findall(r"\]\((figures/[^)]*)\)", md)
    assert len(linked) == 4
    assert all((study / "report" / path).is_file() for path in linked)


def test_what_stands_in_a_run_is_text_and_not_markup(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=1)
    provenance = study / "g1d1" / "0" / "provenance.json"
    sessions = json.loads(provenance.read_text())
    sessions["sessions"][0]["command"] = "<script>alert(1)</script>"
    provenance.write_text(json.dumps(sessions))
    assert report(study)[0] == 0
    html = (study / "report" / "report.html").read_text()
    assert html.count("<script") == 1  # the page's own
    assert "<script>alert" not in html
    assert html.count("&lt;script&gt;alert(1)") > 1


def test_csv_holds_every_run_and_every_effect(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=3)
    assert report(study)[0] == 0
    runs = rows_of(study / "report" / "runs.csv")
    assert len(runs) == 12
    one = next(run for run in runs if run["path"].endswith("g1d0/2"))
    assert (one["residual_g"], one["residual_d"], one["seed"], one["status"]) == ("1", "0", "2", "finished")
    assert float(one["tv"]) == json.loads((study / "g1d0" / "2" / "result.json").read_text())["scores"]["tv"]
    found = rows_of(study / "report" / "effects.csv")
    names = ("G", "D", "G x D", "G - D", "G, plain D", "G, residual D", "D, plain G", "D, residual G")
    assert [(row["score"], row["depth"]) for row in found] == [("tv", "4")] * len(names)
    assert {row["contrast"] for row in found} == set(names)


# What is refused.


def test_bad_input_is_one_line(tmp_path, report):
    empty = tmp_path / "empty"
    empty.mkdir()
    a_run = make_run(tmp_path / "run", g=True, d=True)
    damaged = make_study(tmp_path / "damaged", seeds=1)
    (damaged / "g1d1" / "0" / "result.json").write_text('{"status": "fini')
    headless = make_study(tmp_path / "headless", seeds=1)
    (headless / "g1d1" / "0" / "result.json").write_text('{"status": "finished"}')
    garbled = make_study(tmp_path / "garbled", seeds=1)
    (garbled / "g1d1" / "0" / "config.yaml").write_text("{: [")
    other = make_study(tmp_path / "other", seeds=1)
    (other / "g1d1" / "0" / "config.yaml").write_text(yaml.safe_dump({"a": 1}))
    for paths, says in (
        ([tmp_path / "nosuch"], "there is no such directory"),
        ([empty], "holds no run"),
        ([a_run], "is a single run, not a study"),
        ([a_run / "config.yaml"], "is a file"),
        ([damaged], "result.json: is damaged"),
        ([headless], "result.json: is damaged"),
        ([garbled], "config.yaml: is damaged"),
        ([other], "config.yaml: has no seed"),
    ):
        status, said = report(*paths)
        assert status == 2, said
        assert said.startswith("resgan: ")
        assert said.count("\n") == 1
        assert says in said
        assert not any((path / "report").exists() for path in paths if path.is_dir())


def test_a_report_that_cannot_be_written(tmp_path, report):
    study = make_study(tmp_path / "s", seeds=1)
    (tmp_path / "file").write_text("")
    status, said = report(study, "--out", tmp_path / "file")
    assert status == 2
    assert f"--out={tmp_path / 'file'}: " in said
    assert said.endswith("is a file\n")


def test_help_is_at_once_and_needs_no_torch():
    code = (
        "import sys; sys.argv = ['report', '--help']\n"
        "import runpy\n"
        "try: runpy.run_module('resgan.report', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'matplotlib', 'scipy', 'wandb'} & set(sys.modules), 'heavy imports'"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "python -m resgan.report runs/factorial" in done.stdout


def test_records_are_read_without_torch(tmp_path):
    study = make_study(tmp_path / "s", seeds=1)
    code = (
        "import sys; from pathlib import Path; import resgan.report.page\n"
        "from resgan.report.records import read_runs, title\n"
        f"assert len(read_runs([Path({str(study)!r})])) == 4\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_read_runs_raises_for_no_run(tmp_path):
    with pytest.raises(RunError, match="holds no run"):
        read_runs([tmp_path])
