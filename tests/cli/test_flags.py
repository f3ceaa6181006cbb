"""Hydra's flags, a user's own files of options, and what lies in the directory of a sweep."""

import contextlib
import os
import signal
import sys
import time

import pytest
import yaml
from helpers.options import TINY
from helpers.processes import run, start
from omegaconf.errors import OmegaConfBaseException

from resgan import configure, sample, train
from resgan.cli.arguments import flags_first, quoted
from resgan.cli.launch import launch
from resgan.cli.presets import MOST_VALUES

QUICK = [*TINY, "total_kimg=0.1", "score_kimg=0", "save_kimg=0.1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--resolve", "--resolve: expected beside --cfg job"),
        ("--package wandb", "--package: expected beside --cfg job"),
        ("--cfg", "--cfg: expected job or hydra or all after it"),
        ("--cfg jobs", "--cfg jobs: expected one of job, hydra, all"),
        ("--info=plugin", "--info plugin: expected one of all, config"),
        ("--info plugin", "plugin: expected option=value"),
        ("--cfg job -m seed=0,1", "--cfg: prints the options of one run; leave -m out"),
        ("--config-dir", "--config-dir: expected a value after it"),
        ("--config-dir nowhere", "--config-dir nowhere: there is no such directory"),
        ("-cn sample", "-cn: --config-dir adds a directory with your files"),
        ("--config-path=.", "--config-path: --config-dir adds a directory with your files"),
        ("--experimental-rerun x.pickle", "--experimental-rerun: the command that a run prints at its end"),
        ("-sc install=bash", "-sc: use --completion bash"),
    ],
)
def test_flags_that_are_refused(refused, words, says):
    assert f"resgan: {says}" in refused(train, *QUICK, *words.split())


def test_flags_may_stand_anywhere():
    typed = ["seed=0,1", "-cd", "mine", "-i", "loss=hinge", "-m", "--cfg", "job"]
    flags = ["--config-dir=mine", "--info=all", "--multirun", "--cfg=job"]
    assert flags_first(typed) == [*flags, "seed=0,1", "loss=hinge"]
    assert flags_first(flags_first(typed)) == flags_first(typed)


@pytest.mark.parametrize("words", [("--cfg", "job"), ("--cfg=job", "--resolve"), ("--cfg", "job", "study=smoke")])
def test_the_options_are_printed_and_nothing_runs(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", "batch_size=7", *words, "disc.lr=0.25"])
    train.main()
    out, err = capsys.readouterr()
    assert yaml.safe_load(out)["batch_size"] == 7
    assert yaml.safe_load(out)["disc"]["lr"] == 0.25
    assert err == ""
    assert not list(tmp_path.iterdir())


# A user's own files.

BOMB = "\n".join(
    f"{b}: &{b} [{','.join(9 * [f'*{a}' if a else 'x'])}]" for a, b in zip(["", *"abcdefg"], "abcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a: [1,\n b: {", "bad.yaml: is no YAML ("),
        (b"\xff\xfe\x00", "bad.yaml: is no YAML (UnicodeDecodeError)"),
        (BOMB.encode(), f"bad.yaml: has more than {MOST_VALUES:,} values"),
        (b"a: &a [*a]", f"bad.yaml: has more than {MOST_VALUES:,} values"),
        (
            b'# @package _global_\nwandb: {name: "${oc.env:SECRET}"}',
            "wandb.name=${oc.env:SECRET}: only a path may come",
        ),
        (b'# @package _global_\nwandb: {tags: ["${oc.env:SECRET}"]}', "only a path may come from the environment"),
    ],
)
def test_files_of_options_that_are_refused(tmp_path, monkeypatch, refused, content, says):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "bad.yaml").write_bytes(content)
    monkeypatch.setenv("SECRET", "hunter2")
    begun = time.monotonic()
    for words in ([], ["-m", "seed=0,1"]):
        line = refused(train, *QUICK, *words, "--config-dir", "conf", "experiment=bad")
        assert says in line
        assert "hunter2" not in line
    assert time.monotonic() - begun < 20


def test_a_path_may_come_from_the_environment(tmp_path, monkeypatch, refused):
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    content = '# @package _global_\ndefaults: [{override /data: folder}]\ndata: {path: "${oc.env:PLACE}"}'
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(content)
    monkeypatch.setenv("PLACE", "pictures")
    line = refused(train, "--config-dir", "conf", "experiment=mine")
    assert "data.path=pictures: there is no such file or folder" in line


@pytest.mark.parametrize("path", ["a/${seed}", "${oc.env:HOME}", "it's ${x}", "$HOME", "{a,b}"])
def test_a_typed_path_is_literal(path):
    assert configure(*QUICK, f"run_dir={path}").run_dir == path
    assert quoted("seed=${x}") == "seed=${x}"


# Sweeps.


def test_a_file_of_somebody_else_stays(tmp_path, refused):
    theirs = tmp_path / "theirs" / "multirun.yaml"
    theirs.parent.mkdir()
    theirs.write_text("mine: 1\n")
    os.utime(theirs, ns=(10**18, 10**18))
    refused(train, "-m", "run_dir=theirs", "typo=1")
    assert (theirs.read_text(), theirs.stat().st_mtime_ns) == ("mine: 1\n", 10**18)
    process = start("train", *TINY, "seed=0,1", "run_dir=theirs", "total_kimg=200", "-m", cwd=tmp_path)
    process.wait_for(lambda: bool(list(tmp_path.rglob("metrics.jsonl"))))
    process.send(signal.SIGKILL).wait()
    assert (theirs.read_text(), theirs.stat().st_mtime_ns) == ("mine: 1\n", 10**18)


def test_directories_of_a_sweep_are_checked_before_its_first_job(tmp_path, refused):
    (tmp_path / "sweep" / "both" / "1").mkdir(parents=True)
    (tmp_path / "sweep" / "both" / "1" / "mine.txt").write_text("")
    line = refused(train, *QUICK, "seed=0,1", "run_dir=sweep", "-m")
    assert "run_dir=sweep/both/1: holds other files and no run" in line


def test_a_sweep_of_another_command_is_checked_before_its_first_job(tmp_path, refused):
    line = refused(sample, "ckpt=nowhere.ckpt", "format=grid,gridd", "outdir=out", "-m")
    assert "format=gridd: expected 'png', 'grid'" in line


def test_what_a_launcher_left_in_the_environment_does_not_disturb_a_run(tmp_path):
    left = {"SLURM_NTASKS": "2", "SLURM_JOB_NAME": "x", "SLURM_JOB_ID": "7", "OMPI_COMM_WORLD_SIZE": "2",
            "OMPI_COMM_WORLD_RANK": "1", "PMI_RANK": "1", "PMI_SIZE": "2", "LSB_JOBID": "7"}  # fmt: skip
    process = run("train", *QUICK, "run_dir=run", cwd=tmp_path, **left)
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "run" / "result.json").exists()


def test_a_signal_while_hydra_composes_has_its_own_status(tmp_path, monkeypatch, capsys):
    """Seen there: an error of Hydra's own in place of the handler's SystemExit, and so status 2."""

    def interrupted(*_: object, **__: object) -> None:
        with contextlib.suppress(SystemExit):
            signal.raise_signal(signal.SIGTERM)
        raise OmegaConfBaseException

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train", "data=gaussians"])
    monkeypatch.setattr(
        "hydra._internal.config_loader_impl.ConfigLoaderImpl._compose_config_from_defaults_list", interrupted
    )
    with pytest.raises(SystemExit) as ended:
        launch(train.COMMAND, lambda *_: None, ["data=gaussians"])
    assert ended.value.code == 143
    assert set(capsys.readouterr().err.splitlines()) == {"resgan: stopped by SIGTERM"}
