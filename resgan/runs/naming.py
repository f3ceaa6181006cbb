"""The name of an arm, from the overrides that made it."""

import hashlib
import re

from resgan.runs.configuration import PERMISSIONS, is_bookkeeping

SPELLING = {"True": "true", "False": "false", "None": "null"}


def arm_name(overrides: list[str]) -> str:
    """Join all overrides except seed, replicate and bookkeeping, sorted, in characters valid in every file system.

    ["seed=3", "generator.residual=true", "disc.residual=false"] -> "disc.residual-false_generator.residual-true".
    Names that lose characters in this, or grow too long, end with a hash of the whole name.
    """
    kept = sorted(_as_typed(o) for o in overrides if not _is_bookkeeping_override(o))
    whole = "_".join(re.sub("[=/]", "-", override) for override in kept) or "default"
    name = re.sub(r"[^A-Za-z0-9._-]", "", whole)
    if name == whole and len(name) <= 120:
        return name
    return f"{name[:100]}_{hashlib.blake2b(whole.encode(), digest_size=4).hexdigest()}"


def _as_typed(override: str) -> str:
    """Write True as true, so that a sweeper and a user name the same arm."""
    return re.sub(r"=(True|False|None)$", lambda match: f"={SPELLING[match[1]]}", override.lstrip("+~"))


def _is_bookkeeping_override(override: str) -> bool:
    key = override.lstrip("+~").split("=")[0].replace("/", ".")
    return key in ("seed", "replicate") or (is_bookkeeping(key) and key not in PERMISSIONS)
