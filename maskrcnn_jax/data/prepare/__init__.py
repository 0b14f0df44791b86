"""From annotated images in any format to a data set that training reads at random."""
