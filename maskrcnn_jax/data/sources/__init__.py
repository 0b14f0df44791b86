"""Data sets: random-access sequences of examples."""
