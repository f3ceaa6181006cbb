"""Data sets of torchvision, by its own loaders, on tiny files in the official formats, without a network."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import urllib.error
import urllib.request

import numpy as np
import pytest
import torch
from torchvision import datasets

from resgan.data.dataset import DataError
from resgan.data.torchvision_sets import TORCHVISION_SETS, load_torchvision


@pytest.fixture(autouse=True)
def asked(monkeypatch):
    """Record the addresses requested; every request fails."""
    addresses = []

    def refuse(request, *_, **__):
        addresses.append(request.full_url)
        raise urllib.error.URLError("no route\nto host")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return addresses


def refusal(name, root, *, download=False) -> str:
    with pytest.raises(DataError) as caught:
        load_torchvision(name, root=root, download=download)
    message = str(caught.value)
    assert "\n" not in message
    return message


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def noise(*shape) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(256, size=shape, dtype=np.uint8)


def idx(array: np.ndarray) -> bytes:
    """Encode as in MNIST's files: zero, zero, 8 for bytes, dimensions, their big-endian sizes, the bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


MNIST_IMAGES = {"train": noise(5, 28, 28), "t10k": noise(3, 28, 28)}


def put_mnist(root, monkeypatch, dataset=datasets.MNIST):
    """Write .gz files, and set the sums that torchvision checks to those of these files, not the official ones."""
    folder = root / dataset.__name__ / "raw"
    folder.mkdir(parents=True)
    resources = []
    for split, images in MNIST_IMAGES.items():
        for kind, array in [("images-idx3", images), ("labels-idx1", images[:, 0, 0] % 10)]:
            name, data = f"{split}-{kind}-ubyte.gz", gzip.compress(idx(array))
            (folder / name).write_bytes(data)
            resources.append((name, md5(data)))
    monkeypatch.setattr(dataset, "resources", resources)
    return folder


CIFAR_FILES = (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch")
CIFAR_ROWS = {name: noise(k + 2, 3072) for k, name in enumerate(CIFAR_FILES)}
CIFAR_NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def cifar_labels(rows: np.ndarray) -> list[int]:
    return (rows[:, 0] % 10).tolist()


def put_cifar(root, monkeypatch):
    """Write cifar-10-python.tar.gz, and set the sums that torchvision checks to those of its files."""
    files = {name: pickle.dumps({"data": rows, "labels": cifar_labels(rows)}) for name, rows in CIFAR_ROWS.items()}
    files["batches.meta"] = pickle.dumps({"label_names": CIFAR_NAMES})
    archive = root / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    sums = [[name, md5(data)] for name, data in files.items() if name != "batches.meta"]
    monkeypatch.setattr(datasets.CIFAR10, "train_list", sums[:5])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", sums[5:])
    monkeypatch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": md5(files["batches.meta"])})
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", md5(archive.read_bytes()))
    return archive


def labels_of(data) -> tuple[list[int], list[int]]:
    assert data.labels.dtype == data.holdout_labels.dtype == torch.int64
    return data.labels.tolist(), data.holdout_labels.tolist()


@pytest.mark.parametrize(
    ("name", "dataset", "third"),
    [
        ("mnist", datasets.MNIST, "3 - three"),
        ("fashionmnist", datasets.FashionMNIST, "Dress"),
        ("kmnist", datasets.KMNIST, "tsu"),
    ],
)
def test_mnist_from_its_four_files(tmp_path, monkeypatch, asked, name, dataset, third):
    put_mnist(tmp_path, monkeypatch, dataset)
    data = load_torchvision(name, root=tmp_path, download=False)
    assert data.train.dtype == torch.uint8
    assert data.train.shape == (5, 1, 28, 28)
    assert np.array_equal(data.train[:, 0].numpy(), MNIST_IMAGES["train"])
    assert np.array_equal(data.holdout[:, 0].numpy(), MNIST_IMAGES["t10k"])
    assert labels_of(data) == tuple((images[:, 0, 0] % 10).tolist() for images in MNIST_IMAGES.values())
    assert (len(data.classes), data.classes[3]) == (10, third)
    assert data.reference is data.train
    assert (data.name, data.split) == (name, "train")
    assert asked == []


def test_mnist_unpacked_by_hand(tmp_path, monkeypatch):
    folder = put_mnist(tmp_path, monkeypatch)
    for file in list(folder.glob("*.gz")):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert load_torchvision("mnist", root=str(tmp_path), download=False).shape == (1, 28, 28)


def test_cifar_from_its_archive(tmp_path, monkeypatch, asked):
    archive = put_cifar(tmp_path, monkeypatch)
    data = load_torchvision("cifar10", root=tmp_path, download=False)
    train = np.concatenate([CIFAR_ROWS[f"data_batch_{k}"] for k in range(1, 6)])
    assert data.train.dtype == torch.uint8
    assert data.train.is_contiguous()
    assert np.array_equal(data.train.numpy(), train.reshape(-1, 3, 32, 32))  # a row is its red, green, blue planes
    assert np.array_equal(data.holdout.numpy(), CIFAR_ROWS["test_batch"].reshape(-1, 3, 32, 32))
    assert labels_of(data) == (cifar_labels(train), cifar_labels(CIFAR_ROWS["test_batch"]))
    assert data.classes == tuple(CIFAR_NAMES)
    archive.unlink()  # the unpacked files are enough from now on
    assert torch.equal(load_torchvision("cifar10", root=tmp_path, download=False).train, data.train)
    assert asked == []


def test_svhn(tmp_path, monkeypatch):
    savemat = pytest.importorskip("scipy.io").savemat
    splits = {}
    digits = {"train": [10, 9, 1, 2], "test": [3, 10]}  # 10 is the digit 0
    for split, numbers in digits.items():
        file = tmp_path / f"{split}_32x32.mat"
        savemat(file, {"X": noise(32, 32, 3, len(numbers)), "y": np.array(numbers)[:, None]})
        splits[split] = ["", file.name, md5(file.read_bytes())]
    monkeypatch.setattr(datasets.SVHN, "split_list", splits)
    data = load_torchvision("svhn", root=tmp_path, download=False)
    assert np.array_equal(data.train.permute(2, 3, 1, 0).numpy(), noise(32, 32, 3, 4))
    assert data.holdout.shape == (2, 3, 32, 32)
    assert data.train.is_contiguous()
    assert labels_of(data) == ([0, 9, 1, 2], [3, 0])
    assert data.classes == tuple("0123456789")


def test_stl10(tmp_path, monkeypatch):
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    arrays = {"train_X.bin": noise(4, 3, 96, 96), "test_X.bin": noise(2, 3, 96, 96)}
    labels = {"train_y.bin": np.array([1, 9, 2, 2], np.uint8), "test_y.bin": np.array([10, 3], np.uint8)}
    for name, array in (arrays | labels).items():
        (folder / name).write_bytes(array.tobytes())
    monkeypatch.setattr(datasets.STL10, "train_list", [["train_X.bin", None], ["train_y.bin", None]])
    monkeypatch.setattr(datasets.STL10, "test_list", [["test_X.bin", None], ["test_y.bin", None]])
    data = load_torchvision("stl10", root=tmp_path, download=False)
    assert np.array_equal(data.train.numpy(), arrays["train_X.bin"].swapaxes(2, 3))  # stored column by column
    assert np.array_equal(data.holdout.numpy(), arrays["test_X.bin"].swapaxes(2, 3))
    assert labels_of(data) == ([0, 8, 1, 1], [9, 2])  # stored from 1
    assert data.classes == tuple("0123456789")  # 9 is in the held-out split alone
    (folder / "class_names.txt").write_text("\n".join(CIFAR_NAMES) + "\n")
    assert load_torchvision("stl10", root=tmp_path, download=False).classes == tuple(CIFAR_NAMES)


WANTED = {
    "cifar10": ("cifar-10-python.tar.gz", ""),
    "cifar100": ("cifar-100-python.tar.gz", ""),
    "mnist": ("train-images-idx3-ubyte.gz", "/MNIST/raw"),
    "fashionmnist": ("t10k-labels-idx1-ubyte.gz", "/FashionMNIST/raw"),
    "kmnist": ("t10k-images-idx3-ubyte.gz", "/KMNIST/raw"),
    "svhn": ("train_32x32.mat and test_32x32.mat", ""),
    "stl10": ("stl10_binary.tar.gz", ""),
}


@pytest.mark.parametrize("name", TORCHVISION_SETS)
def test_absent_files_are_named_with_their_place(tmp_path, asked, name):
    message = refusal(name, tmp_path)
    file, folder = WANTED[name]
    assert message.startswith(f"data.root={tmp_path}: ")
    for part in ("is not there", file, f"into {tmp_path}{folder} ", "data.download=true"):
        assert part in message
    assert asked == []


@pytest.mark.parametrize("name", TORCHVISION_SETS)
def test_failed_fetch_gives_the_same_advice(tmp_path, asked, name):
    message = refusal(name, tmp_path, download=True)
    file, folder = WANTED[name]
    for part in (
        f"data.root={tmp_path}",
        "could not be fetched",
        "no route to host",
        file,
        f"{tmp_path}{folder} ",
    ):
        assert part in message
    assert asked


def test_damaged_archive_is_neither_used_nor_fetched_again(tmp_path, monkeypatch, asked):
    archive = put_cifar(tmp_path, monkeypatch)
    archive.write_bytes(archive.read_bytes()[:-20])
    message = refusal("cifar10", tmp_path)
    assert "cifar-10-python.tar.gz is not the official file" in message
    assert asked == []


def test_only_what_is_missing_is_asked_for(tmp_path, monkeypatch):
    folder = put_mnist(tmp_path, monkeypatch)
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    message = refusal("mnist", tmp_path)
    assert f"put t10k-labels-idx1-ubyte.gz into {folder}" in message
    assert "train-images" not in message


def test_half_unpacked_file_is_told_from_a_missing_one(tmp_path, monkeypatch):
    folder = put_mnist(tmp_path, monkeypatch)
    load_torchvision("mnist", root=tmp_path, download=False)
    unpacked = folder / "train-images-idx3-ubyte"
    unpacked.write_bytes(unpacked.read_bytes()[:1000])
    assert "remove what was unpacked" in refusal("mnist", tmp_path)


def test_unknown_name_lists_the_known(tmp_path):
    message = refusal("imagenet", tmp_path)
    assert "data.name=imagenet" in message
    assert "cifar10, cifar100, mnist" in message
