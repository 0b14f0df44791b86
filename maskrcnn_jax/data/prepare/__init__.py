"""From annotated images in any format to a data set with random access for training."""
