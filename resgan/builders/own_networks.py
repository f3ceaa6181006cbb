"""User-defined networks: classes in a file, called with their kwargs alone, and checked before training."""

import copy
import io

import torch
from torch import Tensor, nn

from resgan.base.errors import OptionsError
from resgan.base.own_code import describe, load_named
from resgan.base.plain_data import PlainData
from resgan.base.rng import derive_seed

SAMPLES = 4  # on which a network is tried

MakeNetwork = type[nn.Module]


def build_own_network(network: str, arguments: PlainData, *, seed: int, given: MakeNetwork | None = None) -> nn.Module:
    """Build the network of `path`, or of the class `given` in its place; the seed decides its initial weights.

    Raises OptionsError, in one line, where it cannot be built.
    """
    where, kwargs = arguments["path"], dict(arguments["kwargs"])
    if "residual" in kwargs:
        kwargs["residual"] = arguments["residual"]
    make = given or load_named(where, option=f"{network}.path", error=OptionsError)[0]
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, network))
            net = make(**kwargs)
    except Exception as error:  # user code may raise anything
        raise OptionsError(f"{network}.path={where}: {describe(error)}") from error
    if not isinstance(net, nn.Module):
        raise OptionsError(f"{network}.path={where}: makes a {type(net).__name__}; expected a torch.nn.Module")
    return net


def latent_size(net: nn.Module, default: int) -> int:
    return int(getattr(net, "latent_dim", default))


def check_own_network(net: nn.Module, network: str, where: str, *, shape: tuple[int, ...], latent_dim: int) -> None:
    """Try a network on some samples, in training and in eval mode. Raises OptionsError that says what was expected."""
    takes, gives = ((latent_dim,), shape) if network == "generator" else (shape, ())
    name = f"{network}.path={where}"
    if not any(parameter.requires_grad for parameter in net.parameters()):
        raise OptionsError(f"{name}: has no parameters; expected a network that learns")
    try:
        tried = copy.deepcopy(net)  # as for the average; trying it also moves running statistics
        buffer = io.BytesIO()
        torch.save(tried.state_dict(), buffer)
        buffer.seek(0)
        tried.load_state_dict(torch.load(buffer, weights_only=True))
    except Exception as error:
        raise OptionsError(f"{name}: its state cannot be saved and loaded ({describe(error)})") from error
    x = torch.randn(SAMPLES, *takes, generator=torch.Generator().manual_seed(0)).clamp(-1, 1)
    for mode in (True, False):
        try:
            found = tried.train(mode)(x)
        except Exception as error:
            raise OptionsError(f"{name}: {describe(error)}; it was given {in_words((SAMPLES, *takes))}") from error
        expected = (SAMPLES, *gives)
        if not isinstance(found, Tensor) or tuple(found.shape) != expected:
            seen = in_words(tuple(found.shape)) if isinstance(found, Tensor) else f"a {type(found).__name__}"
            raise OptionsError(
                f"{name}: gives {seen} for {in_words(tuple(x.shape))}; expected {in_words(expected)}"
                + ("" if network == "generator" else ", a logit for each sample")
            )
        if not found.isfinite().all():
            raise OptionsError(f"{name}: its output is not finite (NaN or infinity)")
    if network == "disc":
        check_second_derivative(tried.train(), x, name)


def check_second_derivative(disc: nn.Module, x: Tensor, name: str) -> None:
    """The penalties differentiate D's gradient. Raises OptionsError."""
    x = x.requires_grad_()
    try:
        (gradient,) = torch.autograd.grad(disc(x).sum(), x, create_graph=True)
        gradient.square().sum().backward()
    except Exception as error:
        raise OptionsError(f"{name}: R1 and R2 need its second derivative ({describe(error)})") from error


def in_words(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
