"""Stacks of runs: each run is the same as alone."""

import copy
import functools
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
from resgan.base.processes import ALONE
from resgan.base.signals import Stopped, StopSignal
from resgan.builders.data import build_dataset, is_conditional
from resgan.builders.gan import build_gan, build_stack
from resgan.builders.networks import spec_of
from resgan.builders.stacking import stacks_of, structure
from resgan.cli.arguments import one_job_for_all_seeds
from resgan.data.dataset import Dataset
from resgan.experiment.session import Member, at_same_progress, train_together
from resgan.experiment.study import Job
from resgan.nets.blocks import Block, join, join_weights
from resgan.options.data import DataSet
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.configuration import differences
from resgan.runs.directory import Run
from resgan.train import COMMAND
from resgan.training import checkpoints
from resgan.training.callbacks import RecorderCallback
from resgan.training.gan import GAN
from resgan.training.recorder import Diverged, Recorder
from resgan.training.settings import common
from resgan.training.stack import stack_states, unstack_into, unstack_state
from resgan.training.stacked_adam import StackedAdam

SEEDS = (3, 0, 7)
NETS = ("generator", "disc")
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
    "controls of the skip": [
        *POINTS, "generator.blocks=2", "disc.blocks=2", "generator.skip=orthogonal", "generator.skip_final=0",
        "burn_in_kimg=0.03", "disc.skip=forward", "disc.skip_scale=0.5", "generator.inner=2",
    ],
    "matched and looks-linear starts": [*POINTS, "generator.init=matched", "disc.init=looks_linear"],
    "a burn-in": [
        *PICTURES, "generator.block=bottleneck", "generator.norm=none", "generator.group_size=4", "burn_in_kimg=0.02",
        "generator.decay=none", "generator.lr_final=1e-4", "loss.r1_final=0.1", "generator.ema_kimg_final=0.01",
        "augment=diffaugment", "augment.p=0.1", "augment.p_final=0.9",
    ],
    "dcgan": ["generator=dcgan", "disc=dcgan", "generator.width=8", "disc.width=8", "batch_size=4"],
}  # fmt: skip


# Options of each member, separated by |. Values are far from each other and in no order.
DEEPER = [*POINTS, "generator.blocks=3", "disc.blocks=2", "loss.r1_interval=2", "loss.r2_interval=2"]
DIFFERENT = {
    "arms": (DEEPER, "generator.residual=true disc.residual=false | generator.residual=false disc.residual=true | "
             "generator.residual=false disc.residual=false"),
    "joins": (DEEPER, "disc.join=scaled generator.join=sum | disc.join=sum disc.residual=false | "
              "generator.join=scaled"),
    "arms of one join, with gates": (
        [*DEEPER, "generator.join=gated", "disc.join=gated", "generator.block=postact"],
        "generator.residual=false | disc.residual=false | generator.lr=5e-3",
    ),
    "gates on channels, or fixed": (
        [*DEEPER, "generator.layer_scale=0.3", "disc.branch_scale=0.1"],
        "generator.residual=false | disc.residual=false | disc.join=sum",
    ),
    "arms with controls of the skip": (
        [*DEEPER, "generator.skip=orthogonal", "generator.skip_final=0", "burn_in_kimg=0.03", "disc.skip=forward"],
        "generator.residual=false | disc.residual=false | generator.join=sum",
    ),
    "arms with a learned factor on the skip": (
        [*DEEPER, "disc.skip_scale=0.5"], "generator.residual=false | disc.join=sum | generator.join=scaled",
    ),
    "starts": (DEEPER, "generator.init=zero_last | disc.init=dirac disc.residual=false | disc.init=orthogonal"),
    "rates": (DEEPER, "generator.lr=1e-4 | disc.lr=3e-2 | generator.betas=[0.5,0.9] disc.betas=[0.1,0.999]"),
    "rates that fall": ([*DEEPER, "generator.decay=cosine"], "generator.lr=1e-4 | generator.lr=1e-2 | disc.lr=1e-4"),
    "penalties": (DEEPER, "loss.r1=3 | loss.r2=5 | loss.r1=0.1"),
    "the gradient penalty": ([*POINTS, "loss=wasserstein"], "loss.gp=3 | loss.gp=30 | loss.gp=0.1"),
    "over a burn-in": (
        [*DEEPER, "burn_in_kimg=0.02", "generator.lr_final=1e-4", "disc.beta2_final=0.999", "loss.r1_final=0",
         "generator.decay=none"],
        "generator.lr=1e-2 | loss.r1=2 | disc.betas=[0.3,0.9]",
    ),
    "pictures, everything at once": (
        [*PICTURES, "generator.blocks=2", "generator.norm=pixel"],
        "disc.residual=false loss.r1=3 | generator.residual=false disc.lr=1e-2 disc.join=scaled | "
        "generator.join=sum generator.init=dirac loss.r2=0.01 generator.betas=[0.5,0.9]",
    ),
    "a network of a paper": (
        ["generator=dcgan", "disc=dcgan", "generator.width=8", "disc.width=8", "batch_size=4", "generator.norm=none",
         "disc.norm=none"],
        "generator.lr=1e-2 | disc.lr=1e-2 | loss.r1=1000",
    ),
}  # fmt: skip


def make(overrides: list[str]) -> tuple[TrainOptions, list[GAN], list]:
    each, gans, datasets = make_each(overrides, "||")
    return each[-1], gans, datasets


@functools.cache
def base(*overrides: str) -> TrainOptions:
    """Compose options, once for each call: it takes a tenth of a second."""
    return check(TrainOptions, options_of(*overrides))


@functools.cache
def dataset_of(options: DataSet, seed: int) -> Dataset:
    return build_dataset(options, seed=seed, progress=False)


def values_of(given: str) -> dict:
    """Read "a=1e-4 b=[0.5,0.9] c=sum" as Hydra does: {"a": 1e-4, "b": [0.5, 0.9], "c": "sum"}."""
    return {name: read_value(value) for name, value in (one.split("=") for one in given.split())}


def read_value(value: str) -> object:
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        return value


def make_each(overrides: list[str], own: str) -> tuple[list[TrainOptions], list[GAN], list]:
    """Make the options, GAN and data set of each seed, with its own options."""
    each, gans, datasets = [], [], []
    for seed, given in zip(SEEDS, own.split("|"), strict=True):
        each.append(options := base(*overrides).with_values({**values_of(given), "seed": seed}))
        datasets.append(dataset_of(options.data, seed))
        gans.append(build_gan(options, spec_of(options, datasets[-1]), datasets[-1]))
    return each, gans, datasets


def batches(options: TrainOptions, datasets: list, step: int) -> list:
    """Return the batch of each seed, different at every step."""
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
    """Compare two states, tensor by tensor."""
    if isinstance(a, list):
        for one, other in zip(a, b, strict=True):
            close(one, other, **tolerance)
    elif isinstance(a, dict):
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
    """Compare weights, averages, running statistics, the state of Adam, p and losses, after six steps."""
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
        # The gradients of biases before a norm are rounding alone, which Adam turns into steps of at most
        # lr * 1e-13 / 1e-8: 1.5e-7 was seen after six. Other parameters move by lr, a thousandth, in each step.
        close(gan.training_state(), state, rtol=1e-7, atol=1e-6)
        close(dict(gan.losses), dict(other.losses), rtol=1e-7, atol=1e-9)
        moved = [not torch.equal(state["generator"][key], value) for key, value in unstack_state(before, place).items()]
        assert any(moved)
    weights = [gan.training_state()["generator"] for gan in shown]
    assert not all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])


def train_apart(gans: list[GAN], options: TrainOptions, datasets: list, steps: range) -> None:
    for step in steps:
        for gan, real in zip(gans, batches(options, datasets, step), strict=True):
            gan.training_step(real, step)


def train_as_one(gans: list[GAN], each: list[TrainOptions], datasets: list, steps: range) -> None:
    stack = build_stack(each, gans)
    for step in steps:
        stack.training_step(as_one(batches(each[0], datasets, step)), step)
    unstack_into(stack, dict(enumerate(gans)))


def are_equal(gans: list[GAN], others: list[GAN]) -> None:
    for gan, other in zip(gans, others, strict=True):
        close(gan.training_state(), other.training_state(), rtol=1e-7, atol=1e-7)
        close(dict(gan.losses), dict(other.losses), rtol=1e-7, atol=1e-9)


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize("name", DIFFERENT)
def test_members_of_different_settings_are_what_they_are_alone(name):
    """Compare weights, averages, the state and settings of Adam, and losses; each setting makes a difference."""
    shared, own = DIFFERENT[name]
    each, gans, datasets = make_each(shared, own)
    assert len({structure(options) for options in each}) == 1
    _, together, _ = make_each(shared, own)
    without, alike, _ = make_each(shared, "||")
    train_apart(gans, each[0], datasets, range(6))
    train_as_one(together, each, datasets, range(6))
    are_equal(gans, together)
    train_apart(alike, without[0], datasets, range(6))
    for gan, other in zip(gans, alike, strict=True):
        states = zip(weights_of(gan), weights_of(other), strict=True)
        assert max(float((a - b).abs().max()) for a, b in states) > 1e-6


def weights_of(gan: GAN) -> list[torch.Tensor]:
    return [weight.detach() for net in (gan.generator, gan.disc) for weight in net.parameters()]


@pytest.mark.usefixtures("in_float64")
def test_members_go_on_alone_and_among_others():
    """Continue a stack of three: one alone, the others in another order."""
    each, gans, datasets = make_each(*DIFFERENT["pictures, everything at once"])
    _, moved, _ = make_each(*DIFFERENT["pictures, everything at once"])
    train_apart(gans, each[0], datasets, range(6))
    train_as_one(moved, each, datasets, range(3))
    _, fresh, _ = make_each(*DIFFERENT["pictures, everything at once"])
    for gan, other in zip(fresh, moved, strict=True):
        gan.load_training_state(copy.deepcopy(other.training_state()))
        gan.losses = dict(other.losses)
    train_apart(fresh[:1], each[0], datasets[:1], range(3, 6))
    order = [2, 1]
    train_as_one([fresh[k] for k in order], [each[k] for k in order], [datasets[k] for k in order], range(3, 6))
    are_equal(gans, fresh)


@pytest.mark.usefixtures("in_float64")
def test_a_member_that_diverges_leaves_the_others_as_they_are():
    own = "generator.residual=false | disc.lr=1e30 | loss.r1=3"
    each, gans, datasets = make_each(DEEPER, own)
    _, together, _ = make_each(DEEPER, own)
    train_apart(gans, each[0], datasets, range(4))
    train_as_one(together, each, datasets, range(4))
    assert not together[1].losses["loss_d"].isfinite()
    are_equal([gans[0], gans[2]], [together[0], together[2]])


def test_blocks_that_are_joined_alike_keep_the_way_they_had():
    for own, mixed in (("generator.lr=1e-4 | disc.lr=3e-3 |", 0), (DIFFERENT["arms"][1], 5)):
        each, gans, _ = make_each(DEEPER, own)
        stack = build_stack(each, gans)
        parts = [*stack.generator.modules(), *stack.disc.modules()]
        assert sum(isinstance(part, Block) and part.mixed is not None for part in parts) == mixed
        assert "mixed" not in str(stack.training_state().keys())


@pytest.mark.parametrize(("one", "other", "alike"), [
    ("", "study=x run_dir=y wandb.name=z trainer.threads=2", True),
    ("generator.join=sum", "generator.join=stable generator.residual=false", True),
    ("generator.join=gated", "generator.join=sum", False),  # a gate is a parameter
    ("disc.skip_scale=0", "disc.skip_scale=0 disc.residual=false", False),  # a factor that learns in one arm only
    ("disc.skip_scale=0", "disc.skip_scale=0 generator.residual=false", True),
    ("generator.blocks=2", "generator.blocks=3", False),
    ("loss.r1=0", "loss.r1=1", False),
    ("loss.r1=1", "loss.r1=2", True),
    ("loss.r1_interval=2", "loss.r1_interval=3", False),
    ("generator.decay=none", "generator.decay=linear", False),
    ("generator.ema_kimg=1", "generator.ema_kimg=2", False),
    ("total_kimg=1", "total_kimg=2", False),
    ("data.modes=9", "data.modes=25", False),
    ("generator.norm=pixel", "", False),
])  # fmt: skip
def test_what_members_may_differ_in(one, other, alike):
    found = [base("data=gaussians").with_values(values_of(given)) for given in (one, other)]
    assert (structure(found[0]) == structure(found[1])) == alike


def test_the_arms_of_a_paper_differ_in_parameters():
    sngan = base("generator=sngan", "disc=sngan", "data=cifar10", "disc.spectral=false")
    assert structure(sngan) != structure(sngan.with_values({"disc.residual": not sngan.disc.residual}))
    assert structure(sngan) == structure(sngan.with_values({"disc.lr": 1e-5}))


def test_groups_are_of_one_structure_and_no_larger_than_asked():
    given = ["", "disc.lr=5e-3", "generator.blocks=2", "seed=3", "seed=4", "generator.blocks=2 seed=5"]
    each = [base("data=gaussians").with_values(values_of(one)) for one in given]
    grouped = lambda most: stacks_of(range(len(each)), each.__getitem__, most=most)  # noqa: E731
    assert grouped(None) == [[0, 1, 3, 4], [2, 5]]
    assert grouped(3) == [[0, 1, 3], [4], [2, 5]]
    assert grouped(1) == [[0], [1], [3], [4], [2], [5]]
    spectral = [base("data=gaussians").with_values({"disc.spectral": True, "seed": seed}) for seed in (0, 1)]
    assert stacks_of(spectral, lambda one: one, most=None) == [[spectral[0]], [spectral[1]]]


@pytest.mark.parametrize("betas_differ", [True, False])
def test_adam_of_a_stack_is_that_of_each(betas_differ):
    """Compare up to a few roundings of numbers of size 1."""
    random = torch.Generator().manual_seed(0)
    start = torch.randn(4, 4, 5, generator=random)
    settings = [(0.1, (0.0, 0.999)), (0.003, (0.5, 0.9)), (0.02, (0.9, 0.9999)), (0.1, (0.0, 0.999))]
    settings = settings if betas_differ else [(lr, (0.5, 0.999)) for lr, _ in settings]
    stacked = torch.nn.Parameter(start.clone())
    lr, beta1, beta2 = (common(values) for values in zip(*((lr, *betas) for lr, betas in settings), strict=True))
    one = StackedAdam([stacked], lr=lr, betas=(beta1, beta2))
    alone = [torch.nn.Parameter(own.clone()) for own in start]
    each = [torch.optim.Adam([own], lr=lr, betas=betas, fused=True)
            for own, (lr, betas) in zip(alone, settings, strict=True)]  # fmt: skip
    for _ in range(5):
        stacked.grad = torch.randn(4, 4, 5, generator=random)
        one.step()
        for own, adam, gradient in zip(alone, each, stacked.grad, strict=True):
            own.grad = gradient
            adam.step()
    for place, (own, adam) in enumerate(zip(alone, each, strict=True)):
        torch.testing.assert_close(stacked[place].detach(), own.detach(), rtol=0, atol=10 * torch.finfo().eps)
        close(unstack_state(one.state_dict(), place), adam.state_dict(), rtol=0, atol=10 * torch.finfo().eps)


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("how", ["sum", "stable", "scaled", "gated"])
def test_a_join_is_two_numbers(how, residual):
    x, y = torch.randn(2, 100, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a, b = join_weights(residual=residual, join=how, depth=7)
    torch.testing.assert_close(a * x + b * y, join(x, y, residual=residual, join=how, depth=7))


def test_each_is_measured_by_its_own_held_out_pictures():
    options, gans, _ = make([*PICTURES, "augment=adaptive", "generator.conditional=norm", "disc.conditional=concat"])
    pictures, labels = build_stack([options] * len(gans), gans).held_out(5)
    for place, gan in enumerate(gans):
        alone, told = gan.held_out(5)
        assert torch.equal(pictures[place], alone)
        assert torch.equal(labels[place], told)
    assert not torch.equal(pictures[0], pictures[1])


def test_the_state_of_a_stack_is_that_of_its_gans():
    """Compare bit for bit, there and back, after steps that each GAN made alone."""
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


# Runs in one session.


QUICK = {"metrics.samples": 50, "data.size": 60, "total_kimg": 0.12, "score_kimg": 0, "save_kimg": 0.06,
         "sample_kimg": 0, "wandb.mode": "disabled", "trainer.progress": False,
         "trainer.precision": "32-true"}  # fmt: skip


def runs_of(folder: Path, *own: str) -> list[tuple[TrainOptions, Run]]:
    shared = base(*POINTS, "metrics=exact").with_values(QUICK)
    return [(shared.with_values(values_of(one)), Run(folder / str(place))) for place, one in enumerate(own)]


def together_in(run: Run) -> list[int]:
    return [session["together"] for session in run.sessions()]


@pytest.fixture
def job() -> Job:
    return Job(overrides=["x=1"], arguments=["x=1"], sweep_dir=None)


def test_any_runs_are_trained_together(tmp_path, job):
    """Train two structures in stacks of at most two, with a run that diverges and one that is finished already."""
    own = ("seed=3", "generator.blocks=2", "disc.lr=1e30 seed=1", "generator.residual=false seed=2", "loss.r1=3")
    runs = runs_of(tmp_path / "runs", *own)
    [(options, last)] = runs[4:]
    [before] = train_together([(options, last)], tmp_path, job)
    results = train_together(runs, tmp_path, job, most=2)
    assert [result["status"] for result in results] == ["finished", "finished", "diverged", "finished", "finished"]
    assert [result["seed"] for result in results] == [3, 0, 1, 2, 0]
    assert results[4] == before
    assert [together_in(one) for _, one in runs] == [[2], [1], [2], [1], [1]]
    for (options, one), result in zip(runs, results, strict=True):
        assert one.read_result() == result
        assert differences(one.stored_config(like=options.model_dump()), options.model_dump()) == []
        assert (one.checkpoints / "final.ckpt").exists() == (result["status"] == "finished")
    assert train_together(runs, tmp_path, job) == results  # all are finished


def test_a_run_of_a_stack_is_continued_by_anyone(tmp_path, job):
    """Continue from half of the length, alone and among others, in float32, where Adam amplifies rounding."""
    own = ("seed=3", "generator.residual=false seed=2", "disc.lr=5e-3 disc.join=sum")
    whole, parts = runs_of(tmp_path / "whole", *own), runs_of(tmp_path / "parts", *own)
    for one in whole:
        train_together([one], tmp_path, job)
    train_together(parts, tmp_path, job)
    for _, part in parts:
        for path in (part.result, part.checkpoints / "final.ckpt", part.checkpoints / "last.ckpt"):
            path.unlink()
    train_together(parts[1:2], tmp_path, job)
    train_together([parts[2], parts[0]], tmp_path, job)
    assert [together_in(part) for _, part in parts] == [[3, 2], [3, 1], [3, 2]]
    for (_, one), (_, other) in zip(whole, parts, strict=True):
        assert state_of(other.path)["images_seen"] == 120
        assert [line["kind"] for line in one.measurements()] == [line["kind"] for line in other.measurements()]
        close(state_of(one.path)["generator_ema"], state_of(other.path)["generator_ema"], rtol=0.02, atol=0.02)


def test_losses_are_read_without_the_weights(monkeypatch):
    """Check also that a signal that comes meanwhile does not save weights of another step."""
    options, gans, datasets = make(ARMS["points"])
    stack, (three, stop, done) = build_stack([options] * 3, gans), recorders(3)
    seen = []
    for recorder, gan in zip(three, gans, strict=True):
        recorder.gan = gan
        recorder.needs_weights, recorder.is_time_for_losses = lambda now: False, lambda now: now == 12
        recorder.record_losses = lambda gan=gan: seen.append((gan.images_seen, dict(gan.losses)))
    before = copy.deepcopy([gan.training_state()["generator"] for gan in gans])
    callback = RecorderCallback(three, stop=stop)
    for step in range(2):
        stack.training_step(as_one(batches(options, datasets, step)), step)
        stop.number = 15 if step else None
        callback.on_train_batch_end(None, stack, None, None, step)
    assert [images for images, _ in seen] == [12] * 3
    assert len({float(losses["loss_d"]) for _, losses in seen}) == 3
    assert [float(losses["loss_d"]) for _, losses in seen] == stack.losses["loss_d"].tolist()
    close([gan.training_state()["generator"] for gan in gans], before)
    assert done == []


# In a separate process.

TINY = [*POINTS, "metrics=exact", "metrics.samples=100", "total_kimg=0.6", "score_kimg=0.3", "save_kimg=0.3",
        "sample_kimg=0", "wandb=disabled", "trainer.progress=false"]  # fmt: skip


def state_of(path: Path) -> dict:
    return checkpoints.load(path / "checkpoints" / "final.ckpt")


@pytest.mark.slow
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
        # In float32, Adam turns 1e-6 of rounding into 1e-3 in some weights (lr = 2e-3); two seeds differ by 1.
        close(state_of(one)["generator_ema"], state_of(other)["generator_ema"], rtol=0.02, atol=0.02)
        assert json.loads((one / "provenance.json").read_text())["sessions"][0]["together"] == 2
    again = run("train", *TINY, "seed=1", "run_dir=both/1", cwd=tmp_path)  # the same run, by another command
    assert "finished already" in again.stderr
    more = run("train", *TINY, "seeds=0-2", "run_dir=both", cwd=tmp_path)
    assert more.stderr.count("finished already") == 2
    assert (tmp_path / "both" / "2" / "result.json").exists()


def test_a_stack_in_a_sweep_has_its_runs_by_arm_and_seed(tmp_path):
    swept = run("train", "-m", *TINY, "generator.residual=true,false", "seeds=0,2", "run_dir=s", cwd=tmp_path)
    assert swept.returncode == 0, swept.stderr
    found = {str(path.parent.relative_to(tmp_path)) for path in tmp_path.rglob("result.json")}
    arms = {Path(path).parts[1] for path in found}
    assert arms == {"both", "residual-D"}
    assert len(found) == 4
    assert len(arms) == 2
    assert {Path(path).name for path in found} == {"0", "2"}


@pytest.mark.parametrize(("arguments", "says"), [
    (["seeds=0-1", "seed=3"], "seed=3: seeds=0-1 decides the seeds; leave one of them out"),
    (["seeds=3-1"], "seeds=3-1: expected numbers and ranges"),
    (["seeds=0,0-2"], "seeds=0,0-2: has a seed twice"),
    (["seeds=0-1", "disc.spectral=true"], "seeds=0-1: disc.spectral=true cannot be stacked"),
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
    # Runs in which one continues with its earlier options, from before an option was added, are separate too.
    other = member(3, 100, **{"trainer.fused": False})
    assert at_same_progress([members[0], other]) == [[members[0]], [other]]


# One run among others.


def gan_of_one_process() -> SimpleNamespace:
    return SimpleNamespace(images_seen=5, processes=ALONE)


def recorders(count: int) -> tuple[list[Recorder], StopSignal, list]:
    """Make recorders that note their calls of save."""
    stop, done, made = StopSignal(), [], []
    for k in range(count):
        recorder = Recorder.__new__(Recorder)
        recorder.gan, recorder.stop, recorder.diverged_at = gan_of_one_process(), stop, None
        recorder.run = None
        recorder.append = lambda line, k=k: done.append(f"{line['kind']} {k}")
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
    assert done == ["step 0", "diverged 1", "step 2", "step 0", "step 2"]
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
    three[1].diverged_at = 0
    for step in range(2):
        stack.training_step(as_one(batches(options, datasets, step)), step)
    RecorderCallback(three, stop=stop).sync_from_stack(stack)
    assert [gan.images_seen for gan in gans] == [12, 0, 12]


def test_all_save_when_a_signal_comes_while_one_is_being_scored():
    three, stop, done = recorders(3)
    three[0].diverged_at = 5

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
