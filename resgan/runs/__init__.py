"""Run directories: their files, their names, what made them, and their mirror in W&B. No torch but for images."""
