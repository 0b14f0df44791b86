"""Mask R-CNN: the forward pass, and the steps between its networks."""
