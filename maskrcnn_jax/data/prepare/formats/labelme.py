"""labelme: one JSON file per image.

Points are continuous: labelme keeps where the mouse was on the image, unrounded. Shapes of one label and `group_id`
are parts of one object, as in labelme's own conversion to COCO (`labelme2coco.py`).
"""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.data.prepare.finder.image_finder import ImageFinder
from maskrcnn_jax.data.prepare.formats.labeled_image import Findings, LabeledImage, Outlined
from maskrcnn_jax.data.prepare.formats.labelme_image import find_image
from maskrcnn_jax.data.prepare.formats.labelme_shape import NO_AREA, fill
from maskrcnn_jax.data.prepare.formats.layout import json_files, read_json
from maskrcnn_jax.data.prepare.formats.points import Malformed
from maskrcnn_jax.data.prepare.formats.runs import union
from maskrcnn_jax.data.prepare.json_values import shown, whole
from maskrcnn_jax.data.prepare.read_options import ReadOptions

NO_CLASS = ("__ignore__", "_background_")
"""Labels of what is no object: labelme's own converters leave them out, too."""


class Part(NamedTuple):
    """A shape of an object."""

    mask: dict[str, Any]
    """COCO run-length code over the image."""
    is_box: bool


def is_labelme(content: Any) -> bool:
    """Whether a JSON is labelme's."""
    return isinstance(content, dict) and "shapes" in content and bool({"imagePath", "imageData"} & content.keys())


def read(
    folders: Mapping[str, Path], root: Path, options: ReadOptions, findings: Findings
) -> dict[str, list[LabeledImage]]:
    """Reads every labelme file of each split.

    Args:
        folders: The folder of each split, searched with its subfolders, or a file.
        root: What file names are relative to.
        options: The user's choices.
        findings: Notes problems; JSON files of others are left out.
    """
    images: dict[str, list[LabeledImage]] = {}
    for split, folder in folders.items():
        above = folder if folder.is_dir() else folder.parent
        finders: dict[Path, ImageFinder] = {}
        images[split] = []
        for path in json_files(folder):
            beside = path.parent
            if beside not in finders:
                nearby = [beside, beside / "images", above, above / "images"]
                finders[beside] = ImageFinder.of(options, nearby, root)
            if (image := read_file(path, root, finders[beside], findings)) is not None:
                images[split].append(image)
    return images


def read_file(path: Path, root: Path, finder: ImageFinder, findings: Findings) -> LabeledImage | None:
    """Reads one file; None if it is not labelme's, or its image cannot be used, which is noted."""
    content = read_json(path)
    if not is_labelme(content):
        findings.warnings.add("left out JSON files that labelme did not write", str(path))
        return None
    found = find_image(content, path, finder, root, findings)
    if found is None:
        return None
    name, located = found
    objects = read_shapes(content["shapes"], located.size, str(path), findings)
    return LabeledImage(name, located.size, objects, located.file, located.upright)


def read_shapes(shapes: Any, size: tuple[int, int], name: str, findings: Findings) -> list[Outlined]:
    """The objects of one image."""
    parts: dict[tuple[str, int | str | None, int | None], list[Part]] = defaultdict(list)
    if not isinstance(shapes, list | None):
        findings.problems.add("files whose shapes are no list; annotate again", f"{name} ({shown(shapes)})")
        return []
    for number, shape in enumerate(shapes or []):
        named = f"{name} shape {number}"
        try:
            if not isinstance(shape, dict):
                raise Malformed(f"it is {shown(shape)}")
            kind, label, group = shape.get("shape_type"), shape.get("label"), group_of(shape)
            if not (isinstance(label, str) and label.strip()):
                what = "" if isinstance(label, str | None) else f" ({shown(label)})"
                findings.problems.add("shapes without a label of text; name them", named + what)
            elif label.strip() in NO_CLASS:
                findings.drop(f"shapes that labelme calls {label.strip()}", named)
            elif kind in NO_AREA:
                findings.drop("lines and points, which have no area", named)
            elif (mask := fill(shape, size)) is None:
                findings.drop("polygons with fewer than three points; draw them again", named)
            else:
                thing = label.strip(), group, number if group is None else None
                parts[thing].append(Part(mask, kind == "rectangle"))
        except ValueError as error:
            findings.problems.add("shapes that cannot be read; draw them again or remove them", f"{named} ({error})")
    objects: list[Outlined] = []
    for (label, _, _), those in parts.items():
        mask = union([part.mask for part in those])
        findings.add_coded(objects, Outlined(label, mask, all(part.is_box for part in those)), f"{name} {label!r}")
    return objects


def group_of(shape: dict[str, Any]) -> int | str | None:
    """The number or text by which shapes belong together; None if a shape is an object of its own.

    Raises:
        Malformed: It is something else.
    """
    group = shape.get("group_id")
    if group is None or group == "":
        return None
    number = whole(group)
    if number is None and not isinstance(group, str):
        raise Malformed(f"group_id is {shown(group)}, neither a whole number nor text")
    return group if number is None else number
