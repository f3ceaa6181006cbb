"""The options of `python -m resgan.plan`."""

from typing import Annotated

from pydantic import Field

from resgan.options.validation import NotNegative, Options, Positive, option

MoreThanNone = Annotated[float, Field(gt=0)]


class ClusterOptions(Options):
    """A cluster, as its user describes it. Nothing of it is measured."""

    nodes: Positive = option("machines")
    devices: Positive = option("devices of a machine, such as GPUs")
    jobs: Positive = option("jobs side by side on a device")
    speed: MoreThanNone | None = option("times as fast as here a job is there; null: not known, taken as 1")
    memory_gb: MoreThanNone | None = option("memory of a device, in units of 10^9 bytes; null: not known")
    hours: MoreThanNone | None = option("limit of a job: a longer one goes on as another job; null: no limit")
    price: NotNegative | None = option("price of a device for an hour; null: not known")
    currency: Annotated[str, Field(min_length=1)] = option("currency of the price")


class PlanOptions(Options):
    """All options of `python -m resgan.plan` itself. All others on its line are those of `resgan.train`."""

    cluster: ClusterOptions
