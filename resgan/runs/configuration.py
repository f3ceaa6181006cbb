"""The options that identify a run, and the differences of two configurations."""

from resgan.base.plain_data import PlainData, flat, format_value

BOOKKEEPING = (
    "run_dir",
    "study",
    "seeds",
    "tuning.runs",
    "tuning.accept_edge",
    "data.cache",
    "wandb",
    "tensorboard",
    "csv",
    "trainer.threads",
    "trainer.progress",
    "trainer.stack",
    "trainer.devices",
    "trainer.nodes",
    "trainer.strategy",
    "hydra",
)  # never part of a run's identity
PERMISSIONS = ("loss.gp_with_spectral",)  # not part of it either, but of the names of arms


def is_bookkeeping(key: str) -> bool:
    return key in PERMISSIONS or any(key == name or key.startswith(name + ".") for name in BOOKKEEPING)


def differences(old: PlainData, new: PlainData) -> list[str]:
    """List the options in which two configurations, nested or flat, differ, one text each, without bookkeeping."""
    old, new = flat(old), flat(new)
    keys = [key for key in [*old, *(key for key in new if key not in old)] if not is_bookkeeping(key)]
    return [
        f"{key} was {format_value(old[key]) if key in old else 'no option then'}, is {format_value(new.get(key))}"
        for key in keys
        if old.get(key) != new.get(key)
    ]
