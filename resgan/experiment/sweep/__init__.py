"""A search for good settings: trials that Optuna proposes, each a run of `resgan.train` in a process of its own."""
