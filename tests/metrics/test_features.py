"""Feature extractors: which file they load, what they do to images, and what they leave alone."""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.pictures import Pictures
from helpers.precisions import precisions
from PIL import Image
from torch import Tensor, nn

from resgan.metrics import dinov2, inception, weight_files
from resgan.metrics.cifarnet import CifarNet
from resgan.metrics.extractors import load_extractor
from resgan.metrics.feature_scores import distance_name
from resgan.metrics.features import Extractor, ExtractorError
from resgan.metrics.frechet import frechet_distance
from resgan.metrics.inception import clean_resize, tf1_resize
from resgan.metrics.inception_score import inception_score
from resgan.metrics.kernel import kernel_distance
from resgan.metrics.reference import moments_of
from resgan.metrics.weight_files import SHIPPED


def pictures(count: int = 6, *, channels: int = 3, side: int = 32) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=generator)


@pytest.fixture(scope="module")
def cifarnet() -> Extractor:
    return load_extractor("cifarnet")


# The shipped file


def test_the_shipped_weights_are_the_ones_the_name_stands_for(cifarnet):
    digest = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert digest == weight_files.SHA256["cifarnet"]
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
    # Sums of 864 float32 products in another order: 864 * 6e-8 at worst, its square root in practice.
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


class Spy(nn.Module):
    """Module that records the precisions in force while it runs."""

    def forward(self, images: Tensor) -> Tensor:
        self.seen = precisions()
        if images.max() == 0:
            raise RuntimeError("a black picture")
        return images.flatten(1).float()


@pytest.fixture
def old_switches():
    """Restore torch's settings after a test that changes them."""
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
    """Object that pickles as a call that creates a file."""

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
        load_extractor("cifarnet", weights=str(path))
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
        load_extractor(name, weights=str(path))
    assert one_line(error).startswith("metrics.weights: ")
    assert str(path) in one_line(error)


def test_weights_of_another_network(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save(nn.Linear(3, 3).state_dict(), path)
    with pytest.raises(ExtractorError) as error:
        load_extractor("cifarnet", weights=str(path))
    assert "is of another network, not cifarnet" in one_line(error)
    assert str(path) in one_line(error)


def test_a_shipped_file_that_was_exchanged(tmp_path, monkeypatch):
    path = tmp_path / "cifarnet.pt"
    torch.save(CifarNet().state_dict(), path)
    monkeypatch.setattr(weight_files, "SHIPPED", path)
    with pytest.raises(ExtractorError, match="not the file resgan ships"):
        load_extractor("cifarnet")


def test_unknown_extractors():
    with pytest.raises(
        ExtractorError, match="extractor=vgg: there is no such extractor; expected one of cifarnet, inception"
    ):
        load_extractor("vgg")


def test_inception_without_torch_fidelity(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(ExtractorError) as error:
        load_extractor("inception", weights=str(SHIPPED))
    assert "pip install 'resgan[fid]'" in one_line(error)


# Names


def test_other_weights_carry_their_hash_in_the_name(tmp_path):
    path = tmp_path / "mine.pt"
    torch.save(CifarNet().state_dict(), path)
    extractor = load_extractor("cifarnet", weights=str(path))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert distance_name(extractor, count=1000, split="all") == f"fd_cifarnet_{digest[:8]}_1k_full"
    assert extractor.card["trained_on"] == "unknown"


@pytest.mark.parametrize(
    ("count", "split", "expected"),
    [
        (10_000, "train", "fd_cifarnet_10k_full"),
        (50_000, "all", "fd_cifarnet_50k_full"),
        (2500, "all", "fd_cifarnet_2500_full"),
        (10_000, "test", "fd_cifarnet_10k_test"),
    ],
)
def test_names_of_distances(cifarnet, count, split, expected):
    assert distance_name(cifarnet, count=count, split=split) == expected


@pytest.mark.parametrize(
    ("name", "digest", "expected"),
    [
        ("inception", weight_files.SHA256["inception"], "fid10k_full"),
        ("clean_inception", weight_files.SHA256["inception"], "clean_fid10k_full"),
        ("inception", "6726825d" + "0" * 56, "fd_inception_10k_full"),
        ("inception_0123abcd", "0123abcd" + "0" * 56, "fd_inception_0123abcd_10k_full"),
        ("random_inception", "random, seed 0", "fd_random_inception_10k_full"),
        ("cifarnet", weight_files.SHA256["inception"], "fd_cifarnet_10k_full"),
    ],
)
def test_only_the_verified_inception_is_called_fid(name, digest, expected):
    extractor = Extractor(name=name, module=nn.Identity(), card={"weights_sha256": digest})
    assert distance_name(extractor, count=10_000, split="train") == expected


# Pixels, and user-defined networks


def test_pixels_are_the_pictures():
    extractor = load_extractor("pixels")
    images = pictures(4, side=8)
    assert torch.equal(extractor(images), images.flatten(1) / 127.5 - 1)
    with pytest.raises(ExtractorError, match="images have 12675 values; expected at most 12288"):
        extractor(pictures(2, side=65))


MINE = """
import torch

class Mine(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.tensor([{scale}]))
        self.head = torch.nn.Identity()  # whatever it is, nobody said that it classifies
    def forward(self, images):
        return images.float().mean((2, 3)) * self.scale

def broken():
    raise KeyError("not today")

number = int
"""


def test_a_module_of_ones_own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MINE.format(scale=2.0))
    extractor = load_extractor("module", weights=f"{path}:Mine")
    assert torch.equal(extractor(pictures()), pictures().float().mean((2, 3)) * 2)
    assert extractor.name.startswith("Mine_")
    assert extractor.head is None
    assert extractor.card["extractor"] == "mine.py:Mine"
    path.write_text(MINE.format(scale=3.0))
    assert load_extractor("module", weights=f"{path}:Mine").name != extractor.name


@pytest.mark.parametrize(
    "where", [None, "mine.py", "{path}", "{path}:", "{path}:nothing", "{path}:broken", "{path}:number"]
)
def test_no_module_of_ones_own(tmp_path, where):
    path = tmp_path / "mine.py"
    path.write_text(MINE.format(scale=1.0))
    with pytest.raises(ExtractorError) as error:
        load_extractor("module", weights=where and where.format(path=path))
    assert one_line(error).startswith("metrics.weights=")


# What does not fit together


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("cifarnet", {"clean": True}, "resize=clean: is for inception"),
        ("cifarnet", {"weights": "random"}, "random: is for inception, dinov2"),
        ("dinov2", {}, "dinov2 needs its weights file"),
        ("dinov2", {"weights": str(SHIPPED)}, "is of another network, not dinov2"),
    ],
)
def test_what_does_not_fit_together(name, words, message):
    pytest.importorskip("timm")
    with pytest.raises(ExtractorError, match=message):
        load_extractor(name, **words)


# The clean resize


@pytest.mark.parametrize("side", [20, 32, 64])
def test_the_clean_resize_is_pillows_in_floats(side):
    images = pictures(2, side=32)
    result = clean_resize(images, side=side)
    for image, found in zip(images, result, strict=True):
        for channel, mine in zip(image, found, strict=True):
            picture = Image.fromarray(channel.numpy().astype(np.float32))
            theirs = np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC)).clip(0, 255)
            # Weights in float32 on values up to 255: some 8 products of 2^-24 * 255 each.
            np.testing.assert_allclose(mine.numpy(), theirs, atol=5e-4)


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 32), (48, 20), (299, 299), (400, 301)])
def test_the_resize_of_tensorflow_1_is_torch_fidelitys(height, width):
    theirs = pytest.importorskip("torch_fidelity.interpolate_compat_tensorflow")
    images = torch.randint(256, (2, 3, height, width), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = theirs.interpolate_bilinear_2d_like_tensorflow1x(images.float(), size=(299, 299), align_corners=False)
    # Four float32 products of values up to 255, some 4 * 255 * 2^-24 = 6e-5.
    torch.testing.assert_close(tf1_resize(images, side=299), expected, rtol=0, atol=2e-4)


# DINOv2: the smallest, with random weights


@pytest.fixture(scope="module")
def dinov2_file(tmp_path_factory) -> Path:
    pytest.importorskip("timm")
    path = tmp_path_factory.mktemp("dinov2") / "dinov2_vits14_pretrain.pth"
    torch.save(dinov2.random_state(), path)
    return path


def test_positions_are_resampled_as_the_authors_do():
    """Their rule written out for one channel: the scale (16 + 0.1) / 37, not 16 / 37, sets the sampling points."""
    positions = torch.randn(1, 1 + 37 * 37, 2, generator=torch.Generator().manual_seed(0))
    found = dinov2.resample_positions(positions, side=16)
    assert found.shape == (1, 257, 2)
    assert torch.equal(found[:, 0], positions[:, 0])
    square = positions[0, 1:, 0].view(37, 37)
    scale = 37 / 16.1

    def cubic(x: float) -> float:  # Keys 1981 with a = -3/4
        x = abs(x)
        if x <= 1:
            return 1.25 * x**3 - 2.25 * x**2 + 1
        return -0.75 * (x**3 - 5 * x**2 + 8 * x - 4) if x < 2 else 0.0

    def sample(row: int, column: int) -> float:
        total = 0.0
        y, x = (row + 0.5) * scale - 0.5, (column + 0.5) * scale - 0.5
        for i in range(int(y // 1) - 1, int(y // 1) + 3):
            for j in range(int(x // 1) - 1, int(x // 1) + 3):
                value = float(square[min(max(i, 0), 36), min(max(j, 0), 36)])
                total += value * cubic(y - i) * cubic(x - j)
        return total

    for row, column in ((0, 0), (3, 11), (15, 15)):
        assert float(found[0, 1 + 16 * row + column, 0]) == pytest.approx(sample(row, column), abs=1e-4)
    assert dinov2.resample_positions(found, side=16) is found


def test_dinov2_sees_pictures_and_says_whose_weights(dinov2_file):
    extractor = load_extractor("dinov2", weights=str(dinov2_file))
    digest = hashlib.sha256(dinov2_file.read_bytes()).hexdigest()
    assert extractor.name == f"dinov2_small_{digest[:8]}"
    assert extractor.card["resize"] == "bicubic-antialias-224"
    features = extractor(pictures(2))
    assert features.shape == (2, 384)
    assert (features[0] - features[1]).abs().max() > 0.01
    assert torch.equal(features, load_extractor("dinov2", weights="random")(pictures(2)))
    assert load_extractor("dinov2", weights="random").name == "random_dinov2"


# Inception itself: 96 MB of random weights, and seconds


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory) -> Path:
    pytest.importorskip("torch_fidelity")
    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save(inception.random_state(), path)
    return path


@pytest.mark.slow
def test_inception_is_torch_fidelitys_and_fid_only_when_verified(inception_file, monkeypatch):
    tfi = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    before = torch.get_rng_state()
    extractor = load_extractor("inception", weights=str(inception_file))
    assert torch.equal(torch.get_rng_state(), before)
    digest = hashlib.sha256(inception_file.read_bytes()).hexdigest()
    assert distance_name(extractor, count=10_000, split="train") == f"fd_inception_{digest[:8]}_10k_full"

    images = pictures(4)
    layers = ["2048", "logits_unbiased"]
    theirs, logits = tfi.FeatureExtractorInceptionV3("inception-v3-compat", layers, str(inception_file))(images)
    result = extractor(images)
    assert result.shape == (4, 2048)
    # Norms folded into 94 convolutions, and sums in another order: float32, some 1e-6 of the largest.
    assert (result - theirs).abs().max() < 1e-5 * theirs.abs().max()
    assert (extractor.head(result) - logits).abs().max() < 1e-4 * logits.abs().max()

    monkeypatch.setitem(weight_files.SHA256, "inception", digest)
    verified = load_extractor("inception", weights=str(inception_file))
    assert distance_name(verified, count=10_000, split="train") == "fid10k_full"
    assert verified.card["resize"] == "tf1-bilinear-299"
    clean = load_extractor("inception", weights=str(inception_file), clean=True)
    assert distance_name(clean, count=10_000, split="train") == "clean_fid10k_full"
    assert clean.card["resize"] == "clean-bicubic-299"
    assert (clean(images) - result).abs().max() > 1e-3 * result.abs().max()


@pytest.mark.slow
def test_scores_of_inception_are_those_of_torch_fidelity_and_torchmetrics(inception_file, tmp_path):
    """The same weights and images through three programs agree to 1e-5; the sides differ in spread and number."""
    import torch_fidelity
    from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
    from torchmetrics.image.kid import KernelInceptionDistance

    real, fake = pictures(40), pictures(32) // 2
    extractor = load_extractor("inception", weights=str(inception_file))
    x, y = extractor(fake), extractor(real)
    mine = frechet_distance(moments_of(x), moments_of(y))
    kernel, _ = kernel_distance(x, y[:32], subsets=1, size=32)

    theirs = FrechetInceptionDistance(2048, feature_extractor_weights_path=str(inception_file), antialias=False)
    theirs.update(fake, real=False)
    theirs.update(real, real=True)
    assert mine == pytest.approx(float(theirs.compute()), rel=1e-5)
    pools = NoTrainInceptionV3("inception-v3-compat", ["2048"], str(inception_file), antialias=False)
    theirs = KernelInceptionDistance(pools, subsets=1, subset_size=32)
    theirs.update(fake, real=False)
    theirs.update(real[:32], real=True)
    assert kernel == pytest.approx(float(theirs.compute()[0]), rel=1e-4)  # torchmetrics computes in float32

    found = torch_fidelity.calculate_metrics(
        input1=Pictures(fake),
        input2=Pictures(real),
        cuda=False,
        fid=True,
        isc=True,
        isc_splits=1,
        feature_extractor_weights_path=str(inception_file),
        cache=False,
        verbose=False,
    )
    assert mine == pytest.approx(found["frechet_inception_distance"], rel=1e-5)
    score, _ = inception_score(extractor.head(x), splits=1)
    assert score == pytest.approx(found["inception_score_mean"], rel=1e-5)


@pytest.mark.slow
def test_random_inception_says_so(inception_file):
    extractor = load_extractor("inception", weights="random")
    assert extractor.name == "random_inception"
    assert extractor.card["trained_on"] == "nothing"
    same = load_extractor("inception", weights=str(inception_file))
    assert torch.equal(extractor(pictures(1)), same(pictures(1)))


@pytest.mark.slow
def test_inception_refuses_another_networks_weights():
    pytest.importorskip("torch_fidelity")
    with pytest.raises(ExtractorError, match="is of another network, not inception"):
        load_extractor("inception", weights=str(SHIPPED))
