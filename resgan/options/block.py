"""The options of a block, as they travel whole from the command to the block."""

from dataclasses import dataclass

from resgan.options.choices import Join, Kind, Norm, NormPlace, Skip


@dataclass(frozen=True, kw_only=True)
class BlockOptions:
    """Options of a block, with the switch; what each means in full: resgan/nets/blocks.py."""

    residual: bool = True  # the switch: add the input back
    kind: Kind = "preact"  # what the branch is
    join: Join = "stable"  # how input and branch are connected
    norm: Norm = "none"
    norm_place: NormPlace = "trunk"  # n(x) for the join and the branch alike, or norms inside the branch
    depth: int = 1  # L of join=stable: the blocks of the whole network
    branch_scale: float = 1.0  # a fixed factor on F: 0.1 in Mescheder et al. 2018, 0.3 in WGAN-GP's 101 layers
    layer_scale: float | None = None  # where a learned factor on each channel of F begins (Touvron et al. 2021)
    group_size: int = 16  # channels of a group in the 3x3 of a bottleneck
    inner: int = 1  # the width inside a branch of two layers, as a multiple of that of the block
    skip: Skip = "identity"  # what the skip carries (resgan/nets/skips.py)
    skip_scale: float | None = None  # where a learned factor on the skip begins
    skip_final: float | None = None  # s of s join(x, F) + (1 - s) F at the end of the burn-in, from 1
