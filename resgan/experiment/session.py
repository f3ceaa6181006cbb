"""One session of training: runs from where they stand to their end. A single run is a list of one."""

import contextlib
import math
import signal
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from resgan.base.console import logged, note, say, say_once
from resgan.base.errors import OptionsError
from resgan.base.files import WriteError
from resgan.base.plain_data import PlainData, format_value
from resgan.base.processes import ALONE, Processes, ProcessLost
from resgan.base.signals import Stopped, StopSignal, cause_of, stop_signals
from resgan.builders.components import RunComponents, build_components
from resgan.builders.data import is_conditional, mixed_batch, reals_to_show
from resgan.builders.gan import build_stack
from resgan.builders.saved import continue_from
from resgan.builders.stacking import stacks_of
from resgan.data.dataset import Dataset
from resgan.experiment.begun import find_begun, named_directory, runs_in
from resgan.experiment.precision import with_precision
from resgan.experiment.several import all_processes, check_processes, dismiss_others, order
from resgan.experiment.stacks import about_stack, has_diverged, say_if_changed, settle, stacks_to_train
from resgan.experiment.study import Job, arm_of, typed_options
from resgan.experiment.summary import continue_command, outcome, tell_end
from resgan.experiment.tuning import tuned
from resgan.options.data import Folder
from resgan.options.train import TrainOptions
from resgan.runs.configuration import LENGTH
from resgan.runs.directory import Result, Run, RunError, new_directory
from resgan.runs.provenance import provenance
from resgan.runs.tracking import Tracker, check_environment, new_run_id
from resgan.training import checkpoints
from resgan.training.batches import DataModule
from resgan.training.callbacks import ProgressBar, RecorderCallback
from resgan.training.checkpoints import Found, State
from resgan.training.fit import fit
from resgan.training.gan import GAN
from resgan.training.loggers import Loggers, check_tensorboard, finish_all, open_csv, open_tensorboard
from resgan.training.recorder import Recorder, Schedule
from resgan.training.stack import stand_in

EXIT_DIVERGED = 3
START_SAMPLES = 256  # real samples for the measurements at step 0
GRID, POINTS = 64, 2000  # samples in a grid, and in a scatter of points


@dataclass(frozen=True)
class OpenRun:
    """A run that has not ended, and the job that asks for it."""

    options: TrainOptions
    run: Run
    job: Job


@dataclass(frozen=True)
class Member:
    """A run that is about to be trained, alone or in a stack."""

    options: TrainOptions
    run: Run
    job: Job
    components: RunComponents
    state: State  # of the checkpoint it continues from; empty: it begins
    changed: PlainData = field(default_factory=dict)  # options that are not as they were, [before, now]


@dataclass(frozen=True)
class JobRuns:
    """Runs that a job asks for, one for each seed, and the results that exist."""

    options: TrainOptions
    job: Job
    root: Path | None  # None: a new directory, not made yet
    each: list[TrainOptions]
    results: list[Result | None]  # of each; None: it has not ended

    @property
    def todo(self) -> list[tuple[TrainOptions, Run | None]]:
        """Return the runs that have not ended; None: its directory is not made yet."""
        runs = runs_in(self.root, self.options, self.job) if self.root is not None else {}
        return [(one, runs.get(one.seed)) for one, result in zip(self.each, self.results, strict=True) if not result]


def train(options: TrainOptions, job: Job) -> float:
    """Train or continue each seed's run; finished runs are not trained again.

    Returns the mean of the runs' primary endpoints: lower is better.
    """
    root, asked, trained = train_runs(options, job)
    results = conclude_job(asked, root, trained)
    if all(result["status"] == "diverged" for result in results) and job.sweep_dir is None:
        raise SystemExit(EXIT_DIVERGED)
    return statistics.fmean(map(primary_endpoint, results))


def train_runs(options: TrainOptions, job: Job) -> tuple[Path, JobRuns, dict[Path, Result]]:
    """Train the runs of a job that have not ended. Returns its directory, what it asked for, and the new results."""
    asked = runs_of_job(options, job)
    if not asked.todo:
        dismiss_others(options, job)
    components = build_all(asked.todo, job)  # before a directory is made: refuses what cannot be built
    root = asked.root or new_directory(Path("runs"))
    return root, asked, train_claimed(open_runs(asked, root), components, root)


def train_together(
    runs: Sequence[tuple[TrainOptions, Run]],
    root: Path,  # named in the command that continues them
    job: Job,
    *,
    most: int | None = None,  # runs in a stack; None: any number
) -> list[Result]:
    """Train runs of a job to their end, in stacks where possible, and return their results in order.

    Runs that have begun are continued, runs that have ended are left as they are, and a run that diverges has a result
    while the others go on. Raises UserError.
    """
    todo, results = open_among(runs, job)
    trained = {}
    for stack in stacks_to_train(todo, most=most):
        trained |= train_claimed(stack, build_all([(one.options, one.run) for one in stack], job), root)
    return [result or trained[run.path] for (_, run), result in zip(runs, results, strict=True)]


def build_all(each: Sequence[tuple[TrainOptions, Run | None]], job: Job) -> list[RunComponents]:
    """Build the components of runs that differ only in what may differ in a stack. Raises UserError."""
    components: list[RunComponents] = []
    begins = any(run is None or not checkpoints.can_continue(run.checkpoints) for _, run in each)
    for one, _ in each:
        if not components:
            check_processes(one, job)
            check_tensorboard(one.tensorboard)
            check_environment(one.wandb.mode)
        reuse = components[0] if components else None
        components.append(
            build_components(one, side_by_side=job.side_by_side, reuse=reuse, begins=begins, members=len(each))
        )
        if components[-1].dataset.note:
            say_once(components[-1].dataset.note)
    for name, why in components[0].scorer.left_out.items() if components else ():
        say(f"{name} is left out: {why}")
    return components


def train_claimed(todo: Sequence[OpenRun], components: Sequence[RunComponents], root: Path) -> dict[Path, Result]:
    """Claim and lock the directories, and train the runs to their end. Returns their results by directory."""
    results, opened = {}, []
    with contextlib.ExitStack() as locks, saying_how_to_go_on(root, todo[0].job if todo else None):
        for one, own in zip(todo, components, strict=True):
            one.run.claim(one.options.model_dump())
            locks.enter_context(one.run.locked())
            one.run.check(one.options.model_dump())  # again: another process may have had it since
            if (ended := one.run.read_result(until_kimg=one.options.total_kimg)) is not None:
                results[one.run.path] = ended
                continue
            check_labels(one.options, one.run, own.dataset)
            check_initial(one.run, own)
            locks.enter_context(logged(one.run.log))
            opened.append(Member(one.options, one.run, one.job, own, state={}))
        stacks = [where_they_stand(stack) for stack in stacks_to_train(opened, most=None)]
        for group in (group for stack in stacks for group in at_same_progress(stack)):
            for member, result in zip(group, train_with_others(group, root), strict=True):
                results[member.run.path] = result
    return results


@contextlib.contextmanager
def saying_how_to_go_on(root: Path, job: Job | None) -> Iterator[None]:
    """Add to a WriteError the command that continues where it ended the runs."""
    try:
        yield
    except WriteError as error:
        if job is not None and not root.exists():
            error.advice = "the directory of the run is gone; go on with it where it is now, as run_dir"
        elif job is not None:
            error.advice = f"once it can be, continue with: {continue_command(root, job)}"
        raise


# What a job asks for.


def runs_of_job(options: TrainOptions, job: Job) -> JobRuns:
    """Find the runs of a job, and the results that exist. Raises UserError."""
    options = tuned(options, job)
    refuse_seed_beside_seeds(options, job)
    root, each = named_directory(options, job), options.each_seed()
    results: list[Result | None] = [None] * len(each)
    if root is not None:
        runs = runs_in(root, options, job)
        each, results = find_begun([(one, runs[one.seed]) for one in each], job)
    return JobRuns(options, job, root, with_precision(each), results)


def open_runs(asked: JobRuns, root: Path) -> list[OpenRun]:
    runs = runs_in(root, asked.options, asked.job)
    return [OpenRun(one, runs[one.seed], asked.job) for one, _ in asked.todo]


def refuse_seed_beside_seeds(options: TrainOptions, job: Job) -> None:
    typed = [argument for argument in job.arguments if argument.lstrip("+").startswith("seed=")]
    if options.seeds is not None and typed:
        raise OptionsError(f"{typed[0]}: seeds={options.seeds} decides the seeds; leave one of them out")


def open_among(runs: Sequence[tuple[TrainOptions, Run]], job: Job) -> tuple[list[OpenRun], list[Result | None]]:
    """Return the runs that have not ended, with the options they go on with, and the result of each run."""
    each, results = find_begun(runs, job)
    found = zip(with_precision(each), runs, results, strict=True)
    return [OpenRun(one, run, job) for one, (_, run), result in found if result is None], results


# Where runs stand.


def where_they_stand(stack: Sequence[Member]) -> list[Member]:
    """Restore runs that are trained together, all at one place unless checkpoints are damaged."""
    place = settle([member.run for member in stack]) if len(stack) > 1 else None
    restored, diverged = [], []
    for member in stack:
        run, own = member.run, member.components
        if place is not None and has_diverged(run, until=place):
            diverged.append(own.gan)
            state = checkpoints.newest_valid(run.checkpoints, lambda state: None).state
        else:
            state = restore(run, own)
        changed = run.go_on_with(member.options.model_dump())
        say_changes(run, changed, own.gan)
        restored.append(replace(member, state=state, changed=changed))
    going = [member.components.gan for member in stack if member.components.gan not in diverged]
    for gan in diverged if going else ():
        stand_in(gan, going[0])
    return restored


def restore(run: Run, components: RunComponents) -> State:
    """Restore the GAN from its newest valid checkpoint. Returns the state in it; empty where the run begins.

    Raises RunError, with nothing changed, where checkpoints were saved and none of them is left or valid.
    """
    gan, spec = components.gan, components.spec
    found = checkpoints.newest_valid(run.checkpoints, lambda state: continue_from(state, gan, spec))
    if not found.state:
        refuse_lost(run, found)
        if run.sessions():
            say(f"{run.path}: stopped before its first checkpoint; begins again at 0")
    for name, what in found.damaged.items():
        say(f"{run.path / 'checkpoints' / name}: {what}; goes on from {found.name}")
    if found.state:
        saved = run.last_save() or 0
        if gan.images_seen < saved and not found.damaged:
            say(f"{run.path}: the checkpoint saved at {saved / 1000:.1f} kimg is gone; goes on from {found.name}")
        say(f"continues {run.path} at {gan.images_seen / 1000:.1f} kimg")
        for network in ("generator", "disc"):
            before, now = (one[network].get("sha256") for one in (found.state["spec"], spec))
            if before != now:  # of a user-defined network
                path = spec[network]["path"]
                say(f"{network}.path={path}: the file has changed since this run began; it goes on with the new code")
    run.forget_after(gan.images_seen)
    return found.state


def refuse_lost(run: Run, found: Found) -> None:
    """Refuse to begin again where that would drop what was saved. Raises RunError, with the ways out."""
    saved = run.last_save()
    if run.result.exists() and not found.damaged:
        raise RunError(f"run_dir={run.path}: has ended and has no checkpoint left to go on from; give another run_dir")
    if not saved and not found.damaged:
        return
    place = "a checkpoint" if not saved else f"{saved / 1000:.1f} kimg"
    what = "; ".join(f"{name} {what}" for name, what in found.damaged.items()) or "no checkpoint is there"
    best = run.checkpoints / checkpoints.BEST
    begin = f"begin another run with init_from={best}" if best.is_file() else "begin again in another run_dir"
    raise RunError(
        f"run_dir={run.path}: was saved at {place}, and cannot go on ({what}); "
        f"put a copy of last.ckpt back into {run.checkpoints}, or {begin}"
    )


def say_changes(run: Run, changed: PlainData, gan: GAN) -> None:
    """Announce what is not as it was, and what a falling learning rate makes of a greater length."""
    if not changed:
        return
    words = (f"{name} was {format_value(old)}, is {format_value(new)}" for name, (old, new) in changed.items())
    say(f"{run.path}: {', '.join(words)}")
    for network, adam in (("generator", gan.generator_adam), ("disc", gan.disc_adam)):
        if LENGTH in changed and adam.decay != "none":
            progress = [min(1, gan.images_seen / (1000 * length)) for length in changed[LENGTH]]
            old, new = (adam.at(progress=share)["lr"] for share in progress)
            say(
                f"  {network}.decay={adam.decay} is over the whole run: its learning rate, {old:.2g} here before, goes "
                f"on from {new:.2g}, so that a run of this length from the start would be another one"
            )


def check_labels(options: TrainOptions, run: Run, dataset: Dataset) -> None:
    """Refuse to continue a class-conditional run whose labels, read from files, have changed. Raises RunError."""
    before = next((session["labels"] for session in run.sessions() if "labels" in session), None)
    if before is not None and before != labels_of_run(options, dataset).get("labels"):
        raise RunError(
            f"run_dir={run.path}: the labels of data={dataset.name} have changed since this run began; "
            "give the labels it was made with, or another run_dir"
        )


def check_initial(run: Run, components: RunComponents) -> None:
    """Refuse to begin a run again with other weights of init_from than it began with. Raises RunError."""
    now = components.initial
    before = next((session["init_from"] for session in run.sessions() if "init_from" in session), now)
    if now and before and before["sha256"] != now["sha256"]:
        raise RunError(
            f"run_dir={run.path}: init_from={now['path']} has changed since this run began; give another run_dir"
        )


def labels_of_run(options: TrainOptions, dataset: Dataset) -> PlainData:
    """Identify the labels that a run learns from, where they are read from files; nothing for other runs."""
    return {"labels": dataset.label_digest} if isinstance(options.data, Folder) and is_conditional(options) else {}


def at_same_progress(members: Sequence[Member]) -> list[list[Member]]:
    """Group runs by images seen and structure.

    Damaged checkpoints can leave some runs behind the others, and a run begun earlier may keep other options.
    """
    groups: dict[int, list[Member]] = {}
    for member in members:
        groups.setdefault(member.components.gan.images_seen, []).append(member)
    return [stack for group in groups.values() for stack in stacks_of(group, lambda one: one.options, most=None)]


# Training.


def train_with_others(members: Sequence[Member], root: Path) -> list[Result]:
    """Train runs to their end, a single one with the other processes that its options ask for."""
    first = members[0]
    try:
        with all_processes(first.options, first.job) as processes:
            if processes.count > 1:
                processes.from_first(order(first.options, first.run, first.state))
            return train_group(members, root, processes)
    except ProcessLost:
        say("another process of this run has ended, so the run ends too; continue from its last checkpoint with:")
        say(f"  {continue_command(root, first.job)}")
        raise SystemExit(1) from None


def train_group(members: Sequence[Member], root: Path, processes: Processes = ALONE) -> list[Result]:
    """Train runs to their end, several as a stack, and record how they ended.

    `processes` train a single run together; all of them call this, and only the first one's directory is kept.
    """
    trainer, accelerator, stop = members[0].options.trainer, members[0].components.accelerator, StopSignal()
    agreed = StopSignal() if processes.count > 1 else None
    session = provenance(accelerator=accelerator, arguments=members[0].job.arguments)
    runs = [member.run for member in members]
    assert trainer.precision != "auto"
    if processes.first:
        say_precision(members[0])
        say_idle_switches(members[0])
        if 0 < members[0].components.gan.images_seen < members[0].components.gan.total_images:
            say_if_changed(runs)
        say_shared_penalties(members[0])
    recorders: list[Recorder] = []
    exit_code = 1
    try:
        for member in members:
            member.components.scorer.prepare()  # with a bar of its own; from disk where it was made before
            recorders.append(
                build_recorder(member, agreed or stop, session | about_stack(member.run, runs) | about_session(member))
            )
        gan = stacked(members)
        if processes.count > 1:
            gan.join(processes)
            members[0].components.scorer.join(processes)
        recording = RecorderCallback(recorders, stop=stop, agreed=agreed)
        with stop.listening(seconds_left(members[0])):
            fit(
                gan,
                build_batches(members),
                callbacks=[recording, build_progress(members[0], recording)],
                accelerator=accelerator,
                precision=trainer.precision,
                deterministic=trainer.deterministic,
            )
        results = [conclude(member, recorder) for member, recorder in zip(members, recorders, strict=True)]
        exit_code = 0
    except Stopped as stopped:
        exit_code = 128 + stopped.args[0]
        if processes.first:
            kimg = recorders[0].gan.images_seen / 1000
            say(f"stopped by {cause_of(stopped.args[0])} at {kimg:.1f} kimg; continue with:")
            say(f"  {continue_command(root, members[0].job)}")
        raise SystemExit(exit_code) from None
    except SystemExit as error:
        exit_code = error.code if isinstance(error.code, int) else 1
        raise
    finally:
        ends = [exit_code or (EXIT_DIVERGED if recorder.diverged else 0) for recorder in recorders]
        finish_all([(recorder.tracker, end) for recorder, end in zip(recorders, ends, strict=True)])
    if stop.number is not None and callable(signal.getsignal(stop.number)):
        signal.raise_signal(stop.number)  # it came after the last step, where nothing was left to stop: others follow
    return results


def seconds_left(member: Member) -> float | None:
    """Return the seconds until trainer.max_hours have passed since the command began; None: no limit."""
    hours = member.options.trainer.max_hours
    if hours is not None and not (stop_signals() and hasattr(signal, "setitimer")):
        raise OptionsError(
            f"trainer.max_hours={hours:g}: needs a system with timers, and Python's main thread; use null"
        )
    return None if hours is None else 3600 * hours - (time.time() - member.job.started)


def about_session(member: Member) -> PlainData:
    """Describe what a session of a run does: its length, what is not as it was, and whose weights it begins with."""
    initial = {"init_from": member.components.initial} if member.components.initial and not member.state else {}
    changed = {"changed": member.changed} if member.changed else {}
    arm = arm_of_run(member.run, member.options, member.job)
    length = member.options.total_kimg
    return {"arm": arm, "total_kimg": length, "wandb_id": wandb_id(member)} | changed | initial


def wandb_id(member: Member) -> str:
    """Return the id of the run at W&B, which stands in provenance.json before W&B starts: a kill changes nothing."""
    if (before := member.state.get("wandb_id")) is not None:
        return before
    alone = member.job.sweep_dir is None and not {"seeds", "replicate"} & typed_options(member.job.overrides)
    known = (session["wandb_id"] for session in member.run.sessions() if "wandb_id" in session)
    return next(known, None) or new_run_id(alone=alone)


def arm_of_run(run: Run, options: TrainOptions, job: Job) -> str:
    """Name the arm as the first session of the run did: one that goes on by its directory alone is of no sweep."""
    return next((session["arm"] for session in run.sessions() if "arm" in session), arm_of(options, job))


def build_progress(member: Member, recording: RecorderCallback) -> ProgressBar:
    """Build the progress bar; runs of a sweep have a name, and lines that come less often."""
    job = member.job
    name = str(member.run.path.relative_to(job.sweep_dir)) if job.sweep_dir is not None else ""
    return ProgressBar(recording, show=member.options.trainer.progress, name=name, bar=not job.side_by_side)


def say_precision(member: Member) -> None:
    """Announce bfloat16 where trainer.precision=auto chose it, once, when the run begins."""
    chosen = "trainer.precision" not in typed_options(member.job.overrides) and not member.run.sessions()
    if chosen and member.options.trainer.precision == "bf16-mixed":
        say("computes in bf16-mixed (trainer.precision=auto); trainer.precision=32-true is float32 throughout")


def say_idle_switches(member: Member) -> None:
    """Announce networks without blocks, whose switch does nothing, once, when the run begins."""
    for network in ("generator", "disc"):
        options = getattr(member.options, network)
        if getattr(options, "has_no_blocks", False) and not member.run.sessions():
            say(f"{network}.blocks={format_value(options.blocks)}: without blocks {network}.residual does nothing")


def say_shared_penalties(member: Member) -> None:
    """Announce penalties on gradients that batch norm mixes over the batch, once, when the run begins.

    It is said and not refused, since D trains so too, only not as the papers of the penalties mean it.
    """
    loss = member.options.loss
    given = [f"loss.{name}={weight:g}" for name in ("gp", "r1", "r2") if (weight := getattr(loss, name))]
    if given and getattr(member.options.disc, "norm", "none") == "batch" and not member.run.sessions():
        say(
            f"disc.norm=batch with {' and '.join(given)}: D's answer to a sample depends on the others in its batch, "
            "so the penalty is not of each sample alone (Gulrajani et al. 2017, section 4, leave batch norm out); with "
            "disc.norm=pixel, group, layer or none it is"
        )


def stacked(members: Sequence[Member]) -> GAN:
    """Return the GAN of a single run, or the stack of all runs."""
    gans = [member.components.gan for member in members]
    return gans[0] if len(gans) == 1 else build_stack([member.options for member in members], gans)


def build_batches(members: Sequence[Member]) -> DataModule:
    options, gan = members[0].options, members[0].components.gan
    return DataModule(
        *(member.components.dataset for member in members),
        batch_size=options.batch_size,
        images_seen=gan.images_seen,
        total_images=gan.total_images,
        seeds=[member.options.seed for member in members],
        flip=getattr(options.data, "flip", False),
        conditional=is_conditional(options),
        on_device=options.trainer.data_on_device,
        processes=gan.processes,
    )


def build_recorder(member: Member, stop: StopSignal, session: PlainData) -> Recorder:
    """Build the recorder of a run, with its W&B run, and note this session in provenance.json."""
    options, run, components, state = member.options, member.run, member.components, member.state
    dataset = components.dataset
    run.record_session(session | labels_of_run(options, dataset))
    recorder = Recorder(
        run=run,
        gan=components.gan,
        scorer=components.scorer,
        schedule=Schedule(
            score=round(1000 * options.score_kimg),
            sample=round(1000 * options.sample_kimg),
            save=round(1000 * options.save_kimg),
            total=components.gan.total_images,
        ),
        tracker=open_loggers(member, session),
        spec=components.spec,
        reference=mixed_batch(
            dataset, min(START_SAMPLES, len(dataset.train)), labelled=bool(components.spec["classes"])
        ),
        reals=reals_to_show(
            dataset, GRID if len(dataset.shape) == 3 else POINTS, by_class=bool(components.spec["classes"])
        ),
        seconds=state.get("seconds", 0.0),
        saved=state.get("images_seen"),
        lines=state.get("lines", 0),  # before there was a count
        stop=stop,
    )
    if recorder.lost and recorder.writes:
        say(
            f"{run.metrics}: {recorder.lost} of {state['lines']} measurements before this checkpoint are missing, and "
            "cannot be made again; result.json will say so (lines_lost)"
        )
    return recorder


def open_loggers(member: Member, session: PlainData) -> Loggers:
    """Open W&B and the loggers that write into the run directory, each where the run stands."""
    options, run, components = member.options, member.run, member.components
    counts = components.counts | {"provenance": session}
    tracker = open_tracker(options, member.job, run, run_id=session["wandb_id"], counts=counts)
    gan, files, config = components.gan, [], options.model_dump(exclude={"wandb"})
    if options.tensorboard:
        scores = list(components.scorer.cards)
        files.append(open_tensorboard(run, config, gan.learning_rates, scores, images_seen=gan.images_seen))
    if options.csv:
        files.append(open_csv(run, config, gan.learning_rates))
    return Loggers(tracker, files)


def open_tracker(options: TrainOptions, job: Job, run: Run, *, run_id: str, counts: PlainData) -> Tracker:
    arm = arm_of_run(run, options, job)
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


# Results.


def conclude_job(asked: JobRuns, root: Path, trained: Mapping[Path, Result]) -> list[Result]:
    """Print how the runs of a job ended, and return their results."""
    runs = list(runs_in(root, asked.options, asked.job).values())
    results = [result or trained[run.path] for run, result in zip(runs, asked.results, strict=True)]
    # In a sweep, runs that were finished already have been announced.
    if asked.todo or asked.job.sweep_dir is None or asked.options.seeds is not None:
        tell_end(root, list(zip(runs, results, strict=True)), asked.job)
    return results


def conclude(member: Member, recorder: Recorder) -> Result:
    """Record how a run ended."""
    if recorder.diverged and recorder.writes:
        seen = recorder.images_seen
        say(f"diverged at {seen / 1000:.1f} kimg: a loss is not a finite number; recorded as such ({member.run.path})")
    result = make_result(member.options, member.job, recorder, member.components.counts)
    recorder.tracker.summarise({"status": result["status"], **result["scores"]})
    member.run.write_result(result)
    note(f"{result['status']}: {outcome(member.run, result)}")
    return result


def make_result(options: TrainOptions, job: Job, recorder: Recorder, counts: PlainData) -> Result:
    """The content of result.json: all that a reader of many runs needs."""
    scorer, scored = recorder.scorer, recorder.scored
    final = dict.fromkeys(scorer.cards) if recorder.diverged else scored[max(scored)]
    primary = final[scorer.primary]
    start = [m for m in recorder.run.measurements() if m["kind"] == "start"]
    return {
        "status": "diverged" if recorder.diverged else "finished",
        "arm": arm_of_run(recorder.run, options, job),
        "seed": options.seed,
        "images_seen": recorder.images_seen,
        "seconds": round(recorder.seconds(), 1),
        "primary": scorer.primary,
        "objective": scorer.worst if primary is None else primary,
        "scores": final,
        "not_computed": scorer.not_computed({} if recorder.diverged else final),
        "ideal": scorer.ideal_scores(),
        "meanings": scorer.meanings,
        "best": {"images_seen": recorder.best, "scores": scored[recorder.best]} if recorder.best else None,
        "cards": scorer.cards,
        "lines": recorder.lines.total(),
        "start": {k: v for k, v in start[0].items() if k not in ("images_seen", "kind")} if start else None,
        **counts,
    } | ({"lines_lost": recorder.lost} if recorder.lost else {})  # measurements before a checkpoint, never made again


def primary_endpoint(result: Result) -> float:
    return math.inf if result["objective"] is None else result["objective"]  # JSON knows no infinity
