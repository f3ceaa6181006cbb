"""conf/ and the typed options agree: every file composes, every option has a default, no key is unknown."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from helpers.options import options_of
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from resgan.base.plain_data import flat
from resgan.cli.arguments import apart, as_options, is_sweep, quoted
from resgan.cli.search import read_search
from resgan.options.conf import CONF, files_of
from resgan.options.evaluate import EvaluateOptions
from resgan.options.sample import SampleOptions
from resgan.options.sweep import SweepOptions
from resgan.options.train import TrainOptions
from resgan.options.validation import check, names

GROUPS = ("generator", "disc", "loss", "augment", "data", "metrics", "trainer", "wandb", "experiment", "study")
# Files that are variants of a network of another name.
SELECTS = {"lab_plain": "lab", "lab_skip": "lab", "lab_residual": "lab", "sngan": "resnet", "wgan_gp": "resnet",
           "wgan_gp_101": "resnet101"}  # fmt: skip
FILES = [(group, name) for group in GROUPS for name in files_of(group)]


def filled(*overrides: str) -> dict:
    """Compose the overrides, with a value for every option that the user has to give."""
    values = options_of(*overrides)
    missing = [key for key, value in flat(values).items() if value == "???"]
    return options_of(*overrides, *(f"{key}=something" for key in missing))


@pytest.mark.parametrize(  # those of D are those of G
    ("group", "name"),
    [pytest.param(*one, marks=pytest.mark.slow if one[0] == "disc" else ()) for one in FILES],
)
def test_every_file_composes_and_passes(group, name):
    values = filled(f"{group}={name}")
    values.pop("experiment", None)
    options = check(TrainOptions, values)
    if group in ("generator", "disc", "loss", "data"):
        assert getattr(options, group).name == SELECTS.get(name, name)  # the file is named after what it selects


def with_bases(group: str, name: str) -> dict:
    """Return the values that a file gives its group, on top of those of its bases."""
    values = yaml.safe_load((CONF / group / f"{name}.yaml").read_text())
    bases = [entry for entry in values.pop("defaults", []) if isinstance(entry, str) and entry != "_self_"]
    values = values.get(group, values)
    for base in bases:
        values = with_bases(group, base) | values
    return values


@pytest.mark.parametrize(("group", "name"), [(g, n) for g, n in FILES if g not in ("experiment", "study")])
def test_every_option_has_a_default_in_its_file_and_every_key_is_an_option(group, name):
    values = with_bases(group, name)
    known = {key for key in names(TrainOptions, variant=values.get("name")) if key.startswith(f"{group}.")}
    assert set(flat(values, f"{group}.")) == known


def test_the_primary_files():
    train = options_of()
    assert set(train) == set(TrainOptions.model_fields)
    sample = yaml.safe_load((CONF / "sample.yaml").read_text())
    assert set(sample) - {"defaults", "hydra"} == {
        field.alias or name for name, field in SampleOptions.model_fields.items()
    }
    check(SampleOptions, options_of("ckpt=x", config="sample"))
    check(TrainOptions, train)


def test_two_arms_differ_in_one_key():
    one, other = (flat(options_of(f"disc.residual={value}")) for value in ("true", "false"))
    assert {key for key in one if one[key] != other[key]} == {"disc.residual"}


def test_a_wandb_sweep_works_through_the_command_that_users_type():
    """Its command is filled in by W&B's own code; values are as Python prints them."""
    sweep = yaml.safe_load((Path(__file__).resolve().parents[2] / "scripts" / "wandb_sweep.yaml").read_text())
    assert sweep["metric"] == {"name": "tv", "goal": "minimize"}
    assert sweep["command"][:4] == ["${env}", "${interpreter}", "-m", sweep["program"]]
    listed = {key: parameter["values"] for key, parameter in sweep["parameters"].items()}
    usual = flat(options_of())
    for wanted in (0, -1):  # the first and the last value of every parameter
        drawn = {key: values[wanted] for key, values in listed.items()}
        filled = create_sweep_command_args({"args": {key: {"value": value} for key, value in drawn.items()}})
        words = [word for part in sweep["command"][4:] for word in filled.get(part[2:-1], [part])]
        got = flat(check(TrainOptions, options_of(*words)).model_dump())
        assert {key: got[key] for key in drawn} == drawn
        assert got["loss.r2"] == got["loss.r1"] != usual["loss.r1"]
    for key in ("generator.lr", "disc.lr", "loss.r1"):
        assert listed[key][len(listed[key]) // 2] == usual[key]
    assert usual["loss.r2"] == usual["loss.r1"]
    assert listed["generator.residual"] == listed["disc.residual"] == [True, False]


def test_the_examples_of_help_are_valid():
    from resgan import bench, describe, evaluate, sample, train

    commands = ((train, TrainOptions), (sample, SampleOptions), (evaluate, EvaluateOptions))
    commands += ((describe, TrainOptions), (bench, TrainOptions))
    for module, model in commands:
        for line in module.COMMAND.examples.splitlines():
            arguments = shlex.split(re.split(r"\s{3,}", line.strip())[0])[3:]
            if is_sweep(arguments):
                arguments = [argument.split(",")[0] for argument in arguments if argument != "-m"]
            arguments = as_options(arguments, module.COMMAND)
            check(model, options_of(*map(quoted, arguments), config=module.COMMAND.primary))


@pytest.mark.slow
def test_the_examples_of_the_help_of_sweeps_are_valid():
    from resgan.sweep import COMMAND

    for line in COMMAND.examples.splitlines():
        own, words = apart(shlex.split(line)[3:], set(SweepOptions.model_fields))
        options = check(SweepOptions, options_of(*map(quoted, own), config="sweep"))
        assert read_search(words, options)[0].dimensions


@pytest.mark.parametrize("name", ["a,b", "x=y", "it's", "true", "3", "0 - zero", "(q)"])
def test_a_class_is_taken_as_it_is_typed(name):
    options = options_of("ckpt=a.ckpt", "seeds=0-3", quoted(f"class={name}"), config="sample")
    assert options["class"] == name
    assert check(SampleOptions, options).class_ == name
