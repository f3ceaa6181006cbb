"""Several seeds as one: each is what it would be alone."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from helpers.options import options_of
from helpers.processes import run

from resgan.base.errors import OptionsError
from resgan.base.images import to_float
from resgan.base.signals import Stopped, StopSignal
from resgan.builders.data import build_dataset, is_conditional
from resgan.builders.gan import build_gan, build_stack
from resgan.builders.networks import spec_of
from resgan.cli.arguments import one_job_for_all_seeds
from resgan.experiment.session import Member, at_same_progress
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.configuration import differences
from resgan.train import COMMAND
from resgan.training import checkpoints
from resgan.training.callbacks import RecorderCallback
from resgan.training.gan import GAN
from resgan.training.recorder import Diverged, Recorder
from resgan.training.stack import stack_states, unstack_into, unstack_state

SEEDS = (3, 0, 7)
POINTS = ["data=gaussians", "generator.width=8", "disc.width=8", "generator.blocks=1", "disc.blocks=1", "batch_size=6"]
PICTURES = ["generator.width=4", "disc.width=4", "generator.latent_dim=3", "batch_size=4"]
ARMS = {
    "points": POINTS,
    "wasserstein, five steps of D": [*POINTS, "loss=wasserstein", "disc.steps=2", "generator.batch_size=9"],
    "pictures, plain G": [*PICTURES, "generator.residual=false"],
    "running statistics, classes, adaptive augmentation": [
        *PICTURES, "generator.norm=batch", "disc.norm=group", "augment=adaptive", "augment.adapt=r_t",
        "augment.adapt_kimg=0.1", "augment.target=0.1", "loss=nonsaturating",
        "generator.conditional=norm", "disc.conditional=projection",
    ],
    "a burn-in": [
        *PICTURES, "generator.block=bottleneck", "generator.norm=none", "generator.group_size=4", "burn_in_kimg=0.02",
        "generator.decay=none", "generator.lr_final=1e-4", "loss.r1_final=0.1", "generator.ema_kimg_final=0.01",
        "augment=diffaugment", "augment.p=0.1", "augment.p_final=0.9",
    ],
    "dcgan": ["generator=dcgan", "disc=dcgan", "generator.width=8", "disc.width=8", "batch_size=4"],
}  # fmt: skip


def make(overrides: list[str]) -> tuple[TrainOptions, list[GAN], list]:
    gans, datasets = [], []
    for seed in SEEDS:
        options = check(TrainOptions, options_of(*overrides, f"seed={seed}"))
        datasets.append(build_dataset(options.data, seed=seed, progress=False))
        gans.append(build_gan(options, spec_of(options, datasets[-1]), datasets[-1]))
    return options, gans, datasets


def batches(options: TrainOptions, datasets: list, step: int) -> list:
    """Of each seed, others at every step."""
    index = torch.arange(step * options.batch_size, (step + 1) * options.batch_size)
    real = [as_floats(data.train[index]).to(torch.get_default_dtype()) for data in datasets]
    if not is_conditional(options):
        return real
    return [(x, data.labels[index]) for x, data in zip(real, datasets, strict=True)]


def as_floats(samples: torch.Tensor) -> torch.Tensor:
    return to_float(samples) if samples.dtype == torch.uint8 else samples


def as_one(each: list):
    return torch.stack(each) if isinstance(each[0], torch.Tensor) else tuple(map(torch.stack, zip(*each, strict=True)))


def close(a, b, **tolerance) -> None:
    """Two states, tensor by tensor."""
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            close(a[key], b[key], **tolerance)
    elif isinstance(a, torch.Tensor):
        torch.testing.assert_close(a, b, **tolerance)
    else:
        assert a == b


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("name", ARMS)
def test_each_of_a_stack_is_what_it_is_alone(name):
    """Weights, averages, running statistics, the state of Adam, p, losses: after six steps."""
    options, gans, datasets = make(ARMS[name])
    _, shown, _ = make(ARMS[name])
    stack = build_stack([options] * len(shown), shown)
    before = [gan.training_state()["generator"] for gan in shown]
    for step in range(6):
        each = batches(options, datasets, step)
        stack.training_step(as_one(each), step)
        for gan, real in zip(gans, each, strict=True):
            gan.training_step(real, step)
    before = stack_states(before)
    unstack_into(stack, dict(enumerate(shown)))
    for place, (gan, other) in enumerate(zip(gans, shown, strict=True)):
        state = other.training_state()
        # Biases in front of a norm have no gradient but rounding, of which Adam makes lr * 1e-13 / 1e-8 a step at the
        # most: 1.5e-7 was seen in six. What has a gradient moves by lr a step, a thousandth.
        close(gan.training_state(), state, rtol=1e-7, atol=1e-6)
        close(dict(gan.losses), dict(other.losses), rtol=1e-7, atol=1e-9)
        moved = [not torch.equal(state["generator"][key], value) for key, value in unstack_state(before, place).items()]
        assert any(moved)
    weights = [gan.training_state()["generator"] for gan in shown]
    assert not all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def test_each_is_measured_by_its_own_held_out_pictures():
    options, gans, _ = make([*PICTURES, "augment=adaptive", "generator.conditional=norm", "disc.conditional=concat"])
    pictures, labels = build_stack([options] * len(gans), gans).held_out(5)
    for place, gan in enumerate(gans):
        alone, told = gan.held_out(5)
        assert torch.equal(pictures[place], alone)
        assert torch.equal(labels[place], told)
    assert not torch.equal(pictures[0], pictures[1])


def test_the_state_of_a_stack_is_that_of_its_gans():
    """Bit for bit, there and back, after steps that each made alone."""
    options, gans, datasets = make(ARMS["points"])
    for place, (gan, data) in enumerate(zip(gans, datasets, strict=True)):
        for step in range(2):
            gan.training_step(batches(options, [data], step + place)[0], step)
    states = [gan.training_state() for gan in gans]
    for place, state in enumerate(states):
        close(unstack_state(stack_states(states), place), state, rtol=0, atol=0)
    _, others, _ = make(ARMS["points"])
    unstack_into(build_stack([options] * len(gans), gans), dict(enumerate(others)))
    for state, other in zip(states, others, strict=True):
        close(other.training_state(), state, rtol=0, atol=0)


# In a process.

TINY = [*POINTS, "metrics=exact", "metrics.samples=100", "total_kimg=0.6", "score_kimg=0.3", "save_kimg=0.3",
        "sample_kimg=0", "wandb=disabled", "trainer.progress=false"]  # fmt: skip


def state_of(path: Path) -> dict:
    return checkpoints.load(path / "checkpoints" / "final.ckpt")


def test_runs_of_a_stack_are_those_of_single_commands(tmp_path):
    together = run("train", *TINY, "seeds=0-1", "run_dir=both", cwd=tmp_path)
    assert together.returncode == 0, together.stderr
    for seed in (0, 1):
        alone = run("train", *TINY, f"seed={seed}", f"run_dir=alone{seed}", cwd=tmp_path)
        assert alone.returncode == 0, alone.stderr
        one, other = tmp_path / "both" / str(seed), tmp_path / f"alone{seed}"
        assert {path.relative_to(one) for path in one.rglob("*")} == {
            path.relative_to(other) for path in other.rglob("*")
        }
        configs = [yaml.safe_load((path / "config.yaml").read_text()) for path in (one, other)]
        assert differences(*configs) == []
        results = [json.loads((path / "result.json").read_text()) for path in (one, other)]
        assert results[0]["seed"] == seed
        for result in results:
            del result["seconds"]
        results[0]["scores"] = results[1]["scores"] = results[0]["best"] = results[1]["best"] = None
        assert results[0] == results[1]
        # In float32 Adam makes 1e-6 of rounding into 1e-3 of lr = 2e-3 in some weights; those of two seeds differ by 1.
        close(state_of(one)["generator_ema"], state_of(other)["generator_ema"], rtol=0.02, atol=0.02)
        assert json.loads((one / "provenance.json").read_text())["sessions"][0]["together"] == 2
    again = run("train", *TINY, "seed=1", "run_dir=both/1", cwd=tmp_path)  # the same run, whoever asks
    assert "finished already" in again.stderr
    more = run("train", *TINY, "seeds=0-2", "run_dir=both", cwd=tmp_path)
    assert more.stderr.count("finished already") == 2
    assert (tmp_path / "both" / "2" / "result.json").exists()


def test_a_stack_in_a_sweep_has_its_runs_by_arm_and_seed(tmp_path):
    swept = run("train", "-m", *TINY, "generator.residual=true,false", "seeds=0,2", "run_dir=s", cwd=tmp_path)
    assert swept.returncode == 0, swept.stderr
    found = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("result.json")}
    arms = {next(part for part in Path(path).parts if "generator.residual" in part) for path in found}
    assert len(found) == 4
    assert len(arms) == 2
    assert {Path(path).name for path in found} == {"0", "2"}


@pytest.mark.parametrize(("arguments", "says"), [
    (["seeds=0-1", "seed=3"], "seed=3: seeds=0-1 says which; leave one of them out"),
    (["seeds=3-1"], "seeds=3-1: expected numbers and ranges"),
    (["seeds=0,0-2"], "seeds=0,0-2: names a seed twice"),
    (["seeds=0-1", "disc.spectral=true"], "seeds=0-1: disc.spectral=true cannot be trained so"),
])  # fmt: skip
def test_seeds_that_cannot_be(tmp_path, arguments, says):
    refused = run("train", *TINY, *arguments, "run_dir=r", cwd=tmp_path)
    assert refused.returncode == 2
    assert says in refused.stderr
    assert not (tmp_path / "r").exists()


def test_a_study_has_one_job_in_place_of_its_seeds():
    typed = ["study=factorial", "seeds=0-15"]
    assert one_job_for_all_seeds(typed, COMMAND) == [*typed, "seed=0"]
    for other in (["study=factorial"], ["seeds=0-3"], ["study=factorial", "seeds=null"], [*typed, "seed=1"]):
        assert one_job_for_all_seeds(other, COMMAND) == other


def test_those_that_were_killed_at_different_places_go_on_in_groups():
    options = check(TrainOptions, options_of("data=gaussians", "seeds=0-4")).each_seed()

    def member(seed: int, place: int, **values: object) -> Member:
        given = options[seed].with_values(values)
        return Member(given, None, None, SimpleNamespace(gan=SimpleNamespace(images_seen=place)), state={})  # type: ignore[arg-type]

    members = [member(seed, place) for seed, place in enumerate((100, 200, 100))]
    assert at_same_progress(members) == [[members[0], members[2]], [members[1]]]
    # And so do those of which one goes on as it began, before an option was there.
    other = member(3, 100, **{"trainer.fused": False})
    assert at_same_progress([members[0], other]) == [[members[0]], [other]]


# One among others.


def recorders(count: int) -> tuple[list[Recorder], StopSignal, list]:
    """Of which it is written down what was asked of them."""
    stop, done, made = StopSignal(), [], []
    for k in range(count):
        recorder = Recorder.__new__(Recorder)
        recorder.gan, recorder.stop, recorder.diverged = SimpleNamespace(images_seen=5), stop, False
        recorder.save = lambda k=k: done.append(f"save {k}")
        recorder.name = k
        made.append(recorder)
    return made, stop, done


def test_one_that_diverges_is_done_with_and_the_others_go_on():
    three, stop, done = recorders(3)
    recording = RecorderCallback(three, stop=stop)

    def step(recorder) -> None:
        if recorder.name == 1:
            raise Diverged
        done.append(f"step {recorder.name}")

    recording.for_each_active(step)
    recording.for_each_active(step)
    assert done == ["step 0", "step 2", "step 0", "step 2"]
    assert [recorder.diverged for recorder in three] == [False, True, False]

    def all_fail(recorder) -> None:
        raise Diverged

    with pytest.raises(Diverged):
        recording.for_each_active(all_fail)


def test_one_that_diverged_stays_where_that_was_seen():
    options, gans, datasets = make(ARMS["points"])
    stack, (three, stop, _) = build_stack([options] * len(gans), gans), recorders(3)
    for recorder, gan in zip(three, gans, strict=True):
        recorder.gan = gan
    three[1].diverged = True
    for step in range(2):
        stack.training_step(as_one(batches(options, datasets, step)), step)
    RecorderCallback(three, stop=stop).sync_from_stack(stack)
    assert [gan.images_seen for gan in gans] == [12, 0, 12]


def test_all_save_when_a_signal_comes_while_one_is_being_scored():
    three, stop, done = recorders(3)
    three[0].diverged = True

    def step(recorder) -> None:
        if recorder.name == 2:
            stop.number = 15
        recorder.stop_if_asked()

    with pytest.raises(Stopped):
        RecorderCallback(three, stop=stop).for_each_active(step)
    assert set(done) == {"save 1", "save 2"}


def test_seeds_are_checked_in_python_too():
    with pytest.raises(OptionsError, match="seeds=x: expected numbers"):
        check(TrainOptions, options_of("seeds=x"))
