"""Finding the image files that annotation files name."""
