"""Send Ctrl-C to a run in this process."""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def interrupted_at(run: Path, *, images: int) -> Iterator[None]:
    """Send SIGINT to this process as soon as the run has a line at this many images."""
    log, said = run / "metrics.jsonl", f'"images_seen": {images}'

    def interrupt() -> None:
        while not (log.exists() and said in log.read_text()):
            time.sleep(0.002)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    thread.start()
    yield
    thread.join()
