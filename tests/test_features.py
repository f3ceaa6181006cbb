"""Feature extractors: which file they are, what they do to pictures, and what they leave alone."""

import hashlib
import os
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resgan.metrics import features
from resgan.metrics.cifarnet import CifarNet
from resgan.metrics.features import SHIPPED, Extractor, ExtractorError, load_extractor, score_name


def pictures(count: int = 6, *, channels: int = 3, side: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def cifarnet() -> Extractor:
    return load_extractor("cifarnet")


# The shipped file


def test_the_shipped_weights_are_the_ones_the_name_stands_for(cifarnet):
    digest = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert digest == features.SHA256["cifarnet"]
    assert SHIPPED.stat().st_size < 2e6
    assert cifarnet.name == "cifarnet"
    assert cifarnet.card == {
        "extractor": "cifarnet",
        "trained_on": "cifar10-jpeg",
        "weights_sha256": digest,
        "resize": "bilinear-antialias-32",
        "precision": "float32",
    }


def test_pictures_become_frozen_float32_features(cifarnet):
    result = cifarnet(pictures())
    assert result.shape == (6, 96)
    assert result.dtype == torch.float32
    assert result.isfinite().all()
    assert not result.requires_grad
    assert not any(module.training for module in cifarnet.module.modules())
    assert not any(p.requires_grad for p in cifarnet.module.parameters())


def test_features_do_not_change_the_module(cifarnet):
    before = {name: value.clone() for name, value in cifarnet.module.state_dict().items()}
    cifarnet(pictures())
    assert all(torch.equal(value, before[name]) for name, value in cifarnet.module.state_dict().items())


@pytest.mark.parametrize("batch", [1, 3, 16])
def test_the_batch_size_does_not_matter(cifarnet, batch):
    images = pictures(33)
    whole = cifarnet(images)
    parts = torch.cat([cifarnet(part) for part in images.split(batch)])
    # Sums of 864 float32 products in another order: 864 * 6e-8 at the worst, the root of it in practice.
    assert (parts - whole).abs().max() < 1e-5 * whole.abs().max()


@pytest.mark.parametrize("side", [16, 32])
def test_grey_is_rgb_of_three_equal_channels(cifarnet, side):
    grey = pictures(channels=1, side=side)
    assert torch.equal(cifarnet(grey), cifarnet(grey.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("side", [16, 48, 64])
def test_other_sizes_are_resized_as_the_card_says(cifarnet, side):
    images = pictures(side=side)
    fitted = F.interpolate(images.float(), (32, 32), mode="bilinear", antialias=True, align_corners=False)
    assert torch.equal(cifarnet(images), cifarnet.module(fitted))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (pictures(channels=2), "1 or 3 channels, got 2"),
        (pictures(channels=4), "1 or 3 channels, got 4"),
        (pictures().float(), "uint8"),
        (pictures()[0], "uint8"),
    ],
)
def test_what_is_no_picture_is_refused(cifarnet, images, message):
    with pytest.raises(ExtractorError, match=message):
        cifarnet(images)


# Nothing leaks in or out


def test_autocast_does_not_leak_in_or_out(cifarnet):
    expected = cifarnet(pictures())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = cifarnet(pictures())
        assert torch.is_autocast_enabled("cpu")
    assert result.dtype == torch.float32
    assert torch.equal(result, expected)


def precisions() -> dict[str, str]:
    backends = torch.backends
    return {
        "cuda products": backends.cuda.matmul.fp32_precision,
        "cuda convolutions": backends.cudnn.conv.fp32_precision,
        "cpu products": backends.mkldnn.matmul.fp32_precision,
        "cpu convolutions": backends.mkldnn.conv.fp32_precision,
    }


class Spy(nn.Module):
    """Notes the precisions in force while it runs."""

    def forward(self, images: Tensor) -> Tensor:
        self.seen = precisions()
        if images.max() == 0:
            raise RuntimeError("a black picture")
        return images.flatten(1).float()


@pytest.fixture
def old_switches():
    """Torch's settings, put back after a test that turns them."""
    before, old = precisions(), torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(old)
    torch.backends.cudnn.conv.fp32_precision = before["cuda convolutions"]
    torch.backends.mkldnn.conv.fp32_precision = before["cpu convolutions"]
    torch.backends.cuda.matmul.fp32_precision = before["cuda products"]
    torch.backends.mkldnn.matmul.fp32_precision = before["cpu products"]


@pytest.mark.parametrize("turned_by", ["nothing", "old switch", "new switches"])
@pytest.mark.usefixtures("old_switches")
def test_tf32_does_not_leak_in_or_out(turned_by):
    if turned_by == "old switch":
        torch.set_float32_matmul_precision("medium")  # TF32 on CUDA, bfloat16 on the CPU
    if turned_by == "new switches":
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        torch.backends.mkldnn.conv.fp32_precision = "bf16"
        torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    outside = precisions()
    spy = Spy()
    extractor = Extractor(name="spy", module=spy, card={})
    extractor(pictures())
    assert set(spy.seen.values()) == {"ieee"}
    assert precisions() == outside
    if turned_by == "old switch":
        assert torch.get_float32_matmul_precision() == "medium"
    with pytest.raises(RuntimeError, match="black"):
        extractor(torch.zeros_like(pictures()))
    assert precisions() == outside


def test_the_training_randomness_is_untouched():
    before = torch.get_rng_state()
    load_extractor("cifarnet")(pictures())
    assert torch.equal(torch.get_rng_state(), before)


# Files that cannot be used


class Attack:
    """Pickles as a call that makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def one_line(error: pytest.ExceptionInfo[ExtractorError]) -> str:
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_pickle_with_code_is_not_run(tmp_path):
    path, marker = tmp_path / "weights.pth", tmp_path / "marker"
    torch.save({"blocks.0.0.weight": Attack(marker)}, path)
    with pytest.raises(ExtractorError) as error:
        load_extractor("cifarnet", weights=path)
    assert "metrics.weights" in one_line(error)
    assert str(path) in one_line(error)
    assert not marker.exists()
    torch.load(path, weights_only=False)  # the attack is a real one
    assert marker.exists()


@pytest.mark.parametrize("name", ["cifarnet", "inception"])
@pytest.mark.parametrize("content", ["cut short", "text", "empty", "missing", "a folder", "a tensor"])
def test_damaged_files(tmp_path, name, content):
    path = tmp_path / "weights.pth"
    if content == "a folder":
        path.mkdir()
    elif content == "a tensor":
        torch.save(torch.zeros(3), path)
    elif content != "missing":
        whole = SHIPPED.read_bytes()
        half = whole[: len(whole) // 2]
        path.write_bytes({"cut short": half, "text": b"not weights", "empty": b""}[content])
    with pytest.raises(ExtractorError) as error:
        load_extractor(name, weights=path)
    assert one_line(error).startswith("metrics.weights: ")
    assert str(path) in one_line(error)


def test_weights_of_another_network(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(nn.Linear(3, 3).state_dict(), path)
    with pytest.raises(ExtractorError) as error:
        load_extractor("cifarnet", weights=path)
    assert "another network than cifarnet" in one_line(error)
    assert str(path) in one_line(error)


def test_a_shipped_file_that_was_exchanged(tmp_path, monkeypatch):
    path = tmp_path / "cifarnet.pt"
    torch.save(CifarNet().state_dict(), path)
    monkeypatch.setattr(features, "SHIPPED", path)
    with pytest.raises(ExtractorError, match="not the file resgan shipped"):
        load_extractor("cifarnet")


def test_unknown_extractors_and_missing_options(monkeypatch):
    with pytest.raises(ExtractorError, match="'vgg'; there are cifarnet, inception"):
        load_extractor("vgg")
    with pytest.raises(ExtractorError, match=r"metrics\.weights: inception needs"):
        load_extractor("inception")


def test_inception_without_torch_fidelity(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ExtractorError) as error:
        load_extractor("inception", weights=SHIPPED)
    assert "resgan[inception]" in one_line(error)


# Names


@pytest.mark.parametrize(
    ("count", "split", "expected"),
    [
        (10_000, "train", "fd_cifarnet_10k_full"),
        (50_000, "all", "fd_cifarnet_50k_full"),
        (2500, "all", "fd_cifarnet_2500_full"),
        (10_000, "test", "fd_cifarnet_10k_test"),
    ],
)
def test_score_names(cifarnet, count, split, expected):
    assert score_name(cifarnet, count=count, split=split) == expected


@pytest.mark.parametrize(
    ("name", "digest", "expected"),
    [
        ("inception", "6726825d" + "0" * 56, "fid10k_full"),
        ("inception", "6726825e" + "0" * 56, "fd_inception_10k_full"),
        ("inception_0123abcd", "0123abcd" + "0" * 56, "fd_inception_0123abcd_10k_full"),
        ("cifarnet", "6726825d" + "0" * 56, "fd_cifarnet_10k_full"),
    ],
)
def test_only_the_verified_inception_is_called_fid(name, digest, expected):
    extractor = Extractor(name=name, module=nn.Identity(), card={"weights_sha256": digest})
    assert score_name(extractor, count=10_000, split="train") == expected


def test_other_weights_carry_their_hash_in_the_name(tmp_path):
    path = tmp_path / "mine.pt"
    torch.save(CifarNet().state_dict(), path)
    extractor = load_extractor("cifarnet", weights=path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert score_name(extractor, count=1000, split="all") == f"fd_cifarnet_{digest[:8]}_1k_full"
    assert extractor.card["trained_on"] == "unknown"


# Inception itself: 96 MB of random weights, and seconds


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory) -> Path:
    """An Inception of random weights; He's gain, since torch's own lets the last features collapse."""
    tfi = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    torch.manual_seed(0)
    with (
        mock.patch.object(tfi, "load_state_dict_from_url", return_value={}),
        mock.patch.object(tfi.FeatureExtractorInceptionV3, "load_state_dict"),
    ):
        net = tfi.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save(net.state_dict(), path)
    return path


@pytest.mark.slow
def test_inception_is_torch_fidelitys_and_fid_only_when_verified(inception_file, monkeypatch):
    tfi = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    before = torch.get_rng_state()
    extractor = load_extractor("inception", weights=inception_file)
    assert torch.equal(torch.get_rng_state(), before)
    digest = hashlib.sha256(inception_file.read_bytes()).hexdigest()
    assert score_name(extractor, count=10_000, split="train") == f"fd_inception_{digest[:8]}_10k_full"

    images = pictures(2)
    theirs = tfi.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(inception_file))
    result = extractor(images)
    assert result.shape == (2, 2048)
    assert torch.equal(result, theirs(images)[0])

    monkeypatch.setitem(features.SHA256, "inception", digest[:8])
    verified = load_extractor("inception", weights=inception_file)
    assert score_name(verified, count=10_000, split="train") == "fid10k_full"
    assert verified.card["resize"] == "tf1-bilinear-299"


@pytest.mark.slow
def test_inception_refuses_another_networks_weights():
    pytest.importorskip("torch_fidelity")
    with pytest.raises(ExtractorError, match="another network than inception"):
        load_extractor("inception", weights=SHIPPED)
