"""Lab networks from flat options, as in conf/."""

import inspect
from dataclasses import fields, replace
from typing import Any, TypeVar

from torch import nn

from resgan.options.block import BlockOptions

Network = TypeVar("Network", bound=nn.Module)


def make_network(network: type[Network], **options: Any) -> Network:
    """Make a LabGenerator or another network with blocks; options that are not given have their defaults."""
    default = inspect.signature(network).parameters["block"].default
    given = {"kind" if name == "block" else name: value for name, value in options.items()}
    block = {field.name: given.pop(field.name) for field in fields(BlockOptions) if field.name in given}
    return network(block=replace(default, **block), **given)
