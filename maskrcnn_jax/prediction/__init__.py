"""A model at work on images, files and videos: predictors, tiles of large images, tracks, what is written."""
