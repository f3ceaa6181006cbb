"""Signals that tell a command to stop."""

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType


class Stopped(Exception):
    """Raised after a signal has stopped the run and its state is saved. Carries the number of the signal."""


STOP_SIGNALS = ("SIGTERM", "SIGINT", "SIGUSR1", "SIGUSR2", "SIGALRM")  # SLURM sends the third; the last is a timer's


def stop_signals() -> list[int]:
    """List the signals that stop a run where its state can be saved; empty except in Python's main thread."""
    if threading.current_thread() is not threading.main_thread():
        return []
    return [getattr(signal, name) for name in STOP_SIGNALS if hasattr(signal, name)]


def cause_of(number: int) -> str:
    """Name what sent a signal, for "stopped by ..."."""
    name = signal.Signals(number).name
    return "trainer.max_hours" if name == "SIGALRM" else name


def hand_on(status: object) -> None:
    """Give a signal that stopped a job, by its exit status, to the launcher that also waits for it.

    submitit puts the job back into the queue then, and ends this process.
    """
    number = status - 128 if isinstance(status, int) else 0
    handler = signal.getsignal(number) if number in stop_signals() else None
    if callable(handler) and handler is not signal.default_int_handler:  # Python's own, of Ctrl-C
        handler(number, None)


_depth = 0  # of what is unbroken now
_at_its_end: list[Callable[[], object]] = []


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """Let what is inside end before a signal ends the command.

    For C code that calls Python, such as torch.save: it turns the SystemExit of a handler into an error of its own.
    """
    global _depth
    if threading.current_thread() is not threading.main_thread():  # where no handler is called
        yield
        return
    _depth += 1
    try:
        yield
    finally:
        _depth -= 1
        if not _depth and _at_its_end:
            end = _at_its_end[0]
            _at_its_end.clear()
            end()


def once_unbroken_ends(end: Callable[[], object]) -> None:
    """Call `end`, which ends the command, from a handler: at once, or when what is `unbroken` is over."""
    if _depth:
        _at_its_end.append(end)
    else:
        end()


class StopSignal:
    """The signal that asked the command to stop, if any."""

    def __init__(self) -> None:
        self.number: int | None = None

    @contextlib.contextmanager
    def listening(self, seconds: float | None = None) -> Iterator[None]:
        """Record signals to stop, to be obeyed where the state can be saved; restore the old handlers afterwards.

        seconds: time after which a signal comes by itself; at once where it is not positive.
        """
        before = {number: signal.getsignal(number) for number in stop_signals()}
        self.listen()
        try:
            if seconds is not None:
                signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-6))
            yield
        finally:
            if seconds is not None:
                signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    def listen(self) -> None:
        for number in stop_signals():
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None and number == signal.SIGINT:
            once_unbroken_ends(lambda: sys.exit(128 + number))  # Ctrl-C after an earlier signal: at once
        self.number = number  # only recorded here, since a handler can do little safely
