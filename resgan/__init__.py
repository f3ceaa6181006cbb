"""resgan: where do residual blocks help a GAN, and why?

import resgan

gan = resgan.load_gan("runs/.../checkpoints/final.ckpt")
images = gan.sample(seeds=range(64))        # (64, C, H, W), float32 in [-1, 1]
"""

__version__ = "0.1.0"
__all__ = ["load_gan"]


def __getattr__(name: str):
    # torch takes a second to import; `import resgan` (and with it `--help`) should not.
    if name == "load_gan":
        from resgan.builders.trained_gan import load_gan

        return load_gan
    raise AttributeError(f"module 'resgan' has no attribute {name!r}")
