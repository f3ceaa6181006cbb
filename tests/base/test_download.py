"""Files from the network: the whole file, verified, or none."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.serving import Server, serving

from resgan.base import download
from resgan.base.download import DownloadError, fetch

CONTENT = bytes(range(256)) * 12_000  # 3.1 MB: several parts
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with serving(CONTENT) as server:
        yield server


def fetched(server: Server, path: Path, how: str = "whole") -> bytes:
    return fetch(server.url(how), path, sha256=SHA256, what="the weights")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_a_file_is_fetched_once_and_said_so(server, tmp_path, capsys):
    path = tmp_path / "new" / "file.pth"
    assert fetched(server, path) == CONTENT == path.read_bytes()
    said = f"resgan: fetching the weights, 3.1 MB, from {server.url()}; kept as {path}\n"
    assert capsys.readouterr().err == said
    assert files_in(path.parent) == ["file.pth"]
    assert fetched(server, path) == CONTENT
    assert len(server.requests) == 1
    assert capsys.readouterr().err == ""


def test_a_server_that_does_not_say_how_much_it_sends(server, tmp_path, capsys):
    assert fetched(server, tmp_path / "file.pth", "unsized") == CONTENT
    assert "the weights, of unknown size, from" in capsys.readouterr().err


@pytest.mark.parametrize("damaged", [CONTENT[:-1], b"", CONTENT[:-1] + b"x"])
def test_a_damaged_file_is_fetched_again(server, tmp_path, capsys, damaged):
    path = tmp_path / "file.pth"
    path.write_bytes(damaged)
    assert fetched(server, path) == CONTENT == path.read_bytes()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == f"resgan: {path} is damaged (its sha256 has changed); it is fetched again"
    assert len(lines) == 2


REVERSED = hashlib.sha256(CONTENT[::-1]).hexdigest()


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "the server answers 404 Not Found"),
        ("cut", f"the connection ended after {len(CONTENT) // 2:,} of {len(CONTENT):,} bytes"),
        ("other", f"the file there is another one: its sha256 is {REVERSED[:8]}..., not {SHA256[:8]}..."),
        ("silent", "no answer within 0.2 seconds"),
        ("stalled", "no answer within 0.2 seconds"),
    ],
)
def test_what_is_not_whole_is_not_kept(server, tmp_path, monkeypatch, how, said):
    monkeypatch.setattr(download, "SILENCE", 0.2)
    with pytest.raises(DownloadError) as error:
        fetched(server, tmp_path / "file.pth", how)
    assert str(error.value) == said
    assert files_in(tmp_path) == []
    assert fetched(server, tmp_path / "file.pth") == CONTENT  # and the lock is free again


def test_no_network(tmp_path):
    with serving(b"") as gone:
        url = gone.url()
    with pytest.raises(DownloadError) as error:
        fetch(url, tmp_path / "file.pth", sha256=SHA256, what="the weights")
    assert str(error.value) == "Connection refused"


def test_an_interrupt_leaves_nothing(server, tmp_path, monkeypatch):
    read = download.read_part
    parts = []

    def interrupted(response) -> bytes:
        if parts:
            assert any("unfinished" in name for name in files_in(tmp_path))
            raise KeyboardInterrupt
        parts.append(read(response))
        return parts[0]

    monkeypatch.setattr(download, "read_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetched(server, tmp_path / "file.pth")
    assert files_in(tmp_path) == []


def test_two_processes_at_once_fetch_it_once(server, tmp_path):
    path = tmp_path / "file.pth"
    code = f"from resgan.base.download import fetch; from pathlib import Path; fetch({server.url('half')!r}, " + (
        f"Path({str(path)!r}), sha256={SHA256!r}, what='the weights')"
    )
    start = [sys.executable, "-c", code]
    both = [subprocess.Popen(start, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.stderr.readline() for process in both if process.stderr]
    server.go_on.set()
    assert [process.wait(30) for process in both] == [0, 0]
    for process in both:
        assert process.stderr
        process.stderr.close()
    assert path.read_bytes() == CONTENT
    assert len(server.requests) == 1
    assert sorted(line.split()[1] for line in said) == ["fetching", "waiting"]
    assert files_in(tmp_path) == ["file.pth"]


def test_without_locks_each_fetches_it(server, tmp_path, monkeypatch):
    def no_locks(*_: object, **__: object):
        raise download.UserError("cannot be locked")

    monkeypatch.setattr(download, "locked", no_locks)
    assert fetched(server, tmp_path / "file.pth") == CONTENT


def test_what_cannot_be_read_is_not_verified(tmp_path):
    path = tmp_path / "file.pth"
    path.write_bytes(CONTENT)
    assert download.read_verified(path, SHA256) == CONTENT
    assert download.read_verified(path, REVERSED) is None
    assert download.read_verified(tmp_path, SHA256) is None
    assert download.read_verified(tmp_path / "nothing", SHA256) is None
