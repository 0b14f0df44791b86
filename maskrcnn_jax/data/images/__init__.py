"""Image files: their kind, completeness and pixels."""
