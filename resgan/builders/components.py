"""The components of a run: data, networks, scores."""

from dataclasses import dataclass

import torch

from resgan.base.device import find_accelerator
from resgan.base.plain_data import PlainData
from resgan.builders.data import build_dataset
from resgan.builders.gan import build_gan
from resgan.builders.initial import load_initial
from resgan.builders.memory import check_data, check_run
from resgan.builders.networks import Spec, count, spec_of
from resgan.builders.scorer import build_scorer
from resgan.data.dataset import Dataset
from resgan.metrics.scorer import Scorer
from resgan.options.train import TrainOptions
from resgan.training.gan import GAN


@dataclass(frozen=True, kw_only=True)
class RunComponents:
    accelerator: str
    dataset: Dataset
    spec: Spec
    gan: GAN
    counts: PlainData  # of parameters and floating point operations
    initial: PlainData | None  # the checkpoint whose weights the run begins with; None: weights drawn from the seed
    scorer: Scorer


def build_components(
    options: TrainOptions,
    *,
    side_by_side: bool = False,  # with other jobs, so that each uses one thread
    reuse: RunComponents | None = None,  # of another seed, for all that does not depend on the seed
    begins: bool = True,  # False: the run has a checkpoint of its own, so that init_from is not read
    members: int = 1,  # runs of a stack, of which this is the first; 0: another process has checked that they fit
) -> RunComponents:
    """Read the data, build networks and scores. Raises UserError where one cannot be built, or does not fit."""
    if threads := options.trainer.threads or (1 if side_by_side else None):
        torch.set_num_threads(threads)
    progress = options.trainer.progress
    accelerator = find_accelerator("trainer.accelerator", options.trainer.accelerator)
    shared = reuse if reuse is not None and not options.data.differs_by_seed else None
    if reuse is None and members:
        check_data(options.data)
    dataset = shared.dataset if shared else build_dataset(options.data, seed=options.seed, progress=progress)
    spec = spec_of(options, dataset)
    if reuse is None and members:
        check_run(options, spec, accelerator=accelerator, members=members)
    gan = build_gan(options, spec, dataset)
    initial = None
    if begins and options.init_from is not None:
        initial = load_initial(gan, options.init_from, optimisers=options.init_optimisers)
    return RunComponents(
        accelerator=accelerator,
        dataset=dataset,
        spec=spec,
        gan=gan,
        counts=reuse.counts if reuse else count(spec),
        initial=initial,
        scorer=shared.scorer if shared else build_scorer(options, dataset, device=accelerator, progress=progress),
    )
