"""Small things that know nothing of GANs: files, randomness, images, the console, errors."""
