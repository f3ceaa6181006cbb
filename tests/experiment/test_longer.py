"""Runs that go on: longer, from their directory alone, from the weights of another run, until a time."""

import json
import shlex
import shutil
import signal
from pathlib import Path

import pytest
import torch
import yaml
from helpers.comparing import final, measured, same
from helpers.options import TINY
from helpers.processes import run, start

from resgan import configure, fit, train
from resgan.report.records import read_runs
from resgan.training import checkpoints

SHORT = [*TINY, "total_kimg=2", "disc.steps=2", "generator.norm=batch"]


def sessions(path: Path) -> list[dict]:
    return json.loads((path / "provenance.json").read_text())["sessions"]


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A finished run, and the same run of twice the length."""
    folder = tmp_path_factory.mktemp("short")
    for name, kimg in (("short", 2), ("whole", 4)):
        assert run("train", *SHORT, f"total_kimg={kimg}", f"run_dir={name}", cwd=folder).returncode == 0
    return folder


@pytest.fixture
def copied(short, tmp_path):
    """A copy of the finished run, to be changed."""
    shutil.copytree(short / "short", tmp_path / "short")
    return tmp_path


def test_a_finished_run_grows_to_what_it_would_have_been(short, copied):
    """By its directory and a greater length alone; to the last bit, since no learning rate falls."""
    before = json.loads((copied / "short" / "result.json").read_text())
    process = run("train", "run_dir=short", "total_kimg=4", cwd=copied)
    assert process.returncode == 0, process.stderr
    assert "short: total_kimg was 2.0, is 4.0" in process.stderr
    path, whole = copied / "short", short / "whole"
    assert same(final(path), final(whole))
    assert measured(path) == measured(whole)
    assert json.loads((path / "result.json").read_text())["scores"] == measured(whole)[-1]["scores"]
    assert json.loads((path / "result-2kimg.json").read_text()) == before
    assert [(one["total_kimg"], one.get("changed")) for one in sessions(path)] == [
        (2.0, None),
        (4.0, {"total_kimg": [2.0, 4.0]}),
    ]
    assert yaml.safe_load((path / "config.yaml").read_text())["total_kimg"] == 4.0
    again = run("train", "run_dir=short", cwd=copied)  # it is finished again
    assert again.returncode == 0
    assert "short is finished already (finished); a greater total_kimg trains it longer" in again.stderr
    assert "img/s" not in again.stderr


def test_while_it_grows_its_newest_checkpoint_counts(short, copied):
    """Its earlier end stays under its own name, and is enough to go on from."""
    path = copied / "short"
    arguments = ["run_dir=short", "total_kimg=4", "save_kimg=1"]
    started = start("train", *arguments, cwd=copied)
    started.wait_for(lambda: (path / "checkpoints" / "final-2kimg.ckpt").exists())
    started.send(signal.SIGKILL).wait()
    assert not (path / "checkpoints" / "final.ckpt").exists()
    assert checkpoints.find(path) == path / "checkpoints" / "last.ckpt"
    for name in ("last.ckpt", "previous.ckpt"):
        (path / "checkpoints" / name).write_bytes(b"damaged")
    assert run("train", *arguments, cwd=copied).returncode == 0
    assert same(final(path), final(short / "whole"))
    assert checkpoints.load(path / "checkpoints" / "final-2kimg.ckpt")["images_seen"] == 2000


def test_the_newest_of_earlier_ends_comes_first(tmp_path):
    """By the number, 16 before 4 and 0.5; what has no number is of somebody else."""
    for name in ("final-4kimg", "final-16kimg", "final-0.5kimg", "final-oddkimg", "best", "last"):
        (tmp_path / f"{name}.ckpt").touch()
    found = [path.stem for path in checkpoints.to_continue_from(tmp_path)]
    assert found == ["last", "final-16kimg", "final-4kimg", "final-0.5kimg"]


def test_a_diverged_run_counts_at_a_greater_length(tmp_path, monkeypatch):
    """In a sweep that is made longer, so that a report does not set it apart; its result stays."""
    monkeypatch.chdir(tmp_path)
    rates = ["-m", *SHORT, "disc.lr=0.001,1e30", "run_dir=sweep"]
    for kimg in (1, 2):
        assert run("train", *rates, f"total_kimg={kimg}", cwd=tmp_path).returncode == 0
    records = read_runs([tmp_path / "sweep"])
    assert [(record.status, record.config["total_kimg"]) for record in records] == [("finished", 2), ("diverged", 2)]
    assert len({repr(record.settings(without=["disc.lr"])) for record in records}) == 1
    assert [len(list(record.path.glob("result*.json"))) for record in records] == [2, 1]


def test_the_directory_alone_goes_on(copied):
    """Options that were typed when it began, such as the seed and another arm, stand in config.yaml."""
    arguments = ["seed=3", "generator.residual=false", "disc.lr=0.005", *SHORT]
    assert run("train", *arguments, "run_dir=a", cwd=copied).returncode == 0
    (copied / "a" / "result.json").unlink()
    before = final(copied / "a")
    process = run("train", "run_dir=a", cwd=copied)
    assert process.returncode == 0, process.stderr
    assert same(final(copied / "a"), before)
    config = yaml.safe_load((copied / "a" / "config.yaml").read_text())
    assert (config["seed"], config["generator"]["residual"], config["disc"]["lr"]) == (3, False, 0.005)
    four = shlex.split(next(line for line in process.stdout.splitlines() if "all four arms" in line))[3:]
    assert "data=gaussians" in four  # though this session's line had no data


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["total_kimg=1"], "total_kimg was 2.0, is 1"),
        (["total_kimg=4", "generator.lr=0.5"], "generator.lr was 0.001, is 0.5"),
        (["seed=1"], "seed was 0, is 1"),
        (["data=shapes"], "data.name was gaussians, is shapes"),
    ],
)
def test_what_a_run_does_not_go_on_with(copied, refused, monkeypatch, arguments, says):
    said = refused(train, "run_dir=short", *arguments)
    assert says in said
    assert said.count(" was ") <= 12


def test_a_length_that_is_no_whole_number_of_images_ends_once(copied):
    """1000 x 2.015 is more than 2015 in floats."""
    arguments = [*SHORT, "batch_size=65", "total_kimg=2.015", "disc.steps=1", "run_dir=odd"]
    assert 1000 * 2.015 > 2015
    assert run("train", *arguments, cwd=copied).returncode == 0
    again = run("train", *arguments, cwd=copied)
    assert "odd is finished already" in again.stderr
    assert [path.name for path in (copied / "odd").glob("result*.json")] == ["result.json"]


def test_a_length_that_is_not_typed_is_kept(copied):
    """In sweeps and stacks too, whose options are not those of a run: the default of points is 512 kimg."""
    arguments = [word for word in SHORT if not word.startswith("total_kimg")]
    assert run("train", *arguments, "total_kimg=2", "seeds=0-1", "run_dir=both", cwd=copied).returncode == 0
    again = run("train", *arguments, "seeds=0-1", "run_dir=both", cwd=copied)
    assert again.returncode == 0
    assert again.stderr.count("is finished already") == 2


def test_damage_is_noticed_before_a_run_is_made_longer(copied):
    """Without last.ckpt it goes on from the final one; without any it is refused, and its result stays."""
    folder = copied / "short" / "checkpoints"
    for name in ("last.ckpt", "previous.ckpt", "best.ckpt"):
        (folder / name).unlink()
    process = run("train", "run_dir=short", "total_kimg=3", cwd=copied)
    assert process.returncode == 0, process.stderr
    assert "continues short at 2.0 kimg" in process.stderr
    result = (copied / "short" / "result.json").read_text()
    for path in folder.glob("*.ckpt"):
        path.write_bytes(path.read_bytes()[:-100])
    refused = run("train", "run_dir=short", "total_kimg=5", cwd=copied)
    assert (refused.returncode, "is damaged or cut short" in refused.stderr) == (2, True)
    for path in folder.glob("*.ckpt"):
        path.unlink()
    refused = run("train", "run_dir=short", "total_kimg=5", cwd=copied)
    assert (refused.returncode, "has no checkpoint left" in refused.stderr) == (2, True), refused.stderr
    assert (copied / "short" / "result.json").read_text() == result
    assert yaml.safe_load((copied / "short" / "config.yaml").read_text())["total_kimg"] == 3.0


@pytest.mark.slow
def test_an_arm_keeps_its_name_when_its_run_goes_on_alone(copied):
    assert run("train", "-m", *SHORT, "generator.lr=0.002,0.003", "run_dir=s", cwd=copied).returncode == 0
    assert run("train", "run_dir=s/both_G.lr-0.003/0", "total_kimg=3", cwd=copied).returncode == 0
    assert json.loads((copied / "s" / "both_G.lr-0.003" / "0" / "result.json").read_text())["arm"] == "both_G.lr-0.003"


def test_python_gives_all_options(copied, monkeypatch):
    """`fit` takes no option from the directory: what was changed after `configure` is not seen as typed."""
    monkeypatch.chdir(copied)
    given = configure(*SHORT, "run_dir=short")
    assert fit(given).scores["tv"] is not None
    with pytest.raises(ValueError, match="seed was 0, is 5"):
        fit(given.model_copy(update={"seed": 5}))


def test_intervals_of_records_are_free(copied):
    process = run("train", "run_dir=short", "total_kimg=3", "score_kimg=0", "sample_kimg=1", "save_kimg=0", cwd=copied)
    assert process.returncode == 0, process.stderr
    assert [m["images_seen"] for m in measured(copied / "short") if m["kind"] == "scores"] == [0, 1000, 2000, 3000]
    assert len(list((copied / "short" / "samples").glob("0*.png"))) == 2  # at 2,000 as it ended, and at 3,000
    assert sessions(copied / "short")[-1]["changed"]["score_kimg"] == [1.0, 0.0]


def test_a_falling_rate_is_told(copied):
    assert run("train", *SHORT, "disc.decay=linear", "run_dir=falling", cwd=copied).returncode == 0
    process = run("train", "run_dir=falling", "total_kimg=8", cwd=copied)
    assert process.returncode == 0
    [line] = [line for line in process.stderr.splitlines() if "disc.decay" in line]
    assert "its learning rate, 0 here before, goes on from" in line
    assert "generator.decay" not in process.stderr


@pytest.mark.slow
def test_seeds_grow_together(copied):
    """A stack of two seeds, of which one was made longer alone."""
    arguments = [*SHORT, "seeds=0-1", "run_dir=both"]
    assert run("train", *arguments, cwd=copied).returncode == 0
    assert run("train", "run_dir=both/1", "total_kimg=3", cwd=copied).returncode == 0
    process = run("train", *arguments, "total_kimg=3", cwd=copied)
    assert process.returncode == 0, process.stderr
    assert "both/1 is finished already" in process.stderr
    assert [len(sessions(copied / "both" / seed)) for seed in "01"] == [2, 2]


def test_a_directory_of_several_runs_says_what_goes_on_with_them(copied, refused):
    assert run("train", *SHORT, "seeds=0-1", "run_dir=two runs", cwd=copied).returncode == 0
    said = refused(train, "run_dir=two runs")
    assert "holds several runs; they are continued by python -m resgan.train data=gaussians" in said
    assert "seeds=0-1 'run_dir=two runs'" in said


# The weights of another run.


def test_weights_of_another_run(copied):
    """Both networks and the average begin there, whatever the arm, the rate and the seed of the new run."""
    arguments = [*SHORT, "generator.residual=false", "seed=7", "generator.lr=1e-12", "disc.lr=1e-12", "total_kimg=0.1"]
    arguments += ["generator.norm=batch", "save_kimg=0.05"]
    process = run("train", *arguments, "init_from=short", "run_dir=new", cwd=copied)
    assert process.returncode == 0, process.stderr
    old, new = final(copied / "short"), final(copied / "new")
    assert new["images_seen"] == 100
    for network in ("generator", "disc"):
        names = [name for name in old[network] if name.endswith("weight")]
        assert names
        for name in names:  # Adam moves a weight by at most the rate a step, for few steps
            torch.testing.assert_close(new[network][name], old[network][name], rtol=0, atol=1e-10)
    [session] = sessions(copied / "new")
    assert session["init_from"]["images_seen"] == 2000
    assert session["init_from"]["path"].endswith("final.ckpt")
    (copied / "short" / "checkpoints" / "final.ckpt").unlink()
    (copied / "short" / "checkpoints" / "last.ckpt").unlink()
    (copied / "short" / "checkpoints" / "previous.ckpt").unlink()
    (copied / "new" / "result.json").unlink()
    assert run("train", "run_dir=new", cwd=copied).returncode == 0  # it has its own weights now


def test_moments_on_request(copied):
    """Adam's step count goes on with the moments, and the rate stays the new run's."""
    for name, asked in (("with", "true"), ("without", "false")):
        arguments = [*SHORT, "total_kimg=0.1", "generator.lr=0.003", "init_from=short/checkpoints/final.ckpt"]
        arguments += [f"init_optimisers={asked}", f"run_dir={name}"]
        assert run("train", *arguments, cwd=copied).returncode == 0
    steps = {name: final(copied / name)["disc_adam"]["state"][0]["step"] for name in ("with", "without", "short")}
    assert steps["with"] == steps["short"] + 2
    assert steps["without"] == 2
    assert final(copied / "with")["generator_adam"]["param_groups"][0]["lr"] == 0.003


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["init_from=short", "generator.width=8"], "its generator has other weights: "),
        (["init_from=short", "disc.blocks=2"], "its disc has other weights: "),
        (["init_from=nowhere"], "init_from=nowhere: does not exist"),
        (["init_from=short/samples"], "init_from=short/samples: is a directory without checkpoints"),
        (["init_from=short/config.yaml"], "init_from=short/config.yaml: is damaged or cut short, or is no checkpoint"),
        (["init_optimisers=true"], "init_optimisers=true: needs init_from"),
    ],
)
def test_weights_that_do_not_fit(copied, refused, arguments, says):
    assert says in refused(train, *SHORT, *arguments, "run_dir=new")


def test_shapes_are_named(copied, refused):
    said = refused(train, *SHORT, "init_from=short", "generator.width=8", "run_dir=new")
    assert " there and " in said
    assert " more" in said


# Until a time.


def test_a_limit_of_time_saves_and_stops(copied):
    arguments = [*SHORT, "total_kimg=1000000", "save_kimg=0", "trainer.max_hours=0.0005", "run_dir=limited"]
    process = run("train", *arguments, cwd=copied)
    assert process.returncode == 142
    assert "stopped by trainer.max_hours at" in process.stderr
    assert "continue with" in process.stderr
    seen = checkpoints.load(copied / "limited" / "checkpoints" / "last.ckpt")["images_seen"]
    again = run("train", "run_dir=limited", "trainer.max_hours=0.002", cwd=copied)  # else the stored limit holds
    assert again.returncode == 142
    assert checkpoints.load(copied / "limited" / "checkpoints" / "last.ckpt")["images_seen"] > seen


@pytest.mark.slow
def test_a_limit_of_time_ends_a_sweep(copied):
    arguments = ["-m", *SHORT, "total_kimg=1000000", "seed=0,1", "trainer.max_hours=0.001", "run_dir=sweep"]
    process = run("train", *arguments, cwd=copied)
    assert process.returncode == 142, process.stderr
    assert not (copied / "sweep" / "both" / "1").exists()
