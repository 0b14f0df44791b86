"""The parts of the network that have weights: batches of arrays in, arrays out."""
