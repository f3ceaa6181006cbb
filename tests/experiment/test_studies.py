"""Studies: what is planned is what runs, each run once, and stopping a study does not change its answer."""

import functools
import json
import re
import signal
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from helpers.options import options_of
from helpers.processes import run, start

from resgan.base.plain_data import flat
from resgan.builders.networks import build_networks, spec_of_networks
from resgan.cli.study import read_study
from resgan.experiment import plan
from resgan.experiment.study import Study
from resgan.options.conf import CONF
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.report.effects import contrasts
from resgan.report.power import SHAPES, detectable, detectable_in_list
from resgan.train import COMMAND

# A study of a few seconds: four arms, two seeds.
SMALL = [
    "study=smoke", "data.size=500", "metrics.samples=500", "batch_size=50", "total_kimg=1.5", "score_kimg=0.5",
    "save_kimg=0.5", "generator.latent_dim=4", "trainer.threads=1", "trainer.accelerator=cpu",
]  # fmt: skip
RUNS = {  # of each study
    "controls": 80, "data_size": 48, "depth": 1248, "factorial": 32, "gaussians": 240, "gaussians_tuning": 144,
    "grid3x3": 27, "init_join": 84, "loss": 60, "smoke": 8, "tuning": 48,
}  # fmt: skip
SWITCHES = {"generator.residual", "disc.residual"}
SKIPS = {"generator.image_skips", "disc.image_skips"}


@functools.cache  # a study of many settings takes seconds to compose
def study(*arguments: str) -> Study:
    found = read_study(COMMAND, [*arguments], Path("runs/x"))
    assert found is not None
    return found


def results(path: Path) -> dict[Path, dict]:
    return {file.parent.relative_to(path): json.loads(file.read_text()) for file in sorted(path.rglob("result.json"))}


# What is planned.


def test_every_study_that_is_shipped_is_tested():
    assert {path.stem for path in (CONF / "study").glob("*.yaml")} == set(RUNS)


LONG = ("depth", "gaussians_tuning")  # hundreds of jobs


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in LONG else n for n in RUNS])
def test_the_jobs_of_a_study(name):
    found = study(f"study={name}")
    assert len(found.runs) == RUNS[name]
    assert len(set(found.places())) == RUNS[name]  # no two jobs in one directory
    assert not [place for place in found.places() if re.search(r"_[0-9a-f]{8}(/|$)", str(place))]  # nor any by a hash
    blocks: dict[str, Counter] = {}
    told_apart = {*SWITCHES, *(SKIPS if name == "grid3x3" else ())}
    for _, options in found.runs:
        values = flat(options.model_dump())
        arm = tuple(values.pop(option) for option in sorted(told_apart))
        blocks.setdefault(repr(values), Counter())[arm] += 1
    assert all(set(arms.values()) == {1} for arms in blocks.values())
    if name == "controls":  # a list of conditions, two of which differ only in their arm
        assert sorted(len(arms) for arms in blocks.values()) == [1] * 8 * 8 + [2] * 8
        return
    arms_of_each = 9 if name == "grid3x3" else 4  # seed and settings: all arms
    assert all(len(arms) == arms_of_each for arms in blocks.values())


def test_controls_begin_as_their_references():
    """They begin as the same function, bit for bit, except for those about another map, start or width."""
    z, points = torch.randn(4, 2), torch.randn(4, 2)
    outputs, given = {}, {}
    for job, options in study("study=controls", "seed=0").runs:
        [name] = [override.rpartition("/")[2] for override in job if override.startswith("experiment=")]
        given[name] = flat(options.model_dump())
        generator, disc = build_networks(spec_of_networks(options, (2,), classes={}))
        outputs[name] = torch.cat([generator(z).flatten(), disc(points)])
    alike = {
        "plain": {"plain", "gradient", "beta_from_0"},
        "identity": {"identity", "forward", "annealed", "beta_from_1"},
    }
    for reference, names in alike.items():
        assert {name for name, output in outputs.items() if torch.equal(output, outputs[reference])} == names
    for name, reference, option in (
        ("orthogonal", "identity", "skip"), ("plain_looks_linear", "plain", "init"), ("plain_inner3", "plain", "inner")
    ):  # fmt: skip
        differing = {key for key, value in given[name].items() if value != given[reference][key]}
        assert differing == {f"generator.{option}", f"disc.{option}"}


def test_seeds_share_a_composition_and_it_is_the_right_one():
    for job, options in study("study=gaussians", "seed=3,7").runs:
        assert check(TrainOptions, options_of(*(o for o in job))) == options
    assert {options.seed for _, options in study("study=gaussians", "seed=3,7").runs} == {3, 7}


def test_a_study_of_ones_own(tmp_path):
    (tmp_path / "my presets" / "study").mkdir(parents=True)
    (tmp_path / "my presets" / "study" / "mine.yaml").write_text(
        "# @package _global_\nstudy: mine\n"
        "hydra: {mode: MULTIRUN, sweeper: {params: {seed: '4,5', disc.lr: '1e-3,2e-3'}}}\n"
    )
    for flags in (["--config-dir", str(tmp_path / "my presets")], [f"--config-dir={tmp_path / 'my presets'}", "-m"]):
        found = study("study=mine", *flags)
        assert [(o.seed, o.disc.lr) for _, o in found.runs] == [(4, 1e-3), (4, 2e-3), (5, 1e-3), (5, 2e-3)]


@pytest.mark.slow
def test_tuning_compares_six_settings_in_every_arm():
    for name in ("tuning", "gaussians_tuning"):
        found = {(o.disc.lr, o.loss.r1, o.loss.r2) for _, o in study(f"study={name}").runs}
        assert len(found) == 6
        assert all(r1 == r2 for _, r1, r2 in found)


def test_fresh_seeds_are_not_those_of_tuning():
    for tuning, main in (("tuning", "factorial"), ("gaussians_tuning", "gaussians")):
        seeds = [{options.seed for _, options in study(f"study={name}").runs} for name in (tuning, main)]
        assert not seeds[0] & seeds[1]


def test_what_is_not_valid_in_one_job_stops_the_study_before_it_begins(tmp_path):
    for argument, says in (
        ("generator.width=abc", "generator.width=abc: expected a whole number"),
        ("seed=0,-1", "seed=-1: expected at least 0"),
        ("generator.residul=true", "did you mean generator.residual?"),
    ):
        process = run("train", *SMALL, argument, cwd=tmp_path)
        assert process.returncode == 2
        assert says in process.stderr
        assert process.stderr.count("\n") == 1
        assert not list(tmp_path.iterdir())


def test_data_that_cannot_be_read_stops_the_study_before_it_begins(tmp_path):
    process = run("train", "study=factorial", "data=folder", "data.path=nosuch", "data.size=16", cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr.splitlines()[-1].startswith("resgan: data.path=nosuch")
    assert "Traceback" not in process.stderr
    assert not list(tmp_path.iterdir())


def test_only_work_that_differs_is_timed():
    count = {name: len({plan.cost_key(options) for _, options in study(f"study={name}").runs}) for name in RUNS}
    assert count["tuning"] == count["factorial"] == 4
    assert count["gaussians_tuning"] == 12
    assert count["depth"] == 52
    assert count["loss"] == 20


def test_what_replicates_can_show():
    eight = " ".join(plan.what_replicates_can_show(8, (2.0,)))
    assert "smallest attainable p 0.0078" in eight
    assert "corrected over three effects 0.023" in eight
    assert "descriptive" not in eight
    assert "descriptive" in " ".join(plan.what_replicates_can_show(3, (2.0,)))
    assert "without intervals" in " ".join(plan.what_replicates_can_show(1, (2.0,)))


def test_a_list_of_conditions_has_a_plan_of_its_own():
    counts = {name: plan.conditions_of(study(f"study={name}")) for name in ("controls", "factorial", "init_join")}
    assert counts == {"controls": 10, "factorial": 0, "init_join": 0}
    eight = " ".join(plan.what_it_can_show(study("study=controls"), 8))
    assert "smallest attainable p 0.0078, corrected over 17 differences of 10 conditions" in eight
    assert f"differs from all others by {detectable_in_list(replicates=8, conditions=10):.2g} standard" in eight
    assert "descriptive" in " ".join(plan.what_a_list_can_show(5, 10))
    assert "without intervals" in " ".join(plan.what_a_list_can_show(1, 10))


def test_the_plan_promises_what_the_power_says():
    said = " ".join(plan.what_replicates_can_show(8, (1.0, 4.0, 16.0)))
    for shape in SHAPES:
        [promised] = re.findall(rf"([\d.]+) \({shape}\)", said)
        given = detectable(replicates=8, depths=(1.0, 4.0, 16.0), shape=shape)
        assert float(promised) == pytest.approx(given, rel=0.05)  # two digits


@pytest.mark.parametrize(
    ("cells", "depths"),
    [
        ([(2, 2)] * 3, (2,)),
        ([(4, 4), (1, 1), (2, 2)], (1, 2, 4)),
        ([(1, 1), (2, 2), (4, 4), (1, 2), (4, 2), (8, 2)], (1, 2, 4, 8)),  # G's curve is longer than both networks'
        ([([1, 1, 1], [1, 1, 1]), ([4, 4, 1], [4, 4, 1])], (1, 3)),
        ([(None, None)], (1,)),  # a network of a paper
    ],
)
def test_the_depths_of_a_study_are_those_of_its_longest_curve(cells, depths):
    runs = [
        ([], SimpleNamespace(generator=SimpleNamespace(blocks=g), disc=SimpleNamespace(blocks=d))) for g, d in cells
    ]
    assert plan.depths_of(Study("depth", Path("runs"), runs, at_once=1)) == depths


def test_an_interaction_has_twice_the_noise_of_a_main_effect():
    """Simulated runs without effect: G x D sums four scores with weights of 1, G and D with weights of 1/2."""
    runs = np.random.default_rng(0).normal(size=(20_000, 2, 2))
    noise = {name: found.std() for name, found in contrasts(runs).items()}
    assert noise["G x D"] / noise["G"] == pytest.approx(2, rel=0.03)  # each sd is known to 0.5 %


@pytest.mark.parametrize(
    ("scores", "timed"),
    [("frechet", 500), ("frechet,kernel", 10_000)],  # scores linear in the number of samples, and others
)
def test_the_estimate_counts_steps_and_scorings(monkeypatch, scores, timed):
    """A step takes 2 ms, a scoring of 10,000 samples 1 s: 78.1 steps a kimg, scored at 0, 50 and 100, the end."""
    counts = []

    def seconds_of_scoring(components, count):
        counts.append(count)
        return count / 10_000

    monkeypatch.setattr(plan, "seconds_of_step", lambda stack, components: 0.002)
    monkeypatch.setattr(plan, "seconds_of_scoring", seconds_of_scoring)
    clock = iter([10.0, 13.0])  # data and networks: 3 s
    monkeypatch.setattr(plan.time, "perf_counter", lambda: next(clock))
    run = ["data=gaussians", "data.size=200", "metrics=exact", "total_kimg=100", "score_kimg=50", "batch_size=100"]
    options = check(TrainOptions, options_of(*run, f"metrics.scores=[{scores}]"))
    assert plan.seconds_of_run([options], side_by_side=True) == pytest.approx(3 + 1000 * 0.002 + 3 * 1.0)
    assert counts == [timed]


@pytest.mark.parametrize(("seconds", "says"), [(0.2, "1 s"), (75, "75 s"), (600, "10 min"), (7300, "2 h 2 min")])
def test_durations(seconds, says):
    assert plan.duration(seconds) == says


# What runs.


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return (process, folder) of an uninterrupted study, with its report."""
    folder = tmp_path_factory.mktemp("whole")
    process = run("train", *SMALL, cwd=folder)
    assert process.returncode == 0, process.stderr
    return process, folder


def test_a_study_from_plan_to_report(whole):
    process, folder = whole
    lines = process.stderr.splitlines()
    assert lines[0] == "resgan: study smoke: 8 runs (4 settings x 2 seeds) in runs/smoke"
    assert re.fullmatch(r"resgan:   about \d+ s on this machine \(measured over 16 steps of each setting\)", lines[1])
    assert "smallest attainable p 0.5" in process.stderr
    assert lines[-1] == "resgan: study smoke: 8 finished; python -m resgan.report runs/smoke"
    found = results(folder / "runs" / "smoke")
    assert len(found) == 8
    assert Counter(path.parts[-1] for path in found) == {"0": 4, "1": 4}
    assert len({path.parts[0] for path in found}) == 4
    assert run("report", "runs/smoke", cwd=folder).returncode == 0
    assert (folder / "runs" / "smoke" / "report" / "report.html").exists()


@pytest.mark.slow
def test_again_it_has_nothing_to_do(whole):
    _, folder = whole
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
    again = run("train", *SMALL, cwd=folder)
    assert again.returncode == 0
    assert "8 have ended already" in again.stderr
    assert "about" not in again.stderr
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")} == before


def without_times(folder: Path) -> dict[str, bytes]:
    """Make the report of the study in a folder, with the seconds of all runs made equal."""
    for file in (folder / "runs").rglob("result.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"seconds": 1.0}))
    process = run("report", "runs/smoke", "--out", "again", cwd=folder)
    assert process.returncode == 0, process.stderr
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted((folder / "again").rglob("*")) if f.is_file()}


@pytest.mark.slow
def test_stopped_and_killed_it_gives_the_same_report_byte_for_byte(whole, tmp_path):
    """Stopped by a signal in the second run, killed in a later one, and continued."""
    _, folder = whole
    for number, runs in ((signal.SIGTERM, 1), (signal.SIGKILL, 4)):
        process = start("train", *SMALL, cwd=tmp_path)
        process.wait_for(lambda n=runs: len(results(tmp_path)) >= n and in_the_middle_of_one(tmp_path))
        process.send(number).wait()
        assert process.returncode == (143 if number == signal.SIGTERM else -9)
        assert runs <= len(results(tmp_path)) < 8
    last = run("train", *SMALL, cwd=tmp_path)
    assert last.returncode == 0, last.stderr
    assert "continues" in last.stderr
    assert without_times(tmp_path) == without_times(folder)


def in_the_middle_of_one(folder: Path) -> bool:
    """Check whether a run that has not ended has saved a checkpoint."""
    begun = {file.parent.parent for file in folder.rglob("checkpoints/last.ckpt")}
    return any(not (path / "result.json").exists() for path in begun)


@pytest.mark.slow
def test_a_job_that_fails_is_named_and_made_next_time(tmp_path):
    blocked = tmp_path / "runs" / "smoke" / "both" / "0"
    blocked.mkdir(parents=True)
    theirs = options_of(*SMALL, "seed=7", "generator.residual=true", "disc.residual=true")
    (blocked / "config.yaml").write_text(yaml.safe_dump(theirs))
    process = run("train", *SMALL, cwd=tmp_path)
    assert process.returncode == 1
    assert "job failed: seed=0 generator.residual=True disc.residual=True" in process.stderr
    assert "  open: both/0\nresgan: study smoke: 7 finished, 1 open" in process.stderr
    (blocked / "config.yaml").unlink()
    again = run("train", *SMALL, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "8 finished" in again.stderr


@pytest.mark.slow
def test_runs_that_diverge_are_recorded_counted_and_not_made_again(tmp_path):
    process = run("train", *SMALL, "seed=0", "generator.lr=1e30", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "4 diverged" in process.stderr
    assert (
        "4 have ended already (4 of them diverged)"
        in run("train", *SMALL, "seed=0", "generator.lr=1e30", cwd=tmp_path).stderr
    )
    assert run("report", "runs/smoke", cwd=tmp_path).returncode == 0
    assert "4 runs diverged" in (tmp_path / "runs" / "smoke" / "report" / "report.md").read_text()


@pytest.mark.slow
def test_side_by_side_with_joblib(whole, tmp_path):
    threads = [argument for argument in SMALL if argument != "trainer.threads=1"]
    process = run("train", *threads, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert "2 side by side" in process.stderr
    assert "8 finished" in process.stderr
    sessions = [json.loads(file.read_text())["sessions"][0] for file in tmp_path.rglob("provenance.json")]
    assert {session["threads"] for session in sessions} == {1}
    mine, theirs = (
        {(r["seed"], r["arm"]): r["scores"] for r in results(path / "runs").values()} for path in (tmp_path, whole[1])
    )
    assert mine == theirs
