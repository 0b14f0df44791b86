"""What surrounds a training run: kept compilations, processes, profiles, stop requests, figures on disk."""
