"""Comparisons of two implementations, and of two runs."""

import json
from pathlib import Path

import torch

from resgan.training import checkpoints


def disturbed(net: torch.nn.Module) -> torch.nn.Module:
    """Convert a network to float64 and move all parameters, so that no initial zero or one hides a mistake."""
    random = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=random)
    return net.double()


def agree(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Assert that two float64 results agree: a different order of sums shows in about the 13th digit, mistakes sooner.

    Assert also that the network is not dead or saturated, giving one number for every input.
    """
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert expected.std() > 1e-5


def flat_tensors(state: object, name: str = "") -> dict[str, torch.Tensor]:
    """All tensors of a nested state, by their paths in it."""
    if isinstance(state, torch.Tensor):
        return {name: state}
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list) else ()
    return {key: tensor for one, part in items for key, tensor in flat_tensors(part, f"{name}/{one}").items()}


# Runs.


def final(path: Path) -> dict:
    """Load the final checkpoint, except for what depends on the clock and on where it was logged."""
    state = checkpoints.load(path / "checkpoints" / "final.ckpt")
    return {key: value for key, value in state.items() if key not in ("seconds", "wandb_id")}


def same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def measured(path: Path) -> list[dict]:
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]
