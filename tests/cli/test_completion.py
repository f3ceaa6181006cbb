"""Completion offers what a command accepts: options of the chosen files, their values, and paths."""

import shutil
import subprocess
import sys
from typing import get_args

import pytest

from resgan import describe, evaluate, plan, sample, sweep, train
from resgan.cli.completion import TRAIN, complete, paths_from, script
from resgan.options.choices import Norm
from resgan.options.conf import files_of
from resgan.options.validation import names

COMMANDS = {module.COMMAND.name: [module.COMMAND] for module in (train, sample, evaluate, describe)}
COMMANDS |= {module.COMMAND.name: [module.COMMAND, TRAIN] for module in (plan, sweep)}


def offered(line: str) -> list[str]:
    return complete(line, COMMANDS[line.split()[0].removeprefix("resgan-")])


@pytest.mark.parametrize(("line", "expected"), [
    ("resgan-train generator.nor", ["generator.norm=", "generator.norm_place="]),
    ("resgan-train generator.norm=", [f"generator.norm={norm}" for norm in get_args(Norm)]),
    ("resgan-train generator.norm=p", ["generator.norm=pixel"]),
    ("resgan-train -m generator.residual=true,f", ["generator.residual=true,false"]),
    ("resgan-train disc=s", ["disc=sngan"]),
    ("resgan-train generator=sngan generator.blo", []),
    ("resgan-train data=gaussians generator.group", []),  # points have perceptrons, which have no groups of channels
    ("resgan-train generator.group", ["generator.group_size="]),
    ("resgan-train experiment=sngan_cifar10 disc.po", ["disc.pool="]),
    ("resgan-train trainer.accelerator=", [f"trainer.accelerator={name}" for name in ("auto", "cpu", "gpu", "mps")]),
    ("resgan-train trainer.threads=", ["trainer.threads=null"]),
    ("resgan-train data.pa", []), ("resgan-train data=folder data.pa", ["data.path="]),
    ("resgan-train data=folder data.path=pic", ["data.path=pictures/"]),
    ("resgan-train run_dir=pictures/", ["run_dir=pictures/a.png"]),
    ("resgan-train study=smo", ["study=smoke"]), ("resgan-train stu", ["study="]),
    ("resgan-train hydra/launcher=j", ["hydra/launcher=joblib"]), ("resgan-train --v", ["--version"]),
    ("resgan-sample format=", [f"format={name}" for name in ("png", "grid", "npz", "zip", "gif", "mp4", "html")]),
    ("resgan-sample di", ["disc."]), ("resgan-sample disc.", ["disc.path="]), ("resgan-sample stu", []),
    ("resgan-sample pict", ["pictures/"]), ("resgan-train pict", []),
    ("resgan-evaluate metrics=in", ["metrics=inception"]), ("resgan-plan cluster=h", ["cluster=here"]),
    ("resgan-plan generator.blo", ["generator.block=", "generator.blocks="]),
    ("resgan-sweep sampler=t", ["sampler=tpe"]),
    ("resgan-train nosuch=", []), ("resgan-train generator=nosuch generator.wid", ["generator.width="]),
])  # fmt: skip
def test_what_is_offered(tmp_path, monkeypatch, line, expected):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").touch()
    assert offered(line) == expected


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_offered_and_no_other(name):
    """Each word that is offered is a group of files, or the beginning of an option that some choice of files has."""
    known = set().union(*(names(command.options) for command in COMMANDS[name])) | {"hydra/launcher"}
    first = [word for word in offered(f"resgan-{name} ") if word.endswith(("=", "."))]
    heads = {option.split(".")[0] for option in known}
    assert {word[:-1] for word in first} - heads == {group for group in ("experiment",) if f"{group}=" in first}
    assert heads <= {word[:-1] for word in first} | ({"hydra/launcher"} - {word[:-1] for word in first})
    for group in (word for word in first if word.endswith(".")):
        inside = offered(f"resgan-{name} {group}")
        assert inside
        assert {word[:-1] for word in inside} <= known


def test_hidden_files_are_offered_when_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / "cache").mkdir()
    assert (paths_from(""), paths_from(".")) == (["cache/"], [".cache/"])
    assert paths_from("nowhere/") == []


BASH = """
eval "$({folder}/resgan-train --completion bash)"
compopt() {{ :; }}  # there is no completion going on
for line in "$@"; do
  COMP_LINE="$line" COMP_POINT=${{#line}} COMPREPLY=()
  _resgan {folder}/resgan-train
  echo "${{COMPREPLY[*]}}"
done
complete -p resgan-train resgan-sample resgan-report
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_puts_in_what_follows_the_last_equals_sign(tmp_path):
    """Bash splits a word at =, so that only what follows it is replaced."""
    command = tmp_path / "resgan-train"
    command.write_text(f'#!/bin/bash\nexec {sys.executable} -m resgan.train "$@"\n')
    command.chmod(0o755)
    lines = ["resgan-train disc.residual=", "resgan-train generator.nor"]
    shown = subprocess.run(
        ["bash", "-c", BASH.format(folder=tmp_path), "-", *lines], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert shown[:2] == ["true false", "generator.norm= generator.norm_place="]
    assert len(shown) == 5


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_serves_every_command(shell):
    text = script(shell)
    assert "COMMANDS" not in text
    assert all(f"resgan-{name}" in text for name in [*COMMANDS, "bench", "report"])


def test_the_groups_are_those_of_conf():
    assert offered("resgan-train data=") == [f"data={name}" for name in files_of("data")]
