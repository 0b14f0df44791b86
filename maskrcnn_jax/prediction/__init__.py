"""A model at work on pictures, files and videos: predictors, tiles of large pictures, tracks, what is written."""
