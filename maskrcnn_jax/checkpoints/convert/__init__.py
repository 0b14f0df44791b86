"""Weights of other systems: the source → target mapping of names, layouts and conventions."""
