"""Average precision of detections, and the folders of its results."""
