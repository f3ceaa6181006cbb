"""The options of all commands that open a checkpoint."""

from typing import Annotated

from pydantic import Field

from resgan.options.validation import Options, option


class OwnGenerator(Options):
    path: Annotated[str, Field(min_length=1)] | None = option(
        "file.py:NAME, where the checkpoint's generator is of a class of your own; null: it is none"
    )


class OwnDisc(Options):
    path: Annotated[str, Field(min_length=1)] | None = option("the same for the discriminator")


class CheckpointOptions(Options):
    generator: OwnGenerator
    disc: OwnDisc
