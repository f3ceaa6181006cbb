"""Probes: what happens inside networks, measured and not assumed."""
