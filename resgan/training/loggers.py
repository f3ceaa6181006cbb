"""Loggers of Lightning that show a run in TensorBoard and as CSV beside W&B, in files of its directory."""

import importlib.util
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor

from resgan.base.console import one_line, say
from resgan.base.errors import OptionsError
from resgan.base.plain_data import PlainData, flat, format_value
from resgan.runs.directory import Run
from resgan.runs.tracking import Tracker

Rates = Callable[[int], dict[str, float]]  # images seen -> the learning rate of each network
START: PlainData = {"images_seen": 0, "seconds": 0.0}


def check_tensorboard(wanted: bool) -> None:
    """Raises OptionsError if TensorBoard is to be written and is not installed."""
    if wanted and importlib.util.find_spec("tensorboard") is None:
        raise OptionsError("tensorboard=true: not installed; pip install 'resgan[tensorboard]'")


def shown(line: PlainData, before: PlainData, rates: Rates) -> PlainData:
    """Return the values that a line of metrics.jsonl is shown by; `before`: the line of losses before it, or START."""
    if line["kind"] == "scores":
        return line["scores"]
    if line["kind"] != "losses":
        return {}
    values = {f"train/{name}": line[name] for name in line if name not in ("images_seen", "kind", "seconds")}
    values |= {f"train/lr_{network}": rate for network, rate in rates(line["images_seen"]).items()}
    if (seconds := line.get("seconds", 0.0) - before.get("seconds", 0.0)) > 0:
        values["train/images_per_second"] = (line["images_seen"] - before["images_seen"]) / seconds
    return values


class FileLogger:
    """A logger of Lightning, or nothing: an error in it ends the logging to it, not the run."""

    def __init__(self, name: str, make: Callable[[], Logger]) -> None:
        self.name = name
        self.logger: Logger | None = None
        try:
            self.logger = make()
        except Exception as error:
            self._give_up(error)

    def log(self, values: PlainData, *, images_seen: int) -> None:
        given = {name: value for name, value in values.items() if value is not None}
        self._tell(lambda logger: logger.log_metrics(given, step=images_seen))

    def log_image(self, name: str, image: Tensor, *, images_seen: int) -> None:
        def show(logger: Logger) -> None:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(name, image, images_seen)

        self._tell(show)

    def finish(self, exit_code: int) -> None:
        self._tell(lambda logger: logger.finalize("failed" if exit_code else "success"))
        self.logger = None

    def _tell(self, what: Callable[[Logger], object]) -> None:
        if self.logger is None:
            return
        try:
            what(self.logger)
            self.logger.save()  # at once: what stands before a checkpoint is on the disk before it
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        say(f"{self.name} failed ({one_line(error)}); the run goes on without it")
        self.logger = None


def open_tensorboard(run: Run, config: PlainData, rates: Rates, scores: list[str], *, images_seen: int) -> FileLogger:
    """Open <run>/tensorboard. It goes on after `images_seen`: readers of TensorBoard drop what an earlier session wrote
    beyond. Where there is nothing yet, it begins with what the run has measured so far.
    """
    begun = any((run.path / "tensorboard").glob("events.*"))

    def make() -> Logger:
        purge: Any = {"purge_step": images_seen + 1} if begun else {}
        logger = TensorBoardLogger(run.path, name="tensorboard", version="", default_hp_metric=False, **purge)
        logger.log_hyperparams(config)  # hparams.yaml
        if not begun:
            from torch.utils.tensorboard.summary import hparams

            writer = logger.experiment._get_file_writer()
            for summary in hparams(sanitised(config), dict.fromkeys(scores, 0.0)):  # names alone; values are logged
                writer.add_summary(summary)
        return logger

    logger = FileLogger("TensorBoard", make)
    if not begun:
        replay(run, logger, rates)
        for path in sorted(run.samples.glob("[0-9]*.png")):
            if int(path.stem) <= images_seen:
                logger.log_image("samples", read_image(path), images_seen=int(path.stem))
        if run.reals.exists():
            logger.log_image("reals", read_image(run.reals), images_seen=0)
    return logger


def open_csv(run: Run, config: PlainData, rates: Rates) -> FileLogger:
    """Open <run>/csv/metrics.csv, written anew from metrics.jsonl, so that no row is there twice and none is lost."""
    folder = run.path / "csv"

    def make() -> Logger:
        for name in ("metrics.csv", "hparams.yaml"):
            (folder / name).unlink(missing_ok=True)
        logger = CSVLogger(run.path, name="csv", version="")
        logger.log_hyperparams(config)
        return logger

    logger = FileLogger("CSV", make)
    replay(run, logger, rates)
    return logger


def replay(run: Run, logger: FileLogger, rates: Rates) -> None:
    """Log what the run has measured so far."""
    before = START
    for line in run.measurements():
        if values := shown(line, before, rates):
            logger.log(values, images_seen=line["images_seen"])
        before = line if line["kind"] == "losses" else before


def sanitised(config: PlainData) -> dict[str, Any]:
    """Return the options in the types that TensorBoard's table of hyperparameters knows."""
    return {
        name: value if isinstance(value, bool | int | float | str) else format_value(value)
        for name, value in flat(config).items()
    }


def read_image(path: Path) -> Tensor:
    """Read a PNG as uint8 (C, H, W)."""
    with Image.open(path) as image:
        pixels = torch.from_numpy(np.array(image))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)


class Loggers:
    """W&B and the files: all are told the same. The figures that are no series, `summarise`, are for W&B alone."""

    def __init__(self, tracker: Tracker, files: list[FileLogger]) -> None:
        self.tracker, self.files = tracker, files

    @property
    def run_id(self) -> str | None:
        return self.tracker.run_id

    def log(self, values: PlainData, *, images_seen: int) -> None:
        for one in (self.tracker, *self.files):
            one.log(values, images_seen=images_seen)

    def log_image(self, name: str, image: Tensor, *, images_seen: int, caption: str | None = None) -> None:
        self.tracker.log_image(name, image, images_seen=images_seen, caption=caption)
        for one in self.files:
            one.log_image(name, image, images_seen=images_seen)

    def summarise(self, values: PlainData) -> None:
        self.tracker.summarise(values)

    def finish(self, exit_code: int) -> None:
        for one in (self.tracker, *self.files):
            one.finish(exit_code)


def finish_all(each: Sequence[tuple[Loggers, int]]) -> None:
    """Finish the loggers of runs that were trained as one, each with its exit code, at the same time: each may wait."""
    if len(each) == 1:  # here, where a signal ends the wait
        each[0][0].finish(each[0][1])
        return
    with ThreadPoolExecutor(max_workers=max(1, len(each))) as threads:
        list(threads.map(lambda one: one[0].finish(one[1]), each))
