"""The report on a data set and on what training makes of it."""
