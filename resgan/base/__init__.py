"""Utilities that are independent of GANs: files, randomness, images, the console, errors."""
