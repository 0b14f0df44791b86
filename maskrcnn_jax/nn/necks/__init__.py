"""Necks: feature maps of a backbone in, a pyramid out."""
