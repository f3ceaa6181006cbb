"""Windows, by stand-ins: its locks, the signals that it lacks, and what it refuses: directories and open files."""

import errno
import fcntl
import os
import re
import signal
import sys
import types
from pathlib import Path

import pytest
from helpers.options import TINY

import resgan
from resgan.base import files
from resgan.base.signals import stop_signals
from resgan.options.sweep import SweepOptions
from resgan.runs.directory import Run, RunError

MISSING = ("SIGALRM", "SIGHUP", "SIGUSR1", "SIGUSR2", "setitimer", "getitimer", "ITIMER_REAL")
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]|[. ]$')  # in a name of a file
LK_NBLCK = 2
CONNECTOR = "pytorch_lightning.trainer.connectors.signal_connector._SignalConnector"


def locking(handle: int, mode: int, count: int) -> None:
    """`msvcrt.locking`: locks bytes from the position of the file on; raises PermissionError where one is locked."""
    assert (mode, count, os.lseek(handle, 0, os.SEEK_CUR)) == (LK_NBLCK, 1, 0)  # always the same byte
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise PermissionError(errno.EACCES, "Permission denied") from None


def refusing_directories(path: Path | str, flags: int, *rest: int) -> int:
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return os.open(path, flags, *rest)


def refusing_open_files(source: Path | str, target: Path | str) -> None:
    """`os.replace`: fails where either file is open."""
    held = {os.path.realpath(handle) for handle in Path("/proc/self/fd").iterdir()}
    if held & {os.path.realpath(source), os.path.realpath(target)}:
        raise PermissionError(errno.EACCES, "Access is denied", str(source))
    os.rename(source, target)


@pytest.fixture
def windows(monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(locking=locking, LK_NBLCK=LK_NBLCK))
    for name in MISSING:
        monkeypatch.delattr(signal, name)
    monkeypatch.setattr(os, "replace", refusing_open_files)
    system = {**vars(os), "name": "nt", "open": refusing_directories}
    monkeypatch.setattr(files, "os", types.SimpleNamespace(**system))


def test_a_lock_is_held_until_it_is_closed(tmp_path, windows):
    path = tmp_path / "lock"
    path.write_text("longer than a byte")
    first = files.try_lock(path)
    assert first is not None
    assert files.try_lock(path) is None
    other = files.try_lock(tmp_path / "other")
    assert other is not None
    other.close()
    first.close()
    with files.locked(path):
        assert files.try_lock(path) is None
    assert path.read_text() == "longer than a byte"


def test_what_is_no_lock_of_another_is_said(tmp_path, windows, monkeypatch):
    def unsupported(*_: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(sys.modules["msvcrt"], "locking", unsupported)
    with pytest.raises(files.UserError, match=r"lock: cannot be locked \(Invalid argument\)"):
        files.try_lock(tmp_path / "lock")


def test_two_signals_are_left(windows):
    assert stop_signals() == [signal.SIGTERM, signal.SIGINT]


def test_a_run_is_trained_made_longer_and_kept_from_a_second_process(tmp_path, windows, monkeypatch):
    for name in ("register_signal_handlers", "teardown"):  # Lightning's own way on Windows has no stand-in here
        monkeypatch.setattr(f"{CONNECTOR}.{name}", lambda _: None)
    words = [*TINY, "wandb=disabled", f"run_dir={tmp_path / 'run'}"]
    assert resgan.fit(resgan.configure(*words, "total_kimg=1")).status == "finished"
    with Run(tmp_path / "run").locked(), pytest.raises(RunError, match="another process is running it now"):
        resgan.fit(resgan.configure(*words, "total_kimg=2"))
    result = resgan.fit(resgan.configure(*words, "total_kimg=2"))
    assert resgan.load_gan(result.checkpoint).images_seen == 2000
    assert {path.name for path in (tmp_path / "run" / "checkpoints").iterdir()} >= {"last.ckpt", "previous.ckpt"}
    assert [path for path in tmp_path.rglob("*") if FORBIDDEN.search(path.name)] == []


def test_a_limit_of_time_needs_a_timer(tmp_path, windows):
    words = [*TINY, "wandb=disabled", f"run_dir={tmp_path / 'run'}", "trainer.max_hours=1"]
    with pytest.raises(ValueError, match=r"trainer\.max_hours=1: needs a system with timers"):
        resgan.fit(resgan.configure(*words))


def test_a_search_is_refused(tmp_path, monkeypatch):
    from resgan.experiment.sweep import command

    monkeypatch.setattr(command, "sys", types.SimpleNamespace(platform="win32"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(files.UserError, match=r"resgan\.sweep: not on Windows"):
        command.run_sweep(SweepOptions.model_construct(run_dir=None, storage=None), None, None, typed=[])
    assert not list(tmp_path.iterdir())


def test_a_log_takes_any_letter_where_the_system_writes_few(tmp_path, monkeypatch):
    """The encoding of Windows is the default of `open`, and has no letters but those of one script."""
    from resgan.base import console

    def opened(path: Path, mode: str, encoding: str = "cp1252"):
        return Path(path).open(mode, encoding=encoding)

    monkeypatch.setattr(console, "open", opened, raising=False)
    with console.logged(tmp_path / "log.txt"):
        console.note("数据: 3 images")
    assert (tmp_path / "log.txt").read_text(encoding="utf-8").endswith("数据: 3 images\n")
