"""A second signal ends a command at once, in every phase, with the status of the signal and no traceback."""

import io
import os
import signal
import sys

import pytest
import torch
from helpers.killing import differences, in_child
from helpers.options import TINY

from resgan import train
from resgan.base.signals import StopSignal, unbroken

RUN = [*TINY, "total_kimg=1", "trainer.progress=false", "trainer.precision=32-true", "wandb=disabled", "run_dir=run"]
# Phases, by a function that is called in each.
PHASES = {
    "the options": "resgan.cli.launch.options_from",
    "the data": "resgan.builders.components.build_dataset",
    "the networks": "resgan.builders.components.build_gan",
    "preparing scores": "resgan.metrics.scorer.Scorer.prepare",
    "scoring": "resgan.metrics.scorer.Scorer.measure",
    "sampling": "resgan.nets.sampling.generate",
    "a step": "resgan.training.gan.GAN.training_step",
    "saving": "torch.serialization._save",
    "flushing": "os.fsync",
    "the result": "resgan.runs.directory.Run.write_result",
    "the table at the end": "resgan.experiment.session.tell_end",
}
QUICKLY = ("the data", "scoring", "saving", "the result")


def command(folder, monkeypatch, *arguments: str):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["train", *RUN, *arguments])
    return train.main


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
@pytest.mark.parametrize("phase", [
    phase if phase in QUICKLY else pytest.param(phase, marks=pytest.mark.slow) for phase in PHASES
])  # fmt: skip
def test_a_second_signal_ends_it(tmp_path, monkeypatch, capfd, phase, number):
    status = in_child(command(tmp_path, monkeypatch), at=PHASES[phase], number=number, times=2)
    said = capfd.readouterr().err
    assert status == 128 + number, said
    assert "Traceback" not in said


def test_nothing_is_lost(tmp_path, monkeypatch):
    for folder in ("whole", "twice"):
        (tmp_path / folder).mkdir()
    assert in_child(command(tmp_path / "whole", monkeypatch)) == 0
    main = command(tmp_path / "twice", monkeypatch)
    assert in_child(main, at="torch.serialization._save", count=2, number=signal.SIGINT, times=2) == 130
    assert in_child(main) == 0
    assert differences(tmp_path / "whole", tmp_path / "twice") == []


class Interrupted(io.BytesIO):
    """A file that receives Ctrl-C while it is written, twice."""

    left = 2

    def write(self, data) -> int:
        while self.left:
            self.left -= 1
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(data)


def test_a_save_is_not_broken():
    """torch.save calls the file from C, and may take the end of the process for an error of the file."""
    state, file, stop = {"weight": torch.arange(3)}, Interrupted(), StopSignal()
    with stop.listening(), pytest.raises(SystemExit) as ended, unbroken():
        torch.save(state, file)
    assert ended.value.code == 130
    assert torch.equal(torch.load(io.BytesIO(file.getvalue()))["weight"], state["weight"])
    with stop.listening(), unbroken():  # and nothing is left over
        pass


def test_a_signal_after_the_last_step_stops_what_follows(tmp_path, monkeypatch):
    """The run has ended and is not lost; jobs that follow in a sweep do not begin."""
    main = command(tmp_path, monkeypatch, "-m", "seed=0,1")
    assert in_child(main, at="resgan.training.callbacks.ProgressBar.on_train_end", number=signal.SIGTERM) == 143
    assert [path.parent.name for path in tmp_path.rglob("result.json")] == ["0"]
    assert [path.parent.name for path in tmp_path.rglob("config.yaml")] == ["0"]
