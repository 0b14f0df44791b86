"""Safe opening, parsing and writing of files, for all other parts of the package."""
