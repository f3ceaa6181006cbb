"""Adam for a stack whose members differ in its settings."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from resgan.training.settings import Setting, beside


class StackedAdam(torch.optim.Adam):
    """Adam of parameters (S, ...), each setting one number or (S,). Its state of a member is that of torch's Adam."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: Setting, betas: tuple[Setting, Setting]) -> None:
        super().__init__(parameters, fused=True)  # as a member's says of itself; torch's checks would refuse (S,)
        for group in self.param_groups:
            group.update(lr=lr, betas=betas)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            lr, beta1, beta2 = (torch.as_tensor(s, dtype=torch.float64) for s in (group["lr"], *group["betas"]))
            for parameter in group["params"]:
                if parameter.grad is not None:
                    state = self._state_of(parameter)
                    state["step"] += 1
                    move(parameter, **state, lr=lr, beta1=beta1, beta2=beta2, eps=group["eps"])

    def _state_of(self, parameter: nn.Parameter) -> dict[str, Any]:
        if not (state := self.state[parameter]):
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        return state


def move(
    parameter: nn.Parameter,  # (S, ...), with its gradient
    *,
    step: Tensor,  # how often it has moved, with this time
    exp_avg: Tensor,  # the averages of the gradient and of its square: moved in place too
    exp_avg_sq: Tensor,
    lr: Tensor,  # (S,) or one number, float64 on the CPU, as the next two
    beta1: Tensor,
    beta2: Tensor,
    eps: float,
) -> None:
    """Move a parameter in place (Kingma & Ba 2015, algorithm 1)."""
    grad = parameter.grad
    assert grad is not None
    # 1 - beta^t as -(e^(t log beta) - 1): accurate in float32 too, and nothing waits for the device.
    correction1, correction2 = (-torch.expm1(beside(beta.log(), grad) * step) for beta in (beta1, beta2))
    exp_avg.lerp_(grad, beside(1 - beta1, grad))
    exp_avg_sq.mul_(beside(beta2, grad)).addcmul_(grad, beside(1 - beta2, grad) * grad)
    root = (exp_avg_sq.sqrt() / correction2.sqrt()).add_(eps)
    parameter.addcdiv_(exp_avg * (beside(-lr, grad) / correction1), root)
