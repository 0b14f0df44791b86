"""The kind of a JSON file, recognised by its content."""

from typing import Any

from maskrcnn_jax.data.prepare.formats.labelme import is_labelme
from maskrcnn_jax.data.prepare.formats.via import images_of

COCO, VIA, LABELME = "COCO", "VIA", "labelme"
READ = (COCO, VIA, LABELME)
"""The kinds that are read; all others have a remedy in `NOT_READ`."""

NOT_READ = {
    "COCO panoptic": "its masks lie in PNG files; give COCO's instances_*.json",
    "COCO keypoints": "these have no masks; give COCO's instances_*.json",
    "COCO captions": "they do not say where objects are; give COCO's instances_*.json",
    "COCO results": "they are detections, not annotations; give COCO's instances_*.json",
    "a list of images without annotations": "give the file that holds the annotations",
    "a VIA 3 project": "export it in COCO's format, or annotate with VIA 2",
    "Label Studio's own JSON": 'export it as "COCO", which holds result.json and images/',
    "Supervisely's JSON": "export it in COCO's format",
    "Datumaro's JSON": "export it in COCO's format",
    "CreateML's JSON": "export it in COCO's format",
    "Cityscapes' polygons": "convert them to COCO's format",
    "Labelbox's JSON": "convert it to COCO's format",
}

KEYS = {
    "a VIA 3 project": {"project", "file", "metadata", "view"},
    "Supervisely's JSON": {"objects", "size", "tags"},
    "Datumaro's JSON": {"items", "categories"},
    "Cityscapes' polygons": {"imgHeight", "imgWidth", "objects"},
    "Labelbox's JSON": {"data_row", "projects"},
}
"""Keys by which a dictionary's kind is recognised."""

ENTRY_KEYS = {
    "Label Studio's own JSON": {"annotations", "data"},
    "CreateML's JSON": {"annotations", "image"},
    "COCO results": {"image_id", "category_id", "score"},
    "Labelbox's JSON": {"data_row"},
}
"""Keys of its first entry by which a list's kind is recognised."""


def kind_of(content: Any) -> str | None:
    """One of `READ`, or of `NOT_READ`; None for what is neither."""
    if images_of(content) is not None:
        return VIA
    if is_labelme(content):
        return LABELME
    if isinstance(content, list) and content and isinstance(content[0], dict):
        return next((kind for kind, keys in ENTRY_KEYS.items() if keys <= content[0].keys()), None)
    if not isinstance(content, dict):
        return None
    if "images" in content:
        return kind_of_coco(content)
    return next((kind for kind, keys in KEYS.items() if keys <= content.keys()), None)


def kind_of_coco(content: dict[str, Any]) -> str | None:
    """Which of COCO's files a dictionary with a list of images is."""
    annotations = content.get("annotations")
    if annotations is None:
        return "a list of images without annotations"
    if not isinstance(annotations, list):
        return COCO  # whose reader says what is wrong
    first = next((entry for entry in annotations if isinstance(entry, dict)), {})
    if "segments_info" in first:
        return "COCO panoptic"
    if "caption" in first and not first.keys() & {"bbox", "segmentation"}:
        return "COCO captions"
    if "keypoints" in first and "segmentation" not in first:
        return "COCO keypoints"
    return COCO
