"""Heads: features in, predictions out."""
