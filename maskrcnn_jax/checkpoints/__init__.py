"""Checkpoints of runs, and weights of other systems: read, recognised, converted."""
