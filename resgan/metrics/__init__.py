"""The scores: pure functions on arrays."""
