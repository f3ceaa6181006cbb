"""Randomness is derived, not stored: every draw has a key, and the key alone decides it."""

import hashlib

import torch


def key(*parts: int | str) -> int:
    """A 63-bit number from what a draw is for, e.g. key(seed, "latents", images_seen)."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def keyed_generator(*parts: int | str) -> torch.Generator:
    """On the CPU, so that every machine draws the same numbers."""
    return torch.Generator().manual_seed(key(*parts))
