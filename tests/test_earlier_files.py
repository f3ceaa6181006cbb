"""Files of earlier versions open, continue and score as they did then.

tests/data/earlier/<commit>/ holds files that the commit wrote and, in recorded.json, that commit's own results with
them; scripts/record_earlier_files.py recorded both.
"""

import json
import lzma
import runpy
import tarfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.processes import run

import resgan

TESTS = Path(__file__).resolve().parent
EARLIER = TESTS / "data" / "earlier"
COMMITS = sorted(path.parent.name for path in EARLIER.glob("*/recorded.json"))
assert COMMITS, f"nothing is recorded in {EARLIER}"
SCRIPT = SimpleNamespace(**runpy.run_path(str(TESTS.parent / "scripts" / "record_earlier_files.py")))
RECORDED = {commit: json.loads((EARLIER / commit / "recorded.json").read_text()) for commit in COMMITS}


# Arguments typed then that have another name today.
TODAY = {"770148d": {"real=shapes": "real=shapes_hard"}}


SINCE = ("tv_data", "distance")  # scores that came later


def every(kind: str) -> list:
    return [
        pytest.param((commit, name), id=f"{commit}-{name}") for commit in COMMITS for name in RECORDED[commit][kind]
    ]


CHECKPOINTS, RUNS = every("checkpoints"), every("runs")
EVALUATED = [p for p in CHECKPOINTS if "evaluated" in RECORDED[p.values[0][0]]["checkpoints"][p.values[0][1]]]
SAMPLED = [p for p in CHECKPOINTS if p.values[0][1] in ("lab_options", "mlp")]


def exactly(commit: str) -> bool:
    """Return True if the files are from a machine like this; every bit then agrees, else sums round differently."""
    return RECORDED[commit]["machine"] == SCRIPT.machine()


def close(found: list[float], expected: list[float], *, share: float) -> None:
    """Assert that numbers differ by at most this share of the largest."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=share * max(map(abs, expected)))


def alike(found, expected, *, relative: float, absolute: float) -> None:
    """Assert that plain data agrees: fractions within the tolerances, all else exactly."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        alike(list(found.values()), list(expected.values()), relative=relative, absolute=absolute)
    elif isinstance(expected, list):
        for one, other in zip(found, expected, strict=True):
            alike(one, other, relative=relative, absolute=absolute)
    else:
        assert found == (pytest.approx(expected, rel=relative, abs=absolute) if type(expected) is float else expected)


def as_then(line: dict) -> dict:
    """Return a measurement, or its scores, without scores that did not exist then."""
    kept = {name: value for name, value in line.items() if name not in SINCE}
    return kept | {"scores": as_then(kept["scores"])} if "scores" in kept else kept


def values(given: dict | list[float]) -> list[float]:
    """Return the recorded values of a tensor."""
    return given["values"] if isinstance(given, dict) else given


# Checkpoints.

GIVEN = ("samples", "raw_samples", "logits")  # by the networks of a checkpoint


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """Unpack a checkpoint, by commit and name."""

    @cache
    def unpack(commit: str, name: str) -> Path:
        path = tmp_path_factory.mktemp(commit) / f"{name}.ckpt"
        path.write_bytes(lzma.decompress((EARLIER / commit / f"{name}.ckpt.xz").read_bytes()))
        return path

    return unpack


@pytest.fixture(scope="module")
def contents(unpacked):
    """Read the contents of a checkpoint through `load_gan`."""
    return cache(lambda commit, name: SCRIPT.contents(unpacked(commit, name)))


@pytest.mark.parametrize("which", CHECKPOINTS)
def test_every_weight_of_a_checkpoint_is_what_it_was(which, contents):
    (commit, name), found = which, contents(*which)
    expected = RECORDED[commit]["checkpoints"][name]
    for kind in ("weights", "optimisers", "images_seen"):
        assert found[kind] == expected[kind]


@pytest.mark.parametrize("which", CHECKPOINTS)
def test_a_checkpoint_gives_the_samples_and_logits_it_gave(which, contents):
    (commit, name), found = which, contents(*which)
    expected = RECORDED[commit]["checkpoints"][name]
    if exactly(commit):
        assert {key: found[key] for key in GIVEN} == {key: expected[key] for key in GIVEN}
    # float32 rounds to 6e-8 of a number, which other kernels on the same processor turned into up to 3e-6 here. The
    # samples of 101 layers are nearly identical, and D's norms amplify their differences: 2e-5.
    share = 1e-4 if name == "resnet101" else 1e-5
    for key in GIVEN:
        close(values(found[key]), values(expected[key]), share=share)
        assert len(set(values(expected[key]))) > 3  # the networks are alive


@pytest.mark.parametrize("which", SAMPLED)
def test_the_sample_command_draws_what_was_drawn(tmp_path, which, unpacked):
    (commit, name), path = which, unpacked(*which)
    assert run("sample", f"ckpt={path}", "seeds=0-3", "format=npz", "outdir=.", cwd=tmp_path).returncode == 0
    found = np.load(tmp_path / "samples.npz")["samples"]
    expected = np.array(RECORDED[commit]["checkpoints"][name]["samples"]["values"])
    if found.dtype == np.uint8:  # images (N, H, W, C), in which values beyond -1 and 1 are clipped
        found, expected = np.moveaxis(found, 3, 1) / 127.5 - 1, expected.clip(-1, 1)
    tolerance = 1 / 127.5 if found.ndim == 4 else 1e-4
    np.testing.assert_allclose(found.flatten()[SCRIPT.places(found.size)], expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("which", EVALUATED)
def test_a_checkpoint_has_the_scores_it_had(tmp_path, which, unpacked):
    (commit, name), path = which, unpacked(*which)
    expected = RECORDED[commit]["checkpoints"][name]
    arguments = [TODAY.get(commit, {}).get(argument, argument) for argument in expected["evaluate"]]
    done = run("evaluate", f"ckpt={path}", *arguments, "outdir=.", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    [line] = SCRIPT.measurements(tmp_path)
    same_scores([as_then(line["scores"])], [expected["evaluated"]], commit)


def same_scores(found: list[dict], expected: list[dict], commit: str) -> None:
    if exactly(commit):
        assert found == expected
    # Elsewhere distances round differently, and one of fifty samples may cross the border of validity.
    alike(found, expected, relative=1e-3, absolute=1 / 50)


# Run directories.


def unpack_run(commit: str, name: str, folder: Path) -> Path:
    with tarfile.open(EARLIER / commit / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / name


@pytest.fixture(scope="module", params=RUNS)
def continued(request, tmp_path_factory):
    """Continue a run now that was stopped then."""
    commit, name = request.param
    path = unpack_run(commit, name, tmp_path_factory.mktemp(name))
    before = (path / "metrics.jsonl").read_text().splitlines()
    recorded = RECORDED[commit]["runs"][name]
    assert not (path / "result.json").exists()
    done = run("train", *recorded["arguments"], f"run_dir={name}", cwd=path.parent)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(commit=commit, path=path, before=before, recorded=recorded)


def test_a_stopped_run_goes_on_where_it_stood(continued):
    """The run does not begin again: its earlier lines are still there, with their seconds."""
    stood = [line for line in continued.before if json.loads(line)["images_seen"] <= continued.recorded["stopped_at"]]
    assert stood
    assert (continued.path / "metrics.jsonl").read_text().splitlines()[: len(stood)] == stood
    sessions = json.loads((continued.path / "provenance.json").read_text())["sessions"]
    assert len(sessions) == 2
    assert (continued.path / "samples" / "reals.png").exists()  # no run had this file then
    then, now = sessions
    assert [key for key in now if key not in ("arm", "total_kimg", "saved", "wandb_id")] == list(then)
    checkout = Path(resgan.__file__).resolve().parent.parent
    assert (now["git"] is not None) == (checkout / ".git").exists()


def test_a_stopped_run_ends_with_the_networks_it_ended_with(continued):
    found = SCRIPT.contents(continued.path / "checkpoints" / "final.ckpt")
    expected = continued.recorded["final"]
    assert found["images_seen"] == expected["images_seen"]
    if exactly(continued.commit):
        assert found == expected
    # Adam turns a gradient of pure rounding into a step of lr, and dividing by batch statistics amplifies it: with
    # other kernels on the same processor fifty steps differed by 3e-4 here. The steps themselves made 0.16 and more.
    for key in GIVEN:
        close(values(found[key]), values(expected[key]), share=3e-3)


def test_a_stopped_run_measures_what_it_measured(continued):
    found, expected = [*map(as_then, SCRIPT.measurements(continued.path))], continued.recorded["metrics"]
    scores = json.loads((continued.path / "result.json").read_text())["scores"]
    assert as_then(scores) == found[-1]["scores"]
    if exactly(continued.commit):
        assert found == expected
        assert as_then(scores) == continued.recorded["scores"]
    # Elsewhere losses and distances agreed to 3e-5, and one of 500 samples may cross the border of validity.
    alike(found, expected, relative=1e-3, absolute=2 / 500)


def test_a_run_that_ended_is_found_finished(continued, tmp_path):
    before = times(continued.path)
    arguments = continued.recorded["arguments"]
    again = run("train", *arguments, f"run_dir={continued.path}", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("finished already") == 1
    assert times(continued.path) == before
    assert not list(tmp_path.iterdir())


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("commit", COMMITS)
def test_a_finished_stack_is_found_finished_and_scored(commit, tmp_path):
    path, recorded = unpack_run(commit, "stack", tmp_path), RECORDED[commit]["stack"]
    for seed, expected in recorded["final"].items():
        found = SCRIPT.contents(path / seed / "checkpoints" / "final.ckpt")
        assert {key: found[key] for key in ("weights", "optimisers")} == {
            key: expected[key] for key in ("weights", "optimisers")
        }
    before = times(path)
    again = run("train", *recorded["arguments"], "run_dir=stack", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("finished already") == 2
    alone = [argument for argument in recorded["arguments"] if not argument.startswith("seeds=")]
    again = run("train", *alone, "seed=1", "run_dir=stack/1", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("finished already") == 1
    other = run("train", *alone, "seed=2", "run_dir=stack/1", cwd=tmp_path)
    assert other.returncode == 2
    assert "seed was 1, is 2" in other.stderr
    assert times(path) == before

    done = run("evaluate", "ckpt=stack", *recorded["evaluate"], "outdir=.", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [as_then(line["scores"]) for line in SCRIPT.measurements(tmp_path)]
    same_scores(found, recorded["evaluated"], commit)
