"""The run directory: claimed once, refused to others, never half written."""

import fcntl
import json
import threading
from pathlib import Path

import pytest
from helpers.made_runs import RESULT

from resgan.base.files import WriteError, is_locked, write_atomically
from resgan.base.plain_data import nan_to_none
from resgan.runs.configuration import differences
from resgan.runs.directory import Run, RunError, check_writable
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


def test_a_look_at_the_lock_disturbs_nobody(tmp_path):
    """Neither another look nor a run that begins in this instant; the file may be another user's."""
    path = tmp_path / ".lock"
    path.touch(mode=0o444)
    look = path.open()
    fcntl.flock(look, fcntl.LOCK_SH)  # as is_locked for an instant
    assert not is_locked(path)
    later = threading.Timer(0.1, look.close)
    later.start()
    with Run(tmp_path).locked():
        assert is_locked(path)
    later.join()


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
    run.write_result(RESULT)
    assert run.read_result() == RESULT
    run.result.write_text("{")
    with pytest.raises(RunError, match=r"result\.json: is damaged"):
        run.read_result()


def test_arms_are_named_by_what_varies():
    g, d = (True, False), (False, True)
    words = ["data=gaussians", "generator.residual=true", "disc.residual=false", "seed=3", "wandb=x", "run_dir=y"]
    assert arm_name(words, residual=g, varied={"generator.residual"}) == "residual-G"
    assert arm_name(words, residual=g) == arm_name([*words[::-1], "trainer.threads=1"], residual=g)
    assert arm_name(words, residual=g) == "residual-G_data-gaussians"  # of no sweep: all that was typed
    assert arm_name([], residual=(True, True)) == "both"
    assert arm_name([], residual=(False, False)) == "plain"
    rates = ["generator.lr=0.002", "disc.lr=0.001", "batch_size=8"]
    assert arm_name(rates, residual=d, varied={"generator.lr", "disc.lr"}) == "residual-D_D.lr-0.001_G.lr-0.002"
    depth = ["experiment=depth/both_16", "loss=hinge"]
    assert arm_name(depth, residual=d, varied={"experiment", "seed"}) == "residual-D_depth-both_16"
    lists = {arm_name([f"generator.width={value}"], residual=d) for value in ("[8,16]", "[81,6]", "[8,1,6]")}
    assert lists == {"residual-D_G.width-8-16", "residual-D_G.width-81-6", "residual-D_G.width-8-1-6"}


def test_a_name_that_loses_characters_or_is_too_long_has_a_hash():
    names = [arm_name([f"data.path={path}"], residual=(True, True)) for path in ("a b", "a~b", "ab")]
    assert names[2] == "both_data.path-ab"
    assert len(set(names)) == 3
    assert all(name.startswith("both_data.path-ab_") for name in names[:2])
    long = [arm_name([*(f"generator.a{k}=1" for k in range(100)), more], residual=(True, True)) for more in "xy"]
    assert max(map(len, long)) < 120
    assert long[0] != long[1]


def test_nan_to_none():
    assert nan_to_none({"a": [1.0, float("inf")], "b": (float("nan"), None, "x")}) == {
        "a": [1.0, None],
        "b": [None, None, "x"],
    }


@pytest.mark.parametrize(
    "line",
    [b"5", b"null", b"{}", b"\xff\xfe", b"[" * 100000, b'{"kind": "losses"}', b'{"images_seen": "1", "kind": "losses"}',
     b'{"images_seen": 1, "kind": "scores"}', b'{"images_seen": 1, "kind": "scores", "scores": {"tv": "x"}}',
     b'{"images_seen": 1, "kind": "losses", "loss_d": []}'],
)  # fmt: skip
def test_a_line_that_is_no_measurement_is_left_out_and_said(tmp_path, capsys, line):
    run = Run(tmp_path)
    run.append({"images_seen": 0, "kind": "losses", "loss_d": 1.0})
    run.metrics.write_bytes(line + b"\n" + run.metrics.read_bytes())
    assert run.measurements() == [{"images_seen": 0, "kind": "losses", "loss_d": 1.0}]
    assert capsys.readouterr().err == f"resgan: {run.metrics}: line 1 of 2 cannot be read and is left out\n"


def test_a_line_after_one_that_was_cut_stands_on_its_own(tmp_path):
    run = Run(tmp_path)
    run.metrics.write_bytes(b'{"images_seen": 40, "ki')
    run.append({"images_seen": 50, "kind": "losses"})
    assert run.measurements() == [{"images_seen": 50, "kind": "losses"}]


@pytest.mark.parametrize("content", [b"[]", b"{}", b"null", b"\xff", b"", b'{"sessions": [5]}', b'{"sessions": [{}]}'])
def test_damaged_records_are_refused_in_one_line(tmp_path, content):
    run = Run(tmp_path)
    for path, read in ((run.provenance, run.sessions), (run.result, run.read_result)):
        path.write_bytes(content)
        with pytest.raises(RunError, match=f"{path.name}: is damaged; remove it"):
            read()


def test_a_result_without_one_of_its_keys_is_damaged(tmp_path):
    run = Run(tmp_path)
    for missing in RESULT.keys() - {"arm"}:
        run.write_result({key: value for key, value in RESULT.items() if key != missing})
        with pytest.raises(RunError, match="is damaged"):
            run.read_result()


def test_names_that_can_be_no_directory(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for name, why in (("a\nb", "cannot be printed"), ("x" * 300, "File name too long"), ("loop", "leads nowhere"),
                      ("loop/x", "leads nowhere")):  # fmt: skip
        with pytest.raises(RunError, match=why):
            Run(tmp_path / name).check(CONFIG)
    if Path("/proc").is_dir():
        with pytest.raises(RunError, match="outdir=/proc/x: cannot be written to"):
            check_writable("outdir", Path("/proc/x"))
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_a_directory_that_was_taken_away_is_not_begun_anew(tmp_path):
    run = Run(tmp_path / "run")
    run.claim(CONFIG)
    run.path.rename(tmp_path / "elsewhere")
    for write in (lambda: run.append({}), lambda: write_atomically(run.checkpoints / "last.ckpt", b"")):
        with pytest.raises(WriteError, match="No such file or directory"):
            write()
    assert not run.path.exists()
