"""Training from Python: one run to its end. Errors are raised, and nothing ends the interpreter."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from resgan.base.errors import OptionsError
from resgan.experiment.session import train_runs
from resgan.experiment.several import find_place
from resgan.experiment.study import Job
from resgan.options.conf import named_as_typed
from resgan.options.train import TrainOptions


@dataclass(frozen=True)
class Result:
    """Result of a run, and where it lies."""

    path: Path  # its directory, with config.yaml, metrics.jsonl, samples/ and checkpoints/
    status: Literal["finished", "diverged"]
    scores: dict[str, float | None]  # at the end, by name; None where a score has no value, or the run diverged

    @property
    def checkpoint(self) -> Path:
        """The last checkpoint, for `load_gan`."""
        return self.path / "checkpoints" / "final.ckpt"


def fit(options: TrainOptions) -> Result:
    """Train one run to its end, or continue the one in `run_dir`; a finished run is not trained again.

    fit(configure("data=gaussians", "run_dir=runs/mine")) does what `python -m resgan.train` does with these
    arguments. Raises OptionsError, DataError and other subclasses of ValueError, with one-line messages;
    KeyboardInterrupt where Ctrl-C or a signal stopped the run: its state is saved, and the same call continues it.
    """
    for name, value in (("seeds", options.seeds), ("replicate", options.replicate)):
        if value is not None:
            raise OptionsError(f"{name}={value}: fit trains one run; call it for each, with seed")
    job = Job(options.overrides, options.overrides, None, resumes=False)
    if (place := find_place(options, job)) is not None:
        raise OptionsError(
            f"trainer.devices={options.trainer.devices}: fit starts its own processes, and here are {place.count} of a "
            "launcher; use python -m resgan.train there"
        )
    try:
        root, asked, trained = train_runs(options, job)
    except OptionsError as error:
        raise OptionsError(named_as_typed(str(error), options.overrides)) from error
    except SystemExit:
        raise KeyboardInterrupt from None  # the session has said where the run stands, and how to continue
    [result] = [done or trained[root] for done in asked.results]
    return Result(root, result["status"], result["scores"])
