"""Inception score: is each sample of one class, and are all together of all classes?

Salimans et al. 2016, "Improved techniques for training GANs", section 4. No real images are used.
"""

import math

import torch
from torch import Tensor

SPLITS = 10


def inception_score(logits: Tensor, *, splits: int = SPLITS) -> tuple[float, float]:
    """Return exp E KL(p(y|x), p(y)) of logits (N, classes): mean and standard deviation over random parts.

    There are `splits` parts, random because image folders come sorted by class, and a part of one class scores 1. The
    score is from 1 (all alike) to the number of classes. ValueError for fewer samples than parts.
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
