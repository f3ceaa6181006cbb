"""The options of a block, passed as one object from the command to the block."""

from dataclasses import dataclass

from resgan.options.choices import Join, Kind, Norm, NormPlace, Skip


@dataclass(frozen=True, kw_only=True)
class BlockOptions:
    """Options of a block, with the switch; what each means in full: resgan/nets/blocks.py."""

    residual: bool = True  # the switch: add the input back
    kind: Kind = "preact"  # layout of the branch, and where it is activated
    join: Join = "stable"  # how input and branch are connected
    norm: Norm = "none"
    norm_place: NormPlace = "trunk"  # n(x) feeds both the join and the branch, or norms lie inside the branch
    depth: int = 1  # L of join=stable: number of blocks in the whole network
    branch_scale: float = 1.0  # fixed factor on F: 0.1 in Mescheder et al. 2018, 0.3 in WGAN-GP's 101 layers
    layer_scale: float | None = None  # initial value of a learned factor per channel of F (Touvron et al. 2021)
    group_size: int = 16  # channels per group in the 3x3 convolution of a bottleneck
    inner: int = 1  # width inside a branch of two layers, as a multiple of the block's width
    skip: Skip = "identity"  # what the skip carries (resgan/nets/skips.py)
    skip_scale: float | None = None  # initial value of a learned factor on the skip
    skip_final: float | None = None  # final s in s join(x, F) + (1 - s) F, which falls from 1 over the burn-in
