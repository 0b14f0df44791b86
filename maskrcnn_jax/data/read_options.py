"""What a user may say of how a data set is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Raster = Literal["stored", "upright"]
"""The raster that coordinates refer to: as stored in the file, or turned by the file's EXIF orientation."""


@dataclass(frozen=True)
class ReadOptions:
    """Choices that an annotation file cannot make."""

    splits: tuple[str, ...] = ()
    """Names of the splits to read; all if empty."""
    images: Path | None = None
    """Folder of the images, if it is not where it is looked for."""
    class_attribute: str | None = None
    """The region attribute of VIA that says the class; chosen if None."""
    class_name: str | None = None
    """One class for all objects, whatever they are called; "object" where nothing names them."""
    crowds_as_objects: bool = False
    """Read annotations that are marked as crowds as one object each."""
    boxes_from_masks: bool = False
    """Take boxes from the masks and ignore those of the annotation file."""
    raster: Raster | None = None
    """The raster that COCO annotations refer to where the size does not tell; "stored" if None."""
    outside_images: bool = False
    """Also read images outside the data set's folder."""
