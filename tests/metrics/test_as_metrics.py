"""Scores as torchmetrics: in pieces, in several processes, in other modules, and user-defined."""

import copy
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.options import TINY
from torch import Tensor, nn

import resgan
from resgan.data import gaussians, shapes
from resgan.metrics.diversity import VarianceRatio
from resgan.metrics.extractors import load_extractor
from resgan.metrics.feature_scores import SCORES
from resgan.metrics.reference import Reference
from resgan.metrics.testbed import ModeScore

ROOT = Path(__file__).resolve().parents[2]


def images(count: int, *, seed: int = 0) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def reference(tmp_path_factory) -> Reference:
    return Reference(load_extractor("cifarnet"), images(1100), cache=tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize("name", SCORES)
def test_in_pieces_as_in_one(name, reference):
    """Sums in float64 may be added in another order: 1e-9 of a distance; what joins is equal."""
    whole, parts = SCORES[name](reference), SCORES[name](reference)
    fake = images(1000, seed=1)
    fake[:, :, :4] //= 2
    whole.update(fake)
    for part in fake.split(300):
        parts.update(part)
    assert parts.names == whole.names
    assert any(
        name.endswith(("_1k_full", "_1k_full_inf", "_1k_full_subsets500", "_1k_mean")) for name in whole.names
    )  # as many as it saw
    for first, second in zip(whole.scores().values(), parts.scores().values(), strict=True):
        assert first == pytest.approx(second, rel=1e-9)


def test_reset_forgets_the_samples_and_keeps_the_reals(reference):
    score = SCORES["frechet"](reference)
    score.update(images(500, seed=1))
    first = score.compute()
    score.reset()
    with pytest.raises(ValueError, match="at least 2 samples"):
        score.compute()
    score.update(images(500, seed=1))
    assert torch.equal(score.compute(), first)
    assert score.reference is reference


def test_an_extractor_is_no_part_of_a_module(reference):
    """Neither its weights nor its mode are, also in a copy such as a MetricCollection makes."""

    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fid = copy.deepcopy(SCORES["frechet"](reference))

    module = Module().train()
    module.fid.update(images(20))
    assert module.state_dict() == {}
    assert list(module.parameters()) == []
    assert not module.fid.extractor.module.training


def test_a_score_of_tensors(tmp_path, monkeypatch):
    """Scores as a user makes them: from real images, and an extractor by name."""
    monkeypatch.setenv("RESGAN_CACHE", str(tmp_path))
    score = resgan.FrechetDistance(images(300), extractor="pixels", split="real")
    score.update(images(200, seed=1).float() / 127.5 - 1)
    assert score.names == ("fd_pixels_200_real",)
    assert score.cards()["fd_pixels_200_real"]["direction"] == "lower"
    assert score.compute().ndim == 0
    with pytest.raises(resgan.UserError, match="there is no such extractor"):
        resgan.FrechetDistance(images(300), extractor="vgg")


def test_testbeds_in_pieces():
    points = gaussians.load_gaussians(modes=9, size=3000, seed=0).train
    for score in (
        ModeScore(centres=gaussians.centres(9), sd=gaussians.SD, train=points, count=3000),
        VarianceRatio(points),
    ):
        score.update(points)
        whole = score.scores()
        score.reset()
        for part in points.split(700):
            score.update(part)
        assert score.scores() == pytest.approx(whole, rel=1e-12)
    assert whole["variance_ratio"] == pytest.approx(1, rel=1e-12)


def test_images_of_a_testbed_in_pieces():
    from resgan.builders.scorer import build_manifold_scores
    from resgan.metrics.manifold_scores import ManifoldScore
    from resgan.options.data import Shapes

    dataset = shapes.load_shapes(size=16, count=240, withhold=False, seed=0)
    given = Shapes(name="shapes", size=16, count=240, withhold=False, flip=False)
    score = ManifoldScore(build_manifold_scores(given, dataset, seed=0), count=240)
    score.update(dataset.train)
    whole = score.scores()
    assert whole["validity"] == 1
    score.reset()
    for part in dataset.train.split(100):
        score.update(part)
    assert score.scores() == whole


@pytest.mark.slow
def test_two_processes_are_one(tmp_path):
    """The Frechet distance logged by a third-party Lightning module: 256 samples, in one process or in two."""
    found = {}
    for processes in (1, 2):
        done = subprocess.run(
            [sys.executable, "examples/frechet_in_your_module.py", str(processes)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found[processes] = float(done.stdout.split()[-1])
    assert found[1] > 0.1
    assert found[2] == pytest.approx(found[1], rel=1e-9)


# User-defined scores.

OWN = '''
import torch
import resgan
from torchmetrics import MeanMetric, Metric


class Spread(Metric):
    """Mean distance from the middle."""

    higher_is_better = True

    def __init__(self, real):
        super().__init__()
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, samples):
        self.total += samples.norm(dim=1).sum()
        self.count += len(samples)

    def compute(self):
        return self.total / self.count


class Corners(resgan.Score):
    def __init__(self, real):
        super().__init__()
        self.add_state("hits", torch.zeros(2), dist_reduce_fx="sum")

    @property
    def readings(self):
        return {"right": resgan.Reading("higher", "share", meaning="share on the right"), "top": resgan.Reading("none")}

    def update(self, samples):
        self.hits += (samples > 0).float().mean(0)

    def compute(self):
        return {"right": self.hits[0], "top": self.hits[1]}


class Wrong(Corners):
    def compute(self):
        return {"left": 1.0}


class tv(Spread):
    pass


class Text(Spread):
    def compute(self):
        return "much"


def number(real):
    return 3


def fails(real):
    raise RuntimeError("no\\nmore")
'''


@pytest.fixture
def own(tmp_path) -> Path:
    path = tmp_path / "my scores.py"
    path.write_text(OWN)
    return path


@pytest.mark.parametrize(("name", "names"), [("Spread", ["Spread"]), ("Corners", ["right", "top"])])
def test_a_score_of_ones_own_is_scored_and_reported(own, tmp_path, name, names):
    result = resgan.fit(
        resgan.configure(*TINY, "wandb=disabled", f"metrics.own={own}:{name}", f"run_dir={tmp_path / 'run'}")
    )
    assert all(0 < result.scores[name] < 3 for name in names)
    cards = json.loads((tmp_path / "run" / "result.json").read_text())["cards"]
    assert [(cards[n]["direction"], cards[n]["own"]) for n in names] == [
        (direction, "my scores.py") for direction in ("higher", "none")[: len(names)]
    ]
    scored = resgan.score(result.checkpoint, None, "metrics.samples=500", f"metrics.own={own}:{name}")
    assert all(math.isfinite(scored[name]) for name in names)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing", "AttributeError"),
        ("number", "makes a int; expected a resgan.Score or a torchmetrics.Metric"),
        ("fails", "RuntimeError: no more"),
        ("Wrong", "compute() gives left, and readings has right, top"),
        ("Text", "Text is a str; expected one number"),
        ("tv", "there is a score tv already"),
    ],
)
def test_what_is_no_score_is_refused_before_training(own, tmp_path, name, said):
    options = resgan.configure(*TINY, "wandb=disabled", f"metrics.own={own}:{name}", f"run_dir={tmp_path / 'run'}")
    with pytest.raises(resgan.UserError) as caught:
        resgan.fit(options)
    assert str(caught.value).startswith(f"metrics.own={own}:{name}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_it_ranks_no_runs_by_what_may_not_be_lower(own, tmp_path):
    options = ("data=folder", f"data.path={tmp_path}", "metrics.extractor=none")
    from PIL import Image

    for k in range(12):
        Image.new("RGB", (16, 16), (20 * k, 0, 0)).save(tmp_path / f"{k}.png")
    with pytest.raises(resgan.UserError, match="would rank runs alone"):
        resgan.fit(resgan.configure(*options, "data.size=16", f"metrics.own={own}:Spread", f"run_dir={tmp_path / 'r'}"))
    words = ("data=folder", f"data.path={tmp_path}", "data.size=16", f"run_dir={tmp_path / 'r'}")
    with pytest.raises(resgan.UserError) as error:
        resgan.fit(resgan.configure(*words, "metrics.scores=[inception_score,frechet]"))
    assert str(error.value) == (
        "metrics.scores=[inception_score,frechet]: is_cifarnet_10k_mean would rank runs, "
        "and lower is not better in it; put frechet first"
    )
    with pytest.raises(resgan.UserError, match="extractor=none: this data has no other score; use cifarnet"):
        resgan.fit(resgan.configure(*words, "metrics.extractor=none"))
