"""Signals that ask a command to stop."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class Stopped(Exception):
    """A signal asked the run to stop; its state is saved. Carries the number of the signal."""


def stop_signals() -> list[int]:
    """SIGTERM, Ctrl-C, and what SLURM sends before it takes a job's machine away; Python gives them to one thread."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


class StopSignal:
    """The signal that asked to stop, if one did."""

    def __init__(self) -> None:
        self.number: int | None = None

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Signals to stop are heeded where the state can be saved; afterwards they do what they did before."""
        before = {number: signal.getsignal(number) for number in stop_signals()}
        self.listen()
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        for number in stop_signals():
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            raise SystemExit(128 + number)  # Ctrl-C a second time: at once
        self.number = number  # only noted here: what a handler may do safely is little
