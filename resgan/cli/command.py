"""The description of a command: its options, its help, and what runs before and after a study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from resgan.experiment.study import Job, Study
from resgan.options.validation import Options


@dataclass(frozen=True)
class Command:
    name: str  # of the module
    options: type[Options]
    about: str  # what it does, for --help
    examples: str
    config: str = ""  # the command whose file in conf/ it uses; empty: its own
    paths: dict[str, str] = field(default_factory=dict)  # options that bare paths mean, by their ending; "": any
    before_study: Callable[[Study], None] | None = None
    after_study: Callable[[Study], None] | None = None
    run_stacked: Callable[[Sequence[tuple[Any, Job]], Callable[[Job, Exception], None]], None] | None = None

    @property
    def primary(self) -> str:
        """The name of its file in conf/."""
        return self.config or self.name
