"""Comparisons of two implementations."""

import torch


def disturbed(net: torch.nn.Module) -> torch.nn.Module:
    """In float64, all parameters moved, so that no zero or one of the start hides a mistake."""
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=random)
    return net.double()


def agree(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Compare two results in float64: sums in another order differ in the 13th digit or so, mistakes in the first.

    And not because the network is dead or saturated, and gives one number whatever it is given.
    """
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 1e-5
