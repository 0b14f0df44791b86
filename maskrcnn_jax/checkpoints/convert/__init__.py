"""Weights of other systems: reading their files, and their names and layouts beside ours."""
