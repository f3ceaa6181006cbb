"""Networks of the lab, from options in a row as conf/ has them."""

import inspect
from dataclasses import fields, replace
from typing import Any, TypeVar

from torch import nn

from resgan.options.block import BlockOptions

Network = TypeVar("Network", bound=nn.Module)


def make_network(network: type[Network], **options: Any) -> Network:
    """A LabGenerator or another with blocks; what is not given is as it is without options."""
    default = inspect.signature(network).parameters["block"].default
    given = {"kind" if name == "block" else name: value for name, value in options.items()}
    block = {field.name: given.pop(field.name) for field in fields(BlockOptions) if field.name in given}
    return network(block=replace(default, **block), **given)
