"""Run commands in separate processes, as users do, without paying for the imports each time.

A server that has imported everything and run nothing forks a child for each command, which has its own arguments,
directory, environment and output, gets real signals, and ends with a real exit status.
"""

import atexit
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

SERVER = """
import gc, json, os, runpy, signal, sys
import hydra._internal.hydra, torch, wandb, wandb.sdk.launch
import resgan.experiment.evaluation, resgan.experiment.samples, resgan.experiment.session
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from PIL import Image
from wandb.sdk.data_types._private import MEDIA_TMP

Plugins.instance()
OverridesParser.create().parse_overrides(["a.b=1e-3", "c=[0,x]", "d=range(3)", "e=x,y", "f='g=h'"])  # slow once
Image.init()

torch.set_num_threads(1)
gc.collect()
gc.freeze()  # else the first collection in a child would copy most of what it shares with this process

def child(request):
    os.setsid()
    MEDIA_TMP._finalizer.detach()  # W&B's folder for pictures: the children share it, and none shall remove it
    os.makedirs(MEDIA_TMP.name, exist_ok=True)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    for number, path, flags in (
        (0, request["stdin"], os.O_RDWR), (1, request["stdout"], os.O_WRONLY), (2, request["stderr"], os.O_WRONLY)
    ):
        os.dup2(os.open(path, flags), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w", buffering=1), open(2, "w", buffering=1)
    sys.argv = [request["module"], *request["arguments"]]
    if place := os.environ.get("RESGAN_TEST_KILL"):  # such as "os.replace 3": before the third call
        from helpers.killing import at_call, send

        name, count = place.split()
        at_call(name, int(count), lambda: send(signal.SIGKILL))
    runpy.run_module(request["module"], run_name="__main__", alter_sys=True)

for line in iter(sys.stdin.readline, ""):
    request = json.loads(line)
    if "poll" in request:
        pid, status = os.waitpid(request["poll"], os.WNOHANG)
        answer = os.waitstatus_to_exitcode(status) if pid else None
    elif (answer := os.fork()) == 0:
        child(request)
        sys.exit(0)
    print(json.dumps(answer), flush=True)
"""


HERE = str(Path(__file__).resolve().parent.parent)  # of the package helpers


@functools.cache
def server() -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")]),
        },
    )
    atexit.register(process.communicate)  # closing its input ends the server
    return process


def ask(request: dict) -> int | None:
    process = server()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


@dataclass
class Process:
    """A command that is running."""

    pid: int
    out: Path
    err: Path
    returncode: int | None = None
    started: float = field(default_factory=time.monotonic)

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float = 120) -> "Process":
        while self.poll() is None:
            if time.monotonic() - self.started > timeout:
                self.send(signal.SIGKILL)
                raise TimeoutError(f"still running; stderr: {self.stderr}")
            time.sleep(0.02)
        return self

    def wait_for(self, what, timeout: float = 120) -> None:
        """Wait until `what()` is true."""
        while not what():
            assert self.poll() is None, f"ended before: {self.stderr}"
            assert time.monotonic() - self.started < timeout
            time.sleep(0.002)

    def send(self, number: int) -> "Process":
        os.kill(self.pid, number)
        return self

    @property
    def stdout(self) -> str:
        return self.out.read_text() if self.out.is_file() else ""

    @property
    def stderr(self) -> str:
        return self.err.read_text() if self.err.is_file() else ""


def start(name: str, *arguments: str, cwd: Path, terminal: str | None = None, **environment: str | None) -> Process:
    """Start `python -m resgan.<name> arguments...`. terminal: path of a terminal for all its input and output."""
    folder = Path(tempfile.mkdtemp(prefix="resgan-test-"))
    out, err = folder / "out", folder / "err"
    out.touch(), err.touch()
    env = {key: value for key, value in {**os.environ, **environment}.items() if value is not None}
    request = {
        "module": f"resgan.{name}",
        "arguments": [*arguments],
        "cwd": str(cwd),
        "env": env,
        "stdin": terminal or os.devnull,
        "stdout": terminal or str(out),
        "stderr": terminal or str(err),
    }
    pid = ask(request)
    assert pid is not None
    return Process(pid, out, err)


def run(name: str, *arguments: str, cwd: Path, **environment: str | None) -> Process:
    """Run `python -m resgan.<name> arguments...` to its end."""
    return start(name, *arguments, cwd=cwd, **environment).wait()
