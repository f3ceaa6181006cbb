"""From the typed command line to a running command. This is the only package that imports Hydra."""
