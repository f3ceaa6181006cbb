"""Probes: measurements of what happens inside networks."""
