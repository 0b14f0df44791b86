"""Compares the boxes of an annotation file with the extents of its masks, and finds the likely cause of differences."""

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from maskrcnn_jax.data.prepare.problems import Problems

Box = tuple[float, float, float, float]

PIXELS, SHARE = 2.0, 0.05
"""Each edge of a box may lie off the mask's by this many pixels and this share of the longer side of the two. Of 546
annotations of COCO the farthest lie off by 6.0 pixels at a side of 136, 3.1 at 36 and 0.9 at 8.5: all are within."""

REMEDY = "correct them, or take all boxes from the masks (--boxes-from-masks)"

SYSTEM = 0.5
"""From this share of the boxes on, they are systematically wrong, an error; below, each is named in a warning."""


def from_corners(box: Box, size: tuple[int, int]) -> Box:
    """Reads [x0, y0, x1, y1]."""
    return box


def from_shares(box: Box, size: tuple[int, int]) -> Box:
    """Reads [x, y, width, height] divided by the sides of the image."""
    (x, y, width, height), (image_height, image_width) = box, size
    return x * image_width, y * image_height, (x + width) * image_width, (y + height) * image_height


def from_centre(box: Box, size: tuple[int, int]) -> Box:
    """Reads [x, y, width, height] with x, y in the middle."""
    x, y, width, height = box
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def from_shares_of_centre(box: Box, size: tuple[int, int]) -> Box:
    """Reads YOLO's boxes: the centre and the sides, divided by the sides of the image."""
    (x, y, width, height), (image_height, image_width) = box, size
    return from_centre((x * image_width, y * image_height, width * image_width, height * image_height), size)


def from_exchanged(box: Box, size: tuple[int, int]) -> Box:
    """Reads [y, x, height, width]."""
    y, x, height, width = box
    return x, y, x + width, y + height


CORNERS = "bbox looks like corners [x0, y0, x1, y1], not [x, y, width, height]"

LIKELY: dict[str, Callable[[Box, tuple[int, int]], Box]] = {
    CORNERS: from_corners,
    "bbox looks normalised to 0..1; COCO's is in pixels": from_shares,
    "bbox looks like [centre x, centre y, width, height]; COCO's begins with the upper left corner": from_centre,
    "bbox looks normalised, and centred as YOLO's; COCO's is the upper left corner and the size": from_shares_of_centre,
    "bbox looks like [y, x, height, width]; COCO's is [x, y, width, height]": from_exchanged,
}
"""Other ways to write a box."""

OTHER = "bbox is not about the extent of the mask, so one of them is wrong, or of another object"


def clip(box: Box, size: tuple[int, int]) -> Box:
    """The part of a box `(x0, y0, x1, y1)` inside an image of `size` = (height, width); may be empty."""
    x0, y0, x1, y1 = box
    height, width = size
    return max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)


def agree(box: Box, extent: Box) -> bool:
    """Whether two boxes `(x0, y0, x1, y1)` are about the same."""
    longer = max(max(b[2] - b[0], b[3] - b[1]) for b in (box, extent))
    return max(abs(a - b) for a, b in zip(box, extent, strict=True)) <= PIXELS + SHARE * longer


class BoxAgreement:
    """Compares the boxes of a file with its masks, one after the other."""

    def __init__(self) -> None:
        self.compared = 0
        self.differing: dict[str, list[str]] = defaultdict(list)
        self.alone = 0
        self.corners: list[str] = []

    def compare(self, bbox: Box, extent: Box, size: tuple[int, int], name: str) -> None:
        """Notes one annotation.

        Args:
            bbox: As annotated, `[x, y, width, height]`.
            extent: The box `(x0, y0, x1, y1)` around the mask.
            size: (height, width) of the image.
            name: What messages call the annotation.
        """
        self.compared += 1
        x, y, width, height = bbox
        if agree(clip((x, y, x + width, y + height), size), extent):
            return
        causes = (cause for cause, read in LIKELY.items() if agree(clip(read(bbox, size), size), extent))
        written, around = np.round(bbox, 2).tolist(), np.round(extent, 2).tolist()
        self.differing[next(causes, OTHER)].append(f"{name}, bbox {written}, its mask within {around}")

    def compare_alone(self, bbox: Box, size: tuple[int, int], name: str) -> None:
        """Notes one annotation without mask: a box beyond its image may be one of corners; see `compare`."""
        self.alone += 1
        x, y, width, height = bbox
        box = (x, y, x + width, y + height)
        if not agree(clip(box, size), box) and x < width <= size[1] and y < height <= size[0]:
            self.corners.append(f"{name}, bbox {np.round(bbox, 2).tolist()}")

    def report(self, problems: Problems, warnings: Problems) -> None:
        """Adds a problem for each likely cause if half of the boxes differ, else a warning."""
        for name in self.corners:
            target = problems if len(self.corners) >= SYSTEM * self.alone else warnings
            of_all = f"{len(self.corners)} of {self.alone} boxes without mask"
            target.add(f"{CORNERS}, as it reaches beyond its image; correct them ({of_all})", name)
        number = sum(map(len, self.differing.values()))
        target = problems if number >= SYSTEM * max(self.compared, 1) else warnings
        for cause, names in self.differing.items():
            of_all = f"{len(names)} of {self.compared} boxes"
            for name in names:
                target.add(f"{cause}; {REMEDY} ({of_all})", name)
