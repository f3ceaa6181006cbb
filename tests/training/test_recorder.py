"""Records of a GAN in training, and when they are made."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.options import options_of
from helpers.scores import MadeScore
from torch import Tensor

from resgan.base.signals import Stopped
from resgan.builders.data import build_dataset
from resgan.builders.gan import build_gan
from resgan.builders.networks import spec_of
from resgan.metrics.scorer import Scorer
from resgan.nets.sampling import generate
from resgan.options.train import TrainOptions
from resgan.options.validation import check
from resgan.runs.directory import Run
from resgan.training import checkpoints
from resgan.training.gan import GAN
from resgan.training.recorder import Diverged, Recorder, Schedule

POINTS = ["data=gaussians", "data.size=50", "generator.width=8", "disc.width=8", "generator.latent_dim=3",
          "batch_size=10"]  # fmt: skip


@pytest.fixture
def gan() -> GAN:
    options = check(TrainOptions, options_of(*POINTS))
    data = build_dataset(options.data, seed=0, progress=False)
    return build_gan(options, spec_of(options, data), data)


def recorder(path: Path, gan: GAN, *, compute=dict) -> Recorder:
    return Recorder(
        run=Run(path),
        gan=gan,
        scorer=Scorer(samples=20, norm_mode="running", scores=[MadeScore("tv", compute=compute)]),
        schedule=Schedule(score=0, sample=0, save=0, total=1000),
        tracker=SimpleNamespace(run_id=None, log=lambda *_, **__: None),
        spec={},
        reference=[torch.zeros(1, 2)],
        reals=torch.zeros(1, 2),
        seconds=0.0,
    )


def test_what_is_due_when_batches_meet_no_multiple():
    """Check batches of 30, which pass multiples of 100 and of 20, and hit few of them."""
    schedule = Schedule(score=100, sample=20, save=0, total=400)
    batches = [(now - 30, now) for now in range(30, 391, 30)]

    def due(every: int) -> list[int]:
        return [now for before, now in batches if schedule.due(every, before=before, now=now)]

    assert due(schedule.score) == [120, 210, 300]
    assert due(schedule.sample) == [now for _, now in batches]  # due twice in some, done once
    assert due(schedule.save) == []
    assert due(30) == [now for _, now in batches]
    assert due(60) == list(range(60, 391, 60))
    assert schedule.due(0, before=390, now=420)  # the end, whatever the interval
    assert schedule.due(100, before=370, now=400)


def test_scored_is_the_averaged_generator(tmp_path, gan):
    """Check that the averaged generator is scored, with the same latents each time, not those of D's training."""
    with torch.no_grad():
        for parameter in gan.generator_ema.parameters():
            parameter.add_(0.1)
    seen: list[Tensor] = []
    made = recorder(tmp_path, gan, compute=lambda samples: seen.append(samples) or {"tv": 0.5})
    made.record_scores()
    with torch.no_grad():
        for parameter in gan.generator.parameters():
            parameter.zero_()
    gan.images_seen = 10
    made.record_scores()
    assert torch.equal(*seen)
    assert not torch.allclose(seen[0], generate(gan.generator_ema, gan.latents("disc", 20)), atol=0.01)
    with torch.no_grad():
        for parameter in gan.generator_ema.parameters():
            parameter.zero_()
    gan.images_seen = 20
    made.record_scores()
    assert not seen[2].any()


@pytest.mark.parametrize("network", ["generator", "generator_ema", "disc"])
@pytest.mark.parametrize("do", [Recorder.record_scores, Recorder.save])
def test_a_state_with_a_nan_in_any_network_is_not_scored_and_not_saved(tmp_path, gan, network, do):
    """Check the weights, since the losses, from before the step, may still be finite."""
    gan.losses = {"loss_d": torch.tensor(1.0), "loss_g": torch.tensor(1.0)}
    made = recorder(tmp_path, gan, compute=lambda samples: {"tv": 0.5})
    made.refuse_nan()
    with torch.no_grad():
        next(getattr(gan, network).parameters()).view(-1)[-1] = float("nan")
    with pytest.raises(Diverged):
        do(made)
    assert not list(tmp_path.rglob("*"))


def test_a_loss_that_is_no_number_is_divergence(tmp_path, gan):
    made = recorder(tmp_path, gan)
    for value in (float("nan"), float("inf"), -float("inf")):
        gan.losses = {"loss_d": torch.tensor(1.0), "loss_g": torch.tensor(value)}
        with pytest.raises(Diverged):
            made.record_losses()


def test_the_best_checkpoint_is_there_before_its_line(tmp_path, gan):
    """Check that a kill between the two loses neither: a line without its checkpoint would never be made up for."""
    made = recorder(tmp_path, gan, compute=lambda samples: {"tv": 0.5})
    made.record_scores()
    assert not (tmp_path / "checkpoints").exists()  # the untrained networks are not the best
    gan.images_seen = 10

    def killed(line: dict, *, flush: bool) -> None:
        raise InterruptedError

    made.run.append = killed
    with pytest.raises(InterruptedError):
        made.record_scores()
    assert checkpoints.load(tmp_path / "checkpoints" / "best.ckpt")["images_seen"] == 10
    assert [line["images_seen"] for line in Run(tmp_path).measurements()] == [0]


def test_a_place_is_saved_once(tmp_path, gan):
    """Saved twice, previous.ckpt would be of the same place, and members of a stack could have none in common."""
    made = recorder(tmp_path, gan)
    for gan.images_seen in (10, 20, 20):
        made.save()
    places = [
        checkpoints.load(tmp_path / "checkpoints" / name)["images_seen"] for name in ("last.ckpt", "previous.ckpt")
    ]
    assert places == [20, 10]
    gan.images_seen = 1000
    made.save()
    (tmp_path / "checkpoints" / "final.ckpt").unlink()
    made.save()  # killed before the final one
    assert checkpoints.load(tmp_path / "checkpoints" / "final.ckpt")["images_seen"] == 1000


def test_a_stop_does_not_decide_where_a_run_diverged(tmp_path, gan):
    made = recorder(tmp_path, gan)
    gan.losses = {"loss_d": torch.tensor(float("nan"))}
    made.stop.number = 15
    with pytest.raises(Stopped):
        made.stop_if_asked()
    assert not made.diverged
    assert not list(tmp_path.rglob("*"))
    made.give_up()
    gan.images_seen = 500  # a member of a stack whose others go on
    for one in (made, recorder(tmp_path, gan)):
        assert (one.diverged, one.images_seen) == (True, 0)
