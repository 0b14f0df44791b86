"""Image files that annotation files name: found wherever people put them."""
