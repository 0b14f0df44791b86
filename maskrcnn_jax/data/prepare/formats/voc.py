"""Pascal VOC: `Annotations/*.xml`, `JPEGImages/`, and if there are, `SegmentationObject/*.png` and `ImageSets/`.

A pixel's value in SegmentationObject is the number of its object, 255 what belongs to none for certain. Which object
of the XML that is says the box: the two that fit best go together. Without SegmentationObject masks are polygons, and
where there are none, filled boxes. Objects marked difficult become crowds: never learned, and not counted when found,
as VOC's own evaluation has it. Coordinates refer to the raster of the size that the XML says; if both have it, to the
stored one, which labelImg shows.

Source: VOC's development kit; Detectron2's `pascal_voc.py`: boxes are numbers of pixels from 1, both ends included.
"""

from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Integer
from tqdm import tqdm

from maskrcnn_jax.data.images.reading import Header
from maskrcnn_jax.data.prepare.finder.image_file import StoredFile
from maskrcnn_jax.data.prepare.formats.label_image import read_label_image
from maskrcnn_jax.data.prepare.formats.labeled_image import (
    OTHER_SIZE,
    UNREADABLE,
    Findings,
    LabeledImage,
    Outlined,
    reason,
)
from maskrcnn_jax.data.prepare.formats.layout import image_files, relative, split_folders
from maskrcnn_jax.data.prepare.formats.outlines import fill_box, fill_polygon
from maskrcnn_jax.data.prepare.formats.points import encloses_nothing, require_near
from maskrcnn_jax.data.prepare.formats.raster import OtherSize, is_upright
from maskrcnn_jax.data.prepare.formats.voc_images import VocImages
from maskrcnn_jax.data.prepare.formats.voc_layout import CLASS_NAMES, Layout, layout_of, splits_of
from maskrcnn_jax.data.prepare.formats.voc_objects import join, name_by_class, read_class_names
from maskrcnn_jax.data.prepare.formats.voc_xml import Named, VocFile, read_xml
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.files.reading import AnyPath

UNREAD = "annotations that cannot be read; correct them, or fetch or write them again"
NO_MASK = "left out images that SegmentationObject/ does not show"
FROM_ZERO = "boxes that begin at 0, though VOC counts pixels from 1: all may lie a pixel too far to the left and top"
NO_SIZE = (
    "images with an EXIF orientation whose XML says no size: took the coordinates for those of the stored raster, as "
    "labelImg shows it"
)

Labels = Integer[np.ndarray, "H W"]


def is_voc(folder: Path) -> bool:
    """Whether a folder, or a folder of a split in it, is laid out as Pascal VOC."""
    return layout_of(folder) is not None or any(layout_of(inside) for inside in split_folders(folder, ()).values())


def read(folder: Path, options: ReadOptions, findings: Findings) -> dict[str, list[LabeledImage]]:
    """Reads the splits that `ImageSets/` lists, those of segmentation if there are masks, or a folder of each split.

    Args:
        folder: Laid out as `voc_layout` says.
        options: The user's choices; splits are names of lists in `ImageSets/`.
        findings: Notes problems.

    Raises:
        DatasetError: There is no such split, or its list is no text.
    """
    if (whole := layout_of(folder)) is not None:
        reader = Reader(whole, folder, options, findings)
        return {split: reader.read(split, names) for split, names in reader.splits().items()}
    images: dict[str, list[LabeledImage]] = {}
    for split, inside in split_folders(folder, options.splits).items():
        if (layout := layout_of(inside)) is not None:
            reader = Reader(layout, folder, options, findings)
            images[split] = reader.read(split, reader.names)
        elif split in options.splits:
            raise DatasetError(f"{inside}: holds no XML files; annotate its images, or leave the split out")
        else:
            findings.warnings.add("left out splits without XML files", str(inside))
    return images


class Reader:
    """Reads the images of one layout.

    Args:
        layout: Where its parts lie.
        root: What file names are relative to.
        options: The user's choices.
        findings: Notes problems.

    Raises:
        DatasetError: The list of classes is no text.
    """

    def __init__(self, layout: Layout, root: Path, options: ReadOptions, findings: Findings):
        self.root, self.options, self.findings = root, options, findings
        self.layout = layout
        self.xml_files = layout.xml_files()
        self.masks = stems_in(layout.objects)
        self.classes = stems_in(layout.classes)
        self.images = VocImages(layout, root, options)
        self.names = sorted(self.xml_files if layout.annotations is not None else self.masks)
        self.class_names = [] if layout.annotations is not None else read_class_names(layout.root / CLASS_NAMES)

    def splits(self) -> dict[str, list[str]]:
        """The names of each split's images."""
        return splits_of(self.layout, self.options.splits, self.names, self.findings)

    def read(self, split: str, names: list[str]) -> list[LabeledImage]:
        """Reads the images of one split."""
        if names == self.names and self.layout.annotations is not None:
            self.images.note_unused(names, self.findings)
        images = []
        for name in tqdm(names, f"reading {split}", unit=" images", disable=None):
            mask = self.masks.get(PurePosixPath(name).name)
            if self.masks and mask is None:
                self.findings.warnings.add(NO_MASK, name)
            elif (image := self.read_one(name, mask)) is not None:
                images.append(image)
        return images

    def read_one(self, name: str, mask: Path | None) -> LabeledImage | None:
        """Reads one image; None if it cannot be used, which is noted."""
        file, labels = VocFile(None, (None, None), []), None
        bad = xml = self.xml_files.get(name, (self.layout.annotations or self.layout.root) / f"{name}.xml")
        try:
            if self.layout.annotations is not None:
                file = read_xml(xml)
            if mask is not None:
                bad = mask
                labels = read_label_image(mask)
        except UNREADABLE as error:
            self.findings.problems.add(UNREAD, reason(bad, error))
            return None
        found = self.images.find(name, file.file_name, self.findings)
        if found is None:
            return None
        path, header = found
        try:
            size, upright = choose_raster(file, labels, header, path)
        except OtherSize as error:
            self.findings.problems.add(OTHER_SIZE, str(error))
            return None
        if size == header.size and labels is None and None in file.sides and header.orientation != 1:
            self.findings.warnings.add(NO_SIZE, str(path))
        objects = self.objects_of(name, xml, file, labels, size)
        return LabeledImage(relative(path, self.root), size, objects, StoredFile(path), upright)

    def objects_of(
        self, name: str, xml: Path, file: VocFile, labels: Labels | None, size: tuple[int, int]
    ) -> list[Outlined]:
        """The objects of one image."""
        objects: list[Outlined] = []
        if labels is None:
            rest = file.objects
        elif self.layout.annotations is not None:
            rest = join(file.objects, labels, objects, name, self.findings)
        else:
            return self.objects_by_class(name, labels)
        for thing in rest:
            named = f"{xml.name} {thing.class_name!r}"
            if labels is not None and thing.polygon is None and not thing.difficult:
                self.findings.drop("objects without pixels in SegmentationObject/", named)
                continue
            try:
                mask = fill(thing, size)
            except ValueError as error:
                self.findings.problems.add(UNREAD, f"{xml}: {thing.class_name!r}: {error}")
                continue
            if mask is None:
                self.findings.drop("polygons with fewer than three points; draw them again", named)
                continue
            if thing.polygon is None and min(thing.box[:2]) == -1:
                self.findings.warnings.add(FROM_ZERO, named)
            is_box = thing.polygon is None
            self.findings.add_coded(objects, Outlined(thing.class_name, mask, is_box, thing.difficult), named)
        return objects

    def objects_by_class(self, name: str, labels: Labels) -> list[Outlined]:
        """The objects of an image without XML."""
        path = self.classes.get(name)
        if path is None:
            self.findings.problems.add("images that SegmentationClass/ does not show", name)
            return []
        try:
            classes = read_label_image(path)
        except UNREADABLE as error:
            self.findings.problems.add(UNREAD, reason(path, error))
            return []
        if classes.shape != labels.shape:
            self.findings.problems.add(OTHER_SIZE, f"{path} {classes.shape}, its SegmentationObject {labels.shape}")
            return []
        return name_by_class(labels, classes, self.class_names, name, self.findings)


def stems_in(folder: Path | None) -> dict[str, Path]:
    """The images in a folder by their names without ending."""
    return {} if folder is None else {path.stem: path for path in image_files(folder)}


def choose_raster(file: VocFile, labels: Labels | None, header: Header, path: AnyPath) -> tuple[tuple[int, int], bool]:
    """The (height, width) to which annotations refer, and whether that is the upright raster.

    Raises:
        OtherSize: The image, the XML and the label image do not agree.
    """
    upright = is_upright(header, file.sides if labels is None else labels.shape, False, str(path))
    size = header.size_of(upright)
    if any(side not in (None, real) for side, real in zip(file.sides, size, strict=True)):
        height, width = file.sides
        raise OtherSize(
            f"{path} and its SegmentationObject have {size[0]}×{size[1]} pixels (height×width), its XML says "
            f"{height}×{width}"
        )
    return size, upright


def fill(thing: Named, size: tuple[int, int]) -> dict[str, object] | None:
    """The run-length code of an object's polygon, or else of its box; None for a polygon of fewer than three points.

    Raises:
        ValueError: It lies far outside the image.
    """
    if thing.polygon is None:
        require_near(np.array(thing.box).reshape(2, 2), size)
        return fill_box(*thing.box, size)
    require_near(thing.polygon, size)
    return None if encloses_nothing(thing.polygon) else fill_polygon(thing.polygon, size)
