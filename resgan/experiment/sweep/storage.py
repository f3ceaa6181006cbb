"""Optuna: the storage that workers share, and the trials in it. No other module imports Optuna.

A trial belongs to whoever holds its lock, a file in the sweep's directory: its worker, and the run that the worker has
started. What is left unfinished without a lock is taken up by the next worker that asks; its run continues from its
checkpoint.
"""

import json
import math
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial as Trial
from optuna.trial import TrialState

from resgan.base.console import one_line
from resgan.base.errors import OptionsError
from resgan.base.files import locked, try_lock
from resgan.experiment.sweep.space import Dimension, Search

OVERRIDES, KIMG, STATUS = "overrides", "kimg", "status"  # attributes of a trial
SEARCH = "search"  # of a study

warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True)
class Taken:
    """A trial that this worker has taken."""

    arm: str
    trial: optuna.Trial
    overrides: list[str]
    directory: Path
    lock: IO[str]
    again: bool  # it has begun before

    @property
    def name(self) -> str:
        return f"{self.arm} trial {self.trial.number}"


class Trials:
    """All trials of a sweep: one study of Optuna's for each arm."""

    def __init__(
        self,
        search: Search,
        directory: Path,
        *,
        storage: str | None,  # URL; None: a file in the directory
        name: str,
        count: int,  # of each arm
        further: Sequence[str] = (),  # overrides of the trials that are asked for here
    ) -> None:
        self.search, self.directory, self.name, self.count, self.further = search, directory, name, count, further
        with self.asking():  # two that create the tables at once would fail
            self.storage = open_storage(storage, directory)
            self.readers: dict[str, optuna.Study] = {}  # by arm; each keeps what it has read of a database
            for arm in search.arms:
                study = optuna.create_study(storage=self.storage, study_name=self.name_of(arm), load_if_exists=True)
                self.readers[arm], begun = study, study.user_attrs.get(SEARCH)
                if begun is None:
                    study.set_user_attr(SEARCH, json.dumps(search.as_data()))
                elif found := search.differences(json.loads(begun)):
                    raise OptionsError(f"storage={storage}: has another sweep with name={name}: {'; '.join(found)}")

    def name_of(self, arm: str) -> str:
        return f"{self.name}/{arm}"

    def asking(self) -> AbstractContextManager[None]:
        """Make counting the trials and asking for one more a single act."""
        return locked(self.directory / "locks" / "ask")

    def of(self, arm: str) -> list[Trial]:
        """Return the trials of an arm that have begun."""
        trials = self.readers[arm].get_trials(deepcopy=False)
        return [one for one in trials if one.state != TrialState.WAITING]

    def study(self, arm: str, *, number: int = 0) -> optuna.Study:
        """Return the study of an arm, with the proposals of a trial of this number.

        They depend on the number, on the seed of the sweep and on earlier trials, not on who asks, or when.
        """
        seed = random.Random(f"{self.search.sampler_seed} {number}").randrange(2**32)
        samplers = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
        pruners = {"none": optuna.pruners.NopPruner, "median": optuna.pruners.MedianPruner}
        return optuna.load_study(
            study_name=self.name_of(arm),
            storage=self.storage,
            sampler=samplers[self.search.sampler](seed=seed),
            pruner=pruners[self.search.prune](),
        )

    @property
    def all_ended(self) -> bool:
        """Have all trials ended, those of other workers too?"""
        found = [self.of(arm) for arm in self.search.arms]
        return all(len(own) >= self.count and all(one.state.is_finished() for one in own) for own in found)

    def take(self) -> Taken | None:
        """Take up what was left, else ask for a trial of the arm with the fewest; None: none is left to take."""
        with self.asking():
            for arm in self.search.arms:
                for one in self.of(arm):
                    if one.state == TrialState.RUNNING and (lock := try_lock(self.lock_of(arm, one.number))):
                        study = self.study(arm, number=one.number)
                        study.get_trials(deepcopy=False)  # Optuna's cache of a database knows only what it has read
                        return self.taken(arm, optuna.Trial(study, one._trial_id), lock, again=True)
            begun = {arm: len(self.of(arm)) for arm in self.search.arms}
            arm = min(begun, key=lambda arm: begun[arm])
            if begun[arm] >= self.count:
                return None
            study = self.study(arm, number=begun[arm])
            if not study.get_trials(deepcopy=False):
                study.enqueue_trial({d.option: d.default for d in self.search.dimensions if d.default is not None})
            trial = study.ask()
            lock = try_lock(self.lock_of(arm, trial.number))
            assert lock is not None  # nobody else knows of it yet
            return self.taken(arm, trial, lock, again=False)

    def taken(self, arm: str, trial: optuna.Trial, lock: IO[str], *, again: bool) -> Taken:
        values = {d.option: suggest(trial, d) for d in self.search.dimensions}  # the same again where it has begun
        if OVERRIDES not in trial.user_attrs:
            trial.set_user_attr(OVERRIDES, [*self.search.overrides(arm, values), *self.further])
        directory = self.directory / arm / f"trial-{trial.number:03d}"
        return Taken(arm, trial, trial.user_attrs[OVERRIDES], directory, lock, again)

    def tell(self, taken: Taken, value: float | None) -> None:
        """End a trial with its value; None: it was pruned, NaN: it failed."""
        study = self.study(taken.arm)
        if value is None:
            study.tell(taken.trial, state=TrialState.PRUNED)
        elif math.isnan(value):
            study.tell(taken.trial, state=TrialState.FAIL)
        else:
            study.tell(taken.trial, value)

    def lock_of(self, arm: str, number: int) -> Path:
        return self.directory / "locks" / f"{arm}-{number:03d}"

    def best(self, arm: str) -> Trial | None:
        """Return the best trial that ran to its end; of equals, the first."""
        ended = [one for one in self.of(arm) if not math.isnan(value_of(one))]
        return min(ended, key=value_of, default=None)


def value_of(trial: Trial) -> float:
    """Return the value of a trial: NaN where it did not run to its end, infinite where it diverged without a score."""
    return trial.value if trial.state == TrialState.COMPLETE and trial.value is not None else math.nan


def open_storage(url: str | None, directory: Path) -> BaseStorage:
    """Open a storage, or create it. Raises OptionsError."""
    if url is None:
        path = str(directory / "trials.log")
        return JournalStorage(JournalFileBackend(path, lock_obj=JournalFileOpenLock(path)))
    waits = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}  # for another worker
    with in_one_line(url):
        return RDBStorage(url, engine_kwargs=waits)


def check_storage(url: str) -> None:
    """Connect to a database, and create nothing in it. Raises OptionsError."""
    import sqlalchemy  # which Optuna brings

    with in_one_line(url):
        sqlalchemy.create_engine(url).connect().close()


@contextmanager
def in_one_line(url: str) -> Iterator[None]:
    """Raise OptionsError for whatever goes wrong with a storage: SQLAlchemy's drivers have errors of many kinds."""
    try:
        yield
    except Exception as error:
        raise OptionsError(f"storage={url}: {one_line(error).split('(Background')[0].strip()}") from None


def suggest(trial: optuna.Trial, dimension: Dimension) -> str | float:
    """Return the value of an option in a trial: proposed once, then the same."""
    if dimension.choices:
        return trial.suggest_categorical(dimension.option, dimension.choices)
    low, high, step = dimension.low, dimension.high, dimension.step
    assert low is not None
    assert high is not None
    if dimension.whole:
        return trial.suggest_int(dimension.option, int(low), int(high), log=dimension.log, step=int(step or 1))
    return trial.suggest_float(dimension.option, low, high, log=dimension.log, step=step)


def report(trial: optuna.Trial, scores: Sequence[tuple[int, float]]) -> None:
    """Report scores by images seen, those that were not reported before."""
    known = trial.storage.get_trial(trial._trial_id).intermediate_values
    for images_seen, value in scores:
        if images_seen not in known:
            trial.report(value, images_seen)
