"""The memory that a run surely needs: counted by hand where it can be, never more than what is really held."""

import weakref

import pytest
import torch
from helpers.options import TINY
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from resgan.base.errors import OptionsError
from resgan.base.memory import Free
from resgan.builders import memory
from resgan.builders.data import expected_class_shares, expected_shape
from resgan.builders.memory import Need, Part, check_memory, need_of_data, need_of_run, need_of_step, saved
from resgan.builders.networks import Spec, build_networks, costs, count, spec_of_networks
from resgan.cli.compose import configure
from resgan.experiment.benchmark import on_random_samples
from resgan.options.train import TrainOptions
from resgan.training.batches import as_batch

CONDITIONAL = ["generator.conditional=norm", "disc.conditional=projection"]
POINTS = ["data=gaussians", "metrics=exact"]


def made(*words: str) -> tuple[TrainOptions, Spec]:
    options = configure(*words, "trainer.precision=32-true")
    return options, spec_of_networks(options, expected_shape(options.data), classes=expected_class_shares(options))


def test_what_a_pass_saves_is_what_its_backward_pass_needs():
    """Two linear maps and a ReLU between: the input, and the output of the ReLU, which is the second map's input."""
    with torch.device("meta"):
        net = nn.Sequential(nn.Linear(3, 50), nn.ReLU(), nn.Linear(50, 1))
        assert saved(net, torch.empty(8, 3)) == 4 * (8 * 3 + 8 * 50)


def test_weights_are_counted_with_gradients_moments_and_the_average():
    options, spec = made(*POINTS, "generator.width=8", "disc.width=6", "generator.blocks=0", "disc.blocks=0")
    generator, disc = 2 * 8 + 8 + 8 * 2 + 2, 2 * 6 + 6 + 6 + 1  # two maps each: weights and biases
    kept = [part.count for part in need_of_step(options, spec).kept]
    assert kept == [4 * 5 * generator, 4 * 4 * disc]
    stack = [part.count for part in need_of_step(options, spec, members=3).kept]
    assert stack == [3 * 4 * 9 * generator, 3 * 4 * 7 * disc]


def test_counts_on_the_meta_device_are_those_of_networks_with_weights():
    _, spec = made(
        "generator.conditional=norm", "disc.conditional=projection", "generator.norm=batch", "disc.spectral=true"
    )
    for net, parameters in zip(build_networks(spec), costs(spec)["parameters"].values(), strict=True):
        assert parameters == sum(parameter.numel() for parameter in net.parameters())
        assert not any(parameter.is_meta for parameter in net.parameters())
    assert count(spec)["switched"]["parameters"] == count(spec)["parameters"]


def tensors_in(values: object) -> list[torch.Tensor]:
    return [item for item in tree_leaves(values) if isinstance(item, torch.Tensor)]


class Held(TorchDispatchMode):
    """The bytes of the tensors made inside that are still held, and the most of them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        given = {
            id(tensor.untyped_storage()) for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, torch.Tensor)
        }
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and id(storage := tensor.untyped_storage()) not in self.known | given:
                self.known.add(id(storage))
                self.now += storage.nbytes()
                weakref.finalize(storage, self.let_go, id(storage), storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    def let_go(self, key: int, count: int) -> None:
        self.known.discard(key)
        self.now -= count


ALL = "loss.r1_interval=1 loss.r2_interval=1"
SETS = [
    f"data=gaussians batch_size=2048 {ALL}",
    "data=gaussians batch_size=2048 loss.r1=0 loss.r2=0",
    f"batch_size=64 {ALL}",
    f"batch_size=64 generator.norm=batch disc.norm=group {ALL}",
    "batch_size=64 loss=wasserstein loss.gp_interval=1",
    f"batch_size=32 generator.block=stylegan2 disc.block=bottleneck generator.image_skips=true {ALL} loss.r2=0",
    f"batch_size=32 generator.conditional=norm generator.norm=batch disc.conditional=projection {ALL}",
    f"data.size=32 generator=sngan disc=sngan generator.width=32 disc.width=32 {ALL}",
]


@pytest.mark.parametrize("words", SETS)
def test_a_step_holds_at_least_what_is_said_and_not_twice_as_much(words: str):
    """Beside the tensors that a real step holds; its gradients are among them, and counted with the weights."""
    options, spec = made(*words.split())
    gan, samples, labels = on_random_samples(options)
    batch = as_batch([tensor for tensor in (samples, labels) if tensor is not None])
    gan.training_step(batch, 0)  # makes the moments
    with Held() as held:
        gan.training_step(batch, 1)
    [said] = [part.count for part in need_of_step(options, spec).passing]
    gradients = sum(4 * p.numel() for net in (gan.generator, gan.disc) for p in net.parameters())
    assert said <= held.most, words
    assert held.most - gradients <= 1.7 * said, words


def test_a_stack_needs_that_of_its_members():
    options, spec = made(*POINTS, "seeds=0-15")
    alone, stack = (need_of_step(options, spec, members=members).passing[0].count for members in (1, 16))
    assert stack == pytest.approx(16 * alone)


def test_bfloat16_halves_what_steps_without_penalties_hold():
    options, spec = made("loss.r1=0", "loss.r2=0")
    whole, half = (
        need_of_step(options.with_values({"trainer.precision": precision}), spec).passing[0].count
        for precision in ("32-true", "bf16-mixed")
    )
    assert half == pytest.approx(whole / 2, abs=1)


def test_data_and_scores_are_counted():
    options, spec = made(*POINTS, "data.size=1000", "data.modes=25", "metrics.samples=300", "generator.latent_dim=7")
    data = need_of_data(options.data)
    assert data.count == 2 * 1000 * (8 + 8) + 1000 * 25 * 8  # points and labels twice, and distances to modes
    assert memory.need_of_scores(options, spec).count == 300 * (4 * (2 * 2 + 7) + 8 * 25)
    assert need_of_data(made("data.count=240")[0].data).count == 240 * 3 * 16 * 16 * 5
    both = need_of_run(options, spec).beside(data)
    assert both.count == sum(part.count for part in both.kept) + max(part.count for part in both.passing)


def test_samples_of_a_checkpoint_are_counted(monkeypatch):
    _, spec = made(*POINTS, "generator.latent_dim=7")
    monkeypatch.setattr(memory, "free_memory", lambda: Free(10**9, "this machine"))
    memory.check_samples(spec, 10**6, {"seeds": "0-999999"})
    line = r"^seeds=0-9 interpolate=3000000: at least 1\.32 GB of memory are needed, 1\.32 GB of it for the samples, "
    with pytest.raises(OptionsError, match=line):
        memory.check_samples(spec, 30_000_000, {"seeds": "0-9", "interpolate": 3_000_000})


NEED = Need([Part("the weights of D", 3 * 10**9, {"disc.width": 900})], [Part("a step", 10**9, {"batch_size": 16})])


def test_what_cannot_fit_is_refused_and_what_may_not_is_said(capsys):
    with pytest.raises(OptionsError) as refused:
        check_memory(NEED, Free(3_900_000_000, "this machine"))
    told = "at least 4 GB of memory are needed, 3 GB of it for the weights of D, and this machine has 3.9 GB free"
    assert str(refused.value) == f"disc.width=900: {told}; lower it"
    check_memory(NEED, Free(10**11, "this machine"))
    assert capsys.readouterr().err == ""
    check_memory(NEED, Free(4_100_000_000, "this container"))
    [line] = capsys.readouterr().err.splitlines()
    told = "may take 9.45 GB of memory, 3 GB of it for the weights of D, and this container has 4.1 GB free"
    assert line == f"resgan: may not fit: disc.width=900 {told}"
    check_memory(NEED, None)  # nothing is known


def test_jobs_side_by_side_need_it_each_and_a_process():
    three = NEED.times(3, option="trainer.devices", process=10**8)
    assert three.count == 3 * 4 * 10**9 + 3 * 10**8
    with pytest.raises(OptionsError, match=r"needed for 3 processes, .*; lower it, or the number of processes$"):
        check_memory(three, Free(10**9, "this machine"), number=3, what="processes")


SIZES = r"generator\.width={} generator\.latent_dim=4 generator\.blocks=1 generator\.inner=1"
REFUSED = [
    (
        "generator.width=65536",
        rf"^{SIZES.format(65536)}: at least 172 GB of memory are needed, 172 GB of it for the weights of generator, "
        r"with gradients and moments, and this machine has 20 GB free; lower one of them$",
    ),
    ("batch_size=1000000 generator.width=8192", r"^batch_size=1000000 generator\.width=8192 disc\.width=16: at least "),
    ("data.size=100000000 data.modes=10000", r"^data\.size=100000000 data\.modes=10000: at least 8e\+03 GB "),
    ("metrics.samples=100000000 data.modes=10000", r"^metrics\.samples=100000000: at least 8e\+03 GB "),
    (
        "seeds=0-999 generator.width=2048",
        rf"^{SIZES.format(2048)}: at least 305 GB of memory are needed for 1000 runs as one, .*, or the number "
        r"of runs as one$",
    ),
    (
        "trainer.devices=1024 batch_size=1024",
        r"^trainer\.devices=1024: at least 30\d GB of memory are needed for 1024 processes, .* for the "
        r"processes themselves, ",
    ),
]


@pytest.mark.parametrize(("words", "line"), REFUSED)
def test_train_refuses_what_cannot_fit_before_anything_is_made(words, line, tmp_path, monkeypatch):
    from resgan.experiment.session import train
    from resgan.experiment.study import Job

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory, "free_memory", lambda: Free(20 * 10**9, "this machine"))
    options = configure(*TINY, *words.split())
    with pytest.raises(OptionsError, match=line):
        train(options, Job([], [], None))
    assert not list(tmp_path.iterdir())


def test_a_sweep_refuses_a_job_that_cannot_fit_before_its_first(tmp_path, monkeypatch, capsys):
    from resgan.train import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train", "-m", *TINY, "wandb=disabled", "disc.width=16,65536"])
    with pytest.raises(SystemExit) as ended:
        main()
    [line] = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line.startswith("resgan: disc.width=65536 disc.blocks=1 disc.inner=1: at least 138 GB of memory are needed")
    assert not list(tmp_path.iterdir())
