"""Memory, FLOPs and communication of an experiment on hardware you do not have, from compiled programs."""
