"""Prediction on images, files and videos: predictors, tiles of large images, tracks, outputs."""
