"""Cache of the real side: nothing is computed twice, and no entry is taken for another."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from resgan.base.cache import cache_directory
from resgan.metrics import frechet, reference
from resgan.metrics.features import Extractor, ExtractorError, extract
from resgan.metrics.reference import Reference


class Means(nn.Module):
    """Features that a test can compute by hand: the mean and the corner of each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        self.seen += len(images)
        return torch.cat([images.float().mean((2, 3)), images[:, :, 0, 0].float()], dim=1)


def extractor(**card: str) -> Extractor:
    return Extractor(name="means", module=Means(), card={"weights_sha256": "none", **card})


def pictures(count: int = 200) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def everything(of: Reference) -> tuple:
    return of.moments.mean, of.moments.cov, of.moments.root, of.moments.count, of.features, of.neighbours


def test_a_second_evaluation_does_no_work_on_the_real_side(tmp_path, monkeypatch):
    first, again = (Reference(extractor(), pictures(), cache=tmp_path) for _ in range(2))
    made = everything(first)
    assert first.extractor.module.seen == 200  # one pass feeds all of it

    def forbidden(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(frechet, "symmetric_root", forbidden)
    monkeypatch.setattr(reference, "neighbour_distances", forbidden)
    found = everything(again)
    assert again.extractor.module.seen == 0
    for mine, theirs in zip(found, made, strict=True):
        assert torch.equal(torch.as_tensor(mine), torch.as_tensor(theirs))


def test_whatever_changes_is_another_entry(tmp_path):
    changed = pictures()
    changed[117, 2, 3, 4] ^= 1
    entries = [
        Reference(extractor(), pictures(), cache=tmp_path),
        Reference(extractor(), changed, cache=tmp_path),  # one bit of one image
        Reference(extractor(), pictures().flip(0), cache=tmp_path),
        Reference(extractor(), pictures().view(200, 3, 4, 16), cache=tmp_path),
        Reference(extractor(resize="another"), pictures(), cache=tmp_path),
        Reference(extractor(weights_sha256="others"), pictures(), cache=tmp_path),
    ]
    assert len({entry.path("moments") for entry in entries}) == len(entries)
    assert Reference(extractor(), pictures(), cache=tmp_path).fingerprint == entries[0].fingerprint


@pytest.mark.parametrize("damage", ["cut short", "a flipped bit", "empty", "others'", "no zip", "a pickle"])
@pytest.mark.parametrize("kind", ["moments", "features"])
def test_a_damaged_entry_is_made_anew_and_said_once(tmp_path, capsys, damage, kind):
    made = everything(Reference(extractor(), pictures(), cache=tmp_path))
    path = Reference(extractor(), pictures(), cache=tmp_path).path(kind)
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "others'":
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        np.savez(path, **{**arrays, "fingerprint": np.array("0" * 64)})
    elif damage == "a pickle":
        np.savez(path, fingerprint=np.array({"an": "object"}, dtype=object))
    else:
        flipped = content[:middle] + bytes([content[middle] ^ 16]) + content[middle + 1 :]
        broken = {"cut short": content[:middle], "a flipped bit": flipped, "empty": b"", "no zip": b"x" * 500}
        path.write_bytes(broken[damage])
    capsys.readouterr()
    again = Reference(extractor(), pictures(), cache=tmp_path)
    for mine, theirs in zip(everything(again), made, strict=True):
        assert torch.equal(torch.as_tensor(mine), torch.as_tensor(theirs))
    said = capsys.readouterr().err
    assert said.count("is damaged") == 1
    assert str(path) in said
    everything(Reference(extractor(), pictures(), cache=tmp_path))
    assert "damaged" not in capsys.readouterr().err  # repaired


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, capsys):
    blocked = tmp_path / "a file"
    blocked.write_text("in the way")
    found = Reference(extractor(), pictures(), cache=blocked).moments
    assert found.count == 200
    assert "metrics.cache" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [blocked]


def test_nothing_half_written_takes_a_name(tmp_path, monkeypatch):
    def full(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(reference.np, "savez", full)
    assert Reference(extractor(), pictures(), cache=tmp_path).moments.count == 200
    assert list(tmp_path.iterdir()) == []


def test_pytorch_fid_reads_the_file(tmp_path):
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    entry = Reference(extractor(), pictures(), cache=tmp_path)
    moments = entry.moments
    mean, cov = fid_score.compute_statistics_of_path(str(entry.path("moments")), None, 1, 6, "cpu")
    assert np.array_equal(mean, moments.mean.numpy())
    assert np.array_equal(cov, moments.cov.numpy())
    direct = entry.features.double()
    np.testing.assert_allclose(cov, np.cov(direct.T.numpy()), rtol=1e-9)


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv("RESGAN_CACHE", str(tmp_path / "ours"))
    assert cache_directory(None) == tmp_path / "ours"
    assert cache_directory(str(tmp_path / "given")) == tmp_path / "given"
    monkeypatch.delenv("RESGAN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory(None) == tmp_path / "xdg" / "resgan"


def test_features_that_are_no_numbers():
    broken = Extractor(name="broken", module=nn.Module(), card={})
    broken.module.forward = lambda images: images.flatten(1).float() * float("nan")
    with pytest.raises(ExtractorError, match="broken are not finite"):
        extract(broken, pictures(3))
