"""The options shared by all commands that open a checkpoint."""

from typing import Annotated

from pydantic import Field

from resgan.options.validation import Options, option


class OwnGenerator(Options):
    path: Annotated[str, Field(min_length=1)] | None = option(
        "file.py:NAME of the class, if the checkpoint's generator is user-defined; null: it is not"
    )


class OwnDisc(Options):
    path: Annotated[str, Field(min_length=1)] | None = option("the same for the discriminator")


class CheckpointOptions(Options):
    generator: OwnGenerator
    disc: OwnDisc
