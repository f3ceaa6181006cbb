"""The options of `python -m resgan.plan`."""

from typing import Annotated

from pydantic import Field

from resgan.options.numbers import Amount, Hours, Machines, Price, Processes
from resgan.options.validation import Options, option


class ClusterOptions(Options):
    """A cluster, as its user describes it. Nothing of it is measured."""

    nodes: Machines = option("machines")
    devices: Processes = option("devices of a machine, such as GPUs")
    jobs: Processes = option("jobs side by side on a device")
    speed: Amount | None = option("times as fast as here a job is there; null: not known, taken as 1")
    memory_gb: Amount | None = option("memory of a device, in units of 10^9 bytes; null: not known")
    hours: Hours | None = option("limit of a job: a longer one goes on as another job; null: no limit")
    price: Price | None = option("price of a device for an hour; null: not known")
    currency: Annotated[str, Field(min_length=1)] = option("currency of the price")


class PlanOptions(Options):
    """All options of `python -m resgan.plan` itself. All others on its line are those of `resgan.train`."""

    cluster: ClusterOptions
