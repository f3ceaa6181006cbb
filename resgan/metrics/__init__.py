"""Scores: pure functions on arrays, and metrics made of them."""
