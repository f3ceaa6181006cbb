"""Training of a GAN: losses, penalties, averaging, randomness, checkpoints, and the Lightning module."""
