"""EXIF's eight orientations of a raster."""

import cv2
import numpy as np

SWAPPING = (5, 6, 7, 8)
"""Orientations that exchange height and width."""

INVERSE = {6: 8, 8: 6}
"""The orientation that undoes one; the others undo themselves."""

LEFT_RIGHT, UP_DOWN, BOTH = 1, 0, -1
"""OpenCV's codes of flips."""


def turned(raster: np.ndarray, orientation: int) -> np.ndarray:
    """The upright raster of a stored one.

    Args:
        raster: `[H, W]` or `[H, W, C]`.
        orientation: EXIF's, in 1 … 8.

    Returns:
        `[H, W, …]`, or `[W, H, …]` for 5 … 8.

    Source: EXIF 2.3, tag 0x0112: where row 0 and column 0 of the stored raster are seen.
    """
    match orientation:
        case 2:
            return cv2.flip(raster, LEFT_RIGHT)
        case 3:
            return cv2.flip(raster, BOTH)
        case 4:
            return cv2.flip(raster, UP_DOWN)
        case 5:
            return cv2.transpose(raster)
        case 6:
            return cv2.rotate(raster, cv2.ROTATE_90_CLOCKWISE)
        case 7:
            return cv2.flip(cv2.transpose(raster), BOTH)
        case 8:
            return cv2.rotate(raster, cv2.ROTATE_90_COUNTERCLOCKWISE)
    return raster


def stored(raster: np.ndarray, orientation: int) -> np.ndarray:
    """The stored raster of an upright one: undoes `turned`."""
    return turned(raster, INVERSE.get(orientation, orientation))
