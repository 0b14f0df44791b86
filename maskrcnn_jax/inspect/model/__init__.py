"""The report on one image's way through a network, and on what the network gets wrong."""
