"""Helpers shared by many tests."""
