"""How a command meets Hydra: the line as typed, composed, checked, announced, and run. Hydra is imported here alone."""
