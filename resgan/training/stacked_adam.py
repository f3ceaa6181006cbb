"""Adam for a stack whose members differ in its settings."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam

from resgan.training.settings import Setting, beside, of_member


class StackedAdam(torch.optim.Adam):
    """torch's fused Adam for parameters (S, ...), all of the same members; each setting is one number or (S,).

    The state of each member is that of torch's Adam.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: Setting, betas: tuple[Setting, Setting]) -> None:
        super().__init__(parameters, fused=True)  # without the settings: its checks refuse (S,)
        for group in self.param_groups:
            group.update(lr=lr, betas=betas)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            states = [self._state_of(parameter) for parameter in moved]
            lr = group["lr"].to(moved[0]) if moved and isinstance(group["lr"], Tensor) else group["lr"]  # moved once
            for parameter, update in zip(moved, updates(moved, states, group), strict=True):
                parameter.add_(update.mul_(beside(lr, update)))

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Any]:
        if not (state := self.state[parameter]):
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state


def updates(moved: Sequence[nn.Parameter], states: Sequence[dict[str, Tensor]], group: dict[str, Any]) -> list[Tensor]:
    """Compute the update of each parameter at a learning rate of 1, -m / (sqrt v + eps); updates states in place.

    Adam applied to zeros gives this update. Where betas differ, it is called once for the members of each pair.
    """
    found = [torch.zeros_like(parameter) for parameter in moved]
    grads = [parameter.grad for parameter in moved if parameter.grad is not None]
    tensors = [found, grads, [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]]
    pairs = members_by_betas(group["betas"], count=len(moved[0]) if moved else 0)
    for (beta1, beta2), places in pairs.items():
        given = tensors
        if len(pairs) > 1:
            given = [[tensor[place] for tensor in each for place in places] for each in tensors]
        steps = [state["step"].clone() for state in states for _ in range(len(given[0]) // len(moved))]
        adam(given[0], given[1], given[2], given[3], [], steps, fused=True, amsgrad=False, maximize=False,
             beta1=beta1, beta2=beta2, lr=1.0, weight_decay=0.0, eps=group["eps"])  # fmt: skip
    for state in states:
        state["step"] += 1  # adam has incremented copies
    return found


def members_by_betas(betas: tuple[Setting, Setting], *, count: int) -> dict[tuple[float, float], list[int]]:
    found: dict[tuple[float, float], list[int]] = {}
    for place in range(count):
        found.setdefault((of_member(betas[0], place), of_member(betas[1], place)), []).append(place)
    return found
