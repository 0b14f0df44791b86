"""The report on a data set and its training samples."""
