"""The losses: functions from logits to one number. They never call backward and never log.

Every loss takes D's logits on real and on fake samples, each (N,), and returns a scalar to be minimised; for a stack
of GANs it takes (S, N) and returns (S,). The generator's losses take the real logits too, because relativistic pairing
needs them.
"""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]


def nonsaturating_disc(real: Tensor, fake: Tensor) -> Tensor:
    """E log(1 + e^-D(x)) + E log(1 + e^D(G(z))) (Goodfellow et al. 2014, equation 1)."""
    return F.softplus(-real).mean(-1) + F.softplus(fake).mean(-1)


def nonsaturating_gen(real: Tensor, fake: Tensor) -> Tensor:
    """E log(1 + e^-D(G(z))) (Goodfellow et al. 2014, section 3)."""
    return F.softplus(-fake).mean(-1)


def hinge_disc(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))) (Lim & Ye 2017; Miyato et al. 2018, equation 16)."""
    return F.relu(1 - real).mean(-1) + F.relu(1 + fake).mean(-1)


def wasserstein_disc(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) - E D(x) (Arjovsky et al. 2017, equation 2)."""
    return fake.mean(-1) - real.mean(-1)


def wasserstein_gen(real: Tensor, fake: Tensor) -> Tensor:
    """-E D(G(z)); also the generator's half of the hinge loss (Miyato et al. 2018, equation 17)."""
    return -fake.mean(-1)


def least_squares_disc(real: Tensor, fake: Tensor) -> Tensor:
    """(E (D(x) - 1)^2 + E D(G(z))^2) / 2 (Mao et al. 2017, equation 9: a = 0, b = 1)."""
    return ((real - 1).square().mean(-1) + fake.square().mean(-1)) / 2


def least_squares_gen(real: Tensor, fake: Tensor) -> Tensor:
    """E (D(G(z)) - 1)^2 / 2 (Mao et al. 2017, equation 9: c = 1)."""
    return (fake - 1).square().mean(-1) / 2


def relativistic_disc(real: Tensor, fake: Tensor) -> Tensor:
    """E log(1 + e^-(D(x) - D(G(z)))) (Jolicoeur-Martineau 2019, RpGAN; Huang et al. 2024, equation 2)."""
    return F.softplus(fake - real).mean(-1)


def relativistic_gen(real: Tensor, fake: Tensor) -> Tensor:
    """E log(1 + e^-(D(G(z)) - D(x)))."""
    return F.softplus(real - fake).mean(-1)


# name -> (the discriminator's loss, the generator's loss)
LOSSES: dict[str, tuple[Loss, Loss]] = {
    "nonsaturating": (nonsaturating_disc, nonsaturating_gen),
    "hinge": (hinge_disc, wasserstein_gen),
    "wasserstein": (wasserstein_disc, wasserstein_gen),
    "least_squares": (least_squares_disc, least_squares_gen),
    "relativistic": (relativistic_disc, relativistic_gen),
}

PAIRED = {"relativistic"}  # the generator's loss depends on the real logits too
