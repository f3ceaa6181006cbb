"""How a GAN is trained: losses, penalties, averaging, randomness, checkpoints, and the Lightning module."""
