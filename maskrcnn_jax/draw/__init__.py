"""Detections and curves as images."""
