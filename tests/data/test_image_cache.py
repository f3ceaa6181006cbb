"""The cache of decoded images: it saves decoding, and changes nothing else."""

import os
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.options import options_of
from PIL import Image

from resgan.builders.data import build_dataset
from resgan.data import folder, image_cache
from resgan.data.dataset import DataError, Dataset
from resgan.data.folder import load_folder
from resgan.experiment.evaluation import data_of_run
from resgan.options.data import DataOptions
from resgan.options.evaluate import EvaluateOptions
from resgan.options.validation import check
from resgan.runs.configuration import differences
from resgan.runs.naming import arm_name

OPTIONS = {"size": 4, "channels": 3, "holdout": 0.0, "seed": 0, "progress": False}


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Save twelve images of noise, in two classes."""
    return save(tmp_path / "set", {f"{name}/{k}.png": noise(k) for k in range(6) for name in ("cat", "dog")})


@pytest.fixture
def decoded(monkeypatch) -> list:
    """Return a list that gets one entry for each image that is decoded."""
    calls, decode = [], folder.decode
    monkeypatch.setattr(folder, "decode", lambda *a, **k: calls.append(1) or decode(*a, **k))
    return calls


def noise(seed: int, side: int = 8) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(256, size=(side, side, 3), dtype=np.uint8))


def save(path: Path, pictures: dict[str, Image.Image]) -> Path:
    for name, picture in pictures.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        picture.save(path / name)
    return path


def load(path: Path, cache: Path | None, **options) -> Dataset:
    return load_folder(path, cache_directory=cache, **{**OPTIONS, **options})


def same(mine: Dataset, theirs: Dataset) -> bool:
    tensors = all(torch.equal(getattr(mine, part), getattr(theirs, part)) for part in ("train", "holdout", "reference"))
    labels = all(torch.equal(getattr(mine, part), getattr(theirs, part)) for part in ("labels", "holdout_labels"))
    return tensors and labels and (mine.classes, mine.name) == (theirs.classes, theirs.name)


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "pictures").glob("*.npy"))


# Use of the cache.

SHARES = [{"holdout": 0.0, "seed": 0}, {"holdout": 0.3, "seed": 0}, {"holdout": 0.3, "seed": 1}]


@pytest.mark.parametrize("kind", [None, "zip", "tar", "gztar"])
@pytest.mark.parametrize("first", SHARES)
def test_a_second_load_decodes_nothing_and_gives_the_same(tmp_path, pictures, place, decoded, kind, first):
    path = Path(shutil.make_archive(str(tmp_path / "packed"), kind, pictures)) if kind else pictures
    without = [load(path, None, **share) for share in SHARES]
    assert not torch.equal(without[1].train, without[2].train)
    decoded.clear()
    load(path, place, **first)
    assert len(decoded) == 12
    for share, expected in zip(SHARES, without, strict=True):
        assert same(load(path, place, **share), expected)
    assert len(decoded) == 12
    assert len(entries(place)) == 1  # neither the seed nor the share needs its own entry


@pytest.mark.parametrize("options", [{"size": None}, {"size": 8}, {"channels": 1}])
def test_other_options_are_other_entries(pictures, place, decoded, options):
    load(pictures, place)
    for count in (24, 24):
        assert same(load(pictures, place, **options), load(pictures, None, **options))
        del decoded[count:]  # those decoded without the cache
    assert len(entries(place)) == 2


def test_the_same_pictures_in_another_place(tmp_path, pictures, place, decoded):
    load(pictures, place)
    copied = shutil.copytree(pictures, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    os.utime(copied / "cat/1.png", (0, 0))
    assert torch.equal(load(copied, place).train, load(pictures, place).train)
    assert len(decoded) == 12


def change_a_picture(path: Path) -> None:
    """Change one bit of an image, with the same length and times, so that neither shows it."""
    file = path / "cat/1.bmp"
    before = file.stat()
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "changed": change_a_picture,
    "added": lambda path: shutil.copy(path / "cat/1.bmp", path / "cat/7.bmp"),
    "removed": lambda path: (path / "cat/1.bmp").unlink(),
    "renamed": lambda path: (path / "cat/1.bmp").rename(path / "cat/1b.bmp"),
    "moved": lambda path: (path / "cat/1.bmp").rename(path / "dog/7.bmp"),
    "exchanged": lambda path: (
        (path / "cat/1.bmp").rename(path / "spare"),
        (path / "cat/2.bmp").rename(path / "cat/1.bmp"),
        (path / "spare").rename(path / "cat/2.bmp"),
    ),
}


@pytest.mark.parametrize("kind", [None, "zip", "tar"])
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_in_the_pictures_is_decoded_again(tmp_path, place, decoded, change, kind):
    def packed() -> Path:
        return Path(shutil.make_archive(str(tmp_path / "packed"), kind, pictures)) if kind else pictures

    pictures = save(tmp_path / "set", {f"{name}/{k}.bmp": noise(k) for k in range(6) for name in ("cat", "dog")})
    load(packed(), place, size=None)
    CHANGES[change](pictures)
    decoded.clear()
    after = load(packed(), place, size=None)
    assert len(decoded) == len(after.train)
    assert same(after, load(packed(), None, size=None))
    assert len(entries(place)) == 2


def test_another_decoder_decodes_again(pictures, place, decoded, monkeypatch):
    load(pictures, place)
    monkeypatch.setattr(folder, "DECODER", [*folder.DECODER, "another"])
    load(pictures, place)
    assert len(decoded) == 24


def test_an_entry_is_mapped_and_what_is_changed_in_memory_stays_there(pictures, place):
    expected = load(pictures, place).train.clone()
    content = entries(place)[0].read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of arrays that are read-only
        mapped = load(pictures, place).train
    mapped.zero_()
    assert entries(place)[0].read_bytes() == content
    assert torch.equal(load(pictures, place).train, expected)
    assert np.array_equal(np.load(entries(place)[0]), expected.numpy())


def test_held_out_pictures_keep_to_the_limit_of_memory(pictures, place, monkeypatch):
    expected, made = load(pictures, place, holdout=0.3), []
    from_file = torch.from_file
    monkeypatch.setattr(torch, "from_file", lambda name, **o: made.append(name) or from_file(name, **o))
    assert same(load(pictures, place, holdout=0.3, memory_limit=0), expected)
    assert len(made) == 1


# Failures.


def flipped(content: bytes, byte: int) -> bytes:
    byte %= len(content)
    return content[:byte] + bytes([content[byte] ^ 16]) + content[byte + 1 :]


DAMAGES = {
    "cut short": lambda content: content[: len(content) // 2],
    "without its last byte": lambda content: content[:-1],
    "longer": lambda content: content + b"0",
    "empty": lambda content: b"",
    "another file": lambda content: b"x" * len(content),
    "a bit of the header": lambda content: flipped(content, 12),
    "a bit of a picture": lambda content: flipped(content, len(content) // 2),
    "a bit of the seal": lambda content: flipped(content, -1),
    "never written, but of full length": lambda content: bytes(len(content)),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("holdout", [0.0, 0.3])
def test_a_damaged_entry_is_said_and_made_anew(pictures, place, decoded, capsys, damage, holdout):
    expected = load(pictures, place, holdout=holdout)
    [path] = entries(place)
    content = path.read_bytes()
    path.write_bytes(DAMAGES[damage](content))
    assert same(load(pictures, place, holdout=holdout), expected)
    said = capsys.readouterr().err
    assert said.count("\n") == said.count("is damaged") == 1
    assert str(path) in said
    assert len(decoded) == 24
    assert path.read_bytes() == content
    assert same(load(pictures, place, holdout=holdout), expected)
    assert (len(decoded), capsys.readouterr().err) == (24, "")


def test_the_entry_of_other_pictures_under_this_name(tmp_path, pictures, place, decoded):
    expected = load(pictures, place)
    [mine] = entries(place)
    other = save(tmp_path / "other", {f"{name}/{k}.png": noise(9 + k) for k in range(6) for name in ("cat", "dog")})
    load(other, place)
    [theirs] = set(entries(place)) - {mine}
    shutil.copy(theirs, mine)
    assert same(load(pictures, place), expected)
    assert len(decoded) == 36


def test_a_directory_in_the_place_of_an_entry(pictures, place, capsys):
    expected = load(pictures, place)
    [path] = entries(place)
    path.unlink()
    path.mkdir()
    assert same(load(pictures, place), expected)
    assert f"{path} cannot be written" in capsys.readouterr().err
    assert entries(place) == [path]


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, pictures, capsys):
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    before = sorted(tmp_path.rglob("*"))
    assert same(load(pictures, blocked), load(pictures, None))
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"resgan: RESGAN_CACHE: {blocked}" in said
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache(pictures, place, capsys):
    place.mkdir()
    place.chmod(0o500)
    assert same(load(pictures, place), load(pictures, None))
    assert "cannot be written (Permission denied); going on" in capsys.readouterr().err


def test_nothing_half_written_is_left_on_a_full_disk(pictures, place, monkeypatch, capsys):
    def full(*_):
        yield b"half"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(image_cache, "parts", full)
    assert same(load(pictures, place), load(pictures, None))
    assert "cannot be written (No space left on device); going on" in capsys.readouterr().err
    assert entries(place) == []


def test_two_that_decode_and_write_at_the_same_time_are_both_right(pictures, place, monkeypatch, decoded, capsys):
    """Let the second begin and end while the first is in the middle of its file."""
    parts, seconds = image_cache.parts, []

    def interrupted(*given):
        for part in parts(*given):
            yield part
            if not seconds:
                seconds.append(None)
                seconds.append(load(pictures, place, holdout=0.3))

    monkeypatch.setattr(image_cache, "parts", interrupted)
    first = load(pictures, place)
    assert len(decoded) == 24
    assert same(first, load(pictures, None))
    assert same(seconds[1], load(pictures, None, holdout=0.3))
    decoded.clear()
    assert same(load(pictures, place), first)
    assert not decoded
    assert len(entries(place)) == 1
    assert capsys.readouterr().err == ""


# Images that are never cached.


@pytest.mark.parametrize("options", [{}, {"size": None}])
@pytest.mark.parametrize("readable", [True, False])
def test_broken_pictures_are_refused_as_without_it_and_nothing_is_kept(pictures, place, options, readable):
    content = (pictures / "cat/1.png").read_bytes()
    (pictures / "cat/1.png").write_bytes(content[: len(content) // 2])
    if not readable:
        (pictures / "cat/2.png").unlink()
        (pictures / "cat/2.png").symlink_to("nowhere.png")
    with pytest.raises(DataError) as without:
        load(pictures, None, **options)
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            load(pictures, place, **options)
        assert str(caught.value) == str(without.value)
    assert not place.exists()


@pytest.mark.parametrize("options", [{"size": None}, {"size": 7}])
def test_sizes_are_refused_even_where_other_options_have_an_entry(pictures, place, options):
    save(pictures, {"cat/small.png": noise(1, side=6)})
    load(pictures, place)
    for _ in range(2):
        with pytest.raises(DataError, match=r"cat/small\.png is 6x6"):
            load(pictures, place, **options)
    assert len(entries(place)) == 1


@pytest.mark.parametrize("kind", [None, "zip"])
def test_pictures_that_change_while_they_are_decoded_are_not_kept(tmp_path, pictures, place, monkeypatch, kind):
    """Check that they are not cached: the key of the old content would always give the new pixels."""
    path = Path(shutil.make_archive(str(tmp_path / "packed"), kind, pictures)) if kind else pictures
    changed = path if kind else path / "dog/5.png"
    decode_all = folder.decode_all

    def slow(*given, **options):
        found = decode_all(*given, **options)
        changed.write_bytes(changed.read_bytes() + b"0")
        return found

    monkeypatch.setattr(folder, "decode_all", slow)
    load(path, place)
    assert not place.exists()


# Use by options and commands.


@pytest.mark.parametrize("wanted", [True, False])
def test_the_option_of_training(pictures, place, monkeypatch, wanted):
    monkeypatch.setenv("RESGAN_CACHE", str(place))
    values = options_of("data=folder", f"data.path={pictures}", "data.size=4", f"data.cache={wanted}")["data"]
    build_dataset(check(DataOptions, {"data": values}).data, seed=0, progress=False)
    assert place.exists() == wanted


def test_the_default_is_to_keep():
    assert options_of("data=folder", "data.path=x")["data"]["cache"] is True


@pytest.mark.parametrize("wanted", [True, False])
def test_the_data_of_a_run_is_read_as_evaluate_says_even_of_runs_from_before_there_was_a_cache(tmp_path, wanted):
    data = options_of("data=folder", "data.path=x")["data"]
    del data["cache"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"data": data, "seed": 3}))
    values = options_of("ckpt=x", f"cache={wanted}", config="evaluate")
    found, seed = data_of_run(tmp_path / "checkpoints" / "final.ckpt", check(EvaluateOptions, values))
    assert (found.cache, seed) == (wanted, 3)


def test_a_run_is_the_same_run_with_and_without():
    old, new = options_of("data=folder", "data.path=x"), options_of("data=folder", "data.path=x", "data.cache=false")
    assert differences(old, new) == []
    del old["data"]["cache"]
    assert differences(old, new) == []
    arms = [arm_name(["data=folder", *more], residual=(True, True)) for more in (["data.cache=False"], [])]
    assert arms == ["both_data-folder"] * 2
