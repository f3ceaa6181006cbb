"""Kill a process at a chosen call of a chosen function, so that a test can aim at the moment of a write."""

import os
import signal
from typing import Any

VARIABLE = "RESGAN_TEST_KILL"  # such as "replace:3", before the third os.replace, or "replace:3:after"
POINTS = ("replace", "fsync", "save", "append", "png", "generate", "write")


def kill_at(place: str) -> None:
    """Arrange for this process to be killed (SIGKILL) at a place, named as above."""
    name, count, *after = place.split(":")
    owner, attribute = owner_of(name)
    call, calls = getattr(owner, attribute), [0]

    def counted(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == int(count) and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call(*arguments, **options)
        if calls[0] == int(count):
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, attribute, counted)


def owner_of(name: str) -> tuple[Any, str]:
    """Return the module or class that holds a function, and its name there."""
    import torch

    from resgan.base import images
    from resgan.nets import sampling
    from resgan.runs.directory import Run

    points: dict[str, tuple[Any, str]] = {
        "replace": (os, "replace"),
        "fsync": (os, "fsync"),
        "save": (torch, "save"),
        "append": (Run, "append"),
        "png": (images, "save_png"),
        "generate": (sampling, "generate"),
        "write": (Run, "write_result"),
    }
    return points[name]
