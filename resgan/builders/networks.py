"""Networks from plain data: the spec, which a checkpoint holds, and both networks from it."""

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from resgan.base.errors import OptionsError
from resgan.base.plain_data import PlainData
from resgan.builders.data import class_shares
from resgan.builders.own_networks import MakeNetwork, build_own_network, check_own_network, latent_size
from resgan.data.dataset import Dataset
from resgan.nets import layers
from resgan.nets.discriminator import LabDiscriminator
from resgan.nets.generator import LabGenerator
from resgan.nets.mlp import MlpDiscriminator, MlpGenerator
from resgan.nets.published.dcgan import DcganDiscriminator, DcganGenerator
from resgan.nets.published.r3gan import R3ganDiscriminator, R3ganGenerator
from resgan.nets.published.resnet import ResnetDiscriminator, ResnetGenerator
from resgan.nets.published.resnet101 import Resnet101Discriminator, Resnet101Generator
from resgan.options.block import BlockOptions
from resgan.options.networks import TRAINING
from resgan.options.train import TrainOptions

Spec = PlainData  # plain data: {"shape": ..., "seed": ..., "generator": {...}, "disc": {...}, "classes": ...}

# generator.name, disc.name -> (generator, discriminator)
NETWORKS: dict[str, tuple[type[nn.Module], type[nn.Module]]] = {
    "lab": (LabGenerator, LabDiscriminator),
    "mlp": (MlpGenerator, MlpDiscriminator),
    "resnet": (ResnetGenerator, ResnetDiscriminator),
    "resnet101": (Resnet101Generator, Resnet101Discriminator),
    "r3gan": (R3ganGenerator, R3ganDiscriminator),
    "dcgan": (DcganGenerator, DcganDiscriminator),
}


def spec_of(options: TrainOptions, dataset: Dataset) -> Spec:
    """Return the spec of a run: all that `build_networks` needs to make both networks again."""
    return {"data": dataset.name, **spec_of_networks(options, dataset.shape, classes=class_shares(options, dataset))}


def spec_of_networks(options: TrainOptions, shape: tuple[int, ...], *, classes: dict[str, float]) -> Spec:
    """Return the spec for samples of a shape; `classes`: names and shares, empty if not class-conditional."""
    spec = {
        "shape": list(shape),
        "seed": options.seed,
        "generator": options.generator.model_dump(exclude=TRAINING),
        "disc": options.disc.model_dump(exclude=TRAINING),
        "classes": classes,
    }
    for network in ("generator", "disc"):
        if spec[network]["name"] == "module":
            complete_own(spec, network)
    return spec


def complete_own(spec: Spec, network: str) -> None:
    """Check a user-defined network, and note the size of its latent in the spec. Raises OptionsError."""
    net, own = build_network(spec, network), spec[network]
    if network == "generator":
        own["latent_dim"] = latent_size(net, own["latent_dim"])
    own["sha256"] = hashlib.sha256(Path(own["path"].rpartition(":")[0]).expanduser().read_bytes()).hexdigest()
    latent_dim = spec["generator"]["latent_dim"]
    check_own_network(net, network, own["path"], shape=tuple(spec["shape"]), latent_dim=latent_dim)


def build_networks(spec: Spec) -> tuple[nn.Module, nn.Module]:
    """Return (generator, discriminator). Raises OptionsError where an option does not fit the images.

    User-defined networks run their own code, so build them only for specs from options, never from a checkpoint.
    """
    generator, disc = (build_network(spec, network) for network in ("generator", "disc"))
    return generator, disc


def build_network(spec: Spec, network: str, *, own: MakeNetwork | None = None) -> nn.Module:
    """Build the generator or the disc of a spec; own: a class to call instead of the one it names.

    Raises OptionsError.
    """
    arguments = dict(spec[network])
    if arguments["name"] == "module":
        return build_own_network(network, arguments, seed=spec["seed"], given=own)
    if "block" in arguments:  # published networks have their own wiring
        arguments["block"] = take_block_options(arguments)
    make = NETWORKS[arguments.pop("name")][0 if network == "generator" else 1]
    given = {"shape": tuple(spec["shape"]), "seed": spec["seed"], "classes": len(spec.get("classes", {}))}
    try:
        return make(**arguments, **given)
    except ValueError as error:
        raise OptionsError(f"{network}.{error}") from error


def build_outline(spec: Spec, network: str) -> nn.Module:
    """Build a network on the meta device: its weights have shapes and dtypes, and take no memory.

    Not for user-defined networks, whose code may need real tensors. Raises OptionsError; sizes beyond all bounds raise
    several kinds.
    """
    with torch.device("meta"), Undrawn():
        return build_network(spec, network)


class Undrawn(TorchFunctionMode):
    """Leave out what only gives weights their values: generators of random numbers, which the meta device does not
    take, and the power iteration of spectral normalisation, which takes seconds there.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = {name: value for name, value in (kwargs or {}).items() if name != "generator"}
        if func is F.normalize:
            return args[0] if kwargs.get("out") is None else kwargs["out"]
        if func is torch.mv:
            return args[0].new_empty(args[0].shape[:1])
        return func(*args, **kwargs)


def take_block_options(arguments: PlainData) -> BlockOptions:
    """Take the options of a block, whose kind is called `block`, out of a network's arguments."""
    arguments["kind"] = arguments.pop("block")
    names = [field.name for field in fields(BlockOptions) if field.name in arguments]
    return BlockOptions(**{name: arguments.pop(name) for name in names})


# Costs.


def count(spec: Spec) -> PlainData:
    """Count the parameters of both networks, and the floating point operations of a forward pass of one sample.

    The same with each switch at its other position: plain published networks lose the projections on their skips.
    """
    other = spec | {net: spec[net] | {"residual": not spec[net]["residual"]} for net in ("generator", "disc")}
    return {**costs(spec), "switched": costs(other)}


def costs(spec: Spec) -> dict[str, dict[str, int]]:
    own = "module" in (spec["generator"]["name"], spec["disc"]["name"])
    build = build_network if own else build_outline  # which allocates nothing; a user's code may need values
    generator, disc = build(spec, "generator"), build(spec, "disc")
    with torch.device("cpu" if own else "meta"):
        labels = (torch.zeros(1, dtype=torch.long),) if spec.get("classes") else ()
        inputs = {
            "generator": (generator, torch.zeros(1, spec["generator"]["latent_dim"]), *labels),
            "disc": (disc, torch.zeros(1, *spec["shape"]), *labels),
        }
        return {
            "parameters": {name: parameters(net) for name, (net, *_) in inputs.items()},
            "flops": {name: flops(net, *given) for name, (net, *given) in inputs.items()},
        }


def parameters(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def flops(net: nn.Module, *inputs: Tensor) -> int:
    """Count the floating point operations of one forward pass, without fusing; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter, torch.no_grad(), layers.unfused(net):
        net.eval()(*inputs)
    net.train()
    return counter.get_total_flops()
