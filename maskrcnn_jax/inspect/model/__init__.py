"""The report on one image in a network, and on the errors of its detections."""
