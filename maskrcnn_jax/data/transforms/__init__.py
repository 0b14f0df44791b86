"""Transforms of training and prediction: from an example to a sample of a batch."""
