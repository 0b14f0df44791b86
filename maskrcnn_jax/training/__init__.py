"""Training: targets, losses, the optimiser, one step, and what surrounds a run."""
