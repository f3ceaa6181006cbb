"""Checkpoints whose content no run has written, and checkpoints that are lost: one line each, and nothing changed."""

import copy
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.comparing import final, same
from helpers.options import TINY, options_of
from helpers.processes import run

import resgan
from resgan.builders.components import build_components
from resgan.experiment.samples import sample
from resgan.experiment.session import restore
from resgan.experiment.study import Job
from resgan.options.sample import SampleOptions
from resgan.options.validation import check
from resgan.runs.directory import Run, RunError
from resgan.training import checkpoints
from resgan.training.checkpoints import CheckpointError

ARGUMENTS = [
    *TINY, "total_kimg=0.3", "save_kimg=0.1", "score_kimg=0", "metrics.samples=100", "trainer.progress=false",
    "wandb=disabled",
]  # fmt: skip


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """Run of six steps, at 300 images, with its components."""
    path = tmp_path_factory.mktemp("short") / "run"
    options = resgan.configure(*ARGUMENTS, f"run_dir={path}")
    resgan.fit(options)
    return SimpleNamespace(
        path=path,
        components=build_components(options),
        state=checkpoints.load(path / "checkpoints" / "final.ckpt"),
        sample=check(SampleOptions, options_of("ckpt=x", "seeds=0-3", config="sample")),
    )


@pytest.fixture
def stopped(short, tmp_path):
    """Copy of the run, stopped at 200 images: last.ckpt is what a test makes of it."""
    path = tmp_path / "run"
    shutil.copytree(short.path, path)
    for name in ("last", "final"):
        (path / "checkpoints" / f"{name}.ckpt").unlink()
    (path / "result.json").unlink()
    return path


@pytest.fixture
def lines(capsys) -> Callable[[], list[str]]:
    return lambda: capsys.readouterr().err.splitlines()


Edit = Callable[[dict], object]


def put(*keys: object) -> Edit:
    """Set a value in a state: put("spec", "seed", 5) makes state["spec"]["seed"] = 5."""
    *groups, last, value = keys

    def edit(state: dict) -> None:
        for key in groups:
            state = state[key]
        state[last] = value

    return edit


def drop(*keys: object) -> Edit:
    *groups, last = keys

    def edit(state: dict) -> None:
        for key in groups:
            state = state[key]
        del state[last]

    return edit


WEIGHT = "trunk.first.weight"  # (16, 4) of G, (16, 2) of D


def change(*keys: object) -> Edit:
    """Replace a value by a function of it."""
    *groups, last, function = keys

    def edit(state: dict) -> None:
        for key in groups:
            state = state[key]
        state[last] = function(state[last])

    return edit


def with_nan(tensor: torch.Tensor) -> torch.Tensor:
    tensor = tensor.clone()
    tensor.view(-1)[-1] = math.nan
    return tensor


SPEC = "its spec is not valid: "
G, D = "its generator has ", "its disc has "
ADAM = "its Adam of disc "

# Name: (the edit, what both commands say).
BOTH: dict[str, tuple[Edit, str]] = {
    "no spec": (drop("spec"), "has no spec of its networks"),
    "the spec a list": (put("spec", [1]), "has no spec of its networks"),
    "no generator in the spec": (drop("spec", "generator"), "has no spec of its networks"),
    "a tensor in the spec": (put("spec", "seed", torch.zeros(3)), "holds what is no plain data"),
    "a number as a name": (put("spec", "generator", 5, 5), "its spec has names that are no text"),
    "an unknown network": (put("spec", "generator", "name", "gan"), f"{SPEC}generator=gan: expected 'lab', 'mlp'"),
    "an unknown join": (put("spec", "generator", "join", "x"), f"{SPEC}generator.join=x: expected 'stable', 'sum'"),
    "an unknown init": (put("spec", "disc", "init", "x"), f"{SPEC}disc.init=x: expected 'he'"),
    "an unknown option": (put("spec", "disc", "colour", 1), f"{SPEC}disc.colour: there is no such option"),
    "an option of training": (put("spec", "disc", "lr", 0.1), f"{SPEC}disc.lr: has no place in a spec"),
    "a missing option": (drop("spec", "generator", "residual"), f"{SPEC}generator.residual: is missing"),
    "a switch of text": (put("spec", "generator", "residual", "no"), f"{SPEC}generator.residual=no: expected true"),
    "a switch of 1": (put("spec", "generator", "residual", 1), f"{SPEC}generator.residual=1: expected true or false"),
    "a name of two lines": (put("generator", "a\nb", 1), "no ordinary tensor at a b"),
    "two lines of text": (put("spec", "disc", "join", "a\nb\x1b[2J"), f"{SPEC}disc.join=a b?[2J: expected"),
    "a text of 9,000 letters": (put("spec", "disc", "join", "x" * 9000), f"{SPEC}disc.join=xxx"),
    "a width of 10^4": (put("spec", "generator", "width", 10**4), "its generator has other weights: trunk.first."),
    "a width of 10^6": (put("spec", "generator", "width", 10**6), f"{SPEC}generator.width=1000000: expected at most"),
    "a width of 10^30": (put("spec", "generator", "width", 10**30), f"{SPEC}generator.width=1000000000"),
    "a width below 0": (put("spec", "disc", "width", -1), f"{SPEC}disc.width=-1: expected at least 1"),
    "a width of true": (put("spec", "disc", "width", True), f"{SPEC}disc.width=true: expected a whole number"),
    "10^7 blocks": (put("spec", "generator", "blocks", 10**7), f"{SPEC}generator.blocks=10000000: expected at most"),
    "200 blocks": (put("spec", "generator", "blocks", 200), "generator has other weights than its spec says"),
    "1,000 blocks": (put("spec", "generator", "blocks", 1000), f"{SPEC}generator.blocks=1000: expected at most"),
    "a latent of 10^12": (put("spec", "generator", "latent_dim", 10**12), f"{SPEC}generator.latent_dim=10000"),
    "a latent of 5": (put("spec", "generator", "latent_dim", 5), "generator has other weights: trunk.first.weight is"),
    "a norm": (put("spec", "generator", "norm", "batch"), "is missing there"),
    "a sample of 10^12": (put("spec", "shape", [3, 2**16, 2**16]), f"{SPEC}shape=[3, 65536, 65536]: expected at most"),
    "no shape": (put("spec", "shape", []), SPEC),
    "a shape of floats": (put("spec", "shape", [2.0]), SPEC),
    "a seed of text": (put("spec", "seed", "0"), f"{SPEC}seed=0: expected a whole number"),
    "shares that are not": (put("spec", "classes", {"a": 0.5}), f"{SPEC}classes: expected shares that sum to 1"),
    "no weights of D": (drop("disc"), "its disc has "),
    "weights in a list": (put("generator", [torch.zeros(3)]), "generator has "),
    "a missing weight": (drop("generator", WEIGHT), f"{G}other weights: {WEIGHT} is missing there"),
    "one weight more": (put("generator", "x", torch.zeros(3)), f"{G}other weights: x is missing here"),
    "another shape": (put("disc", WEIGHT, torch.zeros(3)), f"{WEIGHT} is (3,) there and (16, 2) here"),
    "weights of bool": (change("disc", WEIGHT, lambda x: x > 0), f"{D}other weights: {WEIGHT} is bool there"),
    "weights of int": (change("disc", WEIGHT, torch.Tensor.int), f"{D}other weights: {WEIGHT} is int32 there"),
    "complex weights": (change("disc", WEIGHT, lambda x: x + 0j), f"{D}other weights: {WEIGHT} is complex64 there"),
    "weights of float64": (change("disc", WEIGHT, torch.Tensor.double), f"{WEIGHT} is float64 there and float32 here"),
    "sparse weights": (change("disc", WEIGHT, torch.Tensor.to_sparse), f"{D}no ordinary tensor at {WEIGHT}"),
    "a view of one number": (put("disc", WEIGHT, torch.zeros(1).expand(10**9)), f"{D}no ordinary tensor at {WEIGHT}"),
    "a text as a weight": (put("disc", WEIGHT, "x"), f"{D}no ordinary tensor at {WEIGHT}"),
    "NaN in G": (change("generator", WEIGHT, with_nan), f"{G}weights that are not finite (NaN or infinity), such as"),
    "NaN in the average": (change("generator_ema", WEIGHT, with_nan), "averaged generator has weights that are not"),
    "infinity in D": (change("disc", WEIGHT, lambda x: x / 0), f"{D}weights that are not finite"),
    "no images seen": (drop("images_seen"), "images_seen=None: expected a whole number"),
    "images seen of 1e9": (put("images_seen", 1e9), "images_seen=1000000000.0: expected a whole number"),
    "images seen of true": (put("images_seen", True), "images_seen=True: expected a whole number"),
    "images seen below 0": (put("images_seen", -50), "images_seen=-50: expected a whole number"),
}  # fmt: skip
# What `train` says of these, since it knows what its networks are.
OF_ANOTHER_RUN = {
    "a width of 10^4": "generator.width is 10000 there and 16 here",
    "200 blocks": "generator.blocks is 200 there and 1 here",
    "a latent of 5": "generator.latent_dim is 5 there and 4 here",
    "a norm": "generator.norm is batch there and none here",
}
# What only going on needs; the first two are checkpoints of other runs.
TRAIN: dict[str, tuple[Edit, str]] = {
    "the switch at its other position": (
        change("spec", "generator", "residual", lambda on: not on), "is of another run: generator.residual is "
    ),
    "another start": (put("spec", "disc", "init", "glorot"), "is of another run: disc.init is glorot there"),
    "beyond the run": (put("images_seen", 10**9), "expected a multiple of batch_size=50, at most 300"),
    "no multiple of the batch": (put("images_seen", 137), "images_seen=137: expected a multiple of batch_size=50"),
    "no Adam": (drop("disc_adam"), "has no Adam of disc"),
    "an empty Adam": (put("disc_adam", {}), "has no Adam of disc"),
    "no groups": (put("disc_adam", "param_groups", []), "has no Adam of disc"),
    "no rate": (drop("disc_adam", "param_groups", 0, "lr"), f"{ADAM}has other settings"),
    "a rate of text": (put("disc_adam", "param_groups", 0, "lr", "x"), f"{ADAM}has other settings: lr is x"),
    "another rate": (put("disc_adam", "param_groups", 0, "lr", 5.0), f"{ADAM}has other settings: lr is 5.0"),
    "an epsilon of NaN": (put("disc_adam", "param_groups", 0, "eps", math.nan), "other settings: eps is nan"),
    "other parameters": (put("disc_adam", "param_groups", 0, "params", [0]), "other settings: params is [0]"),
    "a weight that is not": (put("disc_adam", "state", 99, {}), f"{ADAM}is of other weights"),
    "no moments": (put("disc_adam", "state", 0, {}), f"{ADAM}has no count of steps"),
    "moments of other shapes": (put("disc_adam", "state", 0, "exp_avg", torch.zeros(3)), "exp_avg is (3,) there and"),
    "moments of NaN": (change("disc_adam", "state", 0, "exp_avg", with_nan), "weights that are not finite"),
    "squares below 0": (change("disc_adam", "state", 0, "exp_avg_sq", lambda x: -1 - x), "a mean of squares below 0"),
    "half a step": (put("disc_adam", "state", 0, "step", torch.tensor(0.5)), f"{ADAM}has no count of steps"),
    "a step of NaN": (put("disc_adam", "state", 0, "step", torch.tensor(math.nan)), f"{ADAM}has no count of steps"),
    "no losses": (drop("losses"), "has no losses"),
    "a loss of NaN": (put("losses", "loss_d", torch.tensor(math.nan)), "losses: expected a finite number at loss_d"),
    "a loss of text": (put("losses", "loss_d", "x"), "losses: expected a finite number at loss_d"),
    "p of augmentation above 1": (put("augment_p", torch.tensor(2.0)), "augment_p: expected a number from 0 to 1"),
    "seconds of text": (put("seconds", "x"), "seconds: expected a number, 0 or more"),
    "seconds of NaN": (put("seconds", math.nan), "seconds: expected a number, 0 or more"),
    "an id that is a path": (put("wandb_id", "../../x"), "wandb_id: expected the id of a run of W&B"),
}  # fmt: skip


def one_line(error: BaseException) -> str:
    assert str(error).isprintable()
    assert len(str(error)) < 1000
    return str(error)


@pytest.mark.parametrize("name", [*BOTH, *TRAIN])
def test_what_no_run_has_written_is_refused_in_one_line(short, stopped, lines, name, tmp_path):
    """`sample` refuses it; `train` goes on from the checkpoint before it, and with none left changes nothing."""
    edit, says = (BOTH | TRAIN)[name]
    edit(state := copy.deepcopy(short.state))
    last = stopped / "checkpoints" / "last.ckpt"
    checkpoints.save(last, state)

    options = short.sample.model_copy(update={"ckpt": str(last), "outdir": str(tmp_path / "out")})
    if name in BOTH:
        with pytest.raises(CheckpointError, match=f"^{re.escape(f'ckpt={last}: ')}") as caught:
            sample(options, Job([], [], None))
        assert says in one_line(caught.value)
        assert not (tmp_path / "out").exists()
    else:
        resgan.load_gan(last)

    directory = Run(stopped)
    before = directory.measurements()
    found = restore(directory, short.components)
    assert found["images_seen"] == short.components.gan.images_seen == 200
    damaged, continues = lines()
    assert damaged.startswith(f"resgan: {last}: ")
    assert damaged.endswith("; goes on from previous.ckpt")
    other = OF_ANOTHER_RUN.get(name)
    assert (f"is of another run: {other}" if other else says.replace("averaged ", "")) in damaged
    assert continues == f"resgan: continues {stopped} at 0.2 kimg"

    (stopped / "checkpoints" / "previous.ckpt").unlink()
    with pytest.raises(RunError, match=r"was saved at 0\.3 kimg, and cannot go on") as refused:
        restore(directory, short.components)
    assert f"(last.ckpt {damaged[len(f'resgan: {last}: ') : -len('; goes on from previous.ckpt')]}); put a copy" in (
        one_line(refused.value)
    )
    assert directory.measurements() == [line for line in before if line["images_seen"] <= 200]


def test_weights_that_are_finite_and_samples_that_are_not(short, tmp_path):
    edit = change("generator_ema", "trunk.last.weight", lambda weight: weight * 1e38)
    edit(state := copy.deepcopy(short.state))
    checkpoints.save(tmp_path / "a.ckpt", state)
    options = short.sample.model_copy(update={"ckpt": str(tmp_path / "a.ckpt"), "outdir": str(tmp_path / "out")})
    with pytest.raises(resgan.OptionsError, match="samples of this GAN are not finite"):
        sample(options, Job([], [], None))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (change("disc", WEIGHT, with_nan), "its disc has weights that are not finite (NaN or infinity), such as"),
        (put("disc_adam", "state", 0, "exp_avg", torch.zeros(3)), "exp_avg is (3,) there and (16, 2) here"),
        (drop("disc_adam"), "Adam of disc is of other weights"),
        (drop("images_seen"), "images_seen=None: expected a whole number"),
    ],
)
def test_a_run_does_not_begin_from_such_a_checkpoint(short, tmp_path, edit, says):
    edit(state := copy.deepcopy(short.state))
    checkpoints.save(path := tmp_path / "a.ckpt", state)
    options = resgan.configure(*ARGUMENTS, f"init_from={path}", "init_optimisers=true", f"run_dir={tmp_path / 'run'}")
    with pytest.raises(resgan.OptionsError, match=re.escape(f"init_from={path}: ") + ".*" + re.escape(says)) as caught:
        resgan.fit(options)
    one_line(caught.value)
    assert not (tmp_path / "run").exists()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(resgan.OptionsError, match=re.escape(f"init_from={path}: is damaged or cut short")):
        resgan.fit(options)


# Checkpoints that are lost.


def replaced(path: Path, kind: str) -> None:
    """Put something in the place of a checkpoint."""
    path.unlink(missing_ok=True)
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "missing":
        path.symlink_to("/dev/zero" if kind == "device" else path.parent / "nowhere")


INSTEAD = {
    "directory": "is a directory; expected a .ckpt file, as in <run directory>/checkpoints/final.ckpt",
    "pipe": "is no regular file",
    "device": "is no regular file",
    "dead link": "is a dead link",
}


@pytest.mark.parametrize("kind", INSTEAD)
def test_what_is_no_file_counts_as_damaged(short, stopped, lines, kind):
    last = stopped / "checkpoints" / "last.ckpt"
    replaced(last, kind)
    assert restore(Run(stopped), short.components)["images_seen"] == 200
    damaged, _ = lines()
    assert damaged == f"resgan: {last}: {INSTEAD[kind]}; goes on from previous.ckpt"
    replaced(stopped / "checkpoints" / "previous.ckpt", kind)
    with pytest.raises(RunError, match=f"was saved at 0.3 kimg, and cannot go on .*previous.ckpt {INSTEAD[kind]}"):
        restore(Run(stopped), short.components)
    checkpoints.save(stopped / "checkpoints" / "final-0.2kimg.ckpt", short.state | {"images_seen": 200})
    assert restore(Run(stopped), short.components)["images_seen"] == 200
    with pytest.raises(CheckpointError, match=re.escape(f"last.ckpt: {INSTEAD[kind]}")):
        resgan.load_gan(stopped)  # not the next best, unasked


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before_it(short, stopped, capsys):
    """One flipped bit of a weight: a line names the file, and the run ends as it did."""
    last = stopped / "checkpoints" / "last.ckpt"
    content = bytearray((short.path / "checkpoints" / "last.ckpt").read_bytes())
    content[content.index(short.state["disc"][WEIGHT].numpy().tobytes())] ^= 1
    last.write_bytes(content)
    resgan.fit(resgan.configure(*ARGUMENTS, f"run_dir={stopped}"))
    said = f"resgan: {last}: is damaged or cut short, or is no checkpoint; goes on from previous.ckpt\n"
    assert said in capsys.readouterr().err
    assert same(final(stopped), final(short.path))


def files_of(path: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file() and file.name not in ("log.txt", ".lock")
    }


def test_a_run_whose_checkpoints_are_lost_does_not_begin_again(stopped, tmp_path):
    """Its measurements stay, and the one line has the ways out."""
    checkpoints.save(stopped / "checkpoints" / "best.ckpt", {})
    for name in ("last", "previous"):
        replaced(stopped / "checkpoints" / f"{name}.ckpt", "missing")
    before = files_of(stopped)
    done = run("train", f"run_dir={stopped}", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    best = stopped / "checkpoints" / "best.ckpt"
    assert line == (
        f"resgan: run_dir={stopped}: was saved at 0.3 kimg, and cannot go on (no checkpoint is there); "
        f"put a copy of last.ckpt back into {best.parent}, or begin another run with init_from={best}"
    )
    assert files_of(stopped) == before


def test_a_checkpoint_that_is_gone_is_missed(short, stopped, lines):
    """The one before it is valid, and was saved earlier than the last save that provenance.json notes."""
    assert restore(Run(stopped), short.components)["images_seen"] == 200
    gone, continues = lines()
    assert gone == f"resgan: {stopped}: the checkpoint saved at 0.3 kimg is gone; goes on from previous.ckpt"
    assert continues == f"resgan: continues {stopped} at 0.2 kimg"


def test_the_last_save_is_noted_once_a_session(short):
    sessions = Run(short.path).sessions()
    assert [session["saved"] for session in sessions] == [300]
    assert Run(short.path).last_save() == 300


def test_a_run_that_never_saved_begins_again_and_says_so(short, stopped, capsys):
    """So does a run of an earlier version, which noted no saves."""
    shutil.rmtree(stopped / "checkpoints")
    provenance = stopped / "provenance.json"
    provenance.write_text(provenance.read_text().replace('"saved": 300', '"earlier": true'))
    resgan.fit(resgan.configure(*ARGUMENTS, f"run_dir={stopped}"))
    assert f"resgan: {stopped}: stopped before its first checkpoint; begins again at 0\n" in capsys.readouterr().err
    assert same(final(stopped), final(short.path))
