"""`python -m resgan.evaluate`: what it scores, what it writes down, what it refuses."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.options import TINY
from helpers.processes import run
from PIL import Image

import resgan
from resgan import evaluate
from resgan.base import images
from resgan.data import shapes_hard
from resgan.experiment.score_table import missing_lines
from resgan.training import checkpoints

QUICK = [*TINY, "total_kimg=0.2", "score_kimg=0", "save_kimg=0.1"]
EXACT = ["metrics=exact", "metrics.samples=500", "device=cpu"]
PIXELS = ["metrics.extractor=pixels", "metrics.scores=[frechet]", "device=cpu"]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    """Two tiny runs on points in the plane, the arms of one sweep."""
    folder = tmp_path_factory.mktemp("evaluated")
    process = run("train", "-m", *QUICK, "generator.residual=true,false", "run_dir=study", cwd=folder)
    assert process.returncode == 0, process.stderr
    return folder / "study"


def one_run(study: Path) -> Path:
    return min(study.rglob("config.yaml")).parent


def lines_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def save_npz(path: Path, pictures: torch.Tensor, key: str = "samples") -> Path:
    np.savez(path, **{key: pictures.permute(0, 2, 3, 1).numpy()})
    return path


def save_folder(folder: Path, pictures: torch.Tensor, mode: str = "RGB") -> Path:
    folder.mkdir()
    for k, picture in enumerate(pictures):
        whole = Image.fromarray(images.to_array(picture))
        # A palette holds every value of grey; from colours, Pillow would take one of 216.
        (whole.convert("L").convert("P") if mode == "P" else whole.convert(mode)).save(folder / f"{k:04d}.png")
    return folder


# What is scored.


def test_a_checkpoint_against_the_data_of_its_run(study, tmp_path):
    path = one_run(study)
    process = run("evaluate", f"ckpt={path}/checkpoints/final.ckpt", *EXACT, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    [line] = lines_of(path / "evaluation")
    assert line["kind"] == "evaluation"
    assert line["images_seen"] == 200
    assert set(line["scores"]) == {"tv", "validity", "modes", "kl", "tv_data", "distance", "variance_ratio"}
    assert line["cards"]["tv"]["norm_mode"] == "none"
    assert line["cards"]["tv"]["n_fake"] == 500
    assert 0 < line["floors"]["tv"] < 0.1
    for name, value in line["scores"].items():
        row = next(row for row in process.stdout.splitlines() if row.split()[0] == name)
        assert row.split()[1] == ("-" if value is None else f"{value:.4g}")
    again = run("evaluate", f"ckpt={path}/checkpoints/final.ckpt", *EXACT, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    first, second = lines_of(path / "evaluation")
    assert first["scores"] == second["scores"]  # the same latents
    assert json.loads((path / "result.json").read_text())["status"] == "finished"  # the run is left as it was


def test_all_runs_of_a_study_stand_in_one_table(study, tmp_path):
    process = run("evaluate", f"ckpt={study}", *EXACT, "outdir=scores", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    lines = lines_of(tmp_path / "scores")
    assert [line["subject"] for line in lines] == [str(p) for p in sorted(study.rglob("final.ckpt"))]
    assert process.stdout.split()[:4] == ["score", "[1]", "[2]", "perfect"]
    row = next(row for row in process.stdout.splitlines() if row.split()[0] == "variance_ratio").split()
    assert row[1:] == [*(f"{line['scores']['variance_ratio']:.4g}" for line in lines), "1"]


def test_a_run_that_has_not_ended_is_scored_at_its_newest_checkpoint(study, tmp_path):
    """The directory of a run is enough, for `evaluate` as for `load_gan`."""
    shutil.copytree(one_run(study), tmp_path / "run")
    process = run("evaluate", "ckpt=run", *EXACT, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    (tmp_path / "run" / "checkpoints" / "final.ckpt").unlink()
    process = run("evaluate", "ckpt=run", *EXACT, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "ckpt=run: has not ended; takes checkpoints/last.ckpt" in process.stderr
    *_, ended, unended = lines_of(tmp_path / "run" / "evaluation")  # perhaps after those of an earlier test
    assert [Path(line["subject"]).name for line in (ended, unended)] == ["final.ckpt", "last.ckpt"]
    assert ended["scores"] == unended["scores"]  # the last state is the final one
    assert resgan.load_gan(tmp_path / "run").images_seen == unended["images_seen"]


def test_raw_weights_are_others(study, tmp_path):
    ckpt = f"ckpt={one_run(study)}/checkpoints/final.ckpt"
    for words in (["averaged=true"], ["averaged=false"]):
        process = run("evaluate", ckpt, *EXACT, *words, "outdir=both", cwd=tmp_path)
        assert process.returncode == 0, process.stderr
    averaged, raw = lines_of(tmp_path / "both")
    assert averaged["scores"]["variance_ratio"] != raw["scores"]["variance_ratio"]
    assert [line["cards"]["tv"]["averaged"] for line in (averaged, raw)] == [True, False]


def test_a_checkpoint_of_no_run_needs_to_be_told(study, tmp_path):
    """It needs the name of its data, which gives the same scores as those of a run."""
    shutil.copy(one_run(study) / "checkpoints" / "final.ckpt", tmp_path / "alone.ckpt")
    process = run("evaluate", "ckpt=alone.ckpt", *EXACT, "outdir=out", cwd=tmp_path)
    assert process.returncode == 2
    assert "real=null: alone.ckpt belongs to no run" in process.stderr
    process = run("evaluate", "ckpt=alone.ckpt", "real=gaussians", *EXACT, "outdir=out", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert set(lines_of(tmp_path / "out")[0]["scores"]) == {
        "tv",
        "validity",
        "modes",
        "kl",
        "tv_data",
        "distance",
        "variance_ratio",
    }


def test_perfect_pictures_score_as_perfect_ones(tmp_path):
    """All 1,200 templates, in a file of another program, are valid: total variation is 0, recombination is full."""
    save_npz(tmp_path / "theirs.npz", shapes_hard.templates(16), key="arr_0")
    process = run("evaluate", "fake=theirs.npz", "real=shapes_hard", "device=cpu", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    [line] = lines_of(tmp_path / "evaluation")
    scores, floors = line["scores"], line["floors"]
    assert scores["tv"] == pytest.approx(0, abs=1e-12)
    assert scores["validity"] == floors["validity"] == 1
    assert scores["modes"] == 600
    assert scores["novelty"] == 0.5
    assert scores["fd_cifarnet_1200_full"] == pytest.approx(0, abs=1e-6)
    assert scores["precision_cifarnet_k3_1200_full"] == scores["coverage_cifarnet_k5_1200_full"] == 1
    assert scores["variance_ratio"] == pytest.approx(1)
    assert line["cards"]["fd_cifarnet_1200_full"]["n_fake"] == 1200
    assert line["cards"]["fd_cifarnet_1200_full"]["averaged"] is None


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L"])
def test_pictures_of_any_mode_by_the_stated_rule(tmp_path, mode):
    """Opaque alpha, a palette that holds all colours, and grey images read as grey lose nothing."""
    grey = torch.randint(256, (12, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pictures = grey.repeat(1, 3, 1, 1)
    save_folder(tmp_path / "theirs", pictures, mode)
    save_npz(tmp_path / "real.npz", pictures)
    process = run("evaluate", "fake=theirs", "real=real.npz", "split=train", *PIXELS, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    [line] = lines_of(tmp_path / "evaluation")
    assert line["scores"]["fd_pixels_12_full"] == pytest.approx(0, abs=1e-9)


def test_fake_and_real_are_not_exchanged(tmp_path):
    """Fakes of one grey, reals of many: the counts and the variance say which is which."""
    real = torch.randint(256, (40, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    save_npz(tmp_path / "real.npz", real)
    save_npz(tmp_path / "fake.npz", real[:30] // 16 + 120)
    process = run("evaluate", "fake=fake.npz", "real=real.npz", *PIXELS, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    [line] = lines_of(tmp_path / "evaluation")
    assert line["scores"]["variance_ratio"] < 0.01
    card = line["cards"]["fd_pixels_30_real"]
    assert (card["n_fake"], card["n_real"], card["split"]) == (30, 40, "real")


def test_parts_of_a_data_set(tmp_path):
    save_npz(tmp_path / "trained.npz", shapes_hard.templates(16)[shapes_hard.trained_half(0)])
    distances = {}
    for split in ("all", "train", "holdout"):
        arguments = [f"split={split}", "metrics.scores=[frechet]", f"outdir={split}", "device=cpu"]
        process = run("evaluate", "fake=trained.npz", "real=shapes_hard", *arguments, cwd=tmp_path)
        assert process.returncode == 0, process.stderr
        [line] = lines_of(tmp_path / split)
        distances |= {name: value for name, value in line["scores"].items() if name.startswith("fd_")}
    assert distances["fd_cifarnet_600_trained"] == pytest.approx(0, abs=1e-6)  # a pure replicator
    assert distances["fd_cifarnet_600_holdout"] > distances["fd_cifarnet_600_full"] > 1e-4


# What few samples allow.


@pytest.fixture
def evaluated(tmp_path, monkeypatch, capsys):
    """Evaluate in this process; return the lines of the table and the line of metrics.jsonl."""

    def call(*arguments: str) -> tuple[list[str], dict]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["evaluate", *arguments, "device=cpu", "progress=false"])
        evaluate.main()
        return capsys.readouterr().out.splitlines(), lines_of(tmp_path / "evaluation")[-1]

    return call


def noise(count: int, *, seed: int) -> torch.Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_what_300_pictures_allow_is_computed_and_the_rest_says_why(evaluated, tmp_path):
    save_npz(tmp_path / "fake.npz", noise(120, seed=1))
    save_npz(tmp_path / "real.npz", noise(300, seed=2))
    out, line = evaluated("fake=fake.npz", "real=real.npz", "split=train")
    assert line["not_computed"] == {
        "infinity": "needs 1000 samples and 2 real images; there are 120 and 300",
        "kernel": "needs 1000 samples and 1000 real images; there are 120 and 300; small_kernel is for so few",
    }
    for name, why in line["not_computed"].items():
        assert f"  not computed: {name}: {why}" in out
    assert list(line["scores"]) == list(line["cards"]) == [
        "fd_cifarnet_120_full",
        "kd_cifarnet_120_full_subsets50",
        "kd_cifarnet_120_full_subsets50_std",
        "is_cifarnet_120_mean",
        "is_cifarnet_120_std",
        *(f"{name}_cifarnet_k3_120_full" for name in ("precision", "recall")),
        *(f"{name}_cifarnet_k5_120_full" for name in ("density", "coverage")),
        "variance_ratio",
    ]  # fmt: skip
    assert line["cards"]["kd_cifarnet_120_full_subsets50"]["subset_size"] == 50
    assert "subset_size" not in line["cards"]["fd_cifarnet_120_full"]
    assert line["floors"]["coverage_cifarnet_k5_120_full"] == pytest.approx(1 - (300 / 420) ** 5, abs=0.01)


def test_one_picture_repeated(evaluated, tmp_path):
    save_npz(tmp_path / "fake.npz", noise(30, seed=1))
    save_npz(tmp_path / "same.npz", noise(1, seed=2).repeat(30, 1, 1, 1))
    out, line = evaluated("fake=fake.npz", "real=same.npz")
    equal = "needs real samples that differ; these are all equal"
    assert line["not_computed"]["variance_ratio"] == equal
    assert [value for name, value in line["scores"].items() if "_k" in name] == [0, 1, 0, 0]  # a fake's ball holds all
    assert "coverage_cifarnet_k5_30_same" not in line["floors"]
    assert f"  not computed: variance_ratio: {equal}" in out
    _, line = evaluated("fake=same.npz", "real=same.npz")
    assert [value for name, value in line["scores"].items() if "_k" in name] == [1, 1, 0, 0]  # <=, <=, <, <
    assert line["scores"]["fd_cifarnet_30_same"] == pytest.approx(0, abs=1e-9)
    assert line["scores"]["kd_cifarnet_30_same_subsets10"] == pytest.approx(0, abs=1e-9)
    _, line = evaluated("fake=same.npz", "real=fake.npz")
    assert line["scores"]["variance_ratio"] == pytest.approx(0, abs=1e-9)
    assert line["scores"]["recall_cifarnet_k3_30_fake"] == 0


def test_two_pictures_on_either_side(evaluated, tmp_path):
    save_npz(tmp_path / "two.npz", noise(2, seed=1))
    save_npz(tmp_path / "other.npz", noise(2, seed=2))
    _, line = evaluated("fake=two.npz", "real=other.npz")
    assert set(line["scores"]) == {"fd_cifarnet_2_other", "variance_ratio"}
    assert line["floors"] == {"variance_ratio": 1}  # of two pictures no perfect Frechet distance is known
    assert set(line["not_computed"]) == {"infinity", "kernel", "inception_score", "precision_recall"}


def test_a_score_without_a_value_says_why(evaluated, tmp_path):
    save_npz(tmp_path / "valid.npz", shapes_hard.templates(16)[:50])
    out, line = evaluated("fake=valid.npz", "real=shapes_hard", "metrics=exact")
    assert line["not_computed"] == {
        "kl": "fewer samples are valid than there are modes",
        "novelty": "fewer than 200 samples are valid",
    }
    assert "  not computed: novelty: fewer than 200 samples are valid" in out
    assert next(row for row in out if row.split()[0] == "novelty").split()[1] == "-"


def test_scores_that_rank_nothing_may_stand_alone_here(evaluated, tmp_path):
    save_npz(tmp_path / "fake.npz", noise(20, seed=1))
    _, line = evaluated("fake=fake.npz", "real=fake.npz", "metrics.scores=[precision_recall]")
    assert line["scores"]["precision_cifarnet_k3_20_fake"] == 1
    assert line["not_computed"] == {}


def test_one_of_several_subjects_without_a_value():
    lines = [{"not_computed": {"kernel": "few"} | more} for more in ({}, {"kl": "less"}, {"kl": "less"})]
    assert missing_lines(lines) == ["  not computed: kernel: few", "  not computed: kl of [2], [3]: less"]


def test_from_python_one_image_is_refused_in_one_line(capsys):
    with pytest.raises(resgan.UserError) as error:
        resgan.score(noise(1, seed=1), noise(5, seed=2))
    assert str(error.value) == (
        "no score can be computed: frechet needs 2 samples and 2 real images; there are 1 and 5"
    )
    resgan.score(noise(25, seed=1), noise(25, seed=2), "device=cpu")
    assert capsys.readouterr().err.splitlines()[-1] == (
        "resgan: inception_score is left out: needs 100 samples; there are 25"
    )


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "ckpt=null with fake=null: give one of them"),
        (["fake=a.npz", "ckpt=b.ckpt"], "ckpt=b.ckpt with fake=a.npz: give one of them"),
        (["fake=a.npz"], "real=null: fake images need something"),
        (["fake=nothing.npz", "real=shapes"], "fake=nothing.npz: there is no such file or folder"),
        (["fake=nothing", "real=shapes"], "fake=nothing: there is no such file or folder"),
        (["fake=good.npz", "real=nowhere"], "real=nowhere: neither a path nor a data set; the data sets are cifar10"),
        (["fake=good.npz", "real=shapes", "split=test"], "split=test: expected draws, train or holdout"),
        (["fake=large.npz", "real=shapes"], "fake=large.npz: samples are 3x32x32 and real ones 3x16x16"),
        (["fake=floats.npz", "real=shapes"], "fake=floats.npz: holds float32 (5, 16, 16, 3); expected two or more"),
        (["fake=nan.npz", "real=gaussians"], "fake=nan.npz: 1 points are not finite"),
        (["fake=text.npz", "real=shapes"], "fake=text.npz: cannot be read"),
        (["fake=two.npz", "real=shapes"], "fake=two.npz: holds a, b; name the right one samples"),
        (["fake=mixed", "real=shapes"], "set size=8 or less to crop"),
        (["fake=mixed", "real=shapes", "size=16"], "size=16: image too small"),
        (
            ["fake=good.npz", "real=shapes", "metrics.scores=[frechet,kernel]"],
            "metrics.scores=[frechet,kernel]: kernel needs 1000 samples and 1000 real images; there are 5 and 10000",
        ),
        (
            ["fake=good.npz", "real=shapes", "metrics.scores=[all,kernel]"],
            "metrics.scores=[all,kernel]: all stands alone",
        ),
        (["ckpt=nothing.ckpt"], "nothing.ckpt"),
        (["ckpt=mixed"], "ckpt=mixed: there is no checkpoints/final.ckpt below"),
        (["fake=good.npz", "real=shapes", "metrics.scores=[fid]"], "expected 'all', 'frechet', 'infinity', 'kernel'"),
        (["fake=good.npz", "real=shapes", "metrics.extractor=dinov2"], "metrics.extractor=dinov2 needs the file"),
        (["fake=good.npz", "real=shapes", "outdir=text.npz"], "outdir=text.npz"),
    ],
)
def test_evaluate_refuses(tmp_path, refused, arguments, says):
    pictures = torch.randint(256, (5, 3, 16, 16), dtype=torch.uint8)
    save_npz(tmp_path / "good.npz", pictures)
    save_npz(tmp_path / "large.npz", pictures.repeat(1, 1, 2, 2))
    save_npz(tmp_path / "floats.npz", pictures.float())
    np.savez(tmp_path / "nan.npz", samples=np.array([[0.0, 1.0], [np.nan, 2.0]]))
    np.savez(tmp_path / "two.npz", a=np.zeros(3), b=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    save_folder(tmp_path / "mixed", pictures[:1])
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / "mixed" / "small.png")
    assert says in refused(evaluate, *arguments)


def test_samples_that_are_not_finite_are_not_scored(study, tmp_path):
    """A NaN would become some grey of uint8, and score like an image."""
    state = checkpoints.load(one_run(study) / "checkpoints" / "final.ckpt")
    state["generator_ema"] = {key: value * 1e30 for key, value in state["generator_ema"].items()}
    checkpoints.save(tmp_path / "nan.ckpt", state)
    process = run("evaluate", "ckpt=nan.ckpt", "real=gaussians", *EXACT, cwd=tmp_path)
    assert process.returncode == 2
    assert "ckpt=nan.ckpt: its samples are not finite" in process.stderr
    assert not (tmp_path / "evaluation").exists()


def test_different_cards_do_not_share_a_table(study, tmp_path):
    """Two runs on grids of 25 and of 16 modes: nothing is scored, and the difference is named."""
    process = run("train", *QUICK, "data.modes=16", "run_dir=other", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    shutil.copytree(one_run(study), tmp_path / "both" / "one")
    shutil.move(tmp_path / "other", tmp_path / "both" / "two")
    process = run("evaluate", "ckpt=both", *EXACT, cwd=tmp_path)
    assert process.returncode == 2
    assert (
        "cannot be compared in one table: tv: data was gaussians9, is gaussians16; evaluate them separately"
        in process.stderr
    )
    assert not (tmp_path / "both" / "evaluation").exists()
