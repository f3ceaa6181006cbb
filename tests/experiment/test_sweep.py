"""A sweep: what it searches, how its trials are shared out, and what is told of them."""

import json
import math
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from helpers.made_runs import RESULT
from helpers.options import TINY
from helpers.processes import run, start
from optuna.trial import TrialState

from resgan.base.errors import OptionsError, UserError
from resgan.base.signals import StopSignal
from resgan.cli.search import read_search
from resgan.experiment.sweep import storage, worker
from resgan.experiment.sweep.command import keep_record
from resgan.experiment.sweep.space import Dimension, Search
from resgan.experiment.sweep.storage import STATUS, Trials, value_of
from resgan.experiment.sweep.summary import write_summary
from resgan.experiment.sweep.worker import Runner, scores_so_far
from resgan.options.sweep import SweepOptions
from resgan.options.validation import check
from resgan.runs.directory import Run

QUICK = [*TINY, "data.size=200", "metrics.samples=100", "total_kimg=1", "score_kimg=0", "save_kimg=0"]
LR = Dimension("disc.lr", low=1e-4, high=1e-2, log=True, default=1e-3)
ARMS = {"plain": ["disc.residual=false"], "residual": ["disc.residual=true"]}


def search(arms=None, words=(), seeds=(0,), prune="none") -> Search:
    own = {"all": []} if arms is None else arms
    return Search(own, [*words], (LR,), seeds, len(seeds) > 1, 3000, "random", 0, prune)


SEARCH = search(ARMS, ["data=gaussians"])
USUAL = {"trials": 4, "workers": 1, "run_dir": None, "arms": "alike", "fresh_seeds": 0, "sampler": "tpe",
         "sampler_seed": 0, "prune": "none", "storage": None, "name": None}  # fmt: skip


def options(**values) -> SweepOptions:
    return check(SweepOptions, USUAL | values)


def read(*words: str, **values) -> Search:
    return read_search(words, options(**values))[0]


# What is searched.


def test_switches_are_arms_and_the_rest_is_searched():
    words = ["generator.residual=true,false", "disc.residual=false", "disc.lr=tag(log,interval(1e-4,1e-2))"]
    found = read("data=gaussians", *words, "disc.steps=range(1,4)", "loss=choice(hinge,relativistic)")
    assert found.words == ["data=gaussians", "disc.residual=false"]
    assert list(found.arms.values()) == [
        ["generator.residual=true", "disc.residual=false"],
        ["generator.residual=false", "disc.residual=false"],
    ]
    lr, steps, loss = found.dimensions
    assert lr == Dimension("disc.lr", low=1e-4, high=1e-2, log=True, default=1e-3)
    assert (steps.ends, steps.whole, steps.step) == (["1", "3"], True, 1)
    assert steps.default == 1
    assert (loss.choices, loss.default) == (("hinge", "relativistic"), "relativistic")
    assert (found.seeds, found.nested, found.images) == ((0,), False, 512_000)


def test_an_option_of_whole_numbers_has_whole_values():
    [width] = read("data=gaussians", "disc.width=interval(16,64)").dimensions
    assert width.ends == ["16", "64"]


def test_what_is_searched_may_have_no_default():
    [path] = read("data=folder", "data.size=16", "data.path='a','b'").dimensions
    assert (path.choices, path.default) == (("'a'", "'b'"), None)  # as typed


def test_seeds_of_a_trial():
    found = read("data=gaussians", "seeds=3", "disc.steps=1,2")
    assert (found.seeds, found.nested) == ((3,), True)
    assert read("data=gaussians", "++seed=5", "disc.steps=1,2").seeds == (5,)


def test_switches_can_be_searched_too():
    found = read("data=gaussians", "generator.residual=true,false", arms="searched")
    assert found.arms == {"all": []}
    assert [(d.option, d.choices, d.default) for d in found.dimensions] == [
        ("generator.residual", ("true", "false"), "true")
    ]


def test_without_a_range_both_rates_and_the_penalties_as_one():
    found = read("data=gaussians", "loss=relativistic", "loss.r1=0.2", "loss.r2=0.2")
    assert [d.option for d in found.dimensions] == ["generator.lr", "disc.lr"]  # a weight that is typed stays
    found = read("data=gaussians", "generator.lr=1e-3")
    assert [(d.option, d.low / d.default, d.high / d.default) for d in found.dimensions] == [
        ("disc.lr", pytest.approx(0.2), pytest.approx(5)),
        ("loss.r1", pytest.approx(0.1), pytest.approx(10)),
    ]
    assert found.words[-1] == "loss.r2=${loss.r1}"


def test_values_are_typed_so_that_they_are_read_as_the_same_number():
    value = 0.1 + 0.2
    assert float(LR.typed(value)) == value
    assert Dimension("disc.steps", low=1, high=3, whole=True).typed(2.0) == "2"
    assert SEARCH.overrides("plain", {"disc.lr": value})[-1] == f"disc.lr={value!r}"


def test_a_record_is_read_back():
    found = read("data=gaussians", "disc.steps=range(1,4)", "loss=choice(hinge,relativistic)")
    assert Search.from_data(json.loads(json.dumps(found.as_data()))) == found


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["disc.lr=interval(1e-2,1e-4)"], r"disc.lr=interval\(1e-2,1e-4\): expected low <= high"),
        (["disc.lr=tag(log,interval(0,1))"], "expected low <= high, and low > 0 with log"),
        (["disc.lr=interval(-1,1)"], "disc.lr=-1.0: expected at least 1e-30"),  # the end of a range that makes no run
        (["loss=hinge,hing"], "loss=hing: expected one of"),
        (["disc.steps=range(4,4)"], "the range is empty"),
        (["disc.stepz=range(1,4)"], "disc.stepz: there is no such option; did you mean disc.steps"),
        (["disc.width=tag(log,range(16,65,16))"], r"a logarithmic range has no steps; use interval\(16,64\)"),
        (["study=factorial"], "study=factorial: a trial is one run"),
        (["seed=range(0,9)"], r"seed=range\(0,9\): is not searched; give one value"),
        (["disc.lr=1e-3,2e-3", "disc.lr=1e-3"], "disc.lr=1e-3: disc.lr=1e-3,2e-3 is given too"),
        (["-m"], "-m: expected option=value"),
        (["disc.lr=glob(*)"], r"expected interval\(low,high\)"),
    ],
)
def test_what_makes_no_search_is_refused(words, line):
    with pytest.raises(OptionsError, match=line):
        read("data=gaussians", *words)


# How trials are shared out.


@pytest.fixture(params=["file", "sqlite"])
def stored(request, tmp_path):
    """Trials in a storage of each kind."""
    return in_storage(tmp_path, None if request.param == "file" else f"sqlite:///{tmp_path}/optuna.db")


@pytest.fixture
def trials(tmp_path):
    return in_storage(tmp_path, None)


def in_storage(tmp_path: Path, url: str | None) -> Callable[..., Trials]:
    def opened(searched: Search = SEARCH, count: int = 2, name: str = "mine") -> Trials:
        return Trials(searched, tmp_path, storage=url, name=name, count=count)

    return opened


def test_arms_take_turns_and_have_the_same_first_proposals(stored):
    mine, theirs = stored(), stored()
    taken = [one for _ in range(2) for one in (mine.take(), theirs.take())]
    assert [(one.arm, one.trial.number) for one in taken] == [
        ("plain", 0),
        ("residual", 0),
        ("plain", 1),
        ("residual", 1),
    ]
    assert mine.take() is None
    assert theirs.take() is None
    values = [one.trial.params["disc.lr"] for one in taken]
    assert values[0] == values[1] == 1e-3  # the default first
    assert values[2] == values[3] != 1e-3
    assert 1e-4 <= values[2] <= 1e-2
    assert [str(one.directory.relative_to(mine.directory)) for one in taken[:2]] == [
        "plain/trial-000",
        "residual/trial-000",
    ]
    assert not mine.all_ended


def test_a_trial_whose_worker_has_ended_is_taken_up_and_no_other(stored):
    mine, theirs = stored(count=1), stored(count=1)
    first, second = mine.take(), mine.take()
    assert first is not None
    assert second is not None
    assert theirs.take() is None
    first.lock.close()  # as the system does when the worker ends
    again = theirs.take()
    assert again is not None
    assert (again.arm, again.trial.number, again.overrides) == (first.arm, first.trial.number, first.overrides)
    assert again.again
    assert not first.again
    theirs.tell(again, 0.5)
    mine.tell(second, math.nan)
    assert mine.all_ended
    assert mine.best(first.arm).value == 0.5
    assert mine.best(second.arm) is None  # it failed


def test_more_trials_go_on_with_new_proposals(trials):
    seen = []
    for count in (2, 3):
        own = trials(count=count)
        while (taken := own.take()) is not None:
            own.tell(taken, 0.1)
            taken.lock.close()
            seen.append((taken.arm, taken.trial.params["disc.lr"]))
    plain = [value for arm, value in seen if arm == "plain"]
    assert len(plain) == len(set(plain)) == 3
    assert plain == [value for arm, value in seen if arm == "residual"]


def test_a_worker_that_dies_while_it_asks_leaves_nothing_that_stops_others(stored, monkeypatch):
    """After the default is in the queue; after the trial is made, but before it has values."""

    def dies(*_):
        raise SystemExit(1)

    for where, name in ((optuna.Study, "ask"), (storage, "suggest")):
        with monkeypatch.context() as patched:
            patched.setattr(where, name, dies)
            with pytest.raises(SystemExit):
                stored(count=1).take()
    own = stored(count=1)
    taken = [own.take(), own.take()]
    assert [(one.arm, one.trial.number, one.again) for one in taken] == [("plain", 0, True), ("residual", 0, False)]
    assert [one.trial.params["disc.lr"] for one in taken] == [1e-3, 1e-3]
    for one in taken:
        own.tell(one, 0.5)
    assert own.all_ended


def test_a_run_that_outlives_its_worker_keeps_the_trial(trials):
    own, other = trials(search(), count=1), trials(search(), count=1)
    taken = own.take()
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[taken.lock.fileno()])
    taken.lock.close()  # as where the worker is killed
    assert other.take() is None
    process.communicate()
    assert other.take().again


def test_a_storage_keeps_sweeps_apart(stored):
    stored(name="one"), stored(search(), name="another")
    with pytest.raises(OptionsError, match="has another sweep with name=one: words was data=gaussians, is data=shapes"):
        stored(search(ARMS, ["data=shapes"]), name="one")


def test_a_directory_belongs_to_one_sweep(tmp_path):
    begun = keep_record(options(), SEARCH, tmp_path / "x")
    assert begun.name.startswith("x-")
    (tmp_path / "x" / "sweep.json.unfinished-12").touch()
    assert keep_record(options(), SEARCH, tmp_path / "x" / ".." / "x") == begun  # however it is typed
    for values, searched, line in (
        ({}, search(ARMS, ["data=shapes"]), r"words was data=gaussians, is data=shapes"),
        ({}, search(words=["data=gaussians"]), r"arms was plain, residual, is all"),
        ({"storage": "sqlite:///x"}, SEARCH, r"storage was None, is sqlite:///x"),
        ({"name": "z"}, SEARCH, rf"name was {begun.name}, is z"),
    ):
        with pytest.raises(OptionsError, match=line):
            keep_record(options(**values), searched, tmp_path / "x")
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "sweep.json.unfinished-12").touch()  # left by a command that was killed
    keep_record(options(), SEARCH, tmp_path / "y")
    (tmp_path / "z").mkdir()
    (tmp_path / "z" / "thesis.tex").touch()
    with pytest.raises(OptionsError, match="holds other files and no sweep"):
        keep_record(options(), SEARCH, tmp_path / "z")


def test_a_storage_that_is_none(tmp_path):
    for opened in (storage.check_storage, lambda url: storage.open_storage(url, tmp_path)):
        with pytest.raises(OptionsError, match="storage=nothing://here: "):
            opened("nothing://here")


# What is told of a trial.


class Played(Runner):
    """A runner whose runs write what they are told to."""

    def __init__(self, trials: Trials, outcomes: list, fresh_seeds: int = 0) -> None:
        super().__init__(trials, fresh_seeds, StopSignal())
        self.outcomes = outcomes

    def run(self, overrides, directory, name, lock, is_behind):
        status, objectives, curve = self.outcomes.pop(0)
        directory.parent.mkdir(parents=True, exist_ok=True)
        worker.log_of(directory).write_text("some lines\nresgan: disc.lr=1e9: expected less\n")
        for seed, objective in enumerate(objectives):
            place = directory / str(seed) if len(objectives) > 1 else directory
            place.mkdir(parents=True, exist_ok=True)
            for images, value in curve:
                Run(place).append({"images_seen": images, "kind": "scores", "scores": {"tv": value, "validity": 0}})
                if is_behind():
                    return 0, True
            how = "diverged" if objective in (None, 1.0) else "finished"
            Run(place).write_result(RESULT | {"status": how, "objective": objective})
        return status, False


def told(trials, searched, outcomes, name="mine") -> list:
    own = trials(searched, count=len(outcomes), name=name)
    runner = Played(own, outcomes)
    while (taken := own.take()) is not None:
        with taken.lock:
            runner.run_trial(taken)
    return own.of(next(iter(searched.arms)))


def test_values_and_statuses(trials):
    outcomes = [(0, [0.2], []), (3, [None], []), (3, [1.0], []), (1, [], []), (-9, [], []), (2, [], [])]
    found = told(trials, search(), outcomes)
    assert [one.user_attrs[STATUS] for one in found] == ["finished"] + ["diverged"] * 2 + ["failed"] * 3
    assert [value_of(one) for one in found[:3]] == [0.2, math.inf, 1.0]
    assert [one.state for one in found[3:]] == [TrialState.FAIL] * 3


def test_the_value_of_several_seeds_is_their_mean(trials):
    [both] = told(trials, search(seeds=(0, 1)), [(0, [0.2, 0.4], [(0, 0.9), (1000, 0.5)])])
    assert both.value == pytest.approx(0.3)
    assert both.intermediate_values == {1000: 0.5}  # step 0 is no training
    assert both.user_attrs["kimg"] == 2


def test_defaults_that_are_no_run_end_the_sweep_and_are_tried_again(trials):
    with pytest.raises(OptionsError, match=r"disc\.lr=1e9: expected less"):
        told(trials, search(), [(2, [], [])])
    [again] = told(trials, search(), [(0, [0.2], [])])  # once that is mended
    assert again.value == 0.2


def test_a_trial_behind_the_median_of_its_arm_is_pruned(stored):
    good, bad = (0, [0.2], [(1000, 0.2), (3000, 0.2)]), (0, [0.8], [(1000, 0.8), (3000, 0.8)])
    late = (0, [0.8], [(1000, 0.1), (3000, 0.8)])  # its best was before, and at the end there is nothing to save
    found = told(stored, search(prune="median"), [good, good, good, good, good, bad, late, good])
    states = [one.state for one in found]
    assert states == [TrialState.COMPLETE] * 5 + [TrialState.PRUNED] + [TrialState.COMPLETE] * 2
    assert found[5].intermediate_values == {1000: 0.8}  # it ended early
    assert found[5].user_attrs["kimg"] == 1


def test_the_score_of_several_seeds_waits_for_all(tmp_path):
    runs = [Run(tmp_path / name) for name in "ab"]
    for run_, values in zip(runs, ([0.5, 0.3], [0.7]), strict=True):
        run_.path.mkdir()
        for k, value in enumerate(values):
            run_.append({"images_seen": 1000 * (1 + k), "kind": "scores", "scores": {"tv": value, "validity": 9}})
            run_.append({"images_seen": 1000 * (1 + k), "kind": "losses", "d": 3})
    assert scores_so_far(runs) == [(1000, pytest.approx(0.6))]
    assert [worker.images_seen(one) for one in runs] == [2000, 1000]


def test_fresh_seeds_compare_the_best_of_each_arm(trials, tmp_path):
    searched = search(ARMS, ["seed=7"], seeds=(7,))
    own = trials(searched)
    runner = Played(own, [(0, [value], []) for value in (0.4, 0.5, 0.1, 0.3)] + [(0, [0.6], [])] * 4, fresh_seeds=2)
    while (taken := own.take()) is not None:
        with taken.lock:
            runner.run_trial(taken)
    planned = {str(one.directory.relative_to(tmp_path)): one.overrides for one in runner.fresh_runs()}
    places = ["fresh/plain/trial-001", "fresh/residual/trial-001"]  # the second trial of each is the better one
    assert list(planned) == [f"{place}/{seed}" for place in places for seed in (8, 9)]
    best = own.best("plain")
    assert planned[f"{places[0]}/9"] == ["disc.residual=false", f"disc.lr={best.params['disc.lr']!r}", "seed=9"]
    while runner.run_one_fresh():
        pass
    assert runner.fresh_ended
    assert len(list(tmp_path.glob("fresh/*/*/*/result.json"))) == 4
    text = write_summary(own, tmp_path, fresh_seeds=2)
    assert f"python -m resgan.report {tmp_path / places[0]} {tmp_path / places[1]}" in text
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    header, *rows = (tmp_path / "trials.csv").read_text().splitlines()
    assert header == "arm,trial,status,value,kimg,disc.lr"
    assert rows[0] == "plain,0,finished,0.4,0.0,0.001"
    assert len(rows) == 4

    more = trials(searched, count=3)  # another trial becomes the best: its fresh seeds are others
    runner = Played(more, [(0, [0.05], [])] * 2, fresh_seeds=2)
    while (taken := more.take()) is not None:
        with taken.lock:
            runner.run_trial(taken)
    assert not runner.fresh_ended
    assert {one.directory.parent.name for one in runner.fresh_runs()} == {"trial-002"}


def test_a_run_that_fails_with_a_fresh_seed_is_no_result(trials):
    own = trials(search(), count=1)
    runner = Played(own, [(0, [0.4], []), (1, [], [])], fresh_seeds=1)
    runner.run_trial(own.take())
    with pytest.raises(UserError, match=r"all seed 1 failed with exit status 1; see .*fresh/all/trial-000/1.log"):
        runner.run_one_fresh()


STUB = """
import os, signal, sys
with open("attempts", "a+") as file:
    file.write("x")
    file.seek(0)
    attempts = len(file.read())
if attempts < {}:
    os.kill(os.getpid(), signal.SIGKILL) if attempts == 1 else sys.exit(143)
"""


@pytest.mark.parametrize(("good_from", "status"), [(1, 0), (3, 0), (4, 143)])
def test_a_run_that_a_signal_ends_is_continued_twice(good_from, status, trials, tmp_path, monkeypatch):
    """By itself, or after it has saved its state, as where a cluster ends all processes."""
    (tmp_path / "resgan").mkdir()
    (tmp_path / "resgan" / "__init__.py").touch()
    (tmp_path / "resgan" / "train.py").write_text(STUB.format(good_from))
    monkeypatch.chdir(tmp_path)  # python -m takes the module from here
    monkeypatch.setattr(worker, "EVERY", 0.01)
    own = trials(search(), count=1)
    taken = own.take()
    runner = Runner(own, 0, StopSignal())
    assert runner.run([], tmp_path / "run", "a run", taken.lock, lambda: False) == (status, False)
    assert len((tmp_path / "attempts").read_text()) == min(good_from, 3)
    if good_from == 3:
        (tmp_path / "attempts").unlink()
        runner.stop_signal.number = signal.SIGTERM  # the signal was one to all
        with pytest.raises(SystemExit):
            runner.run([], tmp_path / "run", "a run", taken.lock, lambda: False)


# The command.


def test_help_and_the_extra_are_named_without_optuna():
    hidden = "import sys, runpy; sys.modules['optuna'] = None; sys.argv[1:] = {}; "
    code = hidden + "runpy.run_module('resgan.sweep', run_name='__main__')"
    for arguments, status, said in (
        (["--help"], 0, "pip install 'resgan[sweep]'"),
        (["data=gaussians"], 2, "resgan: resgan.sweep needs Optuna: pip install 'resgan[sweep]'\n"),
    ):
        ended = subprocess.run([sys.executable, "-c", code.format(arguments)], capture_output=True, text=True)
        assert ended.returncode == status, ended.stderr
        assert said in (ended.stdout if status == 0 else ended.stderr)
        assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["trials=0"], "trials=0: expected at least 1"),
        (["trails=3"], "trails: there is no such option"),
        (["workers=two"], "workers=two: expected a whole number"),
        (["disc.lr=interval(-1,1)"], "disc.lr=-1.0: expected at least 1e-30"),
        (["storage=nothing://here"], "storage=nothing://here: "),
    ],
)
def test_bad_input_is_one_line(words, line, tmp_path):
    process = run("sweep", *QUICK, *words, cwd=tmp_path)
    assert process.returncode == 2
    assert line in process.stderr
    assert process.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def workers_of(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = int(status.read_text().split("PPid:")[1].split()[0])
            if parent == pid and "resgan.experiment.sweep.worker" in (status.parent / "cmdline").read_text():
                found.append(int(status.parent.name))
        except OSError:  # it has ended
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("where", [[], ["storage=sqlite:///optuna.db"]], ids=["file", "sqlite"])
def test_thirty_trials_three_workers_one_killed(where, tmp_path):
    """None is lost, and the printed command makes the best again, to the last bit."""
    words = [*QUICK, "trials=15", "generator.residual=true,false", *where, "run_dir=x", "wandb=disabled"]
    process = start("sweep", *words, "workers=3", cwd=tmp_path)
    process.wait_for(lambda: len(list(tmp_path.glob("x/*/*/result.json"))) >= 8, timeout=600)
    os.kill(workers_of(process.pid)[1], signal.SIGKILL)
    process.wait(900)
    assert process.returncode == 0, process.stderr
    assert "a worker was ended by signal 9" in process.stderr
    assert process.stderr.count("is taken up again") == 1  # once its run, which goes on alone, has ended
    rows = [line.split(",") for line in (tmp_path / "x" / "trials.csv").read_text().splitlines()[1:]]
    assert len(rows) == 30
    assert {row[2] for row in rows} == {"finished"}
    assert len(list(tmp_path.glob("x/*/*/result.json"))) == 30

    again = run("sweep", *words, "workers=1", cwd=tmp_path)  # all are there
    assert again.returncode == 0, again.stderr
    assert "begins" not in again.stderr
    assert again.stdout == process.stdout

    command = next(line for line in process.stdout.splitlines() if "resgan.train" in line)
    arm = next(line for line in process.stdout.splitlines() if "the best of" in line).split()[3].rstrip(",")
    best = min(float(row[3]) for row in rows if row[0] == arm)
    assert run("train", *shlex.split(command)[3:], "run_dir=best", cwd=tmp_path).returncode == 0
    assert json.loads((tmp_path / "best" / "result.json").read_text())["objective"] == best


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_sweep_that_is_stopped_goes_on_from_the_checkpoint(tmp_path):
    words = [*TINY, "trials=1", "total_kimg=100", "score_kimg=0", "save_kimg=0", "run_dir=x", "wandb=disabled"]
    process = start("sweep", *words, cwd=tmp_path)
    process.wait_for(lambda: any(p.stat().st_size for p in tmp_path.glob("x/*/*/metrics.jsonl")))
    process.send(signal.SIGTERM).wait()
    assert process.returncode == 143, process.stderr
    command = process.stderr.splitlines()[-1].removeprefix("resgan:").strip()
    again = run("sweep", *shlex.split(command)[3:], cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "is taken up again" in again.stderr
    assert "continues" in next(tmp_path.glob("x/*/trial-000.log")).read_text()
