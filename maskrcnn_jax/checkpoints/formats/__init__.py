"""File formats of weights, read without the libraries that write them."""
