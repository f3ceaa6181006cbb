"""Run directories: files, names, provenance and logging to W&B. torch is used only for images."""
