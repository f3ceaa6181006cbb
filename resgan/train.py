"""Train a GAN: `python -m resgan.train generator.residual=true disc.residual=false`."""

import contextlib
import math
import shlex
import signal
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resgan import plan
from resgan.checking import OptionsError, check, parse_seeds
from resgan.command import Command, Job, run_command, say
from resgan.options import TrainOptions
from resgan.parts import Parts, prepare
from resgan.provenance import provenance
from resgan.runs import Run, RunError, Stopped, arm_name, claim_new, flat, new_directory

COMMAND = Command(
    name="train",
    options=TrainOptions,
    about="""Train a GAN whose residual blocks are switched on separately in the generator and the discriminator.
The bare command trains the arm generator.residual=true disc.residual=true on data=shapes.""",
    examples="""  python -m resgan.train generator.residual=true disc.residual=false
  python -m resgan.train data=gaussians total_kimg=200
  python -m resgan.train data=folder data.path=pictures.zip data.size=32 total_kimg=1000
  python -m resgan.train -m generator.residual=true,false disc.residual=true,false seed=0,1,2
  python -m resgan.train generator.width=[64,32,16] generator.blocks=4 generator.join=sum generator.norm=group
  python -m resgan.train study=factorial seed=0,1,2,3,4 hydra/launcher=joblib
  python -m resgan.train run_dir=runs/mine      the same command again continues the run""",
    before_study=plan.announce,
    after_study=plan.report_end,
)

EXIT_DIVERGED = 3
START_SAMPLES = 256  # real samples for the figures at step 0


def main() -> None:
    run_command(COMMAND, train)


def train(options: TrainOptions, job: Job) -> float:
    """Train one run, or continue it, or find it finished. Returns the primary endpoint: lower is better."""
    options = tuned(options, job)
    if options.seeds is not None:
        return train_side_by_side(options, job)
    run = named_run(options, job)
    config = options.model_dump()
    if run is not None:
        run.check(config)
    result = run.read_result() if run is not None else None
    if run is not None and result is not None:
        say_finished(run, result)
        if job.sweep_dir is not None:
            return objective(result)
    else:
        # What can be refused is refused before a directory is made.
        parts = prepare(options, side_by_side=job.side_by_side)
        if run is None:
            run = claim_new(Path("runs"), config)
        else:
            run.claim(config)
        with run.locked():
            [result] = fit([Member(options, run, parts, state=continue_from(run, parts.gan))], job)
    print(closing_table(run, result, job))
    if result["status"] == "diverged" and job.sweep_dir is None:
        raise SystemExit(EXIT_DIVERGED)
    return objective(result)


def train_side_by_side(options: TrainOptions, job: Job) -> float:
    """All seeds of `options.seeds` as one; returns the mean of their primary endpoints."""
    assert options.seeds is not None
    if typed_seeds := [argument for argument in job.arguments if argument.lstrip("+").startswith("seed=")]:
        raise OptionsError(f"{typed_seeds[0]}: seeds={options.seeds} says which; leave one of them out")
    given = named_run(options, job)
    parent = given and (given.path.parent if job.sweep_dir else given.path)
    each = [options.of_seed(seed) for seed in parse_seeds(options.seeds)]
    results = finished_in(parent, each) if parent else {}

    # What can be refused is refused before a directory is made.
    todo = [one for one in each if one.seed not in results]
    parts: list[Parts] = []
    for one in todo:
        parts.append(prepare(one, side_by_side=job.side_by_side, like=parts[0] if parts else None))
    parent = parent or new_directory(Path("runs"))
    with contextlib.ExitStack() as locks:
        members = []
        for one, own in zip(todo, parts, strict=True):
            run = Run(parent / str(one.seed))
            run.claim(one.model_dump())
            locks.enter_context(run.locked())
            members.append(Member(one, run, own, state=continue_from(run, own.gan)))
        for together in standing_together(members):
            for member, result in zip(together, fit(together, job), strict=True):
                results[member.options.seed] = result
    print(table_of_seeds(parent, [results[one.seed] for one in each], job))
    if all(result["status"] == "diverged" for result in results.values()) and job.sweep_dir is None:
        raise SystemExit(EXIT_DIVERGED)
    return statistics.fmean(objective(result) for result in results.values())


def finished_in(parent: Path, each: Sequence[TrainOptions]) -> dict[int, dict[str, Any]]:
    """The results there are, by seed. Raises RunError where a run is of other options."""
    found = {}
    for one in each:
        run = Run(parent / str(one.seed))
        run.check(one.model_dump())
        if (result := run.read_result()) is not None:
            say_finished(run, result)
            found[one.seed] = result
    return found


def standing_together(members: Sequence["Member"]) -> list[list["Member"]]:
    """Those that stand at the same place: a process that is killed while it saves leaves some behind."""
    groups: dict[int, list[Member]] = {}
    for member in members:
        groups.setdefault(member.parts.gan.images_seen, []).append(member)
    return list(groups.values())


def say_finished(run: Run, result: dict[str, Any]) -> None:
    again = "remove its result.json, or give another run_dir, to run it again"
    say(f"{run.path} is finished already ({result['status']}); {again}")


def objective(result: dict[str, Any]) -> float:
    return math.inf if result["objective"] is None else result["objective"]  # JSON knows no infinity


def named_run(options: TrainOptions, job: Job) -> Run | None:
    """In a sweep <sweep>/<arm>/<seed>; else run_dir, or None: a new directory with date and time."""
    given = Path(options.run_dir).expanduser() if options.run_dir else None
    if job.sweep_dir is not None:
        return Run((given or job.sweep_dir) / arm_name(job.overrides) / str(options.seed))
    return Run(given) if given else None


def tuned(options: TrainOptions, job: Job) -> TrainOptions:
    """The options with what a tuning study found, where one is named. Raises OptionsError, RunError."""
    if options.tuning.runs is None:
        return options
    from resgan.report.records import TUNABLE, read_runs
    from resgan.report.tuning import tuning_for

    for override in job.overrides:
        if (name := override.split("=")[0]) in TUNABLE:
            raise OptionsError(f"{override}: tuning.best={options.tuning.best} decides {name}; leave one of them out")
    values = options.model_dump()
    try:
        tuning = tuning_for(flat(values), read_runs([Path(options.tuning.runs).expanduser()]))
    except RunError as error:
        raise RunError(f"tuning.runs={options.tuning.runs}: {error}") from error
    arm = (options.generator.residual, options.disc.residual)
    for name, value in tuning.best(arm if options.tuning.best == "own" else None):
        group, key = name.split(".")
        values[group][key] = value
    return check(TrainOptions, values)


@dataclass(frozen=True)
class Member:
    """A run that is about to be trained, alone or beside others of its arm."""

    options: TrainOptions
    run: Run
    parts: Parts
    state: dict[str, Any]  # of the checkpoint it continues from


def fit(members: Sequence[Member], job: Job) -> list[dict[str, Any]]:
    """Train from where the runs stand to their end, several as one, and write down how they ended."""
    from resgan.training.callbacks import ProgressBar, Recording, StopSignal
    from resgan.training.fit import play

    first, stop = members[0], StopSignal()
    trainer = first.options.trainer
    recorders: list[Any] = []
    exit_code: Any = 1
    try:
        for member in members:
            member.parts.scorer.prepare()  # the real side, with a bar of its own; from disk where it was made before
            recorders.append(build_recorder(member, job, stop, together=len(members)))
        with stop.listening():
            play(
                gan_of(members),
                batches_of(members),
                callbacks=[Recording(recorders, stop=stop), ProgressBar(show=trainer.progress)],
                accelerator=first.parts.accelerator,
                precision=trainer.precision,
                deterministic=trainer.deterministic,
            )
        results = [conclude(member, recorder, job) for member, recorder in zip(members, recorders, strict=True)]
        exit_code = 0
    except Stopped as stopped:
        exit_code = 128 + stopped.args[0]
        name = signal.Signals(stopped.args[0]).name
        say(f"stopped by {name} at {recorders[0].gan.images_seen / 1000:.1f} kimg; continue with:")
        say(f"  {continue_command(first.run, job, several=first.run.path.parent if len(members) > 1 else None)}")
        raise SystemExit(exit_code) from None
    except SystemExit as error:
        exit_code = error.code
        raise
    finally:
        for recorder in recorders:
            recorder.tracker.finish(exit_code or (EXIT_DIVERGED if recorder.diverged else 0))
    return results


def gan_of(members: Sequence[Member]) -> Any:
    """The GAN of the only one, or the stack of all."""
    if len(members) == 1:
        return members[0].parts.gan
    from resgan import build

    return build.build_stack(members[0].options, [member.parts.gan for member in members])


def conclude(member: Member, recorder: Any, job: Job) -> dict[str, Any]:
    """Write down how a run ended."""
    status = "diverged" if recorder.diverged else "finished"
    if recorder.diverged:
        seen = recorder.gan.images_seen
        say(f"diverged at {seen / 1000:.1f} kimg: a loss is not a finite number; recorded as such ({member.run.path})")
    result = result_of(member.options, job, recorder, member.parts.counts, status)
    recorder.tracker.summarise({"status": status, **result["scores"]})
    member.run.write_result(result)
    return result


def build_recorder(member: Member, job: Job, stop: Any, *, together: int) -> Any:
    """What writes a run down, with a run of W&B; and a note of what runs here now."""
    from resgan import build
    from resgan.training.callbacks import Recorder, Schedule

    options, run, parts, state = member.options, member.run, member.parts, member.state
    run.record_session(provenance(accelerator=parts.accelerator, arguments=job.arguments) | {"together": together})
    return Recorder(
        run=run,
        gan=parts.gan,
        scorer=parts.scorer,
        schedule=Schedule(
            score=round(1000 * options.score_kimg),
            sample=round(1000 * options.sample_kimg),
            save=round(1000 * options.save_kimg),
            total=parts.gan.total_images,
        ),
        tracker=open_tracker(options, job, run, run_id=state.get("wandb_id"), counts=parts.counts),
        spec=parts.spec,
        reference=build.first_batch(
            parts.dataset, min(START_SAMPLES, len(parts.dataset.train)), labelled=bool(parts.spec["classes"])
        ),
        seconds=state.get("seconds", 0.0),
        stop=stop,
    )


def batches_of(members: Sequence[Member]) -> Any:
    from resgan import build
    from resgan.data.module import DataModule

    options, gan = members[0].options, members[0].parts.gan
    return DataModule(
        *(member.parts.dataset for member in members),
        batch_size=options.batch_size,
        images_seen=gan.images_seen,
        total_images=gan.total_images,
        seeds=[member.options.seed for member in members],
        flip=getattr(options.data, "flip", False),
        conditional=build.is_conditional(options),
        on_device=options.trainer.data_on_device,
    )


def continue_from(run: Run, gan: Any) -> dict[str, Any]:
    """Put the GAN where its newest valid checkpoint left it; returns what else the checkpoint holds."""
    from resgan.training import checkpoints

    state = checkpoints.newest_valid(run.checkpoints) or {}
    if state:
        gan.load_training_state(state)
        gan.losses = dict(state["losses"])
        say(f"continues {run.path} at {gan.images_seen / 1000:.1f} kimg")
    run.forget_after(gan.images_seen)
    return state


def open_tracker(options: TrainOptions, job: Job, run: Run, *, run_id: str | None, counts: dict[str, Any]) -> Any:
    from resgan.training.tracking import Tracker

    arm = arm_name(job.overrides)
    return Tracker(
        mode=options.wandb.mode,
        directory=run.path,
        run_id=run_id,
        config=options.model_dump(exclude={"wandb"}) | {"arm": arm, "run_dir": str(run.path), **counts},
        project=options.wandb.project,
        entity=options.wandb.entity,
        name=options.wandb.name or f"{arm} seed {options.seed}",
        group=options.study or (arm if job.sweep_dir else None),
        job_type=arm if options.study else None,
        tags=options.wandb.tags,
    )


def result_of(options: TrainOptions, job: Job, recorder: Any, counts: dict[str, Any], status: str) -> dict[str, Any]:
    """result.json: all that a reader of many runs needs."""
    scorer, scored = recorder.scorer, recorder.scored
    final = scored[max(scored)] if status == "finished" else dict.fromkeys(scorer.cards)
    primary = final[scorer.primary]
    best = min((n for n in scored if n and scored[n][scorer.primary] is not None),
               key=lambda n: scored[n][scorer.primary], default=None)  # fmt: skip
    start = [m for m in recorder.run.measurements() if m["kind"] == "start"]
    return {
        "status": status,
        "arm": arm_name(job.overrides),
        "seed": options.seed,
        "images_seen": recorder.gan.images_seen,
        "seconds": round(recorder.seconds(), 1),
        "primary": scorer.primary,
        "objective": scorer.worst if primary is None else primary,
        "scores": final,
        "best": {"images_seen": best, "scores": scored[best]} if best else None,
        "cards": scorer.cards,
        "start": {k: v for k, v in start[0].items() if k not in ("images_seen", "kind")} if start else None,
        **counts,
    }


def continue_command(run: Run, job: Job, *, several: Path | None = None) -> str:
    """The command as it was typed, in the directory it has. Of a sweep, the whole sweep; of several, theirs."""
    path = job.sweep_dir or several or run.path
    return typed([*(a for a in job.arguments if not a.lstrip("+").startswith("run_dir=")), f"run_dir={path}"])


def typed(arguments: list[str], command: str = "train") -> str:
    return shlex.join(["python", "-m", f"resgan.{command}", *arguments])


def closing_table(run: Run, result: dict[str, Any], job: Job) -> str:
    """What a run ends with on the screen."""
    rows = [("status", result["status"])]
    rows += [(name, "-" if value is None else f"{value:.4g}") for name, value in result["scores"].items()]
    rows += [(f"{what} of {net}", cost) for what in ("parameters", "flops") for net in ("generator", "disc")
             if (cost := cost_of(result, what, net))]  # fmt: skip
    rows += [
        ("images seen", f"{result['images_seen']:,}"),
        ("seconds", f"{result['seconds']:.0f}"),
        ("everything lies in", str(run.path)),
        ("this run's command", continue_command(run, job)),
        *next_commands(run, result, job),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def table_of_seeds(parent: Path, results: Sequence[dict[str, Any]], job: Job) -> str:
    """What several runs end with on the screen."""
    rows = [("seed", results[0]["primary"])]
    for result in results:
        value = result["scores"][result["primary"]]
        rows.append((str(result["seed"]), result["status"] if value is None else f"{value:.4g}"))
    rows.append(("everything lies in", str(parent)))
    rows.append(("a report", typed([str(job.sweep_dir or parent)], "report")))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def cost_of(result: dict[str, Any], what: str, net: str) -> str:
    """Parameters always; what the switch at its other position would cost, where that is something else."""
    mine, other = result[what][net], result.get("switched", result)[what][net]
    if mine == other:
        return f"{mine:,}" if what == "parameters" else ""
    return f"{mine:,} ({other:,} with {net}.residual at its other position)"


def next_commands(run: Run, result: dict[str, Any], job: Job) -> list[tuple[str, str]]:
    """What one may want to do now, ready to be copied."""
    rows = []
    if result["status"] == "finished":
        ckpt, outdir = run.path / "checkpoints" / "final.ckpt", run.path / "more_samples"
        sample = [f"ckpt={ckpt}", "seeds=0-63", f"outdir={outdir}", "format=grid"]
        rows.append(("draw samples", typed(sample, "sample")))
    offline = sorted(run.path.glob("wandb/offline-run-*"))
    if offline:
        rows.append(("send to W&B", shlex.join(["wandb", "sync", *map(str, offline)])))
    if job.sweep_dir is None:
        switches = ("run_dir=", "generator.residual=", "disc.residual=")
        kept = [a for a in job.arguments if not a.lstrip("+").startswith(switches)]
        arms = ["-m", *kept, "generator.residual=true,false", "disc.residual=true,false"]
        rows.append(("all four arms", typed(arms)))
    return rows


if __name__ == "__main__":
    main()
