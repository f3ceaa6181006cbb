"""Weights & Biases: the content of an offline run when it is read back, and that W&B never stops a run."""

import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from helpers.options import TINY
from helpers.processes import run, start
from wandb.proto import wandb_internal_pb2 as pb

from resgan import configure, train
from resgan.base.errors import OptionsError
from resgan.runs import tracking

QUICK = [*TINY, "total_kimg=0.2", "score_kimg=0.1", "sample_kimg=0.1", "save_kimg=0.1"]
BLOCK = 32 * 1024  # bytes of a block in a LevelDB log


@pytest.fixture
def no_key(tmp_path):
    """Set the environment of a user who has never used W&B."""
    (tmp_path / "home").mkdir()
    return {"WANDB_MODE": None, "WANDB_API_KEY": None, "NETRC": None, "HOME": str(tmp_path / "home")}


def records(path: Path):
    """Yield the records of a transaction log: protobuf messages in LevelDB framing."""
    data = path.read_bytes()
    assert struct.unpack("<4sHB", data[:7])[:2] == (b":W&B", 0xBEE1)
    position, parts = 7, []
    while position + 7 <= len(data):
        left = BLOCK - position % BLOCK
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        if length == 0 and kind == 0:
            position += left
            continue
        parts.append(data[position + 7 : position + 7 + length])
        position += 7 + length
        if kind in (1, 4):  # a whole record, or its last part
            record = pb.Record()
            record.ParseFromString(b"".join(parts))
            parts = []
            yield record


def items(found) -> dict:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in found}


def logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime)


def read(path: Path) -> dict:
    """Read a log: {"history": [...], "config": {...}, "summary": {...}, "exit_code": ..., "group": ...}."""
    found: dict = {"history": [], "config": {}, "summary": {}, "exit_code": None}
    for record in records(path):
        match record.WhichOneof("record_type"):
            case "history":
                found["history"].append(items(record.history.item))
            case "run":
                found["config"] |= items(record.run.config.update)
                found |= {
                    "group": record.run.run_group,
                    "job_type": record.run.job_type,
                    "name": record.run.display_name,
                    "id": record.run.run_id,
                }
            case "config":
                found["config"] |= items(record.config.update)
            case "summary":
                found["summary"] |= items(record.summary.update)
            case "exit":
                found["exit_code"] = record.exit.exit_code
    return found


def test_an_offline_run_read_back(tmp_path, no_key):
    process = run("train", *QUICK, "run_dir=run", cwd=tmp_path, **no_key)
    assert process.returncode == 0, process.stderr
    path = tmp_path / "run"
    (log,) = logs(path)
    logged, result = read(log), json.loads((path / "result.json").read_text())
    measured = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    expected = {m["images_seen"]: m["scores"]["tv"] for m in measured if m["kind"] == "scores"}
    assert {line["images_seen"]: line["tv"] for line in logged["history"] if "tv" in line} == expected
    assert set(expected) == {0, 100, 200}
    assert logged["config"]["generator"] == yaml.safe_load((path / "config.yaml").read_text())["generator"]
    assert logged["config"]["parameters"] == result["parameters"]
    assert logged["summary"]["status"] == "finished"
    assert logged["exit_code"] == 0
    pictures = [line for line in logged["history"] if "samples.path" in line]
    assert len(pictures) == 3, logged["history"]
    assert all((log.parent / "files" / p["samples.path"]).stat().st_size == p["samples.size"] for p in pictures)
    assert [line["images_seen"] for line in logged["history"] if "reals.path" in line] == [0]  # once
    assert {path.name for path in tmp_path.iterdir()} == {"run", "home"}  # W&B's own files lie in the run


def test_one_wandb_run_for_each_job_of_a_sweep(tmp_path, no_key):
    process = run("train", "-m", *QUICK, "disc.residual=true,false", "run_dir=s", cwd=tmp_path, **no_key)
    assert process.returncode == 0, process.stderr
    found = [read(log) for folder in sorted((tmp_path / "s").glob("*/0")) for log in logs(folder)]
    assert len(found) == len({run["id"] for run in found}) == 2
    assert {run["config"]["disc"]["residual"] for run in found} == {True, False}
    assert len({run["group"] for run in found}) == 2  # seeds of one arm share a group
    assert all(run["exit_code"] == 0 and run["config"]["arm"] == run["group"] for run in found)


def test_seeds_that_are_trained_as_one_have_a_wandb_run_each(tmp_path, no_key):
    """The seeds replace the study's own list of seeds."""
    arguments = ["study=smoke", *QUICK[1:], "seeds=4,7", "generator.residual=true", "disc.residual=true"]
    process = run("train", *arguments, "run_dir=mine", cwd=tmp_path, **no_key)
    assert process.returncode == 0, process.stderr
    assert "2 runs (1 settings x 2 seeds)" in process.stderr
    folders = {int(folder.name): folder for folder in (tmp_path / "mine").glob("*/*") if folder.is_dir()}
    assert set(folders) == {4, 7}
    for seed, folder in folders.items():
        (log,) = logs(folder)
        logged = read(log)
        assert logged["config"]["seed"] == seed
        assert (logged["group"], logged["exit_code"]) == ("smoke", 0)
        measured = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        expected = {m["images_seen"]: m["scores"]["tv"] for m in measured if m["kind"] == "scores"}
        assert {line["images_seen"]: line["tv"] for line in logged["history"] if "tv" in line} == expected
        assert len(expected) == 3


@pytest.mark.slow
def test_a_study_is_a_group_and_its_report_belongs_to_it(tmp_path, no_key):
    arguments = ["study=smoke", *QUICK[1:], "seed=0", "generator.residual=true,false", "disc.residual=true"]
    process = run("train", *arguments, "run_dir=mine", cwd=tmp_path, **no_key)
    assert process.returncode == 0, process.stderr
    found = [read(log) for folder in sorted((tmp_path / "mine").glob("*/0")) for log in logs(folder)]
    assert [run["group"] for run in found] == ["smoke"] * 2
    assert [run["job_type"] for run in found] == [run["config"]["arm"] for run in found]
    assert len({run["job_type"] for run in found}) == 2
    report = run("report", "mine", "--wandb", "resgan", cwd=tmp_path, **no_key)
    assert report.returncode == 0, report.stderr
    (log,) = logs(tmp_path / "mine" / "report")
    attached = read(log)
    assert (attached["group"], attached["job_type"], attached["exit_code"]) == ("smoke", "report", 0)
    page = next(line["report.path"] for line in attached["history"] if "report.path" in line)
    assert "<h1>" in (log.parent / "files" / page).read_text()


def test_a_stopped_run_says_so_and_goes_on_as_the_same(tmp_path, no_key):
    """`wandb sync` puts folders of one id into one run, in order; W&B's steps must go on from one to the next."""
    options = [*TINY, "run_dir=run"]
    process = start("train", *options, cwd=tmp_path, **no_key)
    process.wait_for(lambda: (tmp_path / "run" / "metrics.jsonl").exists())
    assert process.send(signal.SIGTERM).wait().returncode == 143
    assert run("train", *options, cwd=tmp_path, **no_key).returncode == 0
    first, second = map(read, logs(tmp_path / "run"))
    assert (first["exit_code"], second["exit_code"]) == (143, 0)
    assert first["id"] == second["id"]
    steps = [line["_step"] for one in (first, second) for line in one["history"]]
    assert steps == sorted(steps)
    assert all(line["_step"] == line["images_seen"] for one in (first, second) for line in one["history"])
    scored = [line["images_seen"] for one in (first, second) for line in one["history"] if "tv" in line]
    assert scored == [0, 1000, 2000, 3000]  # each once
    sessions = json.loads((tmp_path / "run" / "provenance.json").read_text())["sessions"]
    for session in sessions:
        del session["saved"]  # noted later than W&B is told
    assert [one["config"]["provenance"] for one in (first, second)] == sessions  # commit, versions, device
    assert {"train/lr_generator", "train/lr_disc", "train/images_per_second"} <= second["summary"].keys()


def test_a_server_that_cannot_be_reached_does_not_stop_the_run(tmp_path, no_key):
    environment = no_key | {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}
    begun = time.monotonic()
    process = run("train", *QUICK, "run_dir=run", cwd=tmp_path, **environment)
    assert process.returncode == 0, process.stderr
    assert time.monotonic() - begun < 60  # including 10 for the connection
    said = [line for line in process.stderr.splitlines() if "img/s" not in line]
    assert len(said) == 1
    assert "W&B is not reachable" in said[0]
    (log,) = logs(tmp_path / "run")
    assert [line["images_seen"] for line in read(log)["history"] if "tv" in line] == [0, 100, 200]


@pytest.mark.parametrize(
    ("option", "environment", "found"),
    [
        ("disabled", {}, "disabled"),
        ("online", {}, "online"),
        ("auto", {}, "offline"),
        ("auto", {"WANDB_API_KEY": "x"}, "online"),
        ("auto", {"WANDB_API_KEY": "x", "WANDB_MODE": "offline"}, "offline"),
        ("auto", {"WANDB_API_KEY": "x", "WANDB_MODE": "dryrun"}, "offline"),
        ("auto", {"WANDB_MODE": "disabled"}, "disabled"),
    ],
)
def test_modes(monkeypatch, tmp_path, option, environment, found):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert tracking.resolve_mode(option) == found


def test_a_key_in_netrc(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.delenv("WANDB_BASE_URL", raising=False)
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password 0123\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert tracking.has_key()
    monkeypatch.setenv("WANDB_BASE_URL", "http://elsewhere:8080")
    assert not tracking.has_key()


class Broken:
    """A W&B run whose service has died."""

    finished = False

    def log(self, *arguments, step):
        raise BrokenPipeError("the service is gone")

    def finish(self, **arguments):
        self.finished = True


@pytest.mark.parametrize("machine", ["api.wandb.ai", "api.forge.coreweave.com"])
def test_a_key_for_either_address_of_wandb(monkeypatch, tmp_path, machine):
    """`wandb login` writes the second since W&B 0.31."""
    for name in ("WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "netrc").write_text(f"machine {machine} login user password 0123\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path))
    assert tracking.has_key()
    (tmp_path / "settings").write_text("[default]\nbase_url = http://ours:8080\n")  # of `wandb login --host`
    assert not tracking.has_key()
    (tmp_path / "netrc").write_text("machine ours:8080 login user password 0123\n")
    assert tracking.has_key()


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WANDB_MODE", "wrong", "WANDB_MODE=wrong: expected online, offline or disabled"),
        ("WANDB_RUN_ID", "../x", "WANDB_RUN_ID=../x: Run ID cannot contain"),
        ("WANDB_BASE_URL", "notaurl", "WANDB_BASE_URL=notaurl: Input should be a valid URL"),
        ("WANDB_TAGS", ",", "WANDB_TAGS=,: Tag at index 0 is empty"),
        ("WANDB_HTTP_TIMEOUT", "abc", "WANDB_HTTP_TIMEOUT=abc: Input should be a valid number"),
        ("WANDB_API_KEY", " secret ", "WANDB_API_KEY: API key cannot start or end with whitespace"),
    ],
)
def test_an_environment_that_wandb_refuses(monkeypatch, tmp_path, refused, name, value, says):
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv(name, value)
    line = refused(train, *QUICK, "run_dir=run")
    assert line.startswith(f"resgan: {says}")
    assert "secret" not in line
    monkeypatch.setenv("WANDB_MODE", "disabled")
    tracking.check_environment("auto")
    tracking.check_environment("disabled")


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("wandb.project=a/b", "wandb.project=a/b: expected 1 to 128 characters, without / \\ # ? % :"),
        (f"wandb.project={'x' * 129}", "expected 1 to 128 characters"),
        ("wandb.project=''", "wandb.project=: expected 1 to 128"),
        ("wandb.tags=['']", 'wandb.tags=[""]: each has 1 to 64 characters'),
        (f"wandb.tags=[{'x' * 65}]", "each has 1 to 64 characters"),
    ],
)
def test_names_that_wandb_refuses(option, says):
    with pytest.raises(OptionsError) as refusal:
        configure(*QUICK, option)
    assert says in str(refusal.value)
    configure(*QUICK, f"wandb.project={'x' * 128}", f"wandb.tags=[{'x' * 64}]")


def test_wandb_failing_in_the_middle_does_not_stop_the_run(capsys):
    tracker = tracking.Tracker.__new__(tracking.Tracker)
    tracker.run = broken = Broken()
    tracker.log({"tv": 0.5}, images_seen=10)
    tracker.log({"tv": 0.4}, images_seen=20)
    tracker.finish(0)
    assert broken.finished  # else W&B would log the next job of a sweep into this run
    assert capsys.readouterr().err == "resgan: W&B failed (the service is gone); the run goes on without it\n"


def test_disabled_is_disabled(tmp_path, no_key):
    assert run("train", *QUICK, "wandb=disabled", "run_dir=run", cwd=tmp_path, **no_key).returncode == 0
    assert not (tmp_path / "run" / "wandb").exists()


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
@pytest.mark.parametrize(("given", "connects"), [({}, False), ({"WANDB_ERROR_REPORTING": "true"}, True)])
def test_offline_nothing_is_looked_up(tmp_path, no_key, given, connects):
    """No process of the run opens a connection, not even to a resolver; W&B's reports of errors, asked for, do."""
    command = [sys.executable, "-m", "resgan.train", *TINY, "total_kimg=1", "wandb=offline", "run_dir=run"]
    trace = ["strace", "-f", "-qq", "-e", "trace=connect", "-o", str(tmp_path / "trace")]
    environment = {key: value for key, value in {**os.environ, **no_key, **given}.items() if value is not None}
    subprocess.run([*trace, *command], cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=500)
    assert ("AF_INET" in (tmp_path / "trace").read_text()) == connects
