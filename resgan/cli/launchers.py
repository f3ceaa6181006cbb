"""Hydra's launchers: how many jobs of a sweep run at once, and where."""

import traceback
from typing import Any

from omegaconf import OmegaConf

from resgan.options.conf import files_of

EXTRAS = {"submitit": "slurm", "ray": "ray"}  # by how a launcher's name begins: resgan[...]


def jobs_at_once(settings: Any) -> int:
    """Return how many jobs Hydra's launcher runs at once: 1 for its basic launcher; -1 is one per core."""
    launcher = settings.launcher
    if launcher._target_.endswith("BasicLauncher"):
        return 1
    return int(launcher.get("n_jobs") or launcher.get("array_parallelism") or -1)


def in_this_process(settings: Any) -> bool:
    """Return True if the jobs run one after the other in the process of the command."""
    return not on_a_cluster(settings) and jobs_at_once(settings) == 1


def on_a_cluster(settings: Any) -> bool:
    """Return True if each job has a machine, or its share of one, to itself."""
    return settings.launcher._target_.endswith("SlurmLauncher")


def share_this_machine(settings: Any) -> bool:
    """Return True if several jobs share the cores and GPUs of this machine."""
    return not (in_this_process(settings) or on_a_cluster(settings))


def is_of_a_launcher(error: Exception) -> bool:
    """Check whether a launcher's plugin raised this, rather than a job: it has lost a process, or finds no cluster."""
    names = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return any(name.startswith("hydra_plugins.hydra_") for name in names)


def missing(name: str) -> str:
    """Say what to install for a launcher that is not there, or which there are."""
    for part, extra in EXTRAS.items():
        if name.startswith(part):
            return f"hydra/launcher={name}: needs a plugin; pip install 'resgan[{extra}]'"
    return (
        f"hydra/launcher={name}: expected one of {', '.join(sorted({'basic', 'joblib', *files_of('hydra/launcher')}))}"
    )


def count_gpus() -> int:
    """Return the number of GPUs, at least 1: the jobs that run at once with hydra/launcher=gpus."""
    import torch  # takes more than a second, and few sweeps ask

    return max(1, torch.cuda.device_count())


OmegaConf.register_new_resolver("gpus", count_gpus, replace=True)
