"""Labels from folders, from the dataset.json of StyleGAN, and from CSV files; and each refusal in a line."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from resgan.base.errors import OptionsError
from resgan.data.dataset import DataError
from resgan.data.folder import load_folder
from resgan.data.labels import Labels, read_labels
from resgan.data.sources import open_source
from resgan.options.data import DataOptions
from resgan.options.validation import check

NAMES = [f"0000{shard}/img0000000{k}.png" for k in range(6) for shard in (k // 3,)]


def save(folder: Path, names: list[str]) -> Path:
    """Save small images; the k-th is of grey level k."""
    for k, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), k).save(folder / name)
    return folder


def read(path: Path, choice: str = "auto") -> Labels:
    return read_labels(open_source(path), choice)


def by_name(labels: Labels) -> dict[str, str]:
    return {name: labels.classes[number] for name, number in labels.numbers.items()}


def refusal(path: Path, choice: str = "auto") -> str:
    with pytest.raises(DataError) as caught:
        read(path, choice)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# dataset.json


def shards(folder: Path, labels: list | None, **more: object) -> Path:
    save(folder, NAMES)
    (folder / "dataset.json").write_text(json.dumps({"labels": labels} | more))
    return folder


@pytest.mark.parametrize("kind", [None, "zip", "tar", "xztar"])
@pytest.mark.parametrize("around", ["", "set/"])
def test_the_folders_beside_a_dataset_json_are_no_classes(tmp_path, kind, around):
    given = [10, 2, 2, 10, 33, 2]
    shards(tmp_path / "all" / around, [[name, label] for name, label in zip(NAMES, given, strict=True)][::-1])
    path = tmp_path / "all"
    path = Path(shutil.make_archive(str(tmp_path / "packed"), kind, path)) if kind else path
    labels = read(path)
    assert labels.classes == ("2", "10", "33")  # by value: as text 10 would be first
    assert list(by_name(labels).values()) == [str(label) for label in given]
    # Images that are held out take their labels with them: the k-th name has grey level k.
    data = load_folder(path, size=None, channels=1, holdout=0.4, seed=1, progress=False)
    for images, found in ((data.train, data.labels), (data.holdout, data.holdout_labels)):
        assert [data.classes[label] for label in found] == [str(given[level]) for level in images[:, 0, 0, 0].tolist()]
    assert len(data.holdout) == 2
    folders = read(path, "folders")
    assert folders.classes == ("00000", "00001")


def test_null_labels_are_none_and_shards_are_still_no_classes(tmp_path):
    assert read(shards(tmp_path, None)).classes == ()
    assert read(tmp_path, "folders").classes == ("00000", "00001")
    assert read(tmp_path, "none").classes == ()


def test_a_dataset_json_of_another_program_is_left_aside(tmp_path):
    save(tmp_path, NAMES)
    (tmp_path / "dataset.json").write_text('{"title": "mine", "licence": "MIT"}')
    assert read(tmp_path).classes == ("00000", "00001")


def test_one_label_for_all_is_none(tmp_path):
    assert read(shards(tmp_path, [[name, 7] for name in NAMES])).classes == ()
    assert "gives all images one label" in refusal(tmp_path, str(tmp_path / "dataset.json"))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([[name, 1] for name in NAMES[:-1]], "1 of 6 images have no label, first 00001/img00000005.png"),
        ([[name, 1] for name in [*NAMES, "x.png", "y.png"]], "entry 7: there is no image x.png (and 1 more)"),
        ([[name, 1] for name in [*NAMES, NAMES[0]]], f"entry 7: {NAMES[0]} is listed twice, first in entry 1"),
        ([[NAMES[0], [0.1, 0.2]]], 'entry 1 is ["00000/img00000000.png", [0.1, 0.2]]; expected a file and its label'),
        ([[NAMES[0], 1.5]], "a word or a whole number"),
        ([[NAMES[0], True]], "a word or a whole number"),
        ({NAMES[0]: 1}, "has no list of labels"),
    ],
)
def test_a_wrong_dataset_json(tmp_path, labels, says):
    line = refusal(shards(tmp_path, labels))
    assert says in line
    assert line.startswith("data.labels=auto: dataset.json in ")
    assert line.endswith("; data.labels=folders or none leaves it aside")
    assert read(tmp_path, "folders").classes == ("00000", "00001")


def test_a_damaged_dataset_json(tmp_path):
    (save(tmp_path, NAMES) / "dataset.json").write_text('{"labels": [["000')
    assert "dataset.json in" in (line := refusal(tmp_path))
    assert "is damaged" in line


# CSV

FILES = ["a.png", "b.png", "sub/c.png", "d, e.png"]


def table(folder: Path, text: str | bytes) -> Path:
    save(folder, FILES)
    (folder / "labels.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


@pytest.mark.parametrize(
    "text",
    [
        'a.png,Cat\nb.png,dog\nsub/c.png,Cat\n"d, e.png",ant',
        'file,label\r\n./a.png, Cat\r\n\r\nb.png,dog\r\nsub/c.png,Cat\r\n"d, e.png",ant\r\n',
        "\ufeffFile;Label\nb.png;dog\na.png;Cat\nd, e.png;ant\nsub/c.png;Cat\n",
        "a.png\tCat\nb.png\tdog\nsub/c.png\tCat\nd, e.png\tant\n",
    ],
)
def test_a_csv_with_and_without_header(tmp_path, text):
    labels = read(table(tmp_path, text), "labels.csv")
    assert labels.classes == ("Cat", "ant", "dog")  # as text: capitals first, as folders are
    assert by_name(labels) == {"a.png": "Cat", "b.png": "dog", "sub/c.png": "Cat", "d, e.png": "ant"}


def test_whole_numbers_are_in_the_order_of_their_values(tmp_path):
    labels = read(table(tmp_path, 'a.png,10\nb.png,9\nsub/c.png,-1\n"d, e.png",09'), "labels.csv")
    assert labels.classes == ("-1", "9", "10")
    assert by_name(labels)["d, e.png"] == "9"
    words = read(table(tmp_path, 'a.png,10\nb.png,9\nsub/c.png,x\n"d, e.png",09'), "labels.csv")
    assert words.classes == ("09", "10", "9", "x")


@pytest.mark.parametrize("kind", ["zip", "gztar"])
def test_a_csv_in_the_archive_or_beside_it(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = 'a.png,1\nb.png,2\nsub/c.png,1\n"d, e.png",1'
    folder = table(tmp_path / "in" / "outer", text)
    inside = Path(shutil.make_archive("packed", kind, tmp_path / "in"))
    assert by_name(read(inside, "labels.csv"))["outer/b.png"] == "2"
    (folder / "labels.csv").rename(tmp_path / "mine.csv")
    beside = Path(shutil.make_archive("again", kind, tmp_path / "in"))
    assert by_name(read(beside, "mine.csv"))["outer/b.png"] == "2"
    assert "neither here nor in" in refusal(beside, "labels.csv")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a.png,1\nb.png,2\na.png,1", "line 3: a.png is listed twice, first in line 1"),
        ("file,label\na.png,1\nnosuch.png,2", "line 3: there is no image nosuch.png in"),
        ("a.png,1\nb.png,2\nsub/c.png,1", "1 of 4 images have no label, first d, e.png"),
        ("a.png,1\nb.png,2,3", "line 2 has 3 fields; expected rows of two fields"),
        ("a.png\nb.png", "line 1 has 1 field; expected rows of two fields"),
        ("a.png,1\nb.png,", "line 2 has an empty field"),
        ('a.png,1\nb.png,"2', "cannot be read"),
        ("", "4 of 4 images have no label"),
        ('a.png,1\nb.png,1\nsub/c.png,1\n"d, e.png",1', "gives all images one label"),
        (b"a.png,\xff\xfe\n", "is no text in UTF-8"),
    ],
)
def test_a_wrong_csv(tmp_path, text, says):
    line = refusal(table(tmp_path, text), "labels.csv")
    assert says in line
    assert line.startswith("data.labels=labels.csv: ")


@pytest.mark.parametrize(
    ("given", "valid"),
    [("auto", True), ("none", True), ("x.CSV", True), ("x.json", True), ("x.txt", False), ("", False)],
)
def test_the_values_of_the_option(given, valid):
    rest = {
        "size": None,
        "fit": "crop",
        "enlarge": False,
        "channels": 3,
        "holdout": 0.0,
        "flip": False,
        "limits": 1.0,
        "cache": True,
    }
    data = {"data": {"name": "folder", "path": "x", "labels": given} | rest}
    if valid:
        assert check(DataOptions, data).data.labels == given
    else:
        with pytest.raises(OptionsError, match=rf"^data\.labels={given}: expected auto, folders, none, or a file"):
            check(DataOptions, data)
