"""Adam for a stack whose members differ in its settings."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resgan.training.settings import Setting, beside, of_member


class StackedAdam(torch.optim.Adam):
    """torch's fused Adam of parameters (S, ...), all of the same members; each setting is one number or (S,).

    The state of a member is that of torch's Adam.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: Setting, betas: tuple[Setting, Setting]) -> None:
        super().__init__(parameters, fused=True)  # whose checks would refuse (S,)
        for group in self.param_groups:
            group.update(lr=lr, betas=betas)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            states = [self._state_of(parameter) for parameter in moved]
            torch._foreach_add_([state["step"] for state in states], 1)
            for parameter, update in zip(moved, updates(moved, states, group), strict=True):
                parameter.addcmul_(update, torch.as_tensor(beside(group["lr"], update)))

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Any]:
        if not (state := self.state[parameter]):
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state


def updates(moved: Sequence[nn.Parameter], states: Sequence[dict[str, Tensor]], group: dict[str, Any]) -> list[Tensor]:
    """What each parameter is moved by at a rate of 1, -m / (sqrt v + eps); the averages are moved in place.

    That is what fused Adam makes of zeros. Where betas differ, it is called for the members of each pair.
    """
    found = [torch.zeros_like(parameter) for parameter in moved]
    of_all = (found, [p.grad for p in moved], [s["exp_avg"] for s in states], [s["exp_avg_sq"] for s in states])
    pairs = members_by_betas(group["betas"], count=len(moved[0]) if moved else 0)
    for (beta1, beta2), places in pairs.items():
        given, steps = of_all, [state["step"] for state in states]
        if len(pairs) > 1:
            given = tuple([tensor[k] for tensor in tensors for k in places] for tensors in of_all)
            steps = [step for step in steps for _ in places]
        torch._fused_adam_(*given, [], steps, lr=1.0, beta1=beta1, beta2=beta2, weight_decay=0.0, eps=group["eps"],
                           amsgrad=False, maximize=False)  # fmt: skip
    return found


def members_by_betas(betas: tuple[Setting, Setting], *, count: int) -> dict[tuple[float, float], list[int]]:
    found: dict[tuple[float, float], list[int]] = {}
    for place in range(count):
        found.setdefault((of_member(betas[0], place), of_member(betas[1], place)), []).append(place)
    return found
