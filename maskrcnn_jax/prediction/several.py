"""Files with several images: animations and documents of several pages."""

import struct
import warnings
from pathlib import Path

from PIL import Image

ENDINGS = {".gif", ".png", ".tif", ".tiff", ".webp"}
"""Of formats that can hold several images."""


def count_images(path: Path) -> int:
    """The number of images in a file; 1 if it cannot be read, or if the format holds only one.

    Args:
        path: The file; only regular files are opened.
    """
    if path.suffix.lower() not in ENDINGS or not path.is_file():
        return 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its size, which is checked where it is decoded
        try:
            with Image.open(path) as image:
                return getattr(image, "n_frames", 1)
        except (OSError, ValueError, EOFError, SyntaxError, struct.error, Image.DecompressionBombError):
            return 1
