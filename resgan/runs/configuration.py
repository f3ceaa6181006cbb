"""The options that identify a run, those that may change when it goes on, and the differences of two configurations."""

from resgan.base.plain_data import PlainData, flat, format_value

BOOKKEEPING = (
    "run_dir",
    "study",
    "seeds",
    "tuning.runs",
    "tuning.accept_edge",
    "data.cache",
    "data.limits",
    "wandb",
    "tensorboard",
    "csv",
    "trainer.threads",
    "trainer.progress",
    "trainer.stack",
    "trainer.devices",
    "trainer.nodes",
    "trainer.strategy",
    "trainer.max_hours",
    "hydra",
)  # never part of a run's identity
PERMISSIONS = ("loss.gp_with_spectral",)  # not part of it either, but of the names of arms
INTERVALS = ("score_kimg", "sample_kimg", "save_kimg")  # of records: a run may go on with others
LENGTH = "total_kimg"  # a run may go on to a greater one


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


def refusals(old: PlainData, new: PlainData, *, may_grow: bool = True) -> list[str]:
    """List the differences that keep a run from going on: all but intervals of records, and a greater length."""
    old, new = flat(old), flat(new)
    free = {*INTERVALS, *([LENGTH] if may_grow and is_longer(old, new) else [])}
    return differences({k: v for k, v in old.items() if k not in free}, {k: v for k, v in new.items() if k not in free})


def changes(old: PlainData, new: PlainData) -> PlainData:
    """Return the options that change when a run goes on, as {"total_kimg": [200, 400]}; empty where none does."""
    old, new = flat(old), flat(new)
    return {key: [old[key], new[key]] for key in (LENGTH, *INTERVALS) if key in old and old[key] != new.get(key)}


def is_longer(old: PlainData, new: PlainData) -> bool:
    return LENGTH in old and LENGTH in new and new[LENGTH] > old[LENGTH]
