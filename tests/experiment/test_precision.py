"""trainer.precision=auto: what it stands for, and that a run keeps what it began with, wherever it goes on."""

from pathlib import Path

import pytest
import torch
import yaml
from helpers.options import options_of

from resgan.base.device import has_bfloat16
from resgan.experiment import benchmark, precision, session
from resgan.experiment.precision import find_precision, with_precision
from resgan.experiment.study import Job
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.directory import RunError

TINY = ["generator.width=4", "disc.width=4", "generator.latent_dim=3", "batch_size=4", "metrics=exact",
        "wandb=disabled", "trainer.accelerator=cpu", "trainer.progress=false"]  # fmt: skip


def options(*overrides: str) -> TrainOptions:
    return check(TrainOptions, options_of(*TINY, *overrides))


@pytest.fixture
def hardware(monkeypatch):
    """Say whether this machine has bfloat16."""
    return lambda has: monkeypatch.setattr(precision, "has_bfloat16", lambda accelerator: has)


# The hardware.


@pytest.mark.parametrize(("native", "capability", "has"), [
    (True, (9, 0), True), (True, (8, 0), True), (True, (7, 5), False), (False, (8, 6), False),
])  # fmt: skip
def test_a_gpu_has_bfloat16_from_8_0_on(monkeypatch, native, capability, has):
    """Older GPUs emulate it, which torch says only where it is asked."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert has_bfloat16("cuda") is has


@pytest.mark.parametrize("amx", [True, False])
def test_a_processor_has_it_with_amx(monkeypatch, amx):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert has_bfloat16("cpu") is amx
    assert not has_bfloat16("mps")


def test_torch_can_be_asked():
    assert has_bfloat16("cpu") in (True, False)


# What auto stands for.


@pytest.mark.parametrize(("overrides", "found"), [
    ([], "bf16-mixed"),
    (["data=folder", "data.path=x", "data.size=null"], "bf16-mixed"),  # images, whose size is only known from the files
    (["data=gaussians"], "32-true"),
    (["study=mine"], "32-true"),
    (["tuning.best=own", "tuning.runs=runs/tuning"], "32-true"),
])  # fmt: skip
def test_auto_is_bf16_for_pictures_outside_of_studies(hardware, overrides, found):
    hardware(True)
    given = options_of(*TINY, *(o for o in overrides if not o.startswith("study")))
    given = check(TrainOptions, given | ({"study": "mine"} if "study=mine" in overrides else {}))
    assert given.trainer.precision == "auto"  # the default
    assert find_precision(given) == found
    hardware(False)
    assert find_precision(given) == "32-true"


def test_what_is_typed_stands_and_seeds_take_what_others_have(hardware, capsys):
    hardware(True)
    auto, single, half = (options(*o) for o in ([], ["trainer.precision=32-true"], ["trainer.precision=bf16-mixed"]))
    for given, found in (
        ([single], ["32-true"]),
        ([half, half], ["bf16-mixed"] * 2),
        ([auto, single], ["32-true"] * 2),
        ([auto, half, single], ["32-true", "bf16-mixed", "32-true"]),
    ):
        assert [one.trainer.precision for one in with_precision(given)] == found
    assert [one.trainer.precision for one in with_precision([auto, auto])] == ["bf16-mixed"] * 2
    hardware(False)
    assert [one.trainer.precision for one in with_precision([auto, half])] == ["bf16-mixed"] * 2
    assert [one.trainer.precision for one in with_precision([auto])] == ["32-true"]
    assert with_precision([]) == []
    assert capsys.readouterr().err == ""  # it is announced when the run begins


# A run.


class Trained(Exception):
    """Raised in place of the training."""


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """Begin or continue a run up to Lightning, and return its precision there and in config.yaml, of each seed."""
    given = []

    def fit(*args: object, **settings: object) -> None:
        given.append(settings["precision"])
        raise Trained

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(session, "fit", fit)

    def call(*overrides: str) -> tuple[str, list[str]]:
        given.clear()
        job = Job(overrides=list(overrides), arguments=[], sweep_dir=None)
        with pytest.raises(Trained):
            session.train(options(*overrides, "run_dir=run"), job)
        stored = [yaml.safe_load(path.read_text()) for path in sorted(Path("run").rglob("config.yaml"))]
        return given[0], [config["trainer"]["precision"] for config in stored]

    return call


@pytest.mark.parametrize(("first", "seeds"), [(True, []), (False, []), (True, ["seeds=0-1"])])
def test_a_run_keeps_the_precision_it_began_with_on_another_machine(hardware, begin, first, seeds, capsys):
    hardware(first)
    found = "bf16-mixed" if first else "32-true"
    kept = (found, [found] * (1 + len(seeds)))
    assert begin(*seeds) == kept
    assert capsys.readouterr().err.count("computes in bf16-mixed") == first
    hardware(not first)
    for again in ([], ["trainer.precision=auto"], ["++trainer.precision=auto"], [f"trainer.precision={found}"]):
        assert begin(*seeds, *again) == kept
    assert "computes in" not in capsys.readouterr().err
    other = "32-true" if first else "bf16-mixed"
    with pytest.raises(RunError, match=rf"trainer\.precision was {found}, is {other}"):
        session.train(
            options(*seeds, f"trainer.precision={other}", "run_dir=run"),
            Job(overrides=[*seeds, f"trainer.precision={other}"], arguments=[], sweep_dir=None),
        )


def test_a_seed_that_is_added_takes_the_precision_of_those_there(hardware, begin):
    hardware(False)
    begin("seeds=0-1")
    hardware(True)
    assert begin("seeds=0-2") == ("32-true", ["32-true"] * 3)


def test_the_benchmark_compares_with_what_auto_stands_for(hardware, monkeypatch, capsys):
    typed = []

    def measure(options: TrainOptions, variants: list, *where: object) -> dict:
        typed.extend(variant.typed for variant in variants)
        return dict.fromkeys(variants, 1.0)

    monkeypatch.setattr(benchmark, "measure", measure)
    for has, other in ((True, "trainer.precision=32-true"), (False, "trainer.precision=bf16-mixed")):
        hardware(has)
        typed.clear()
        benchmark.bench(options(), Job(overrides=[], arguments=[], sweep_dir=None))
        assert other in typed
