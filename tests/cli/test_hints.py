"""Words that a first guess or another tool would have lead to the right option, in one line."""

import contextlib
import sys

import pytest

from resgan import describe, evaluate, plan, sample, sweep, train
from resgan.cli.compose import configure
from resgan.experiment.session import say_idle_switches, say_shared_penalties
from resgan.options.conf import files_of, named_as_typed
from resgan.options.other_names import OTHER_GROUPS, OTHER_NAMES, OTHER_VALUES, is_known
from resgan.options.validation import choices, did_you_mean, fields_of, names
from resgan.report import __main__ as report

OPTIONS = {module.COMMAND.name: names(module.COMMAND.options) for module in (train, sample, evaluate)}
BOTH = "generator.{0} or disc.{0}"


@pytest.mark.parametrize(("command", "name", "says"), [
    ("train", "lr", "use " + BOTH.format("lr")), ("train", "learning_rate", "use " + BOTH.format("lr")),
    ("train", "optimizer.lr", "use " + BOTH.format("lr")), ("train", "d_lr", "use disc.lr"),
    ("train", "epochs", "use total_kimg (thousands of real images; E epochs of N images are E N / 1000"),
    ("train", "kimg", "use total_kimg"), ("train", "kimgg", "did you mean total_kimg?"),
    ("train", "steps", "use total_kimg"), ("train", "iters", "use total_kimg"),
    ("train", "trainer.max_epochs", "use total_kimg"),
    ("train", "ema", "use generator.ema_kimg"), ("train", "betas", "use " + BOTH.format("betas")),
    ("train", "gpus", "use trainer.devices"), ("train", "num_gpus", "use trainer.devices"),
    ("train", "devices", "use trainer.devices"), ("train", "cuda", "use trainer.accelerator=gpu"),
    ("train", "device", "use trainer.accelerator=gpu"), ("sample", "cuda", "use device=gpu"),
    ("train", "fp16", "use trainer.precision (32-true, bf16-mixed or auto)"), ("train", "amp", "use trainer.precision"),
    ("train", "resume", "use run_dir (the same command with the run_dir of a run continues it)"),
    ("train", "ckpt_path", "use run_dir"), ("sample", "ckpt_path", "use ckpt"), ("evaluate", "model", "use ckpt"),
    ("train", "residual", "use " + BOTH.format("residual")), ("train", "residul", BOTH.format("residual") + "?"),
    ("train", "blcks", BOTH.format("blocks") + "?"), ("train", "ema_kmg", "did you mean generator.ema_kimg?"),
    ("train", "G.residual", "did you mean generator.residual?"), ("train", "D.residual", "did you mean disc.residual?"),
    ("train", "discriminator.residual", "did you mean disc.residual?"),
    ("train", "discriminator.residul", "did you mean disc.residual?"),
    ("train", "disc.residul", "did you mean disc.residual?"), ("train", "genrator.lr", "mean generator.lr?"),
    ("train", "D.z_dim", "use generator.latent_dim"), ("train", "disc.batch_size", "did you mean batch_size?"),
    ("train", "bs", "use batch_size"), ("train", "batchsize", "use batch_size"), ("train", "batch", "use batch_size"),
    ("train", "outdir", "use run_dir"), ("sample", "run_dir", "did you mean"), ("sample", "output_dir", "use outdir"),
    ("train", "dataset", "use data (as in data=cifar10"), ("train", "nz", "use generator.latent_dim"),
    ("train", "workers", "so there are no workers"), ("train", "name", "use wandb.name or run_dir"),
    ("train", "logger", "use wandb or tensorboard or csv"), ("train", "n_critic", "use disc.steps"),
    ("train", "gamma", "use loss.r1 or loss.r2"), ("train", "num_samples", "use metrics.samples"),
    ("sample", "num_samples", "use seeds"), ("sample", "lr", "see --help"), ("train", "zzzzz", "see --help"),
])  # fmt: skip
def test_what_another_tool_calls_so(command, name, says):
    assert says in did_you_mean(name, OPTIONS[command])


def test_the_table_names_options_that_are_there():
    known = {option for options in OPTIONS.values() for option in options}
    for row in OTHER_NAMES:
        assert all(is_known(option.partition("=")[0], known) for option in row.here.split()), row
        assert len(row.names.split()) == len(set(row.names.split())), row
    assert all(is_known(group, known) for group in OTHER_GROUPS)
    for options, values in OTHER_VALUES.items():
        for option in options.split():
            fields = [fields_of(module.COMMAND.options).get(option) for module in (train, sample, evaluate)]
            valid = {value for field in fields for value in choices(field)} | set(files_of(option))
            assert set(values.values()) <= valid, option
            assert not set(values) & valid, option


@pytest.mark.parametrize(("module", "words", "says"), [
    (train, "--resume", "--resume: options are written without dashes, and there is no resume; use run_dir"),
    (train, "--lr 0.1", "--lr: options are written without dashes, and there is no lr; use generator.lr or disc.lr"),
    (train, "--batch-size 8", "--batch-size: options are written without dashes: batch_size=8"),
    (train, "--generator.residual=true", "options are written without dashes: generator.residual=true"),
    (plan, "--lr 0.1", "--lr: options are written without dashes"),
    (sweep, "--lr 0.1", "--lr: options are written without dashes"),
    (train, "-sc install=bash", "-sc: use --completion bash, zsh or fish"),
    (train, "--completion ksh", "--completion ksh: expected one of bash, zsh, fish"),
    (report, "runs --lr", "unrecognized arguments: --lr; see --help"),
    (train, "trainer.accelerator=cuda", "did you mean trainer.accelerator=gpu?"),
    (sample, "ckpt=x device=cuda", "device=cuda: expected 'auto', 'cpu', 'gpu' or 'mps'; did you mean device=gpu?"),
    (train, "wandb=true", "wandb=true: expected one of auto, disabled, offline, online; did you mean wandb=auto?"),
    (train, "wandb=false", "did you mean wandb=disabled?"),
    (train, "loss=wgan", "did you mean loss=wasserstein?"),
    (train, "+lr=1", "use generator.lr or disc.lr"),
    (plan, "lr=1", "lr: there is no such option; use generator.lr or disc.lr"),
    (sweep, "lr=1", "lr: there is no such option; use generator.lr or disc.lr"),
    (train, "seed=1,2", "seed=1,2: several values make several runs; add -m for a sweep, or seeds=1,2 to train"),
    (train, "generator.width=8,16", "add -m for a sweep, or generator.width=[8,16] for a list"),
    (train, "generator=lab,mlp", "generator=lab,mlp: several values make several runs; add -m for a sweep\n"),
    (train, "seed=range(3)", "seed=range(3): several values make several runs; add -m for a sweep\n"),
    (train, "generator.residual", "generator.residual: expected generator.residual=value"),
    (train, "there", "there: expected option=value, as in run_dir=there or data=folder data.path=there"),
    (describe, "nowhere", "nowhere: expected option=value; see --help"),
    (sample, "nowhere/final.ckpt", "nowhere/final.ckpt: does not exist"),
    (sample, "there/a=b.ckpt", "there/a=b.ckpt: is damaged"),  # a path with =, because it is there
    (evaluate, "nowhere.ckpt", "nowhere.ckpt"),
    (evaluate, "theirs.zip", "real=null: fake images need something to be compared with"),
])  # fmt: skip
def test_a_line_of_another_tool(tmp_path, refused, module, words, says):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a=b.ckpt").touch()
    assert says in refused(module, *words.split())


def test_python_says_the_same():
    with pytest.raises(ValueError, match=r"^lr: there is no such option; use generator.lr or disc.lr$"):
        configure("lr=0.1")
    with pytest.raises(ValueError, match=r"^wandb=false: .*; did you mean wandb=disabled\?$"):
        configure("wandb=false")


def test_a_network_has_the_name_that_was_typed():
    line = "generator.name=resnet: made for images of 32 pixels"
    said = "made for images of 32 pixels"
    assert named_as_typed(line, ["data=shapes", "generator=sngan"]) == f"generator=sngan: {said}"
    assert named_as_typed(line, ["experiment=sngan_cifar10"]) == f"generator=sngan: {said}"
    assert named_as_typed(line, ["generator=sngan", "generator.name=resnet"]) == line
    assert named_as_typed(line, ["disc=sngan"]) == line
    assert named_as_typed("disc.width=3: odd", ["disc=sngan"]) == "disc.width=3: odd"


class Begun:
    """A run of a command, whose sessions are given."""

    def __init__(self, options, sessions):
        self.options, self.run, self.sessions = options, self, lambda: sessions


@pytest.mark.parametrize(("words", "says"), [
    (["disc.blocks=0"], ["disc.blocks=0: without blocks disc.residual does nothing"]),
    (["generator.blocks=[0,0,0]"], ["generator.blocks=[0,0,0]: without blocks generator.residual does nothing"]),
    (["generator.blocks=[0,0,1]"], []), (["generator=dcgan", "data.size=32"], []), (["data=gaussians"], []),
])  # fmt: skip
def test_a_switch_that_does_nothing_is_announced(capsys, words, says):
    say_idle_switches(Begun(configure(*words), []))
    assert capsys.readouterr().err == "".join(f"resgan: {line}\n" for line in says)
    say_idle_switches(Begun(configure(*words), ["an earlier one"]))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("words", "given"), [
    (["disc.norm=batch", "loss.r1=0", "loss.r2=0", "loss.gp=10"], "loss.gp=10"),
    (["disc.norm=batch", "loss.r1=2", "loss.r2=0.5"], "loss.r1=2 and loss.r2=0.5"),
    (["disc.norm=batch", "loss.r1=0", "loss.r2=0"], ""), (["disc.norm=pixel", "loss.gp=10"], ""),
    (["disc=r3gan", "generator=r3gan", "data.size=32", "loss.gp=10"], ""),
])  # fmt: skip
def test_penalties_that_batch_norm_mixes_are_announced(capsys, words, given):
    say_shared_penalties(Begun(configure(*words), []))
    said = capsys.readouterr().err
    assert said.startswith(f"resgan: disc.norm=batch with {given}: ") if given else not said
    say_shared_penalties(Begun(configure(*words), ["an earlier one"]))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("module", [train, sample, plan, report])
def test_the_versions(monkeypatch, capsys, module):
    import torch

    import resgan

    monkeypatch.setattr(sys, "argv", ["command", "--version"])
    with contextlib.suppress(SystemExit):  # of argparse, for the report
        module.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"resgan {resgan.__version__}"
    assert {line.split()[0] for line in lines} >= {"python", "torch", "pytorch-lightning", "hydra-core"}
    assert f"torch {torch.__version__.partition('+')[0]}" in [line.partition("+")[0] for line in lines]
