"""Whether an experiment fits hardware that is not there: its programs, compiled ahead of time."""
