"""The report on one picture's way through a network, and on what the network gets wrong."""
