"""Numbers at the borders of what may be given: each has a least and a greatest value, and one line says so."""

import math
import re

import pytest
import yaml
from helpers.option_sets import above, below, numbers_in

from resgan.base.errors import OptionsError
from resgan.base.plain_data import flat, nested
from resgan.cli.compose import EVALUATE, TRAIN, compose_options
from resgan.cli.help import help_text
from resgan.options.evaluate import EvaluateOptions
from resgan.options.plan import PlanOptions
from resgan.options.sample import SampleOptions
from resgan.options.seeds import parse_seeds
from resgan.options.sweep import SweepOptions
from resgan.options.train import TrainOptions
from resgan.options.validation import Options, check, fields_of
from resgan.sample import COMMAND as SAMPLE
from resgan.train import main as train

MODELS = (TrainOptions, SampleOptions, EvaluateOptions, PlanOptions, SweepOptions)


@pytest.mark.parametrize("model", MODELS)
def test_every_number_has_a_least_and_a_greatest_value(model: type[Options]):
    for name, field in fields_of(model).items():
        for _, low, high in numbers_in(field):
            assert math.isfinite(low) or name == "class", name
            assert math.isfinite(high) or name == "class", name  # a class is looked up in a list


LINES = [
    ("total_kimg=9223372036854775807", "total_kimg=9223372036854775807: expected at most 1e+09"),
    ("total_kimg=1e306", "total_kimg=1e+306: expected at most 1e+09"),
    ("total_kimg=1e-320", "total_kimg=1e-320: expected at least 0.001"),
    ("total_kimg=nan", "total_kimg=nan: expected a finite number"),
    ("total_kimg=inf", "total_kimg=inf: expected a finite number"),
    ("total_kimg=-0.0", "total_kimg=-0.0: expected at least 0.001"),
    ("score_kimg=1e306", "score_kimg=1e+306: expected at most 1e+09"),
    ("score_kimg=1e-9", "score_kimg=1e-09: expected 0, or at least 0.001 (one image)"),
    ("burn_in_kimg=1e306", "burn_in_kimg=1e+306: expected at most 1e+09"),
    ("generator.layer_scale=1e300", "generator.layer_scale=1e+300: expected at most 1e+30"),
    ("generator.width=1e30", "generator.width=1e+30: expected a whole number or a list, as in [8,16]"),
    ("disc.width=1000000000", "disc.width=1000000000: expected at most 65536 or a list, as in [8,16]"),
    ("generator.latent_dim=1000000000000", "generator.latent_dim=1000000000000: expected at most 65536"),
    ("trainer.threads=9223372036854775807", "trainer.threads=9223372036854775807: expected at most 256"),
    ("trainer.max_hours=1e306", "trainer.max_hours=1e+306: expected at most 100000"),
    ("batch_size=1000000000000", "batch_size=1000000000000: expected at most 1000000"),
    ("metrics.samples=1000000000", "metrics.samples=1000000000: expected at most 100000000"),
    ("disc.betas=[0,1]", "disc.betas=1: expected less than 1"),
    ("disc.lr=1e300", "disc.lr=1e+300: expected at most 1e+30"),
    ("seeds=0-99999", "seeds=0-99999: expected at most 1000 seeds"),
    ("seeds=5-3", "seeds=5-3: expected numbers and ranges, e.g. 0-63 or 1,5,8-12"),
    (f"seed={'9' * 400}", f"seed={'9' * 30}... (400 characters): expected at most 9223372036854775807"),
    ("generator.blocks=257", "generator.blocks=257: expected at most 256 or a list, as in [8,16]"),
    (
        f"generator.blocks=[{','.join(['1'] * 17)}]",
        "generator.blocks=[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]: expected a whole number or at most 16 in the list",
    ),
]
ENDLESS = [
    (f"seed={'9' * 4400}", f"seed={'9' * 30}... (4,400 characters): expected numbers of fewer than 1,000 digits"),
    (f"seeds={'9' * 4400}", f"seeds={'9' * 30}... (4,400 characters): expected numbers of fewer than 1,000 digits"),
    (
        f"generator.blocks=[{','.join(['1'] * 1_000_000)}]",
        "generator.blocks=[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1... (2,000,001 characters): expected at most 50,000 characters",
    ),
]


@pytest.fixture(scope="module")
def usual() -> dict:
    """The options of the bare command, composed once: each composition takes a tenth of a second."""
    return compose_options(TRAIN, []).model_dump()


def checked(usual: dict, word: str) -> Options:
    name, _, text = word.partition("=")
    value = float(text) if "e" in text or "n" in text else text if name == "seeds" else yaml.safe_load(text)
    return check(TrainOptions, nested({**flat(usual), name: value}))


@pytest.mark.parametrize(("word", "line"), LINES)
def test_a_number_out_of_range_is_refused_in_a_line(word: str, line: str, usual: dict):
    with pytest.raises(OptionsError) as refused:
        checked(usual, word)
    assert str(refused.value) == line


@pytest.mark.parametrize(("word", "line"), [*LINES[:6], *ENDLESS])
def test_so_it_is_on_the_command_line(word: str, line: str):
    with pytest.raises(OptionsError) as refused:
        compose_options(TRAIN, [word])
    assert str(refused.value) == line


@pytest.mark.parametrize(
    "word",
    ["total_kimg=1e9", "total_kimg=0.001", "score_kimg=0.001", "score_kimg=0", "disc.lr=1e30", "batch_size=1000000"]
    + ["generator.width=65536", f"seed={2**63 - 1}", "seeds=0-999", "generator.blocks=256", "disc.betas=[0,0.9999999]"],
)
def test_the_bounds_themselves_are_valid(word: str, usual: dict):
    checked(usual, word)


@pytest.mark.parametrize("model", [PlanOptions, SweepOptions, TrainOptions])
def test_what_lies_just_outside_a_bound_is_refused(model: type[Options]):
    """By the fields themselves: a union of numbers may allow what one of them does not."""
    from pydantic import TypeAdapter, ValidationError

    for field in fields_of(model).values():
        numbers = numbers_in(field)
        if len(numbers) != 1 or "list[" in str(field.annotation):
            continue
        [(kind, low, high)] = numbers
        adapter = TypeAdapter(typing_of(field))
        for value in (kind(low), kind(high)):
            adapter.validate_python(value)
        for value in (below(kind, low), above(kind, high)):
            with pytest.raises(ValidationError):
                adapter.validate_python(value)


def typing_of(field) -> object:
    from typing import Annotated

    return Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation


NO_NUMBERS = [0, -1, -0.0, math.nan, math.inf, 1e308, -1e308, 1e-320, 1e30, 10**30, 10**400, -(10**400)]
NO_NUMBERS += [True, "1", [], {}]


def said_of(values: dict) -> str:
    """Return the line that refuses the options; empty where they are valid."""
    try:
        check(TrainOptions, nested(values))
    except OptionsError as error:
        return str(error)
    return ""


def test_what_is_no_number_of_use_is_valid_or_refused_in_a_line(usual: dict):
    names = [name for name, field in fields_of(TrainOptions).items() if numbers_in(field) and name in flat(usual)]
    said = {(name, str(value)): said_of({**flat(usual), name: value}) for name in names for value in NO_NUMBERS}
    assert all(len(line) < 300 and "\n" not in line for line in said.values())
    assert all(line for (_, value), line in said.items() if value in ("nan", "inf", "1e+308", "{}", str(10**400)))
    assert sum(map(bool, said.values())) > 500


def test_other_commands_refuse_numbers_out_of_range():
    with pytest.raises(OptionsError, match=r"^interpolate=1000001: expected at most 1000000$"):
        compose_options(SAMPLE, ["ckpt=a.ckpt", "interpolate=1000001"])
    with pytest.raises(OptionsError, match=r"^metrics.samples=1: expected at least 2$"):
        compose_options(EVALUATE, ["ckpt=a.ckpt", "metrics.samples=1"])
    usual = {"nodes": 10**12, "devices": 1, "jobs": 1, "speed": None, "memory_gb": None, "hours": None}
    with pytest.raises(OptionsError, match=r"^cluster.nodes=1000000000000: expected at most 10000$"):
        check(PlanOptions, {"cluster": usual | {"price": None, "currency": "EUR"}})


def test_a_sweep_is_refused_before_its_first_job(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", "-m", "data=gaussians", "generator.width=16,1000000000000"])
    with pytest.raises(SystemExit) as ended:
        train()
    [line] = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line == "resgan: generator.width=1000000000000: expected at most 65536"
    assert not list(tmp_path.iterdir())


def test_two_studies_are_refused_in_a_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", "study=smoke,tuning"])
    with pytest.raises(SystemExit) as ended:
        train()
    [line] = capsys.readouterr().err.splitlines()
    assert (ended.value.code, line) == (2, "resgan: study=smoke,tuning: expected one study at a time")
    assert not list(tmp_path.iterdir())


def test_many_seeds_are_parsed_up_to_a_limit():
    assert len(parse_seeds("0-9", most=10)) == 10
    with pytest.raises(OptionsError, match=r"^seeds=0-10: expected at most 10 seeds$"):
        parse_seeds("0-10", most=10)


def test_help_says_where_the_ranges_are():
    assert "ranges of numbers: docs/command-line.md" in help_text(TRAIN)


def test_the_table_of_ranges_has_the_bounds_of_the_models():
    """docs/command-line.md, one row for a range: its options, the least, the greatest."""
    from resgan.options.conf import CONF

    text = (CONF.parent / "docs/command-line.md").read_text()
    rows = re.findall(r"^\| (`.*`) \| (\S+) \| (\S+) \|$", text, flags=re.M)
    told = {name: (float(low), float(high)) for names, low, high in rows for name in re.findall(r"`([^`]+)`", names)}
    for name, field in fields_of(TrainOptions).items():
        for _, low, high in numbers_in(field):
            found = next((told[word] for word in (name, name.rpartition(".")[2]) if word in told), None)
            assert found is not None, name
            assert found == (pytest.approx(low), pytest.approx(high)), name
