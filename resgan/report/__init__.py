"""From run directories to an answer with its uncertainty."""
