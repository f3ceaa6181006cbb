"""resgan: train GANs with residual blocks in either network, to see where they help and why.

import resgan

options = resgan.configure("data=gaussians", "generator.residual=true", "disc.residual=false")
result = resgan.fit(options)                        # same as `python -m resgan.train` with these words
gan = resgan.load_gan(result.checkpoint)
samples = gan.sample(seeds=range(64))               # points (64, 2); images (64, C, H, W), float32 in [-1, 1]
resgan.score(gan.sample(range(2000)), "gaussians")  # {"tv": ..., "validity": ...}

docs/python.md lists the public names.
"""

import os
import sys

import lazy_loader

if sys.platform == "darwin":  # before torch is imported, which reads it then: what MPS lacks is computed on the CPU
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

# The names are those of __init__.pyi. Each is imported on first use: torch takes a second, and --help does not need it.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
