"""VGG Image Annotator: the JSON that it exports, or a project, of versions 1 and 2.

The points of a region are numbers of pixels: VIA rounds where the mouse was to whole pixels of the picture. So a pixel
belongs to a region if its number `(x, y)` lies in or on the outline, and a rectangle from 2 to 5 is four pixels wide.

Source: `load_mask` of Matterport's balloon.py, which fills the points so (`skimage.draw.polygon`); Detectron2's balloon
tutorial takes them for pixels, too (it adds 0.5) but loses part of the edges to COCO's rasteriser.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.data.annotations import DatasetError
from maskrcnn_jax.data.formats.layout import find_picture, json_files, read_json, relative
from maskrcnn_jax.data.formats.outlines import fill_box, fill_ellipse, fill_polygon
from maskrcnn_jax.data.formats.picture import UNNAMED, Findings, Outlined, Picture
from maskrcnn_jax.data.image_file import StoredFile

CLASS_NAMES = ("class", "label", "name", "type", "category")
"""Attributes that say the class where there are several, best first."""

NO_AREA = ("polyline", "line", "point")


def pictures_of(content: Any) -> list[dict[str, Any]] | None:
    """The pictures of a VIA file; None if the JSON is something else."""
    if isinstance(content, dict) and "_via_img_metadata" in content:
        content = content["_via_img_metadata"]
    elif not content:
        return None
    if not isinstance(content, dict):
        return None
    entries = list(content.values())
    return (
        entries
        if all(isinstance(entry, dict) and {"filename", "regions"} <= entry.keys() for entry in entries)
        else None
    )


def read(
    folders: Mapping[str, Path],
    root: Path,
    images: Path | None,
    class_attribute: str | None,
    class_name: str | None,
    findings: Findings,
) -> dict[str, list[Picture]]:
    """Reads one VIA file per split.

    Args:
        folders: The folder or file of each split.
        root: What file names are relative to.
        images: Folder of the pictures, if they are neither beside the file nor in `images/` there.
        class_attribute: Region attribute that says the class; chosen if None.
        class_name: Of all regions, whatever their attributes; None for what the attribute says, if there is one.
        findings: Notes problems.

    Raises:
        DatasetError: A split has no VIA file or several, or the class attribute cannot be told.
    """
    files = {split: only_file(folder) for split, folder in folders.items()}
    entries = {split: pictures_of(read_json(path)) or [] for split, path in files.items()}
    everything = [entry for split in entries.values() for entry in split]
    attribute = None if class_name else choose_attribute(everything, class_attribute, files)
    pictures: dict[str, list[Picture]] = {split: [] for split in files}
    for split, path in files.items():
        places = [images] if images else [path.parent, path.parent / "images", root, root / "images"]
        for entry in entries[split]:
            picture = find_picture(str(entry["filename"]), places)
            named = f"{path.name}: {entry['filename']}"
            if (size := findings.size_of(picture)) is not None:
                objects = read_regions(entry, size, attribute, class_name or UNNAMED, named, findings)
                pictures[split].append(
                    Picture(relative(picture, root), size, objects, StoredFile(picture), upright=True)
                )
    return pictures


def only_file(folder: Path) -> Path:
    """The VIA file of a split."""
    found = [path for path in json_files(folder) if pictures_of(read_json(path)) is not None]
    if len(found) != 1:
        what = f"several VIA files: {', '.join(path.name for path in found)}" if found else "no VIA file"
        raise DatasetError(f"{folder}: holds {what}; leave one, or name the splits that have one (--splits)")
    return found[0]


def regions_of(entry: dict[str, Any]) -> list[Any]:
    """A picture's regions: version 1 numbers them in a dictionary, version 2 lists them."""
    regions = entry["regions"] or []
    return list(regions.values()) if isinstance(regions, dict) else list(regions)


def choose_attribute(entries: Iterable[dict[str, Any]], wanted: str | None, files: Mapping[str, Path]) -> str | None:
    """The attribute that says the class; None if regions have none at all."""
    found: dict[str, None] = {}
    for entry in entries:
        for region in regions_of(entry):
            attributes = region.get("region_attributes") if isinstance(region, dict) else None
            found.update(dict.fromkeys(attributes or {}))
    where = ", ".join(map(str, files.values()))
    if wanted is not None:
        if wanted not in found:
            known = ", ".join(found) or "none"
            raise DatasetError(
                f"class_attribute = {wanted!r}: the regions of {where} have not this attribute but {known}"
            )
        return wanted
    if len(found) <= 1:
        return next(iter(found), None)
    spelled = {name.lower(): name for name in reversed(found)}
    for name in CLASS_NAMES:
        if name in spelled:
            return spelled[name]
    raise DatasetError(
        f"{where}: regions have the attributes {', '.join(found)}; say which of them is the class (--class-attribute)"
    )


def read_regions(
    entry: dict[str, Any],
    size: tuple[int, int],
    attribute: str | None,
    only_class: str,
    name: str,
    findings: Findings,
) -> list[Outlined]:
    """The objects of one picture."""
    objects: list[Outlined] = []
    for number, region in enumerate(regions_of(entry)):
        named = f"{name} region {number}"
        try:
            shape = region["shape_attributes"]
            kind = shape["name"]
            if kind in NO_AREA:
                findings.warnings.add("left out lines and points, which have no area", named)
                continue
            if kind == "polygon" and len(set(zip(shape["all_points_x"], shape["all_points_y"], strict=True))) < 3:
                findings.warnings.add("left out polygons with fewer than three points; draw them again", named)
                continue
            mask = fill(shape, size)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            findings.problems.add("regions that cannot be read; draw them again or remove them", f"{named} ({error!r})")
            continue
        class_name = only_class if attribute is None else class_of(region, attribute)
        if class_name is None:
            findings.problems.add(f"regions whose attribute {attribute!r} does not say one class; fill it in", named)
        else:
            findings.add_object(objects, class_name, mask, named, is_box=kind == "rect")
    return objects


def fill(shape: dict[str, Any], size: tuple[int, int]) -> UInt8[np.ndarray, "H W"]:
    """The pixels of a region: half a pixel takes numbers of pixels to their centres.

    Raises:
        KeyError, TypeError, ValueError: It is no region that VIA writes.
    """
    kind = shape["name"]
    if kind == "polygon":
        points = np.array([shape["all_points_x"], shape["all_points_y"]], float).T
        if not np.isfinite(points).all():
            raise ValueError("coordinates that are no numbers")
        return fill_polygon(points + 0.5, size)
    keys = {
        "rect": ("x", "y", "width", "height"),
        "circle": ("cx", "cy", "r", "r"),
        "ellipse": ("cx", "cy", "rx", "ry"),
    }
    if kind not in keys:
        raise ValueError(f"shape {kind!r}")
    x, y, a, b = (float(shape[key]) for key in keys[kind])
    if not (np.isfinite([x, y]).all() and 0 < a < np.inf and 0 < b < np.inf):
        raise ValueError("sizes that are not positive numbers")
    if kind == "rect":
        return fill_box(x + 0.5, y + 0.5, x + a + 0.5, y + b + 0.5, size)
    return fill_ellipse((x + 0.5, y + 0.5), (a, b), float(shape.get("theta") or 0), size)


def class_of(region: dict[str, Any], attribute: str) -> str | None:
    """A region's class; a checkbox gives a dictionary of options, of which one must be ticked."""
    value = (region.get("region_attributes") or {}).get(attribute)
    if isinstance(value, dict):
        ticked = [option for option, on in value.items() if on]
        value = ticked[0] if len(ticked) == 1 else None
    text = "" if value is None else str(value).strip()
    return text or None
