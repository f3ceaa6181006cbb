"""Old runs and old checkpoints, translated to the options of today."""

import json
import tarfile
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from helpers.options import nested, options_of

from resgan.base.plain_data import flat
from resgan.builders.networks import build_networks, spec_of_networks
from resgan.options.conf import read_file, read_primary
from resgan.options.networks import TRAINING
from resgan.options.train import TrainOptions
from resgan.options.validation import check, names
from resgan.runs import history
from resgan.runs.configuration import differences, is_bookkeeping
from resgan.runs.directory import Run, RunError
from resgan.runs.history import ADDED, NETWORKS, Added, completed, completed_spec, kept
from resgan.runs.naming import arm_name

EARLIER = Path(__file__).resolve().parents[1] / "data" / "earlier"
RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "gaussians"
ARCHIVES = {  # archives of real runs, with their number: made by commits 21fc1bd, f144ecf
    "runs.tar.xz": 416,
    "first-bias/runs.tar.xz": 112,
}
BLOCKS = "name width residual block blocks norm spectral join init"
PUBLISHED = "name width residual spectral init norm"
# Keys in the specs when each kind of network was new (b85c894, e236d64): of G, without latent_dim, and of D.
FIRST_SPECS = {
    "lab": (BLOCKS, BLOCKS),
    "mlp": (BLOCKS, BLOCKS),
    "resnet": (f"{PUBLISHED} projection upsample conditional", f"{PUBLISHED} projection pool conditional"),
    "resnet101": (f"{PUBLISHED} projection", f"{PUBLISHED} projection"),
    "dcgan": (f"{PUBLISHED} projection", f"{PUBLISHED} projection"),
    "r3gan": (f"{PUBLISHED} blocks group_size conditional", f"{PUBLISHED} blocks group_size conditional"),
}
KINDS = {"lab": "lab", "mlp": "mlp", "resnet": "sngan", "resnet101": "wgan_gp_101", "dcgan": "dcgan", "r3gan": "r3gan"}


@cache
def today(*overrides: str) -> dict:
    """Compose a flattened configuration as it is written today."""
    values = options_of(*overrides)
    return flat(check(TrainOptions, {k: v for k, v in values.items() if k != "experiment"}).model_dump())


def old_configs(archive: str) -> list[dict]:
    with tarfile.open(RESULTS / archive) as tar:
        files = [tar.extractfile(member) for member in tar if member.name.endswith("config.yaml")]
        return [flat(yaml.load(file, Loader=yaml.CSafeLoader)) for file in files if file]


def without(config: dict, *options: str) -> dict:
    return {option: value for option, value in config.items() if option not in options}


def as_then(old: dict, now: dict) -> dict:
    """Return today's options, with the old behaviour for those that an old run did not have."""
    return now | {row.option: row.before for row in ADDED if row.option in now and row.option not in old}


def earlier(config: dict) -> dict:
    """Return the options as they were before any was added."""
    return without(config, *(row.option for row in ADDED))


def kept_data(old: dict, *overrides: str) -> dict:
    """Return the data options that an old run continues with when `overrides` ask for others."""
    return {name: value for name, value in kept(old, today(*overrides)).items() if name.startswith("data")}


def options_that_differ(old: dict, new: dict) -> list[str]:
    return [text.split(" ")[0] for text in differences(old, new)]


def present(row: Added) -> dict:
    """Compose today's configuration of a run that has the option."""
    if row.option.startswith("data."):
        return today("data=folder", "data.path=x")
    return today()


# Real runs.


@pytest.mark.parametrize("archive", ARCHIVES)
def test_every_old_run_is_valid_today_and_nothing_but_what_was_added_differs(archive):
    configs = old_configs(archive)
    assert len(configs) == ARCHIVES[archive]
    like = today("data=gaussians", "metrics=exact")
    rows = {row.option: row.before for row in ADDED}
    for old in configs:
        new = completed(old, like)
        assert without(new, *(new.keys() - old.keys())) == old
        assert {option: new[option] for option in new.keys() - old.keys()} == {
            option: rows[option] for option in like.keys() - old.keys()
        }
        assert flat(check(TrainOptions, nested(new)).model_dump()) == new  # every option is there, and valid


@pytest.mark.parametrize("archive", ARCHIVES)
def test_an_old_run_is_the_same_with_what_it_did_then_and_another_with_anything_else(archive):
    for old in old_configs(archive)[::40]:
        now = today("data=gaussians", "metrics=exact") | old
        then = as_then(old, now)
        assert any("no option then" in text for text in differences(old, then))
        assert differences(completed(old, then), then) == []
        assert sorted(options_that_differ(completed(old, now), now)) == sorted(options_that_differ(then, now))
        assert {"trainer.fused", "disc.norm_place"} <= set(options_that_differ(then, now))
        wider = then | {"generator.width": 65}
        assert differences(completed(old, wider), wider) == ["generator.width was 64, is 65"]


# Options that were added.


def test_no_option_has_two_rows_and_each_is_an_option_of_today():
    options = [row.option for row in ADDED]
    assert len(options) == len(set(options))
    assert set(options) <= set(names(TrainOptions))
    assert set(history.RENAMED.values()) <= set(names(TrainOptions)) | set(history.DROPPED)
    assert not set(history.DROPPED) & set(names(TrainOptions))


@pytest.mark.parametrize("row", ADDED, ids=lambda row: row.option)
def test_a_run_from_before_an_option_is_one_with_its_row_and_no_other(row):
    now = present(row)
    same, other = now | {row.option: row.before}, now | {row.option: "another"}
    old = without(now, row.option)
    assert differences(completed(old, same), same) == []
    assert len(differences(completed(old, other), other)) == (0 if is_bookkeeping(row.option) else 1)
    assert flat(check(TrainOptions, nested(completed(old, now))).model_dump()) == same


def test_what_an_old_run_says_stands():
    now = today("generator.branch_scale=0.3")
    assert completed(now, now) == now
    assert completed(without(now, "seed"), now) == without(now, "seed")  # every run has always had a seed


@pytest.mark.parametrize("kind", ["lab", "mlp"])
def test_a_kind_of_network_gets_what_it_has(kind):
    now = today(f"generator={kind}", f"disc={kind}")
    first = without(now, *(row.option for row in ADDED))
    assert completed(first, names(TrainOptions)).keys() == now.keys()


# Specs.


def spec_of(kind: str, *, as_first: bool = False) -> dict:
    """Return a spec as today's checkpoints hold it; as_first: of a network like the first of its kind."""
    group = KINDS[kind]
    size = {"dcgan": 32, "resnet101": 64, "resnet": 32, "r3gan": 32}.get(kind, 16)
    now = today(f"generator={group}", f"disc={group}", "loss=hinge")
    options = check(TrainOptions, nested(as_then({}, now) if as_first else now))
    return spec_of_networks(options, (3, size, size), classes={})


@pytest.mark.parametrize("kind", FIRST_SPECS)
def test_the_first_spec_of_each_kind_says_today_what_todays_says(kind):
    now = spec_of(kind, as_first=True)
    first = now | {
        network: {name: now[network][name] for name in keys.split()}
        for network, keys in zip(NETWORKS, FIRST_SPECS[kind], strict=True)
    }
    first["generator"]["latent_dim"] = now["generator"]["latent_dim"]
    assert completed_spec(without(first, "classes")) == now
    assert completed_spec(now) == now


@pytest.mark.parametrize("kind", ["lab", "mlp"])
def test_a_first_spec_makes_both_networks(kind):
    now = spec_of(kind, as_first=True)
    added = {row.option.split(".")[-1] for row in ADDED}
    old = now | {network: without(now[network], *added) for network in NETWORKS}
    for net, same in zip(build_networks(completed_spec(old)), build_networks(now), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(net.parameters(), same.parameters(), strict=True))


def test_rows_with_kinds_are_those_of_what_a_network_is():
    for row in ADDED:
        network, _, name = row.option.partition(".")
        assert bool(row.kinds) == (network == "data" or (network in NETWORKS and name not in TRAINING))


# Options that were renamed or dropped.


def test_a_renamed_option_keeps_its_value(monkeypatch):
    monkeypatch.setattr(history, "RENAMED", {"generator.start": "generator.init", "length": "total_kimg"})
    now = today("generator.init=glorot", "total_kimg=7")
    old = without(now, "generator.init", "total_kimg") | {"generator.start": "glorot", "length": 7.0}
    assert differences(completed(old, now), now) == []
    old["length"] = 8.0
    assert differences(completed(old, now), now) == ["total_kimg was 8.0, is 7.0"]
    spec = spec_of("lab")
    old = spec | {"generator": without(spec["generator"], "init") | {"start": spec["generator"]["init"]}}
    assert completed_spec(old) == spec


def test_a_dropped_option_is_a_difference_only_where_it_did_something(monkeypatch):
    monkeypatch.setattr(history, "DROPPED", {"disc.noise": 0.0, "loss.twice": False})
    now = today()
    assert differences(completed(now | {"disc.noise": 0.0, "loss.twice": False}, now), now) == []
    for option, value in {"disc.noise": 0.1, "loss.twice": True}.items():
        [found] = differences(completed(now | {option: value}, now), now)
        assert found.startswith(f"{option} was ")
    spec = spec_of("lab")
    quiet, loud = (spec | {"disc": spec["disc"] | {"noise": noise}} for noise in (0.0, 0.1))
    assert completed_spec(quiet) == spec
    assert completed_spec(loud) == loud


def test_an_option_that_comes_later_is_one_row(monkeypatch):
    monkeypatch.setattr(history, "ADDED", (*ADDED, Added("generator.noise", 0.0, ("lab",))))
    old = today()
    assert completed(old, [*old, "generator.noise"]) == old | {"generator.noise": 0.0}
    assert completed(old, old) == old  # unchanged while there is no such row
    assert completed_spec(spec_of("lab"))["generator"]["noise"] == 0.0
    assert "noise" not in completed_spec(spec_of("mlp"))["generator"]


def test_every_option_that_came_later_has_a_row_and_every_one_that_went_is_named():
    """Compare with the options at 770148d: a forgotten row orphans earlier runs."""
    then = json.loads((EARLIER / "770148d" / "options.json").read_text())
    today_names = {(row.option, row.before): row.today for row in history.RENAMED_VALUES}
    for files, options in then.items():
        for file in files.split(" ") if files.strip() else [""]:
            group, _, name = file.partition("=")
            name = today_names.get((f"{group}.name", name), name)
            now = read_file(group, name).of_group(group) if group else read_primary("train")[0]
            came, went = set(now) - set(options), set(options) - set(now)
            assert came <= {row.option for row in ADDED} | set(history.RENAMED.values()), file
            assert went <= set(history.RENAMED) | set(history.DROPPED), file


# Values that were renamed, and defaults that were changed.

DEFAULTS = json.loads((EARLIER / "770148d" / "defaults.json").read_text())
REDESIGNED = {"study=depth"}  # has other runs than it had


@pytest.mark.parametrize("line", sorted(DEFAULTS.keys() - REDESIGNED))
def test_a_run_of_an_earlier_version_goes_on_with_the_same_command(line, tmp_path):
    """A default that changes without a row in NEW_DEFAULTS orphans earlier runs."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(nested(DEFAULTS[line])))
    run, now = Run(tmp_path), check(TrainOptions, nested(today(*line.split())))
    run.check(now.with_values(run.kept_options(like=now.model_dump())).model_dump())


def test_shapes_of_before_the_smooth_ones_are_the_hard_edged():
    old = {"data.name": "shapes", "data.size": 32, "data.flip": False}
    assert completed(old, old) == old | {"data.name": "shapes_hard"}
    assert kept_data(old, "data=shapes", "data.size=32") == {"data": {"name": "shapes_hard", "size": 32, "flip": False}}
    for asked in ("data.count=500", "data.withhold=true"):  # options that an earlier run does not have
        assert kept_data(old, "data=shapes", asked) == {}
    now = today("data=shapes")
    assert completed(now, now) == now
    assert without(kept(now, now), *history.FOUND) == {}


def test_the_data_a_run_began_with_is_kept_unless_it_is_typed(tmp_path):
    old = earlier(today("data=shapes_hard")) | {"data.name": "shapes"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(nested(old)))
    run, now = Run(tmp_path), check(TrainOptions, nested(today()))
    as_begun = now.with_values(run.kept_options(like=now.model_dump()))
    assert as_begun.data.name == "shapes_hard"
    run.check(as_begun.model_dump())
    with pytest.raises(RunError, match=r"data.name was shapes_hard, is shapes"):
        run.check(now.model_dump())


def test_a_run_on_25_modes_goes_on_with_them():
    old = earlier(today("data=gaussians", "data.modes=25"))
    assert kept_data(old, "data=gaussians") == {"data.modes": 25}
    assert kept_data(old, "data=gaussians", "data.modes=16") == {}
    assert kept_data(earlier(today("data=gaussians", "data.modes=16")), "data=gaussians") == {}
    assert kept_data(old) == {}


def test_an_old_run_on_a_folder_reads_no_dataset_json():
    """It took folders for classes even where a dataset.json lay beside them; all else of its data is as by default."""
    now = today("data=folder", "data.path=x", "data.cache=false")
    assert kept_data(earlier(now), "data=folder", "data.path=x") == {"data.labels": "folders"}


# Run directories.


def test_an_old_run_keeps_what_has_another_default_today_and_refuses_what_is_asked_otherwise(tmp_path):
    now = today()
    old = without(now, *(row.option for row in ADDED)) | {"trainer.precision": "32-true"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(nested(old)))
    run = Run(tmp_path)
    as_begun = {row.option: row.before for row in ADDED if row.keeps and row.option in now}
    as_begun |= {"trainer.precision": "32-true"}
    assert run.kept_options(like=nested(now)) == as_begun
    then = as_then(old, now) | {"trainer.precision": "32-true"}
    assert set(as_begun) == set(options_that_differ(then, now))  # and no others need to be kept
    typed = run.kept_options(like=nested(now | {"trainer.precision": "bf16-mixed"}))
    assert typed == without(as_begun, "trainer.precision")
    run.check(nested(now | as_begun))
    for asked in ("augment=diffaugment", "generator=lab_skip", "trainer.fused=true"):
        changed = nested(today(asked) | {k: v for k, v in as_begun.items() if k not in asked})
        with pytest.raises(RunError, match="belongs to another configuration"):
            run.check(changed)


@pytest.mark.parametrize("row", history.NEW_DEFAULTS, ids=lambda row: "-".join(map(str, row.before.values())))
def test_an_old_run_goes_on_with_the_defaults_it_had_and_a_run_of_today_with_what_is_asked(row):
    points = row.before.get("data.name") == "gaussians" or "mlp" in row.before.values()
    metrics = {"metrics.scores": "metrics=full", "metrics.weights": "metrics=fid"}
    asked = ["data=gaussians"] * points + [words for option, words in metrics.items() if option in row.before]
    now = today(*asked)
    if "study" in row.before:
        now = now | {"study": row.before["study"], **read_file("study", row.before["study"]).values}
    assert row.today == {option: now[option] for option in row.today}  # the defaults of today
    kept_before = {option: value for option, value in row.before.items() if now[option] != value}
    assert kept_before
    if "data.name" not in kept_before:
        assert kept_before.items() <= kept(earlier(now) | row.before, now).items()
        assert not kept_before.keys() & kept(earlier(now) | dict.fromkeys(row.before, "another"), now).keys()
        if row.since:  # else no run of today has the old values unless they were typed
            assert not kept_before.keys() & kept(now | row.before, now).keys()  # typed, since the run is newer


def test_a_config_that_cannot_be_read_is_refused_in_one_line(tmp_path):
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(RunError, match="cannot be used"):
        Run(tmp_path).kept_options(like={})


def test_a_permission_is_part_of_an_arms_name_and_of_no_configuration():
    assert arm_name(["loss.gp_with_spectral=true"], residual=(True, True)) == "both_loss.gp_with_spectral-true"
    assert differences({"loss.gp_with_spectral": True}, {"loss.gp_with_spectral": False}) == []
