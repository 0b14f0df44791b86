"""Options of the user on how a data set is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Raster = Literal["stored", "upright"]
"""The raster that coordinates refer to: as stored in the file, or turned by the file's EXIF orientation."""


@dataclass(frozen=True)
class ReadOptions:
    """Choices that do not follow from an annotation file."""

    splits: tuple[str, ...] = ()
    """Splits to read, such as "train val"; all if none is named."""
    images: Path | None = None
    """Image folder, if it is not beside the annotations."""
    class_attribute: str | None = None
    """The attribute of VIA's regions that holds the class, if there are several."""
    class_name: str | None = None
    """One class for all objects, in place of their own; "object" where they have no name."""
    crowds_as_objects: bool = False
    """Read each crowd of COCO as one object: CVAT marks every brush mask as a crowd."""
    boxes_from_masks: bool = False
    """Take COCO's boxes from the masks, not from the annotation file."""
    raster: Raster | None = None
    """The raster that COCO's coordinates refer to in images with an EXIF orientation: as stored, or turned upright. If
    left out, the one of the annotated size, and the stored one if both are."""
    outside_images: bool = False
    """Also read images outside the data set's folder that names or links refer to."""
