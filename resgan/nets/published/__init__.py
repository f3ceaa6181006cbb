"""Published networks, wired as in their papers, on the same join."""
