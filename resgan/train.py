"""Train a GAN: `python -m resgan.train generator.residual=true disc.residual=false`."""

import datetime
import shlex
import signal
from pathlib import Path
from typing import Any

from resgan.command import Command, Job, find_accelerator, run_command, say
from resgan.options import TrainOptions
from resgan.provenance import provenance
from resgan.runs import Run, Stopped, arm_name

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
  python -m resgan.train run_dir=runs/mine      the same command again continues the run""",
)

EXIT_DIVERGED = 3
START_SAMPLES = 256  # real samples for the figures at step 0


def main() -> None:
    run_command(COMMAND, train)


def train(options: TrainOptions, job: Job) -> float:
    """Train one run, or continue it, or find it finished. Returns the primary endpoint: lower is better."""
    run = Run(run_path(options, job))
    config = options.model_dump()
    run.claim(config)
    with run.locked():
        result = run.read_result()
        if result is not None:
            say(f"{run.path} is finished; remove its result.json, or give another run_dir, to run it again")
        else:
            result = fit(options, job, run)
        print(closing_table(run, result, job))
        if result["status"] == "diverged" and job.sweep_dir is None:
            raise SystemExit(EXIT_DIVERGED)
        return result["objective"]


def run_path(options: TrainOptions, job: Job) -> Path:
    """Outside a sweep run_dir, or a new directory with date and time; in a sweep <sweep>/<arm>/<seed>."""
    if job.sweep_dir is not None:
        base = Path(options.run_dir) if options.run_dir else job.sweep_dir
        return base / arm_name(job.overrides) / str(options.seed)
    if options.run_dir:
        return Path(options.run_dir)
    return Path("runs") / f"{datetime.datetime.now():%Y-%m-%d_%H-%M-%S}"


def fit(options: TrainOptions, job: Job, run: Run) -> dict[str, Any]:
    """From options to result.json."""
    from resgan import build
    from resgan.training.callbacks import ProgressBar, Recorder, Schedule
    from resgan.training.fit import play

    set_threads(options.trainer.threads)
    accelerator = find_accelerator("trainer.accelerator", options.trainer.accelerator)

    # Data, networks, scores: what can be refused is refused before anything is trained.
    dataset = build.build_dataset(options.data, seed=options.seed, progress=options.trainer.progress)
    spec = build.spec_of(options, dataset)
    gan = build.build_gan(options, spec)
    counts = build.count(gan, spec)
    scorer = build.build_scorer(options, dataset)

    # Where the run stands.
    state = continue_from(run, gan)
    tracker = open_tracker(options, job, run, run_id=state.get("wandb_id"), counts=counts)
    recorder = Recorder(
        run=run,
        gan=gan,
        scorer=scorer,
        schedule=Schedule(
            score=round(1000 * options.score_kimg),
            sample=round(1000 * options.sample_kimg),
            save=round(1000 * options.save_kimg),
            total=gan.total_images,
        ),
        tracker=tracker,
        spec=spec,
        reference=build.as_floats(dataset.train[:START_SAMPLES]),
        seconds=state.get("seconds", 0.0),
    )
    run.record_session(provenance(accelerator))

    # Train, and write down how it ended.
    exit_code = 1
    try:
        status = play(
            gan,
            batches_of(options, gan, dataset),
            callbacks=[recorder, ProgressBar(show=options.trainer.progress)],
            accelerator=accelerator,
            precision=options.trainer.precision,
            deterministic=options.trainer.deterministic,
        )
        if status == "diverged":
            say(f"diverged at {gan.images_seen / 1000:.1f} kimg: a loss is not a finite number; recorded as such")
        result = result_of(options, job, recorder, counts, status)
        tracker.summarise({"status": status, **result["scores"]})
        run.write_result(result)
        exit_code = 0 if status == "finished" else EXIT_DIVERGED
    except Stopped as stopped:
        exit_code = 128 + stopped.args[0]
        name = signal.Signals(stopped.args[0]).name
        say(f"stopped by {name} at {gan.images_seen / 1000:.1f} kimg; continue with:")
        say(f"  {continue_command(run, job)}")
        raise SystemExit(exit_code) from None
    finally:
        tracker.finish(exit_code)
    return result


def batches_of(options: TrainOptions, gan: Any, dataset: Any) -> Any:
    from resgan.data.module import DataModule

    return DataModule(
        dataset,
        batch_size=options.batch_size,
        images_seen=gan.images_seen,
        total_images=gan.total_images,
        seed=options.seed,
        flip=getattr(options.data, "flip", False),
        on_device=options.trainer.data_on_device,
    )


def continue_from(run: Run, gan: Any) -> dict[str, Any]:
    """Put the GAN where its newest valid checkpoint left it; returns what else the checkpoint holds."""
    from resgan.training import checkpoints

    state = checkpoints.newest_valid(run.checkpoints) or {}
    if state:
        gan.load_training_state(state)
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
        group=arm if job.sweep_dir else None,
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


def continue_command(run: Run, job: Job) -> str:
    kept = [override for override in job.overrides if not override.lstrip("+").startswith("run_dir=")]
    return shlex.join(["python", "-m", "resgan.train", *kept, f"run_dir={run.path}"])


def closing_table(run: Run, result: dict[str, Any], job: Job) -> str:
    """What a run ends with on the screen."""
    final = run.path / "checkpoints" / "final.ckpt"
    rows = [("status", result["status"])]
    rows += [(name, "-" if value is None else f"{value:.4g}") for name, value in result["scores"].items()]
    rows += [(f"parameters of {net}", f"{result['parameters'][net]:,}") for net in ("generator", "disc")]
    rows += [
        ("seconds", f"{result['seconds']:.0f}"),
        ("images seen", f"{result['images_seen']:,}"),
        ("everything lies in", str(run.path)),
        ("continue with", continue_command(run, job)),
    ]
    if result["status"] == "finished":
        ckpt = shlex.quote(f"ckpt={final}")
        rows += [
            ("look at samples", f"python -m resgan.sample {ckpt} seeds=0-63 outdir=samples format=grid"),
            (
                "all four arms",
                "python -m resgan.train -m generator.residual=true,false disc.residual=true,false",
            ),
        ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
