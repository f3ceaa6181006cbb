"""Randomness is derived, not stored: every draw has a key, and the key alone decides it."""

import hashlib

import torch


def derive_seed(*parts: int | str) -> int:
    """A number below 2^63 from the purpose of a draw, e.g. derive_seed(seed, "latents", images_seen).

    torch's generator on the CPU starts from its last 32 bits alone: of n purposes about n^2 / 2^33 pairs, by chance,
    share their draws.
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def make_generator(*parts: int | str) -> torch.Generator:
    """A generator seeded by the purpose of a draw; on the CPU, so that every machine draws the same numbers."""
    return torch.Generator().manual_seed(derive_seed(*parts))
