"""What a run is made of: data, networks, scores."""

from dataclasses import dataclass
from typing import Any

from resgan.command import find_accelerator
from resgan.options import TrainOptions


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a run is made of."""

    accelerator: str
    dataset: Any
    spec: dict[str, Any]
    gan: Any
    counts: dict[str, Any]  # of parameters and floating point operations
    scorer: Any


def prepare(options: TrainOptions, *, side_by_side: bool = False, like: Parts | None = None) -> Parts:
    """Read the data, build networks and scores.

    like: those of another seed, of which what does not depend on the seed is taken.
    """
    from resgan import build
    from resgan.scoring import scorer_of

    set_threads(options.trainer.threads or (1 if side_by_side else None))
    accelerator = find_accelerator("trainer.accelerator", options.trainer.accelerator)
    shared = like if like is not None and not build.depends_on_seed(options.data) else None
    dataset = (
        shared.dataset
        if shared
        else build.build_dataset(options.data, seed=options.seed, progress=options.trainer.progress)
    )
    spec = build.spec_of(options, dataset)
    gan = build.build_gan(options, spec, dataset)
    return Parts(
        accelerator=accelerator,
        dataset=dataset,
        spec=spec,
        gan=gan,
        counts=like.counts if like else build.count(spec),
        scorer=(
            shared.scorer
            if shared
            else scorer_of(options, dataset, device=accelerator, progress=options.trainer.progress)
        ),
    )


def set_threads(threads: int | None) -> None:
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
