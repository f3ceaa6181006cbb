"""Damage a real small checkpoint in thousands of ways, load each, and count what is refused.

    python scripts/damage_checkpoints.py [--flips 2000] [--every 10] [--seed 0] [CHECKPOINT]

Without CHECKPOINT, a run of a few steps on points makes one. Bits are flipped one at a time, at places drawn from the
seed; then the file is cut short at every tenth byte. The columns count the damaged copies that were refused in one
line, that opened with the values of the whole file, that opened with other values, and that ended in another error;
the last two must be 0. The same is tried on the file as earlier versions wrote it, without a digest. Last come the
times to save, to load and to compute the digest, for this file and for one of 100 MB.
"""

import argparse
import hashlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

import resgan
from resgan.training import checkpoints
from resgan.training.checkpoints import CheckpointError

OUTCOMES = ("refused", "right values", "other values", "other error")
SMALL = [
    "data=gaussians", "data.size=500", "generator.width=16", "disc.width=16", "generator.blocks=1", "disc.blocks=1",
    "generator.latent_dim=4", "metrics=exact", "metrics.samples=100", "batch_size=50", "total_kimg=0.2", "score_kimg=0",
    "sample_kimg=0", "save_kimg=0.1", "trainer.accelerator=cpu", "trainer.progress=false", "wandb=disabled",
]  # fmt: skip


def flips(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield copies with one flipped bit each, all at different places."""
    for bit in random.Random(seed).sample(range(8 * len(content)), min(count, 8 * len(content))):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        yield bytes(changed)


def cuts(content: bytes, every: int) -> Iterator[bytes]:
    for length in range(0, len(content), every):
        yield content[:length]


def without_digest(content: bytes) -> bytes:
    """Return the file as earlier versions wrote it: the same zip, without its comment."""
    zipped = bytearray(content[: -checkpoints.HEX - len(checkpoints.MARK)])
    zipped[-2:] = b"\0\0"
    return bytes(zipped)


def same(a: object, b: object) -> bool:
    """Compare two states, tensors by dtype, shape and bytes."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        bits = [tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (a, b)]
        return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*bits)
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and a == b


def outcome(path: Path, content: bytes, whole: checkpoints.State) -> str:
    path.write_bytes(content)
    try:
        state = checkpoints.load(path)
    except CheckpointError as error:
        return "refused" if str(error).isprintable() else "other error"
    except Exception as error:
        print(f"  {type(error).__name__}: {error}")
        return "other error"
    return "right values" if same(state, whole) else "other values"


def milliseconds(do: Callable[[], object]) -> float:
    """Return the shortest of five times."""
    times = []
    for _ in range(5):
        before = time.perf_counter()
        do()
        times.append(1000 * (time.perf_counter() - before))
    return min(times)


def print_costs(state: checkpoints.State, folder: Path, name: str) -> None:
    path = folder / "timed.ckpt"
    save, content = milliseconds(lambda: checkpoints.save(path, state)), path.read_bytes()
    load, digest = milliseconds(lambda: checkpoints.load(path)), milliseconds(lambda: hashlib.sha256(content).digest())
    size = len(content) / 1e6
    print(
        f"{name}, {size:.2f} MB: save {save:.1f} ms, load {load:.1f} ms; of each the digest is {digest:.2f} ms, "
        f"{digest / size:.2f} ms per MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", nargs="?", type=Path)
    parser.add_argument("--flips", type=int, default=2000)
    parser.add_argument("--every", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        path = given.checkpoint or resgan.fit(resgan.configure(*SMALL, f"run_dir={folder / 'run'}")).checkpoint
        whole, content = checkpoints.load(path), path.read_bytes()
        earlier = without_digest(content)
        rows = {
            "one flipped bit": flips(content, given.flips, given.seed),
            f"cut short, every {given.every} bytes": cuts(content, given.every),
            "one flipped bit, no digest": flips(earlier, given.flips, given.seed),
            f"cut short, every {given.every} bytes, no digest": cuts(earlier, given.every),
        }
        print(f"{len(content):,} bytes\n{'':40}{'tries':>8}" + "".join(f"{name:>14}" for name in OUTCOMES))
        wrong = 0
        for name, copies in rows.items():
            found = Counter(outcome(folder / "damaged.ckpt", copy, whole) for copy in copies)
            wrong += found["other values"] + found["other error"]
            print(f"{name:40}{found.total():>8}" + "".join(f"{found[each]:>14}" for each in OUTCOMES))
        print_costs(whole, folder, "this file")
        print_costs({"weights": [torch.randn(2_500_000) for _ in range(10)]}, folder, "ten tensors")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
