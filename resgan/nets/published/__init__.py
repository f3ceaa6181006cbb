"""Networks of papers, wired as they were published, on the same join."""
