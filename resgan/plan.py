"""Plan a study for a cluster: `python -m resgan.plan study=factorial cluster=gpus_8x8 cluster.speed=20`."""

from resgan.cli.command import Command
from resgan.cli.run import run_with_words
from resgan.experiment.study import Job
from resgan.options.plan import PlanOptions


def plan(options: PlanOptions, job: Job, *, words: list[str]) -> None:
    """Plan what `resgan.train` would run for these words."""
    from resgan.cli.jobs import compose_jobs  # imports Hydra, which --help does without
    from resgan.experiment.scale import plan  # imports torch

    plan(options, compose_jobs(words))


COMMAND = Command(
    name="plan",
    options=PlanOptions,
    about="""Plan a study, a sweep (-m) or one run, given as a line of `resgan.train`, on a cluster that you describe.
Some steps and a scoring of each kind of run are timed on this machine; hours, devices, memory, disk and cost follow.
Each figure says whether it was measured here, computed, or given by you. Nothing is trained or written.
All options but these are those of `resgan.train`; the cluster takes the place of hydra/launcher.""",
    examples="""  python -m resgan.plan study=factorial
  python -m resgan.plan study=factorial cluster=gpus_8x8 cluster.speed=20 cluster.price=2.5 cluster.currency=EUR
  python -m resgan.plan -m data=gaussians seed=range(1000) cluster.nodes=10 cluster.devices=16
  python -m resgan.plan data=folder data.path=images.zip data.size=64 trainer.devices=4 cluster.devices=8""",
)


def main() -> None:
    run_with_words(COMMAND, plan)


if __name__ == "__main__":
    main()
