"""The networks: plain PyTorch, no configuration, no training."""
