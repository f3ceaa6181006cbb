"""The run directory: claimed once, refused to others, never half written."""

import json

import pytest

from resgan.base.plain_data import nan_to_none
from resgan.runs.configuration import differences
from resgan.runs.directory import Run, RunError
from resgan.runs.naming import arm_name

CONFIG = {"seed": 0, "generator": {"residual": True, "width": [8, 16]}, "run_dir": None, "wandb": {"mode": "auto"}}


def test_claim(tmp_path):
    run = Run(tmp_path / "run")
    run.claim(CONFIG)
    run.claim(CONFIG | {"run_dir": "elsewhere", "wandb": {"mode": "offline"}})  # bookkeeping may change
    other = CONFIG | {"seed": 1, "generator": {"residual": False, "width": [8, 16]}}
    with pytest.raises(RunError, match=r"seed was 0, is 1; generator\.residual was true, is false\."):
        run.claim(other)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(RunError, match="holds other files"):
        Run(tmp_path / "full").claim(CONFIG)
    with pytest.raises(RunError, match="is a file"):
        Run(tmp_path / "full" / "thesis.txt").claim(CONFIG)


def test_no_run_lies_inside_another(tmp_path):
    """A report would miss the inner run, since it stops at the outer. Another program's config.yaml is not a run."""
    outer = Run(tmp_path / "study")
    outer.claim(CONFIG)
    Run(outer.path / "arm" / "0").check(CONFIG)
    outer.record_session({"command": "python -m resgan.train"})
    with pytest.raises(RunError, match=r"0: is inside the run .*study; give a directory outside it"):
        Run(outer.path / "arm" / "0").claim(CONFIG)
    assert not (outer.path / "arm").exists()


def test_differences_name_what_was_added_and_removed():
    assert differences({"a": 1, "b": {"c": 2}}, {"a": 1, "d": 3}) == [
        "b.c was 2, is null",
        "d was no option then, is 3",
    ]


def test_two_processes_do_not_share_a_run(tmp_path):
    run = Run(tmp_path)
    with run.locked(), pytest.raises(RunError, match="another process"), Run(tmp_path).locked():
        pass
    with Run(tmp_path).locked():
        pass


def test_measurements_survive_a_cut_and_forget_what_is_done_again(tmp_path):
    run = Run(tmp_path)
    for n in (0, 10, 20, 30):
        run.append({"images_seen": n, "kind": "scores", "scores": {"tv": float("nan")}})
    run.metrics.write_text(run.metrics.read_text() + '{"images_seen": 40, "ki')
    assert [m["images_seen"] for m in run.measurements()] == [0, 10, 20, 30]
    run.forget_after(20)
    assert [m["images_seen"] for m in run.measurements()] == [0, 10, 20]
    assert run.measurements()[0]["scores"]["tv"] is None  # JSON has no NaN
    assert all(json.loads(line) for line in run.metrics.read_text().splitlines())


def test_the_last_grid_is_of_samples(tmp_path):
    run = Run(tmp_path)
    assert run.last_grid() is None
    run.samples.mkdir()
    run.reals.touch()
    assert run.last_grid() is None
    for name in ("000000500", "000010000", "000009000"):
        (run.samples / f"{name}.png").touch()
    assert run.last_grid() == run.samples / "000010000.png"


def test_result(tmp_path):
    run = Run(tmp_path)
    assert run.read_result() is None
    run.write_result({"status": "finished"})
    assert run.read_result() == {"status": "finished"}
    run.result.write_text("{")
    with pytest.raises(RunError, match=r"result\.json: is damaged"):
        run.read_result()


def test_arms():
    assert arm_name([]) == arm_name(["seed=3", "wandb=offline", "run_dir=x", "trainer.threads=1"]) == "default"
    both = ["generator.residual=true", "disc.residual=false"]
    assert arm_name(both) == arm_name([*both[::-1], "seed=1"]) == "disc.residual-false_generator.residual-true"
    # A sweeper writes True; a norm is called none.
    assert arm_name(["generator.residual=True"]) == arm_name(["generator.residual=true"])
    assert arm_name(["wandb=x", "run_dir=y", "generator.norm=none"]) == "generator.norm-none"
    # A name that loses characters, or is too long, is identified by a hash.
    lists = {arm_name([f"generator.width={value}"]) for value in ("[8,16]", "[81,6]", "[8,1,6]")}
    assert len(lists) == 3
    long = arm_name([f"generator.a{k}=1" for k in range(100)])
    assert len(long) < 120
    for name in [*lists, long]:
        assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def test_nan_to_none():
    assert nan_to_none({"a": [1.0, float("inf")], "b": (float("nan"), None, "x")}) == {
        "a": [1.0, None],
        "b": [None, None, "x"],
    }
