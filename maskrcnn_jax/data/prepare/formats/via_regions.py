"""VIA's regions, filled.

The points of a region are numbers of pixels: VIA rounds where the mouse was to whole pixels of the image. So a pixel
belongs to a region if its number `(x, y)` lies in or on the outline, and a rectangle from 2 to 5 is four pixels wide.

Source: `load_mask` of Matterport's balloon.py, which fills the points so (`skimage.draw.polygon`); Detectron2's balloon
tutorial takes them for pixels, too (it adds 0.5) but loses part of the edges to COCO's rasteriser.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskrcnn_jax.data.prepare.formats.labeled_image import Findings, Outlined
from maskrcnn_jax.data.prepare.formats.outlines import fill_box, fill_ellipse, fill_polygon
from maskrcnn_jax.data.prepare.formats.points import Malformed, encloses_nothing, pair_points, read_number, require_near
from maskrcnn_jax.data.prepare.formats.via_classes import class_of
from maskrcnn_jax.data.prepare.json_values import shown

NO_AREA = ("polyline", "line", "point")

FIELDS = {
    "rect": ("x", "y", "width", "height"),
    "circle": ("cx", "cy", "r", "r"),
    "ellipse": ("cx", "cy", "rx", "ry"),
}


def read_regions(
    regions: Sequence[Any],
    size: tuple[int, int],
    attribute: str | None,
    only_class: str,
    name: str,
    findings: Findings,
) -> list[Outlined]:
    """The objects of one image.

    Args:
        regions: Anything of JSON.
        size: (height, width) of the image, pixels.
        attribute: The attribute that says the class; None for `only_class`.
        only_class: The class of all where no attribute says it.
        name: What messages call the image.
        findings: Notes problems.
    """
    objects: list[Outlined] = []
    for number, region in enumerate(regions):
        named = f"{name} region {number}"
        try:
            shape = region.get("shape_attributes") if isinstance(region, dict) else None
            if not isinstance(shape, dict):
                raise Malformed(f"its shape_attributes are {shown(shape)}")
            kind = shape.get("name")
            if kind in NO_AREA:
                findings.drop("lines and points, which have no area", named)
                continue
            mask = fill(shape, size)
        except ValueError as error:
            findings.problems.add("regions that cannot be read; draw them again or remove them", f"{named} ({error})")
            continue
        class_name = only_class if attribute is None else class_of(region, attribute)
        if mask is None:
            findings.drop("polygons with fewer than three points; draw them again", named)
        elif class_name is None:
            what = f"regions whose attribute {attribute!r} does not say one class"
            findings.problems.add(f"{what}; fill it in, or name one class for all (--class-name)", named)
        else:
            findings.add_coded(objects, Outlined(class_name, mask, is_box=kind == "rect"), named)
    return objects


def fill(shape: dict[str, Any], size: tuple[int, int]) -> dict[str, Any] | None:
    """The run-length code of a region's pixels; None for a polygon of fewer than three different points.

    Half a pixel takes numbers of pixels to their centres.

    Raises:
        ValueError: It is no region that can be filled.
    """
    kind = shape.get("name")
    if kind == "polygon":
        points = pair_points(shape.get("all_points_x"), shape.get("all_points_y"), size)
        return None if encloses_nothing(points) else fill_polygon(points + 0.5, size)
    if not isinstance(kind, str) or kind not in FIELDS:
        raise Malformed(f"shape {shown(kind)} is not known")
    x, y, a, b = (read_number(shape.get(key), key) for key in FIELDS[kind])
    if a <= 0 or b <= 0:
        raise Malformed(f"{FIELDS[kind][2]} and {FIELDS[kind][3]} are {a:g} and {b:g}, not positive")
    if max(a, b) > 3 * max(size):
        raise Malformed(f"{FIELDS[kind][2]} and {FIELDS[kind][3]} are {a:g} and {b:g}, far larger than the image")
    ends = (x + a, y + b) if kind == "rect" else (x, y)
    require_near(np.array([(x, y), ends]), size)
    if kind == "rect":
        return fill_box(x + 0.5, y + 0.5, x + a + 0.5, y + b + 0.5, size)
    angle = shape.get("theta")
    return fill_ellipse((x + 0.5, y + 0.5), (a, b), 0.0 if angle is None else read_number(angle, "theta"), size)
