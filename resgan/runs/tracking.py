"""Logging to Weights & Biases: on by default, without prompts, and never a reason for a run to stop."""

import contextlib
import netrc
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from torch import Tensor

from resgan.base.console import say
from resgan.base.images import to_array
from resgan.base.plain_data import PlainData

if TYPE_CHECKING:
    from wandb import Run as WandbRun

SECONDS_TO_CONNECT = 15
SECONDS_TO_FINISH = 300  # to wait for unsent data, which stays on disk for `wandb sync`


class Tracker:
    """A W&B run, or nothing with mode "disabled". W&B's step is `images_seen`, which goes on in a continued run."""

    def __init__(
        self,
        *,
        mode: str,  # "auto", "online", "offline" or "disabled"
        directory: Path,  # the run directory; W&B keeps its own folder in it
        run_id: str | None,  # id of the W&B run to continue
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
            arguments |= {"project": project, "entity": entity}
            if run_id is not None:  # offline too: `wandb sync` puts all folders of an id into one run
                arguments |= {"id": run_id, "resume": "allow" if mode == "online" else None}
        self.run = run = start(mode, arguments)
        if not run.offline:
            say(f"W&B shows this run at {run.url}")
        run.define_metric("images_seen", hidden=True)
        run.define_metric("*", step_metric="images_seen")

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
        self._tell(lambda run: run.finish(exit_code=exit_code))
        self.run = None

    def _tell(self, what: "Callable[[WandbRun], object]") -> None:
        """Call `what` with the W&B run; an error in it ends the logging to W&B, not the training run."""
        if self.run is None:
            return
        try:
            what(self.run)
        except Exception as error:
            say(f"W&B failed ({first_line(error)}); the run goes on without it")
            with contextlib.suppress(Exception):
                self.run.finish(exit_code=1)  # else W&B would log this process's next run into this one
            self.run = None


def resolve_mode(mode: str) -> str:
    """Resolve "auto": to WANDB_MODE if it is set, else to online with an API key and to offline without one."""
    if mode != "auto":
        return mode
    said = os.environ.get("WANDB_MODE")
    if said:
        said = {"dryrun": "offline", "run": "online"}.get(said, said)
        if said in ("online", "offline", "disabled"):
            return said
        say(f"WANDB_MODE={said}: expected online, offline or disabled; logging offline")
        return "offline"
    return "online" if has_key() else "offline"


def has_key() -> bool:
    """Return True if an API key is where W&B would look for it; W&B itself would prompt for one."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    host = urlsplit(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).netloc
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def start(mode: Any, arguments: PlainData) -> Any:
    """Start a W&B run; if the server cannot be reached, start an offline run and say so in one line."""
    os.environ.setdefault("WANDB_SILENT", "true")  # the setting below comes too late for the messages at login
    import wandb
    from wandb.errors import Error, UsageError

    settings = wandb.Settings(
        init_timeout=SECONDS_TO_CONNECT,
        finish_timeout=SECONDS_TO_FINISH,
        login_timeout=1,
        silent=True,
        console="off",
        x_disable_stats=True,
        reinit="create_new",  # seeds trained as one have a W&B run each, all at the same time
    )
    try:
        if mode == "online" and not has_key():
            raise UsageError("no API key is configured")
        return wandb.init(mode=mode, settings=settings, **arguments)
    except (Error, OSError) as error:
        if mode == "offline":
            raise
        say(f"W&B is not reachable ({first_line(error)}); logging offline")
        return wandb.init(mode="offline", settings=settings, **{**arguments, "resume": None})


def first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
