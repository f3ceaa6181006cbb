"""Plain data: nested dictionaries, lists, numbers and text, as YAML and JSON hold them."""

import json
import math
from typing import Any

PlainData = dict[str, Any]  # nested dictionaries, lists, numbers and text: what YAML and JSON hold


def nan_to_none(value: object) -> Any:
    """Replace NaN and infinity, which JSON does not know, by None, at any depth."""
    if isinstance(value, dict):
        return {key: nan_to_none(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_none(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def flat(config: PlainData, prefix: str = "") -> PlainData:
    """Join nested keys by dots: {"generator": {"residual": True}} becomes {"generator.residual": True}; {} stays."""
    found = {}
    for key, value in config.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def nested(config: PlainData) -> PlainData:
    """Undo `flat`: {"generator.residual": True} becomes {"generator": {"residual": True}}."""
    found: PlainData = {}
    for key, value in config.items():
        *groups, last = key.split(".")
        inner = found
        for group in groups:
            inner = inner.setdefault(group, {})
        inner[last] = value
    return found


def format_value(value: object) -> str:
    """Format a value as it is typed on the command line."""
    if isinstance(value, list) and all(isinstance(item, str) and item.isidentifier() for item in value):
        return f"[{','.join(value)}]"
    return json.dumps(value, separators=(",", ":")) if isinstance(value, bool | list | type(None)) else str(value)


def shortened(text: str, most: int = 60) -> str:
    """Shorten a long value for a message: its beginning, and how long it is."""
    return text if len(text) <= most else f"{text[: most // 2]}... ({len(text):,} characters)"
