"""The commands as a new user meets them: valid input works, invalid input is refused in one line, --help is instant."""

import json
import os
import pty
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.options import TINY, options_of
from helpers.processes import run, start
from PIL import Image

from resgan import sample, train
from resgan.base.plain_data import flat, format_value
from resgan.experiment import session
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.training import checkpoints

ROOT = Path(__file__).resolve().parents[2]
QUICK = [*TINY, "total_kimg=0.2", "score_kimg=0", "save_kimg=0.1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Return (process, run directory) of a short run."""
    folder = tmp_path_factory.mktemp("trained")
    process = run("train", *QUICK, "run_dir=a run", cwd=folder)
    assert process.returncode == 0, process.stderr
    return process, folder / "a run"


# Refusals.


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("generator.residul=true", "did you mean generator.residual?"),
        ("+generator.residul=true", "did you mean generator.residual?"),
        ("generator.residual=maybe", "generator.residual=maybe: expected true or false"),
        ("generator.width=abc", "generator.width=abc: expected a whole number or a list"),
        ("generator.norm=btch", "generator.norm=btch: expected 'none', 'batch'"),
        ("batch_size=0", "batch_size=0: expected at least 1"),
        ("batch_size=2.5", "batch_size=2.5: expected a whole number"),
        ("total_kimg=-1", "total_kimg=-1: expected at least 0.001"),
        ("generator.betas=[0,2]", "generator.betas=2: expected less than 1"),
        ("data=nosuch", "data=nosuch: expected one of cifar10"),
        ("metrics=_base", "metrics=_base: expected one of exact, fid, full"),
        ("loss.name=nosuch", "loss.name=nosuch: expected 'hinge', 'least_squares'"),
        ("+foo=1", "foo: there is no such option"),
        ("foo=1", "foo: there is no such option"),
        ("seed=null", "seed=null: expected a whole number"),
        ("~seed", "seed: is missing"),
        ("run_dir=", "run_dir=: expected"),
        ("generator=mlp generator.width=[8,8]", "generator.width=[8,8]: expected a whole number"),
        (
            "data=gaussians generator=lab",
            "generator=lab: data=gaussians are points in the plane; use mlp or module",
        ),
        ("data=gaussians data.modes=7", "data.modes=7"),
        ("data.count=23", "data.count=23: expected at least 24"),
        ("data.size=24", "data.size=24: shapes are drawn at multiples of 16"),
        ("data=shapes_hard data.size=24", "data.size=24: shapes are drawn at multiples of 16"),
        ("data.flip=true", "data.flip=true"),
        ("data=folder", "data.path: required; give it as data.path=..."),
        ("data=folder data.path=nowhere", "data.path=nowhere: there is no such file or folder"),
        ("metrics.extractor=module", "metrics.weights=null: metrics.extractor=module needs file.py:NAME"),
        ("metrics.extractor=dinov2", "needs the file of its weights, such as https://dl.fbaipublicfiles.com/dinov2"),
        ("generator.width=[8,8]", "generator.width=[8,8]: images of this size have 3 stages"),
        ("generator.width=[8,", "'[8,'"),
        ("generator=lab,mlp", "generator=lab,mlp: several values make several runs; add -m"),
        ("generator=null", "generator=null: expected one of dcgan, lab"),
        ("residual", "residual: expected option=value; use generator.residual or disc.residual"),
        ("generator.init=looks_linear generator.norm=pixel", "generator.init=looks_linear: needs norm=none"),
        ("disc.skip_scale=1 disc.skip_final=0", "disc.skip_scale=1 with skip_final=0: use one factor on the skip"),
        ("generator.skip_final=0", "generator.skip_final: needs burn_in_kimg"),
        ("disc.block=bottleneck disc.norm=pixel", "disc.norm=pixel: block=bottleneck has no place for a norm"),
        ("disc.block=bottleneck disc.norm=none disc.group_size=7", "disc.group_size=7: does not divide 2 x width, 64"),
        ("generator.join=gated generator.branch_scale=0.3", "join=gated with branch_scale=0.3: use one factor"),
        ("disc.spectral=true loss=wasserstein", "loss.gp=10: disc.spectral=true bounds the gradient already"),
        ("generator=sngan", "generator=sngan: made for images of 32, 48, 64 pixels; these have 16"),
        ("disc=wgan_gp_101", "disc=wgan_gp_101: made for images of 64 pixels; these have 16"),
        ("generator=r3gan generator.residual=false", "generator.init=published: ends every branch in zero"),
        ("generator=r3gan generator.norm=batch", "generator.norm=batch: expected 'none'"),
        (
            "generator=r3gan generator.spectral=true",
            "generator.spectral=true: init=published ends every branch in zero",
        ),
        ("disc.init=fixup disc.spectral=true", "disc.spectral=true: init=fixup ends every branch in zero"),
        ("generator=sngan generator.blocks=2", "generator.blocks: there is no such option; see --help"),
        ("generator=lab generator.grup_size=2", "did you mean generator.group_size?"),
        ("disc=sngan loss=wasserstein", "loss.gp=10: disc.spectral=true bounds the gradient already"),
        ("generator=sngan generator.block=preact", "generator.block: there is no such option"),
        (
            "generator.conditional=norm generator.blocks=0 disc.conditional=concat",
            "generator.conditional=norm: with blocks=0 no norm is class-conditional",
        ),
        (
            "generator.conditional=norm",
            "conditional=norm with disc.conditional=none: make both networks class-conditional",
        ),
        ("generator.batch_size=24", "generator.batch_size=24: loss=relativistic pairs each fake with a real image"),
        ("generator.lr_final=1e-4", "generator.lr_final=0.0001: decay=cosine changes the rate too"),
        ("loss.r1_final=0.01", "burn_in_kimg=0: loss.r1_final: needs burn_in_kimg"),
        ("burn_in_kimg=5", "burn_in_kimg=5: no option has a ..._final value to move to"),
        ("augment.adapt=r_v", "augment.adapt=r_v: there are no operations"),
        ("augment=adaptive augment.adapt=r_t", "augment.adapt=r_t: loss=relativistic gives D no zero point"),
        ("augment=adaptive augment.p_final=0.5 burn_in_kimg=1", "augment.p_final=0.5: adapt=r_v changes p too"),
        ("augment.operations=[blur]", "augment.operations=blur: expected"),
        ("augment=diffaugment data=gaussians", "data=gaussians has no images"),
        ("run_dir=file", "run_dir=file: is a file"),
        ("run_dir=file/below", "run_dir=file/below"),
        ("run_dir=.", "holds other files and no run"),
        ("-m generator.residul=true,false", "did you mean generator.residual?"),
    ],
)
def test_train_refuses(tmp_path, refused, arguments, says):
    (tmp_path / "file").write_text("mine")
    line = refused(train, *arguments.split())
    assert says in line.replace("[8, 8]", "[8,8]")


def pictures(folder: Path, count: int = 4, side: int = 32) -> Path:
    folder.mkdir()
    for k in range(count):
        pixels = np.random.default_rng(k).integers(0, 255, (side, side, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{k}.png")
    return folder


def test_train_refuses_pictures(tmp_path, refused):
    (tmp_path / "empty").mkdir()
    assert "empty" in refused(train, "data=folder", "data.path=empty", "data.size=16")
    broken = pictures(tmp_path / "broken") / "2.png"
    broken.write_bytes(broken.read_bytes()[:200])
    assert "2.png" in refused(train, "data=folder", "data.path=broken", "data.size=16")
    Image.new("RGB", (10, 40)).save(pictures(tmp_path / "small") / "tiny.png")
    line = refused(train, "data=folder", "data.path=small", "data.size=16")
    assert "tiny.png" in line
    assert "10x40" in line


def test_train_refuses_an_extractor_of_other_content(tmp_path, refused):
    (tmp_path / "weights.pth").write_bytes(b"not weights")
    assert "weights.pth" in refused(train, "metrics=fid", "metrics.weights=weights.pth")
    torch.save({"layer": torch.zeros(3)}, tmp_path / "other.pth")
    assert "other.pth" in refused(train, "metrics=inception", "metrics.weights=other.pth")


def test_train_refuses_the_directory_of_another_configuration(tmp_path, refused, trained):
    shutil.copytree(trained[1], tmp_path / "run")
    line = refused(train, *QUICK, "generator.residual=false", "seed=7", "run_dir=run")
    assert "seed was 0, is 7" in line
    assert "generator.residual was true, is false" in line


class Trap:
    """An object whose unpickling would make a directory."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize(("kind", "says"), [("cut", "damaged"), ("foreign", "not a checkpoint"), ("code", "run code")])
def test_wrong_checkpoints(tmp_path, refused, trained, kind, says):
    shutil.copytree(trained[1], tmp_path / "run")
    (tmp_path / "run" / "result.json").unlink()
    folder = tmp_path / "run" / "checkpoints"
    for path in folder.iterdir():
        if kind == "cut":
            path.write_bytes(path.read_bytes()[:1000])
        else:
            torch.save({"x": Trap(tmp_path / "sprung") if kind == "code" else 1}, path)
    assert says in refused(sample, f"ckpt={folder / 'final.ckpt'}", "seeds=0-3", "outdir=out")
    assert says in refused(train, *QUICK, "run_dir=run")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("", "ckpt: required; give it as ckpt=..."),
        ("ckpt=nowhere.ckpt", "nowhere.ckpt: does not exist"),
        ("ckpt=CKPT seeds=abc", "seeds=abc: expected numbers and ranges"),
        ("ckpt=CKPT seeds=5-3", "seeds=5-3: expected numbers and ranges"),
        ("ckpt=CKPT outdir=file", "outdir=file"),
        ("ckpt=CKPT outdir=file/below", "outdir=file/below"),
        ("ckpt=CKPT frmat=grid", "did you mean format?"),
        ("ckpt=CKPT class=3", "class=3: this GAN was trained without classes; leave it out"),
    ],
)
def test_sample_refuses(tmp_path, refused, trained, arguments, says):
    (tmp_path / "file").write_text("mine")
    arguments = [a.replace("CKPT", f"{trained[1]}/checkpoints/final.ckpt") for a in arguments.split(" ") if a]
    assert says in refused(sample, *arguments)


# Valid commands.


def test_the_closing_table_holds_commands_that_work(tmp_path, trained):
    process, path = trained
    rows = dict(line.strip().split("  ", 1) for line in process.stdout.splitlines() if "  " in line.strip())
    rows = {name: value.strip() for name, value in rows.items()}
    result = json.loads((path / "result.json").read_text())
    assert rows["status"] == "finished"
    measured = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    start = next(m["scores"] for m in measured if m["kind"] == "scores" and m["images_seen"] == 0)
    value, ideal, untrained, *meaning = rows["tv"].split()
    for shown, expected in ((value, result["scores"]), (ideal, result["ideal"]), (untrained, start)):
        assert float(shown) == pytest.approx(expected["tv"], rel=1e-3)  # four digits are shown
    assert " ".join(meaning) == result["meanings"]["tv"]
    assert rows["parameters of generator"] == f"{result['parameters']['generator']:,}"
    assert rows["parameters of disc"] == f"{result['parameters']['disc']:,}"
    assert rows["everything lies in"] == "a run"
    assert rows["samples"] == "a run/samples/000000200.png"
    assert rows["real data beside them"] == "a run/samples/reals.png"
    words = shlex.split(rows["this run's command"])
    assert words[:3] == ["python", "-m", "resgan.train"]
    again = run("train", *words[3:], cwd=path.parent)
    assert "finished already" in again.stderr
    assert again.stdout == process.stdout
    drawn = run("sample", *shlex.split(rows["draw samples"])[3:], cwd=path.parent)
    assert drawn.returncode == 0, drawn.stderr
    assert (path / "more_samples" / "grid.png").exists()
    assert "-m" in shlex.split(rows["all four arms"])
    assert not [word for word in shlex.split(rows["all four arms"]) if word.startswith("run_dir=")]


def test_the_start_is_scored_however_seldom_the_rest(trained):
    """With score_kimg=0 there are scores at the start and at the end."""
    lines = [json.loads(line) for line in (trained[1] / "metrics.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines if line["kind"] == "scores"] == [0, 200]


def test_real_samples_lie_beside_the_grids(trained):
    """The axes are those of the samples: the modes lie at even numbers, in a square from -5 to 5."""
    with (
        Image.open(trained[1] / "samples" / "reals.png") as reals,
        Image.open(trained[1] / "samples" / "000000200.png") as samples,
    ):
        assert reals.size == samples.size
        rows, columns = np.nonzero(np.asarray(reals) == 0)
    x, y = columns / 511 * 10 - 5, 5 - rows / 511 * 10
    modes = yaml.safe_load((trained[1] / "config.yaml").read_text())["data"]["modes"]
    # A mode has SD 0.05; allow four SD for the farthest of 1,000 numbers, and 0.02 for rounding to pixels.
    for places in (x, y):
        assert np.abs(places - 2 * np.round(places / 2)).max() < 0.25
    assert len(set(zip(np.round(x / 2), np.round(y / 2), strict=True))) == modes


def test_without_a_terminal_the_progress_is_plain_lines(trained):
    lines = trained[0].stderr.splitlines()
    assert len(lines) == 4  # one per tenth of the run, at most one per batch, which is a quarter of it
    assert all("img/s" in line and "loss_d" in line and "\r" not in line for line in lines)


def test_without_run_dir_each_run_gets_a_directory(tmp_path):
    processes = [start("train", *QUICK, cwd=tmp_path) for _ in range(2)]  # perhaps in the same second
    assert [process.wait().returncode for process in processes] == [0, 0]
    assert len(list((tmp_path / "runs").iterdir())) == 2


def read_terminal(handle: int) -> str:
    text = b""
    while True:
        try:
            part = os.read(handle, 4096)
        except OSError:  # the other end is closed
            part = b""
        if not part:
            return text.decode(errors="replace")
        text += part


def test_on_a_terminal_there_is_a_bar_and_never_a_prompt(tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    process = start("train", *QUICK, "run_dir=run", cwd=tmp_path, terminal=os.ttyname(theirs),
                    WANDB_MODE=None, WANDB_API_KEY=None, HOME=str(tmp_path))  # fmt: skip
    process.wait()  # what it prints fits into the terminal's buffer
    os.close(theirs)
    text = read_terminal(ours)
    os.close(ours)
    assert process.returncode == 0, text
    assert "%|" in text
    assert "img/s" in text
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_before_training_ends_without_traceback(tmp_path, monkeypatch, capsys, number, status):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "argv", ["train", *QUICK, "run_dir=run"])
    monkeypatch.setattr(
        session, "build_components", lambda *given, **more: os.kill(os.getpid(), number)
    )  # while it reads the data
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught:
        train.main()
    assert caught.value.code == status
    assert capsys.readouterr().err == f"resgan: stopped by {number.name}\n"
    assert signal.getsignal(number) == before
    assert not list(tmp_path.iterdir())


# Sweeps.


def results(folder: Path) -> dict[str, dict]:
    found = sorted(folder.rglob("result.json"))
    return {str(path.parent.relative_to(folder)): json.loads(path.read_text()) for path in found}


def test_a_sweep(tmp_path):
    """Two arms and two seeds, of which one arm diverges and one job fails; the same command runs what is missing."""
    arguments = [*QUICK, "generator.lr=1e-3,1e30", "seed=0,1", "-m", "run_dir=sweep"]  # the flag may be anywhere
    blocked = tmp_path / "sweep" / "both_G.lr-0.001" / "1"
    blocked.mkdir(parents=True)
    (blocked / "config.yaml").write_text(yaml.safe_dump(options_of(*QUICK, "generator.lr=1e-3", "seed=7")))
    first = run("train", *arguments, cwd=tmp_path)
    assert first.returncode == 1
    assert first.stderr.count("job failed") == 1
    assert "both_G.lr-0.001/1: belongs to another configuration: seed was 7, is 1" in first.stderr
    assert "Traceback" not in first.stderr
    lines = [line for line in first.stderr.splitlines() if re.match(r"resgan: run \d of 4", line)]
    assert [line.split(":")[1].split(",")[0] for line in lines] == [f" run {k} of 4" for k in (1, 2, 3)]
    assert " left: both_G.lr-0.001/0 tv " in lines[0]
    assert "  diverged: both_G.lr-1e+30/0, both_G.lr-1e+30/1\n" in first.stderr
    assert "  open: both_G.lr-0.001/1\nresgan: sweep: 1 finished, 2 diverged, 1 open" in first.stderr
    found = results(tmp_path / "sweep")
    assert {name: result["status"] for name, result in found.items()} == {
        "both_G.lr-0.001/0": "finished",
        "both_G.lr-1e+30/0": "diverged",
        "both_G.lr-1e+30/1": "diverged",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"sweep"}  # and no directory of Hydra's
    assert not list(tmp_path.rglob("multirun.yaml"))
    (blocked / "config.yaml").unlink()
    second = run("train", *arguments, cwd=tmp_path)
    assert second.returncode == 0  # a run that diverged has not failed
    assert second.stderr.count("finished already") == 3
    assert {name: result for name, result in results(tmp_path / "sweep").items() if name in found} == found


def test_a_sweep_is_checked_before_its_first_job(tmp_path, refused):
    said = refused(train, *QUICK, "generator.lr=1e-3,abc", "-m", "run_dir=sweep")
    assert "generator.lr=abc: expected a number" in said
    assert "seed=-1: expected at least 0" in refused(train, "--multirun", *QUICK, "seed=0,-1")


def test_a_sweep_stopped_by_a_signal_goes_on(tmp_path):
    arguments = ["-m", *TINY, "generator.residual=true,false", "run_dir=sweep"]
    process = start("train", *arguments, cwd=tmp_path)
    process.wait_for(lambda: bool(list(tmp_path.rglob("metrics.jsonl"))))
    process.send(signal.SIGTERM).wait()
    assert process.returncode == 143, process.stderr
    assert not results(tmp_path)
    lines = process.stderr.splitlines()
    [place] = [place for place, line in enumerate(lines) if line.endswith("continue with:")]
    command = lines[place + 1].removeprefix("resgan:").strip()
    again = run("train", *shlex.split(command)[3:], cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "continues" in again.stderr
    assert [result["status"] for result in results(tmp_path).values()] == ["finished"] * 2


@pytest.mark.slow
def test_a_sweep_with_joblib(tmp_path):
    (tmp_path / "sweep" / "both" / "1").mkdir(parents=True)
    theirs = yaml.safe_dump(options_of(*QUICK, "seed=7"))
    (tmp_path / "sweep" / "both" / "1" / "config.yaml").write_text(theirs)
    arguments = ["-m", *QUICK, "generator.residual=true,false", "seed=0,1", "hydra/launcher=joblib"]
    process = run("train", *arguments, "hydra.launcher.n_jobs=2", "run_dir=sweep", cwd=tmp_path)
    assert process.returncode == 1, process.stderr
    assert "both/1: belongs to another configuration: seed was 7, is 1" in process.stderr
    assert "run 3 of 4" in process.stderr
    assert "sweep: 3 finished, 1 open" in process.stderr
    assert [result["status"] for result in results(tmp_path / "sweep").values()] == ["finished"] * 3


def test_the_objective_of_a_sweeper(tmp_path, monkeypatch, capsys):
    """`train` returns the primary endpoint; for a run that diverged, its worst value."""
    monkeypatch.chdir(tmp_path)
    for lr, worst in (("1e-3", False), ("1e30", True)):
        options = check(TrainOptions, options_of(*QUICK, f"generator.lr={lr}"))
        job = Job([f"generator.lr={lr}"], [], tmp_path / "sweep")
        objective = train.train(options, job)
        assert (objective == 1.0) == worst
        assert train.train(options, job) == objective  # found finished


# Help, and where the commands work.


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("train", "--help"),
        ("sample", "-h"),
        ("evaluate", "--help"),
        ("describe", "--help"),
        ("bench", "-h"),
        ("data", "--help"),
    ],
)
def test_help(name, flag, tmp_path):
    code = "import runpy, sys; runpy.run_module(sys.argv.pop(1), run_name='__main__'); sys.exit('torch' in sys.modules)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    shown = subprocess.run(
        [sys.executable, "-c", code, f"resgan.{name}", flag], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert shown.returncode == 0, shown.stderr  # the status is 1 if torch was imported
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1
    assert f"python -m resgan.{name} " in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 125


def test_help_tells_the_defaults_of_each_variant(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train", "--help"])
    train.main()
    text = capsys.readouterr().out
    (data,) = (block for block in text.split("\n\n") if block.startswith("data=shapes (the default):"))
    places = [data.index(part) for part in (
        "pixels: a multiple of 16", "data=cifar10, ", "data.root=data ", "data=folder:", "data.path=...",
        "data=gaussians:", "sets generator=mlp disc=mlp", "data.modes=9 ", "points to train on",
    )]  # fmt: skip
    assert places == sorted(places)
    # The defaults shown are those of the bare command.
    defaults = flat(options_of())
    lines = re.findall(r"^  ([a-z_.0-9]+)=(\S+)  ", text[: text.index("examples:")], re.MULTILINE)
    shown = dict(reversed(lines))  # the default stands first, its variants below
    variants = ("data.", "loss.name")
    expected = {
        key: format_value(value) for key, value in defaults.items() if not key.endswith(".name") or key[:5] == "wandb"
    }
    expected = {key: value for key, value in expected.items() if not key.startswith(variants)}
    assert {key: shown[key] for key in expected if key != "experiment"} == expected


@pytest.mark.parametrize("arguments", [["train", "--help"], pytest.param(["describe"], marks=pytest.mark.slow)])
def test_a_reader_that_wants_no_more_ends_a_command_without_a_traceback(arguments):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", f"resgan.{arguments[0]}", *arguments[1:]]
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.slow
def test_a_wheel_works_from_anywhere(tmp_path):
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    (tmp_path / "here").mkdir()

    def call(*arguments: str) -> subprocess.CompletedProcess:
        env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
        command = [sys.executable, "-m", *arguments]
        return subprocess.run(
            command, cwd=tmp_path / "here", env=env, capture_output=True, text=True, timeout=600, check=True
        )

    assert str(tmp_path) in call("inspect", "--details", "resgan").stdout  # the wheel is the package that is used
    assert "THE SWITCH" in call("resgan.train", "--help").stdout
    call("resgan.train", *QUICK, "run_dir=run")
    call("resgan.train", *QUICK, "run_dir=other", "generator.residual=false")
    call("resgan.report", "run", "other", "--out", "report")
    assert (tmp_path / "here" / "report" / "report.html").exists()
    call("resgan.sample", "ckpt=run/checkpoints/final.ckpt", "seeds=0-3", "outdir=out", "format=grid")
    assert (tmp_path / "here" / "out" / "grid.png").exists()
    assert checkpoints.load(tmp_path / "here" / "run" / "checkpoints" / "final.ckpt")["images_seen"] == 200
