"""The Inception score: are samples each of one class, and together of all?

Salimans et al. 2016, "Improved techniques for training GANs", section 4. No real picture is looked at.
"""

import math

import torch
from torch import Tensor

SPLITS = 10


def inception_score(logits: Tensor, *, splits: int = SPLITS) -> tuple[float, float]:
    """exp E KL(p(y|x), p(y)) of logits (N, classes): mean and standard deviation over `splits` random parts.

    Random, because folders of pictures come sorted by class, and a part of one class scores 1. From 1 (all alike) to
    the number of classes. ValueError for fewer samples than parts.
    """
    if len(logits) < splits:
        raise ValueError(f"{splits} parts need at least as many samples, got {len(logits)}")
    order = torch.randperm(len(logits), generator=torch.Generator().manual_seed(0))
    log_p = logits[order].double().log_softmax(dim=1)
    scores = []
    for part in log_p.tensor_split(splits):  # (n, classes)
        log_marginal = part.logsumexp(dim=0) - math.log(len(part))  # (classes,)
        scores.append((part.exp() * (part - log_marginal)).sum(dim=1).mean().exp())
    found = torch.stack(scores)
    return float(found.mean()), float(found.std(correction=0))
