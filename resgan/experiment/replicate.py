"""One replicate: its own search, where one is asked for, then fresh seeds at the settings found.

<arm>/<replicate>/search.json                            candidates, rungs, winner, what makes it doubtful
<arm>/<replicate>/search/rung-0/candidate-03/            ordinary runs, from which no result is drawn
<arm>/<replicate>/<seed>/                                the runs of the result
"""

import json
import statistics
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from resgan.base.console import say
from resgan.base.errors import OptionsError
from resgan.base.files import make_directory, write_atomically
from resgan.base.plain_data import PlainData, format_value, nan_to_none
from resgan.builders.components import build_components
from resgan.experiment import search
from resgan.experiment.begun import extend_diverged, named_directory
from resgan.experiment.precision import with_precision
from resgan.experiment.search import Candidate, Outcome, Rung
from resgan.experiment.searches import has_ended
from resgan.experiment.session import EXIT_DIVERGED, primary_endpoint, train_together
from resgan.experiment.study import Job, arm_of
from resgan.experiment.summary import tell_end
from resgan.experiment.tuning import refuse_searched, tuned
from resgan.options.train import TrainOptions
from resgan.options.tuning import RANGES
from resgan.report.records import COLLAPSED
from resgan.runs.directory import SEARCH, Result, Run, new_directory


@dataclass(frozen=True)
class Wanted:
    """Runs whose results a replicate needs before it goes on: those of a rung, or its fresh seeds."""

    root: Path  # of the replicate
    job: Job
    runs: Sequence[tuple[TrainOptions, Run]]


Steps = Generator[Wanted, Sequence[Result], float]


def train_replicate(options: TrainOptions, job: Job) -> float:
    """Search, then train or continue the fresh seeds; finished runs are not trained again.

    Returns the mean of the fresh seeds' primary endpoints: lower is better. Raises OptionsError for invalid options,
    and where the search ends at an edge or in a tie that is not accepted; then no fresh seed has begun.
    """
    steps = replicate_steps(options, job)
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(results_of(wanted))
    except StopIteration as end:
        return end.value


def replicate_steps(options: TrainOptions, job: Job) -> Steps:
    """The steps of `train_replicate`: a generator of wanted runs, which is sent their results and returns its value.

    Who drives it decides what is trained together: one replicate by itself, or all of a sweep.
    """
    [options] = with_precision([tuned(options, job)])
    refuse_typed_seed(options, job)
    refuse_searched(options, job.overrides)
    candidates = search.list_candidates(options) if options.tuning.candidates else []
    for number, candidate in enumerate(candidates):
        candidate_options(options, candidate, job, rung=0, number=number)  # refused now, not when a run begins
    root = directory_of(options, job)
    runs = [Run(root / str(one.seed)) for one in options.each_seed()]
    ended = [run.read_result(until_kimg=options.total_kimg) is not None for run in runs]
    has_said_so = job.sweep_dir is not None and all(ended)

    if candidates:
        winner = yield from best_candidate(options, candidates, root, job, quiet=has_said_so)
        options = options.with_values(winner)
    results = yield Wanted(root, job, list(zip(options.each_seed(), runs, strict=True)))

    if not has_said_so:
        tell_end(root, list(zip(runs, results, strict=True)), job)
    if all(result["status"] == "diverged" for result in results) and job.sweep_dir is None:
        raise SystemExit(EXIT_DIVERGED)
    return statistics.fmean(map(primary_endpoint, results))


def refuse_typed_seed(options: TrainOptions, job: Job) -> None:
    for argument in job.arguments:
        if argument.lstrip("+").startswith("seed="):
            raise OptionsError(f"{argument}: replicate={options.replicate} has its own seeds; leave one of them out")


def directory_of(options: TrainOptions, job: Job) -> Path:
    """Return the directory of the replicate; a new one is made only if its components can be built."""
    if (named := named_directory(options, job)) is not None:
        return named / str(options.replicate) if job.sweep_dir is not None else named
    build_components(options, side_by_side=job.side_by_side)
    return new_directory(Path("runs"))


def results_of(wanted: Wanted) -> list[Result]:
    """Return results of runs in order; train runs without one. Raises RunError for directories of other options."""
    todo = missing(wanted)
    train_together(todo, wanted.root, wanted.job, most=wanted.runs[0][0].trainer.stack)
    return known_results(wanted)


def missing(wanted: Wanted) -> list[tuple[TrainOptions, Run]]:
    """Return the runs without a result. Raises RunError for directories of other options."""
    for options, run in wanted.runs:
        run.check(options.model_dump(), may_grow=not options.tuning.candidates)  # its search was for this length
        if (result := run.read_result()) is not None:
            extend_diverged(run, options, result)
    return [(o, run) for o, run in wanted.runs if run.read_result(until_kimg=o.total_kimg) is None]


def known_results(wanted: Wanted) -> list[Result]:
    """Return the results of the runs, all of which have ended."""
    results = [run.read_result() for _, run in wanted.runs]
    assert None not in results
    return [result for result in results if result is not None]


# The search.


def best_candidate(
    options: TrainOptions, candidates: Sequence[Candidate], root: Path, job: Job, *, quiet: bool
) -> Generator[Wanted, Sequence[Result], Candidate]:
    """Play all rungs, write search.json, return the winner. Raises OptionsError for a doubtful one not accepted."""

    def play(rung: int, numbers: Sequence[int]) -> Generator[Wanted, Sequence[Result], list[Outcome]]:
        runs = [
            (
                candidate_options(options, candidates[number], job, rung=rung, number=number),
                Run(root / SEARCH / f"rung-{rung}" / f"candidate-{number:02d}"),
            )
            for number in numbers
        ]
        results = yield Wanted(root, job, runs)
        for _, run in runs:
            remove_checkpoints(run)
        return [outcome_of(number, result) for number, result in zip(numbers, results, strict=True)]

    if not has_ended(root):  # marks the directory beside it as a search from now on
        write_search(root, options, candidates, [])
    rungs = yield from search.halve(search.rung_sizes(options.tuning), play)
    [number] = rungs[-1].kept
    winner = candidates[number]
    edges = search.edges(winner, candidates, search.ranges_of(options))
    write_search(root, options, candidates, rungs, winner=number, edges=edges)
    if not quiet:
        arm = f"{arm_of(options, job)}, " if job.sweep_dir is not None else ""
        found = f"the best of {len(candidates)} is candidate {number}: {as_typed(winner)}"
        say(f"{arm}replicate {options.replicate}: {found}")
    if doubts := doubts_about(options, rungs, edges):
        if not options.tuning.accept_edge:
            raise OptionsError(
                f"{'; '.join(doubts)}; widen the range, give more candidates, or accept it with tuning.accept_edge=true"
            )
        if not quiet:
            say(f"  accepted: {'; '.join(doubts)}")
    return winner


def remove_checkpoints(run: Run) -> None:
    """Delete checkpoints, which only continuing needs: those of a study's searches would fill a disk."""
    for checkpoint in run.checkpoints.glob("*.ckpt"):
        checkpoint.unlink()


def candidate_options(options: TrainOptions, candidate: Candidate, job: Job, *, rung: int, number: int) -> TrainOptions:
    """Return the options of a candidate's run: short, scored at both ends, marked as tuning. Raises OptionsError."""
    name = f"{arm_of(options, job)} replicate {options.replicate} rung {rung} candidate {number}"
    return options.with_values(
        candidate
        | {
            "total_kimg": options.tuning.rungs[rung] * options.total_kimg,
            "score_kimg": 0,
            "sample_kimg": 0,
            "seed": search.SEARCH_SEEDS + (options.replicate or 0),
            "study": f"{options.study}_tuning" if options.study else "tuning",
            "wandb.name": options.wandb.name or name,
        }
    )


def outcome_of(candidate: int, result: Result) -> Outcome:
    scores, diverged = result["scores"], result["status"] == "diverged"
    ratio = scores.get("variance_ratio")
    return Outcome(
        candidate=candidate,
        diverged=diverged,
        collapsed=ratio is not None and ratio < COLLAPSED,
        primary=primary_endpoint(result),
        validity=scores.get("validity"),
        distance=scores.get("distance"),
    )


def write_search(
    root: Path,
    options: TrainOptions,
    candidates: Sequence[Candidate],
    rungs: Sequence[Rung],
    *,
    winner: int | None = None,  # None: it has not ended
    edges: Sequence[PlainData] = (),
) -> None:
    """Write search.json: the list, how each rung ended, and the winner."""
    content = {
        "replicate": options.replicate,
        "seed": search.SEARCH_SEEDS + (options.replicate or 0),
        "candidates": candidates,
        "rungs": [
            {"total_kimg": share * options.total_kimg, **asdict(rung)}
            for share, rung in zip(options.tuning.rungs, rungs, strict=False)
        ],
        "winner": winner,
        "edges": edges,
    }
    make_directory(root)
    write_atomically(root / f"{SEARCH}.json", json.dumps(nan_to_none(content), indent=2) + "\n")


def doubts_about(options: TrainOptions, rungs: Sequence[Rung], edges: Sequence[PlainData]) -> list[str]:
    """List the reasons why the winner may not be the best."""
    doubts = []
    for edge in edges:
        name = next(name for name, decided in RANGES.items() if edge["option"] in decided)
        limits = format_value(getattr(options.tuning, name))
        doubts.append(f"the best candidate has the {edge['side']} {edge['option']} of all, {edge['value']:g} "
                      f"(tuning.{name}={limits})")  # fmt: skip
    for number, rung in enumerate(rungs):
        if rung.tied:
            doubts.append(f"candidates {', '.join(map(str, rung.tied))} are tied in rung {number}")
    return doubts


def as_typed(candidate: Candidate) -> str:
    return " ".join(f"{name}={format_value(value)}" for name, value in candidate.items())
