"""Defaults are in conf/; where a Python constructor has one too, it is the same."""

import dataclasses
import inspect

import pytest
from helpers.options import options_of

from resgan.builders.networks import NETWORKS
from resgan.metrics.extractors import load_extractor
from resgan.options.block import BlockOptions
from resgan.options.conf import read_file
from resgan.training.gan import GAN
from resgan.training.schedules import Adam, Augmentation, Penalty

FILES = {"resnet": "sngan", "resnet101": "wgan_gp_101"}  # of networks whose files have other names
NOT_OPTIONS = {"shape", "classes"}  # decided by the data


def python_defaults(constructor) -> dict:
    parameters = inspect.signature(constructor).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty and p.name not in NOT_OPTIONS}


def block_options(values: dict) -> BlockOptions:
    """Return the options of a block from those of a network, where its kind is called `block`."""
    given = {"kind": values["block"]} | {k: v for k, v in values.items() if k != "block"}
    return BlockOptions(**{f.name: given[f.name] for f in dataclasses.fields(BlockOptions) if f.name in given})


@pytest.mark.parametrize("group", ["generator", "disc"])
@pytest.mark.parametrize("name", NETWORKS)
def test_a_networks_defaults_in_python_are_those_of_its_file(group, name):
    values = options_of(f"{group}={FILES.get(name, name)}")[group]
    found = python_defaults(NETWORKS[name][0 if group == "generator" else 1])
    expected = values | {"seed": options_of()["seed"]} | ({"block": block_options(values)} if "block" in found else {})
    expected = {"conditional": "none"} | expected  # not an option of every network
    assert found == {key: expected[key] for key in found}
    if name in ("lab", "mlp"):  # these can be made from a shape alone
        made = {key for key in values if key in inspect.signature(NETWORKS[name][0]).parameters}
        assert made <= set(found)


@pytest.mark.parametrize("group", ["generator", "disc"])
def test_a_blocks_defaults_in_python_are_those_of_its_file(group):
    values = {key.removeprefix(f"{group}."): value for key, value in read_file(group, "_blocks").values.items()}
    assert block_options(values) == BlockOptions()
    assert options_of()[group]["group_size"] == BlockOptions().group_size


def test_the_defaults_of_training_in_python_are_those_of_conf():
    options = options_of()
    generator, augment = options["generator"], options["augment"]
    assert python_defaults(Adam) == {key: generator[key] for key in ("lr_final", "beta2_final")}
    assert python_defaults(Penalty) == {"final": options["loss"]["r1_final"]}
    assert python_defaults(GAN) == {
        "ema_kimg_final": generator["ema_kimg_final"],
        "burn_in": 1000 * options["burn_in_kimg"],
        "generator_batch": generator["batch_size"],
        "augmentation": None,  # no operations
        "randomness": None,  # of one seed
    }
    found = python_defaults(Augmentation)
    assert {key: found[key] for key in ("p_final", "adapt", "target")} == {
        key: augment[key] for key in ("p_final", "adapt", "target")
    }
    assert found["length"] == 1000 * augment["adapt_kimg"]
    assert found["flip"] == options["data"]["flip"]


def test_the_defaults_of_extractors_in_python_are_those_of_conf():
    metrics = options_of()["metrics"]
    assert python_defaults(load_extractor) == {"weights": metrics["weights"], "clean": metrics["resize"] == "clean"}
