"""Random numbers derived from keys: every draw has a key that alone decides it, so that no state is stored."""

import hashlib

import torch


def derive_seed(*parts: int | str) -> int:
    """Derive a number below 2^63 from the purpose of a draw, e.g. derive_seed(seed, "latents", images_seen).

    torch's CPU generator uses only its last 32 bits: among n purposes, about n^2 / 2^33 pairs share their draws by
    chance.
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def make_generator(*parts: int | str) -> torch.Generator:
    """Make a generator seeded by the purpose of a draw; on the CPU, so that all machines draw the same numbers."""
    return torch.Generator().manual_seed(derive_seed(*parts))
