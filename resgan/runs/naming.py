"""The name of an arm, by what varies in its sweep: `residual-G`, `residual-G_lr-0.002`."""

import hashlib
import re
from collections.abc import Collection, Sequence

from resgan.runs.configuration import INTERVALS, LENGTH, PERMISSIONS, is_bookkeeping

SWITCHES = ("generator.residual", "disc.residual")
ARMS = {(False, False): "plain", (False, True): "residual-D", (True, False): "residual-G", (True, True): "both"}
SPELLING = {"True": "true", "False": "false", "None": "null"}
FREE = {LENGTH, *INTERVALS}  # a run may go on with others
LONGEST = 100  # characters


def arm_name(overrides: Sequence[str], *, residual: tuple[bool, bool], varied: Collection[str] | None = None) -> str:
    """Name an arm by the networks with residual blocks, then by its other overrides, sorted.

    residual: in the generator, in the discriminator. varied: the options that a sweep varies, which alone are named;
    None: all are, except seed, replicate and bookkeeping. ["seed=3", "generator.lr=0.002"] -> "both_G.lr-0.002".
    Names have characters valid in every file system; one that lost some, or grew too long, ends with a hash of all.
    """
    named = sorted(
        override
        for override in map(_as_typed, overrides)
        if (key := _key(override)) not in SWITCHES
        and not _is_bookkeeping_override(override)
        and (key in varied if varied is not None else key not in FREE)
    )
    parts = [re.sub(r"^disc\.", "D.", re.sub(r"^generator\.", "G.", override)) for override in named]
    parts = [override.removeprefix("experiment=") for override in parts]
    whole = "_".join([ARMS[residual], *parts])
    usual = re.sub(r"[=/,]", "-", re.sub(r"\[([^\[\]]*)\]", r"\1", whole))
    name = re.sub(r"[^A-Za-z0-9._+-]", "", usual)
    if name == usual and len(name) <= LONGEST:
        return name
    return with_hash(name[:LONGEST], overrides, varied)


def with_hash(name: str, overrides: Sequence[str], varied: Collection[str] | None = None) -> str:
    """Append a hash of all overrides that identify an arm to its name; a run may change its length and go on."""
    free = FREE - set(varied or ())
    named = (_as_typed(override) for override in overrides if not _is_bookkeeping_override(override))
    kept = sorted(override for override in named if _key(override) not in free)
    return f"{name}_{hashlib.blake2b('_'.join(kept).encode(), digest_size=4).hexdigest()}"


def earlier_arm_name(overrides: Sequence[str]) -> str:
    """Name an arm by all its overrides, as directories were named before those that vary were enough."""
    kept = sorted(_as_typed(override) for override in overrides if not _is_bookkeeping_override(override))
    whole = "_".join(re.sub("[=/]", "-", override) for override in kept) or "default"
    name = re.sub(r"[^A-Za-z0-9._-]", "", whole)
    if name == whole and len(name) <= 120:
        return name
    return f"{name[:100]}_{hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()}"


def _as_typed(override: str) -> str:
    """Write True as true, so that a sweeper and a user name the same arm."""
    return re.sub(r"=(True|False|None)$", lambda match: f"={SPELLING[match[1]]}", override.lstrip("+~"))


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0]


def _is_bookkeeping_override(override: str) -> bool:
    key = _key(override).replace("/", ".")
    return key in ("seed", "replicate") or (is_bookkeeping(key) and key not in PERMISSIONS)
