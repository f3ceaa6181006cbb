"""What happens inside networks: measured, not assumed."""
