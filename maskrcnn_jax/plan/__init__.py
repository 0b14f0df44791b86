"""Memory, FLOPs and communication of an experiment on hardware you do not have: its programs, compiled ahead of time."""
