"""Everywhere a class-conditional GAN is sampled: with stand-ins whose samples show the class they were given."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.options import options_of
from helpers.scores import MadeScore
from PIL import Image
from torch import Tensor, nn

from resgan.base.images import to_uint8
from resgan.base.processes import ALONE
from resgan.builders.data import mixed_batch
from resgan.builders.trained_gan import TrainedGan
from resgan.data.dataset import Dataset
from resgan.experiment import evaluation, samples
from resgan.metrics.scorer import Scorer
from resgan.options.evaluate import EvaluateOptions
from resgan.options.sample import SampleOptions
from resgan.options.validation import check
from resgan.runs.directory import Run
from resgan.training.recorder import Recorder, Schedule

SHARES = {"ant": 0.5, "bee": 0.2, "cat": 0.0, "dog": 0.3}  # classes 0 to 3: mean 1.1, variance 1.69
MANY = 4000
SEEDS = [0, 1, 7, 10, 12, 13]  # by these shares of the classes 3, 0, 1, 3, 1, 0


class Teller(nn.Module):
    """Network that returns (y, (y - m) / s, z_0), where m and s are its batch norm's statistics of the classes seen."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1, affine=False)
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        y = labels.float().view(-1, 1)
        return torch.cat([y, self.norm(y), z[:, :1]], 1) + self.nothing


class Grey(nn.Module):
    """Images of one grey level for each of five classes."""

    LEVELS = torch.linspace(-0.8, 0.8, 5)

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.LEVELS[labels].view(-1, 1, 1, 1).expand(-1, 1, 4, 4) + self.nothing


def recorder(path: Path, generator: nn.Module, *, classes: dict[str, float], seen: list[Tensor]) -> Recorder:
    """Make a recorder that keeps the samples it would score in `seen`."""
    score = MadeScore("tv", compute=lambda samples: seen.append(samples) or {"tv": 0.5})
    return Recorder(
        run=Run(path),
        gan=SimpleNamespace(
            images_seen=0, seed=5, latent_dim=3, generator_ema=generator, losses={}, state_dict=dict, processes=ALONE
        ),
        scorer=Scorer(samples=MANY, norm_mode="recomputed", scores=[score]),
        schedule=Schedule(score=0, sample=0, save=0, total=1),
        tracker=SimpleNamespace(log=lambda *_, **__: None, log_image=lambda *_, **__: None),
        spec={"classes": classes},
        reference=[torch.zeros(1, 1, 4, 4)],
        reals=torch.zeros(64, 1, 4, 4),
        seconds=0.0,
    )


def open_teller(monkeypatch) -> TrainedGan:
    """Make a Teller, and put it in place of every checkpoint from now on."""
    spec = {"generator": {"latent_dim": 3}, "shape": [3], "classes": SHARES}
    gan = TrainedGan(Teller().eval(), Teller().eval(), nn.Identity(), spec, images_seen=0)
    for module in (evaluation, samples):
        monkeypatch.setattr(module, "load_gan_for", lambda options, path, device: gan)
    return gan


def scored_while_training(tmp_path, monkeypatch) -> Tensor:
    seen: list[Tensor] = []
    made = recorder(tmp_path, Teller().eval(), classes=SHARES, seen=seen)
    made.record_scores()
    made.record_scores()
    assert torch.equal(*seen)  # every measurement is of the same latents and classes
    return seen[0]


def scored_by_evaluate(tmp_path, monkeypatch) -> Tensor:
    open_teller(monkeypatch)
    arguments = ("ckpt=a.ckpt", f"metrics.samples={MANY}", "metrics.norm_mode=recomputed", "progress=false")
    options = check(EvaluateOptions, options_of(*arguments, config="evaluate"))
    return evaluation.draw_samples(options, Path("a.ckpt"), "cpu")


@pytest.mark.parametrize("scored", [scored_while_training, scored_by_evaluate])
def test_scored_samples_have_the_classes_of_the_data(scored, tmp_path, monkeypatch):
    """Classes follow their shares, whatever the latent; so do those that batch norms are averaged over."""
    classes, normed, latent = scored(tmp_path, monkeypatch).T
    counts = torch.bincount(classes.long(), minlength=4) / MANY
    # A share of 4,000 has a standard deviation of sqrt(p (1 - p) / 4000) < 0.008; the bound is four of these.
    assert (counts - torch.tensor(list(SHARES.values()))).abs().max() < 0.032
    assert counts[2] == 0
    # Independent: the correlation has a standard deviation of 1 / sqrt(4000) = 0.016.
    assert abs(np.corrcoef(classes, latent)[0, 1]) < 4 / np.sqrt(MANY)
    spread = 3 / (normed.max() - normed.min())  # of the classes 3 and 0
    mean = -normed.min() * spread
    # Over 6,400 the mean has a standard deviation of 1.3 / 80, the variance one of 0.017: E (y - 1.1)^4 = 4.64.
    assert mean.item() == pytest.approx(1.1, abs=0.065)
    assert spread.item() == pytest.approx(1.3, abs=0.026)


def test_a_grid_while_training_goes_through_the_classes(tmp_path):
    recorder(tmp_path, Grey().eval(), classes=dict.fromkeys("abcde", 0.2), seen=[]).record_samples()
    [path] = (tmp_path / "samples").iterdir()
    picture = np.array(Image.open(path))
    # 8 x 8 images of 4 x 4, each drawn as 64 x 64, with two pixels between and around them: 8 * 66 + 2.
    assert picture.shape == (530, 530)
    wanted = to_uint8(Grey.LEVELS).tolist()
    found = [int(picture[34 + 66 * (k // 8), 34 + 66 * (k % 8)]) for k in range(64)]
    assert found == [wanted[k % 5] for k in range(64)]


def test_on_a_walk_the_class_is_that_of_the_seed_it_comes_from(tmp_path, monkeypatch):
    gan = open_teller(monkeypatch)
    alone = gan.sample(SEEDS).numpy()
    classes = alone[:, 0].tolist()
    assert classes == [3, 0, 1, 3, 1, 0]
    arguments = (
        "ckpt=a.ckpt",
        f"outdir={tmp_path}",
        "seeds='0,1,7,10,12,13'",
        "interpolate=3",
        "format=npz",
        "device=cpu",
    )
    samples.sample(check(SampleOptions, options_of(*arguments, config="sample")), job=None)
    found = np.load(tmp_path / "samples.npz")["samples"]
    assert found[:, 0].tolist() == [y for y in classes[:-1] for _ in range(3)] + classes[-1:]
    np.testing.assert_allclose(found[::3], alone, rtol=1e-5, atol=1e-6)  # the walk passes the seeds themselves
    assert (np.abs(found[1::3] - alone[:-1])[:, 2] > 1e-3).all()


@pytest.mark.parametrize("count", [3, 12])
def test_a_mixed_batch_has_the_labels_of_its_samples(count):
    """Image k has grey level k; where a batch needs more images than there are, they repeat with their labels."""
    labels = torch.tensor([4, 0, 3, 3, 1])
    pictures = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(-1, 1, 4, 4)
    dataset = Dataset(
        name="greys", train=pictures, holdout=pictures[:0], reference=pictures, split="all", labels=labels
    )
    found, told = mixed_batch(dataset, count, labelled=True)
    number = ((found[:, 0, 0, 0] + 1) * 127.5).round().long()
    assert len(number) == count
    assert {number.tolist().count(k) for k in range(5)} == {count // 5, count // 5 + 1}
    assert torch.equal(told, labels[number])
    [unlabelled] = mixed_batch(dataset, count, labelled=False)
    assert torch.equal(unlabelled, found)
