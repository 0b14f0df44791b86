"""Average precision of detections, and the folders that keep it."""
