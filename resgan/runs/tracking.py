"""Logging to Weights & Biases: on by default, without prompts, and never a reason for a run to stop or to wait long."""

import configparser
import contextlib
import logging
import netrc
import os
import secrets
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from torch import Tensor

from resgan.base.console import say
from resgan.base.errors import OptionsError
from resgan.base.images import to_array
from resgan.base.plain_data import PlainData

if TYPE_CHECKING:
    from wandb import Run as WandbRun

SECONDS_TO_CONNECT = 10
SECONDS_TO_FINISH = 20  # to wait for unsent data, which stays on disk for `wandb sync`
SECONDS_OFFLINE = 600  # in which a process does not wait again for a server that it could not reach
HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")  # of W&B's own service; one key is valid at both

_offline_until = 0.0  # of time.monotonic()
_open: set["Tracker"] = set()  # with a W&B run, in this process


class Tracker:
    """A W&B run, or nothing with mode "disabled". W&B's step is `images_seen`, which goes on in a continued run."""

    def __init__(
        self,
        *,
        mode: str,  # "auto", "online", "offline" or "disabled"
        directory: Path,  # the run directory; W&B keeps its own folder in it
        run_id: str,  # of W&B; a run keeps it in all its sessions
        config: PlainData,
        project: str,
        entity: str | None,
        name: str | None,
        group: str | None,
        job_type: str | None = None,  # the arm, within a study
        tags: list[str],
    ) -> None:
        self.run: WandbRun | None = None
        mode = resolve_mode(mode)
        if mode == "disabled":
            return
        arguments = {"dir": str(directory), "config": config, "name": name, "group": group, "tags": tags}
        arguments["job_type"] = job_type
        if "WANDB_SWEEP_ID" not in os.environ:  # a sweep's agent sets all of these itself
            arguments |= {"project": project, "entity": entity, "id": run_id}
        try:
            self.run = run = start(mode, arguments)
            _open.add(self)
            if not run.offline and run.url:
                say(f"W&B shows this run at {run.url}")
            run.define_metric("images_seen", hidden=True)
            run.define_metric("*", step_metric="images_seen")
        except Exception as error:
            self._give_up(error)

    @property
    def run_id(self) -> str | None:
        return self.run.id if self.run else None

    def log(self, values: PlainData, *, images_seen: int) -> None:
        given = {name: value for name, value in values.items() if value is not None} | {"images_seen": images_seen}
        self._tell(lambda run: run.log(given, step=images_seen))

    def log_image(self, name: str, image: Tensor, *, images_seen: int, caption: str | None = None) -> None:
        def show(run: "WandbRun") -> None:
            import wandb

            shown = wandb.Image(to_array(image), caption=caption or f"{images_seen} images seen")
            run.log({name: shown, "images_seen": images_seen}, step=images_seen)

        self._tell(show)

    def summarise(self, values: PlainData) -> None:
        self._tell(lambda run: run.summary.update(values))

    def finish(self, exit_code: int) -> None:
        def end(run: "WandbRun") -> None:
            try:
                run.finish(exit_code=exit_code)
            except TimeoutError:
                folder = Path(run.dir).parent
                say(f"W&B has not taken everything in {SECONDS_TO_FINISH} s; wandb sync {folder} sends the rest")
                avoid_server()

        self._tell(end)
        self.run = None
        _open.discard(self)

    def _tell(self, what: "Callable[[WandbRun], object]") -> None:
        """Call `what` with the W&B run; an error in it ends the logging to W&B, not the training run."""
        if self.run is None:
            return
        try:
            what(self.run)
        except Exception as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        say(f"W&B failed ({first_line(error)}); the run goes on without it")
        if self.run is not None:
            with contextlib.suppress(Exception):
                self.run.finish(exit_code=1)  # else W&B would log this process's next run into this one
        self.run = None
        _open.discard(self)
        if isinstance(error, ConnectionError):  # W&B's process is gone; the next run starts another
            with contextlib.suppress(Exception):
                import wandb

                wandb.teardown(exit_code=1)  # else W&B tries it when Python exits, and prints a traceback


def new_run_id(*, alone: bool) -> str:
    """Choose the id of a W&B run that begins. alone: it is the command's only one, which WANDB_RUN_ID may name."""
    return (alone and os.environ.get("WANDB_RUN_ID")) or secrets.token_hex(4)


def check_environment(mode: str) -> None:
    """Raises OptionsError for a variable of the environment that W&B would not start with."""
    if resolve_mode(mode) == "disabled":
        return
    import wandb

    for name in sorted(name for name in os.environ if name.startswith("WANDB_")):
        try:
            wandb.Settings().update_from_env_vars({name: os.environ[name]})
        except Exception as error:
            given = name if "KEY" in name or "TOKEN" in name else f"{name}={os.environ[name]}"
            raise OptionsError(f"{given}: {why_refused(error)}; unset it, or use wandb=disabled") from None


def why_refused(error: Exception) -> str:
    """Return the reason in an error of W&B, which checks its settings with pydantic."""
    listed: Any = getattr(error, "errors", list)()
    return str(listed[0]["msg"]).removeprefix("Value error, ") if listed else first_line(error)


def resolve_mode(mode: str) -> str:
    """Resolve "auto": to WANDB_MODE if it is set, else to online with an API key and to offline without one.

    Raises OptionsError for another WANDB_MODE.
    """
    if mode != "auto":
        return mode
    said = os.environ.get("WANDB_MODE")
    if said:
        said = {"dryrun": "offline", "run": "online"}.get(said, said)
        if said in ("online", "offline", "disabled"):
            return said
        raise OptionsError(f"WANDB_MODE={said}: expected online, offline or disabled")
    return "online" if has_key() else "offline"


def has_key() -> bool:
    """Return True if an API key is where W&B would look for it; W&B itself would prompt for one."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(base_url()).netloc
    try:
        known = netrc.netrc(os.environ.get("NETRC"))
    except (OSError, netrc.NetrcParseError):
        return False
    return any(known.authenticators(name) is not None for name in (HOSTS if host in ("", *HOSTS) else (host,)))


def base_url() -> str:
    """Return the address of W&B's server by the environment or the file of `wandb login --host`; empty: its own."""
    if given := os.environ.get("WANDB_BASE_URL"):
        return given
    path = Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser() / "settings"
    settings = configparser.ConfigParser(interpolation=None)
    with contextlib.suppress(OSError, configparser.Error, UnicodeDecodeError):
        settings.read(path)
    return settings.get("default", "base_url", fallback="")


def start(mode: Any, arguments: PlainData) -> Any:
    """Start a W&B run; if the server cannot be reached, start an offline run and say so in one line."""
    os.environ.setdefault("WANDB_SILENT", "true")  # the setting below comes too late for the messages at login
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # W&B's measurements of itself, sent even when offline
    import wandb
    from wandb.errors import Error, UsageError

    settings = wandb.Settings(
        init_timeout=SECONDS_TO_CONNECT,
        finish_timeout=SECONDS_TO_FINISH,
        finish_timeout_raises=True,
        login_timeout=1,
        silent=True,
        console="off",
        x_disable_stats=True,
        reinit="create_new",  # seeds trained as one have a W&B run each, all at the same time
    )
    start_service()
    if mode == "online" and time.monotonic() < _offline_until:
        mode = "offline"
    try:
        if mode == "online" and not has_key():
            raise UsageError("no API key is configured")
        resume = "allow" if mode == "online" and "id" in arguments else None
        return wandb.init(mode=mode, settings=settings, resume=resume, **arguments)
    except (Error, OSError) as error:
        if mode == "offline":
            raise
        say(f"W&B is not reachable ({first_line(error)}); logging offline")
        avoid_server()
        if _open:  # runs of the same stack, in the process of W&B that keeps the id
            arguments = {**arguments, "id": secrets.token_hex(4)}
        else:
            wandb.teardown()
            start_service()
        return wandb.init(mode="offline", settings=settings, **arguments)


def start_service() -> None:
    """Start W&B's process, where it does not run yet, without a terminal: it prints a stack of calls when it fails."""
    import wandb

    sys.stderr.flush()
    terminal, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        wandb.setup()
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nothing)
    for handler in logging.getLogger("wandb").handlers:
        handler.handleError = lambda record: None


def avoid_server() -> None:
    global _offline_until
    _offline_until = time.monotonic() + SECONDS_OFFLINE


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
