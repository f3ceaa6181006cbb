"""FID in one line: its weights come by themselves, or one line says what to do; with a small network in their place."""

import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch
from helpers.pictures import Pictures
from helpers.serving import serving
from PIL import Image
from torch import Tensor, nn

import resgan
from resgan import evaluate, train
from resgan.base import download
from resgan.metrics import inception, weight_files
from resgan.metrics.extractors import load_extractor
from resgan.metrics.features import ExtractorError

NAME = "weights-inception-2015-12-05-6726825d.pth"


class SmallPool(nn.Module):
    """Stands for Inception: uint8 (N, 3, H, W) -> 8 features."""

    def __init__(self, state: dict[str, Tensor], *, resize: str = "tf1") -> None:
        super().__init__()
        self.net, self.head = nn.Linear(12, 8), nn.Linear(8, 10, bias=False)
        self.load_state_dict(state)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(nn.functional.adaptive_avg_pool2d(images / 127.5 - 1, 2).flatten(1)).tanh()


def saved(state: dict[str, Tensor]) -> bytes:
    file = io.BytesIO()
    torch.save(state, file)
    return file.getvalue()


def weights() -> bytes:
    random = torch.Generator().manual_seed(0)
    shapes = {"net.weight": (8, 12), "net.bias": (8,), "head.weight": (10, 8)}
    return saved({name: torch.randn(shape, generator=random) for name, shape in shapes.items()})


WEIGHTS = weights()


@pytest.fixture
def kept(tmp_path_factory, monkeypatch) -> Path:
    """Return where the weights are kept, in caches of this test."""
    pytest.importorskip("torch_fidelity")
    folder = tmp_path_factory.mktemp("caches")
    monkeypatch.setenv("RESGAN_CACHE", str(folder / "resgan"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(folder / "hub"))
    monkeypatch.setattr(inception, "InceptionPool", SmallPool)
    monkeypatch.setitem(weight_files.SHA256, "inception", hashlib.sha256(WEIGHTS).hexdigest())
    return folder / "resgan" / "weights" / NAME


@pytest.fixture
def server(kept, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serving(WEIGHTS) as server:
        monkeypatch.setattr(weight_files, "INCEPTION_URL", server.url())
        yield server


@pytest.fixture
def offline(kept, monkeypatch) -> str:
    """Return the address of the weights, where nobody answers."""
    with serving(b"") as gone:
        monkeypatch.setattr(weight_files, "INCEPTION_URL", gone.url())
    return gone.url()


def pictures(count: int, *, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=random) // (1 + seed)


def folder_of(folder: Path, count: int = 24) -> Path:
    folder.mkdir()
    for k, picture in enumerate(pictures(count)):
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(folder / f"{k}.png")
    return folder


def distance_by_scipy(x: np.ndarray, y: np.ndarray) -> float:
    """Return the Frechet distance of features, as Heusel et al. published it."""
    root = scipy.linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(np.cov(x.T) + np.cov(y.T) - 2 * root))


# The real addresses and digits


def test_the_file_is_torch_fidelitys():
    theirs = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    assert theirs.URL_INCEPTION_V3 == weight_files.INCEPTION_URL
    assert weight_files.INCEPTION_URL.endswith(f"/{NAME}")
    assert weight_files.SHA256["inception"].startswith(NAME[-12:-4])  # torch-hub's convention
    assert len(weight_files.SHA256["inception"]) == 64


# From Python


@pytest.mark.parametrize("words", [["metrics=fid"], ["metrics=inception"], ["metrics=fid", "metrics.weights=download"]])
def test_fid_in_one_line(server, kept, capsys, words):
    fake, real = pictures(30, seed=1), pictures(40)
    found = resgan.score(fake, real, *words, "device=cpu")
    net = SmallPool(torch.load(io.BytesIO(WEIGHTS), weights_only=True))
    with torch.no_grad():
        x, y = (net(images).double().numpy() for images in (fake, real))
    assert found["fid30_real"] == pytest.approx(distance_by_scipy(x, y), rel=1e-5)
    [line] = capsys.readouterr().err.splitlines()
    size = f"{len(WEIGHTS) / 1e6:.1f} MB"
    assert line == f"resgan: fetching the weights of Inception, {size}, from {server.url()}; kept as {kept}"
    assert resgan.score(fake, real, *words, "device=cpu") == found
    assert len(server.requests) == 1


def test_what_torch_hub_has_is_not_fetched(offline, kept):
    other = Path(torch.hub.get_dir()) / "checkpoints" / "pt_inception-2015-12-05-6726825d.pth"
    other.parent.mkdir(parents=True)
    other.write_bytes(WEIGHTS)
    extractor = load_extractor("inception")
    assert extractor.name == "inception"
    assert extractor.card["weights_sha256"] == hashlib.sha256(WEIGHTS).hexdigest()
    assert not kept.exists()
    other.write_bytes(WEIGHTS[:-1])
    with pytest.raises(ExtractorError):
        load_extractor("inception")


def test_without_the_extra_nothing_is_fetched(server, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ExtractorError) as error:
        load_extractor("inception")
    assert str(error.value).startswith("inception needs torch-fidelity, pip install 'resgan[fid]' (")
    assert server.requests == []


def test_a_cache_that_cannot_be_written(server, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("RESGAN_CACHE", str(tmp_path / "file"))
    with pytest.raises(ExtractorError) as error:
        load_extractor("inception")
    assert str(error.value) == (
        f"metrics.weights: the weights of Inception cannot be kept as {tmp_path}/file/weights/{NAME} "
        "(Not a directory); set RESGAN_CACHE to another directory, or give metrics.weights=FILE"
    )


def test_only_inception_is_fetched(server):
    with pytest.raises(ExtractorError, match="download: is for inception, not for dinov2"):
        load_extractor("dinov2", weights="download")
    with pytest.raises(ExtractorError, match="dinov2 needs its weights file"):
        load_extractor("dinov2")
    assert server.requests == []


# The commands


def test_train_and_evaluate_fetch_the_weights(server, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "images")
    words = ["data=folder", "data.path=images", "data.size=8", "metrics=fid", "metrics.samples=20", "total_kimg=0.05"]
    small = ["generator.width=8", "disc.width=8", "batch_size=8", "trainer.accelerator=cpu", "wandb=disabled"]
    monkeypatch.setattr(sys, "argv", ["train", *words, *small, "score_kimg=0", "sample_kimg=0", "run_dir=run"])
    train.main()
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["primary"] == "fid20_full"
    ckpt = tmp_path / "run" / "checkpoints" / "final.ckpt"
    arguments = [f"ckpt={ckpt}", "metrics=fid", "metrics.samples=20", "device=cpu", "outdir=scores"]
    monkeypatch.setattr(sys, "argv", ["evaluate", *arguments])
    evaluate.main()
    [line] = map(json.loads, (tmp_path / "scores" / "metrics.jsonl").read_text().splitlines())
    assert set(line["scores"]) == {"fid20_full", "variance_ratio"}
    assert line["cards"]["fid20_full"]["extractor"] == "inception"
    assert len(server.requests) == 1


def advice(url: str, kept: Path, why: str) -> str:
    return (
        f"resgan: metrics.weights: the weights of Inception could not be fetched from {url} ({why}); "
        f"save that file as {kept}, or give metrics.weights=FILE\n"
    )


@pytest.mark.parametrize("command", [train, evaluate])
def test_offline_it_is_refused_before_a_directory_is_made(offline, kept, tmp_path, refused, command):
    folder_of(tmp_path / "images")
    data = ["data=folder", "data.path=images", "data.size=8", "run_dir=run", "wandb=disabled"]
    arguments = data if command is train else ["fake=images", "real=images", "outdir=run"]
    assert refused(command, *arguments, "metrics=fid") == advice(offline, kept, "Connection refused")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(WEIGHTS)  # as it says
    assert load_extractor("inception").name == "inception"


@pytest.mark.parametrize(
    ("how", "why"), [("missing", "the server answers 404 Not Found"), ("silent", "no answer within 0.2 seconds")]
)
def test_a_server_that_fails(server, kept, tmp_path, refused, monkeypatch, how, why):
    monkeypatch.setattr(download, "SILENCE", 0.2)
    monkeypatch.setattr(weight_files, "INCEPTION_URL", server.url(how))
    folder_of(tmp_path / "images", 4)
    assert refused(evaluate, "fake=images", "real=images", "metrics=fid") == advice(server.url(how), kept, why)
    assert not kept.exists()


def test_another_file_is_not_used(server, kept, monkeypatch):
    monkeypatch.setattr(weight_files, "INCEPTION_URL", server.url("other"))
    with pytest.raises(ExtractorError, match="the file there is another one: its sha256 is"):
        load_extractor("inception")
    assert not kept.exists()


# With the network itself


@pytest.mark.slow
def test_fid_in_one_line_is_torch_fidelitys(tmp_path, monkeypatch):
    """The whole way, with made weights of the real shape: 96 MB served, fetched, verified; then both programs."""
    torch_fidelity = pytest.importorskip("torch_fidelity")
    content = saved(inception.random_state())
    (tmp_path / "file.pth").write_bytes(content)
    monkeypatch.setenv("RESGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setitem(weight_files.SHA256, "inception", hashlib.sha256(content).hexdigest())
    monkeypatch.setenv("no_proxy", "*")
    fake, real = pictures(24, seed=1), pictures(20)
    with serving(content) as server:
        monkeypatch.setattr(weight_files, "INCEPTION_URL", server.url())
        found = resgan.score(fake, real, "metrics=fid", "device=cpu")

    theirs = torch_fidelity.calculate_metrics(
        input1=Pictures(fake),
        input2=Pictures(real),
        cuda=False,
        fid=True,
        feature_extractor_weights_path=str(tmp_path / "file.pth"),
        cache=False,
        verbose=False,
    )
    assert found["fid24_real"] == pytest.approx(theirs["frechet_inception_distance"], rel=1e-5)
