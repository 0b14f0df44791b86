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
    """Splits to read, such as "train val"; all if none is named."""
    images: Path | None = None
    """Image folder, if it is not beside the annotations."""
    class_attribute: str | None = None
    """The attribute of VIA's regions that says the class, if there are several."""
    class_name: str | None = None
    """One class for all objects, whatever they are called; "object" where nothing names them."""
    crowds_as_objects: bool = False
    """Read what COCO marks as a crowd as one object: CVAT marks each brush mask so."""
    boxes_from_masks: bool = False
    """Take COCO's boxes from the masks, not from the annotation file."""
    raster: Raster | None = None
    """What COCO's coordinates refer to in images with an EXIF orientation: the raster as stored, or turned upright. If
    left out the one that has the annotated size, and the stored one where both do."""
    outside_images: bool = False
    """Also read images outside the data set's folder, to which names or links may lead."""
