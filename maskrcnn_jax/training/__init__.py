"""Training: targets, losses, the optimizer, one step, and what surrounds a run."""
