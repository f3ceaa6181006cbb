"""Run directories as a report reads them: plain files, no torch, no network, nothing is written."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import yaml

from resgan.base.console import say_once
from resgan.base.plain_data import PlainData, flat, format_value
from resgan.options.train import TrainOptions
from resgan.options.validation import names
from resgan.runs.configuration import INTERVALS, is_bookkeeping
from resgan.runs.directory import LOADER, SEARCH, Run, RunError, read_json, run_directories
from resgan.runs.history import completed, completed_card

COLLAPSED = 0.1  # a finished run whose samples have less than this share of the data's variance has collapsed
# Loss of a discriminator that gives all samples the same logit, at the best such logit.
UNDECIDED_LOSS = {
    "relativistic": math.log(2), "nonsaturating": 2 * math.log(2), "hinge": 2.0, "least_squares": 0.25,
    "wasserstein": 0.0,
}  # fmt: skip
LAST_LOSSES = 10  # the last readings of a loss, which show how D ended
SWITCHES = ("generator.residual", "disc.residual")
TUNABLE = ("generator.lr", "disc.lr", "loss.r1", "loss.r2", "loss.gp")  # what a tuning study may compare
INITS = ("generator.init", "disc.init")
ARM_NAMES = {(False, False): "plain", (False, True): "residual D", (True, False): "residual G", (True, True): "both"}

Arm = tuple[bool, bool]  # residual blocks in the generator, in the discriminator


@dataclass(frozen=True)
class Record:
    """One run."""

    path: Path
    config: PlainData  # dotted: {"generator.residual": True, ...}
    result: PlainData | None  # None: not finished
    sessions: tuple[PlainData, ...]  # what ran here: commits, versions, devices

    @property
    def arm(self) -> Arm:
        generator, disc = (bool(self.config[switch]) for switch in SWITCHES)
        return generator, disc

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    @property
    def replicate(self) -> int:
        """Unit of replication: a search with its own fresh seeds; without a search, the seed."""
        replicate = self.config.get("replicate")
        return self.seed if replicate is None else int(replicate)

    @cached_property
    def search(self) -> PlainData:
        """Search of the run's replicate, from search.json; empty where there was none."""
        file = self.path.parent / f"{SEARCH}.json"
        found = read_json(file) if file.is_file() else {}
        if not isinstance(found, dict):
            raise RunError(f"{file}: is damaged; the command that made it, again, makes it anew")
        return found

    @property
    def status(self) -> Literal["finished", "diverged", "unfinished"]:
        return "unfinished" if self.result is None else self.result["status"]

    @property
    def is_tuning(self) -> bool:
        """Check whether the run only chooses settings: no result is drawn from it."""
        return is_tuning(self.config.get("study"))

    @property
    def collapsed(self) -> bool:
        ratio = self.score("variance_ratio")
        return ratio is not None and ratio < COLLAPSED

    @cached_property
    def dead_disc(self) -> bool:
        """Check whether the run finished with a discriminator that tells nothing apart, and samples as at the start.

        The mean of the last readings of D's loss is, within 1 %, that of a D which gives all samples the same logit;
        and the primary endpoint fell by less than 2 % of its value at step 0, so G did not make real and fake alike.
        """
        losses = [m["loss_d"] for m in self._measured if m["kind"] == "losses" and m.get("loss_d") is not None]
        undecided = UNDECIDED_LOSS.get(str(self.config.get("loss.name")))
        if self.status != "finished" or not losses or undecided is None:
            return False
        last = losses[-LAST_LOSSES:]
        alike = abs(sum(last) / len(last) - undecided) <= 0.01 * max(undecided, 0.1)
        assert self.result is not None
        start, end = self.untrained(self.result["primary"]), self.score(self.result["primary"])
        return alike and start is not None and end is not None and end > 0.98 * start

    @property
    def code(self) -> str:
        """Commits that ran, with "+" for uncommitted changes; the package version where there is no git."""
        names = [
            f"{git['commit'][:10]}{'+' if git.get('dirty') else ''}"
            if (git := session.get("git"))
            else str(session.get("resgan", "unknown"))
            for session in self.sessions
        ]
        return " then ".join(dict.fromkeys(names)) or "unknown"

    def score(self, name: str) -> float | None:
        """Return a score at the end of the run; None where it has none."""
        return self.result["scores"].get(name) if self.result is not None else None

    def best(self, name: str) -> float | None:
        """A score at the measurement with the best primary endpoint."""
        best = self.result["best"] if self.result is not None else None
        return best["scores"].get(name) if best else None

    def start(self, name: str) -> float | None:
        """Return a measurement of the untrained networks."""
        start = self.result["start"] if self.result is not None else None
        return start.get(name) if start else None

    def curve(self, name: str) -> list[tuple[int, float]]:
        """Return (images seen, score) at every measurement."""
        return [(n, scores[name]) for n, scores in self._scored if scores.get(name) is not None]

    def untrained(self, name: str) -> float | None:
        """A score at step 0."""
        return next((scores.get(name) for n, scores in self._scored if n == 0), None)

    @cached_property
    def _scored(self) -> list[tuple[int, PlainData]]:
        return [(m["images_seen"], m["scores"]) for m in self._measured if m["kind"] == "scores"]

    @cached_property
    def _measured(self) -> list[PlainData]:
        run = Run(self.path)
        found, made = run.measurements(), (self.result or {}).get("lines", 0)
        if len(found) < made:
            say_once(f"{run.metrics}: {made - len(found)} of {made} lines are missing, so curves and tables lack them")
        return found

    def settings(self, *, without: Iterable[str] = ()) -> PlainData:
        """Return the options that define the run, except for its replicate, seed, arm and `without`."""
        left_out = {"replicate", "seed", *SWITCHES, *INTERVALS, *without}
        return {key: value for key, value in self.config.items() if key not in left_out and not is_bookkeeping(key)}


def is_tuning(study: str | None) -> bool:
    """Check whether this is the name of a tuning study."""
    return study is not None and study.endswith("tuning")


def read_runs(paths: Iterable[Path]) -> list[Record]:
    """All runs below the paths, sorted by path. Raises RunError."""
    found: dict[Path, Record] = {}
    for path in paths:
        if not path.is_dir():
            what = "is a file" if path.exists() else "there is no such directory"
            raise RunError(f"{path}: {what}; give the directory of a study, or of several runs")
        runs = list(run_directories(path))
        if not runs:
            raise RunError(f"{path}: holds no run (no config.yaml in it or below)")
        for run in runs:
            if (whole := run.resolve()) not in found:
                found[whole] = read_run(run)
    return [found[path] for path in sorted(found)]


def read_run(path: Path) -> Record:
    run = Run(path)
    try:
        config = completed(flat(yaml.load(run.config.read_text(), Loader=LOADER)), names(TrainOptions))
    except (yaml.YAMLError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise RunError(f"{run.config}: is damaged; remove the directory and run it again") from error
    if missing := [key for key in ("seed", *SWITCHES) if key not in config]:
        raise RunError(f"{run.config}: has no {missing[0]}; it is no configuration of a run")
    result = run.read_result()
    if result is not None:
        cards = {name: completed_card(name, card) for name, card in result["cards"].items()}
        result = result | {"cards": cards}
    return Record(path, config, result, tuple(run.sessions()))


def title(what: PlainData, others: list[PlainData]) -> str:
    """Name a group of settings among others by as few settings as distinguish it.

    A setting that both networks share is named once. Learning rates and loss weights, and settings that not every group
    has (again the rates, where each arm has its own), are named only where the others do not suffice.
    """
    varied = [key for key in dict.fromkeys(k for d in others for k in d) if len({repr(d.get(key)) for d in others}) > 1]
    common = [key for key in varied if all(key in d for d in others)]
    untuned = [key for key in common if key not in TUNABLE]
    parts = {}
    for key in next((keys for keys in (untuned, common) if tells_apart(keys, others)), varied):
        network, _, short = key.partition(".")
        twin = {"generator": "disc", "disc": "generator"}.get(network)
        shared = twin and all(d.get(key) == d.get(f"{twin}.{short}") for d in others)
        parts[short if shared else key] = format_value(what.get(key))
    if "tuning.inits" in parts:  # what it means, rather than a list that is empty in one of the groups
        inits = what["tuning.inits"]
        own = f"the best start of {', '.join(inits)}" if inits else "one start for all arms"
        return ", ".join([*(f"{key}={value}" for key, value in parts.items() if key != "tuning.inits"), own])
    return ", ".join(f"{key}={value}" for key, value in parts.items())


def tells_apart(keys: list[str], groups: list[PlainData]) -> bool:
    return len({repr([group[key] for key in keys]) for group in groups}) == len(groups)
