"""From annotated images to records with random access for training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.prepare.annotated import Annotations, warn_of_dropped
from maskrcnn_jax.data.prepare.coco_writer import index, write_records
from maskrcnn_jax.data.prepare.formats import Split, open_dataset
from maskrcnn_jax.data.prepare.hold_out import hold_out
from maskrcnn_jax.data.prepare.image_check import check_images
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import Raster, ReadOptions
from maskrcnn_jax.data.prepare.same_images import warn_of_same_images
from maskrcnn_jax.data.prepare.summary import Summary
from maskrcnn_jax.data.prepare.unfinished import finish, unfinished


def prepare(
    folder: Path,
    out: Path,
    splits: Sequence[str] = (),
    images: Path | None = None,
    class_attribute: str | None = None,
    class_name: str | None = None,
    validation_share: float = 0.0,
    *,
    crowds_as_objects: bool = False,
    boxes_from_masks: bool = False,
    raster: Raster | None = None,
    outside_images: bool = False,
) -> Summary:
    """Checks a data set and writes it as ArrayRecord, with an index beside the records.

    Everything is checked, each image decoded, before anything is written; `out` is replaced only when everything
    is written, so a failure keeps what was prepared before.

    Args:
        folder: In COCO's layout or the format of an annotation tool; see `open_dataset`.
        out: Folder for the records; an earlier data set of the same splits there is replaced.
        splits: Names of the splits; empty for all.
        images: Image folder, if it is not beside the annotations.
        class_attribute: The region attribute of VIA that holds the class, if there are several.
        class_name: One class for all objects, in place of their own; "object" where they have no name.
        validation_share: Share of an undivided data set that becomes the split "val"; see `hold_out`.
        crowds_as_objects: Read COCO's crowds as one object each.
        boxes_from_masks: Take boxes from the masks, not from COCO's "bbox".
        raster: The raster that COCO's annotations refer to, of images with an EXIF orientation; see `CocoImages`.
        outside_images: Also read images outside the data set's folder.

    Returns:
        What was written, counted.

    Raises:
        DatasetError: The data set cannot be used, or `out` holds something that would be lost.
    """
    if not 0 <= validation_share < 1:
        raise DatasetError(f"validation_share = {validation_share}: must be at least 0 and below 1, such as 0.2")
    options = ReadOptions(
        tuple(splits),
        images,
        class_attribute,
        class_name,
        crowds_as_objects,
        boxes_from_masks,
        raster,
        outside_images,
    )
    require_apart(folder, out)
    dataset = open_dataset(folder, options)
    names = [split.name for split in dataset.splits]
    if validation_share and len(names) > 1:
        of_its_own = ", ".join(names)
        raise DatasetError(f"validation_share = {validation_share}: {folder} has splits, {of_its_own}; leave it out")
    with unfinished(out) as written:
        require_replaceable(out, ["train", "val"] if validation_share else names)
        contents = {split.name: read_split(split) for split in dataset.splits}
        if class_name is not None:
            contents = {name: of_one_class(annotations, class_name) for name, annotations in contents.items()}
        if validation_share:
            [annotations] = contents.values()
            contents = hold_out(annotations, validation_share)
        warn_of_same_images(contents, str(folder))
        category_ids, class_names = same_categories(contents)
        try:
            write_records(written, contents, {"category_ids": list(category_ids), "class_names": list(class_names)})
        except BrokenImage as error:
            raise DatasetError(f"{folder}: {error}") from error
        for name, annotations in contents.items():
            index(annotations.images).save(written, name)
        finish(written, out)
    return Summary.of(out, dataset.kind, contents, {reason: len(names) for reason, names in dataset.dropped.items()})


def require_apart(folder: Path, out: Path) -> None:
    """Raises DatasetError if `out` is the data set itself, lies in its folder, or holds it."""
    source, place = folder.resolve(), out.resolve()
    if place == source or (source.is_dir() and source in place.parents):
        raise DatasetError(f"out = {out}: lies in the data set's own folder, {folder}; name a folder outside it")
    if place in source.parents and any(place.glob("index_*.npz")):
        raise DatasetError(f"out = {out}: holds the data set, {folder}, which would be lost; name another folder")


def require_replaceable(out: Path, splits: Sequence[str]) -> None:
    """Raises DatasetError if writing `out` would lose a foreign folder or a split that is not written anew."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    earlier = {path.stem.removeprefix("index_") for path in out.glob("index_*.npz")} if out.is_dir() else set()
    if not earlier:
        raise DatasetError(f"out = {out}: exists and is no prepared data set; give another folder")
    if lost := earlier - set(splits):
        raise DatasetError(
            f"out = {out}: holds the prepared split {', '.join(sorted(lost))}, which would be lost; prepare all splits "
            "together, or give another folder"
        )


def read_split(split: Split) -> Annotations:
    """Reads and checks the annotations and every image of a split."""
    annotations = split.read()
    warn_of_dropped(annotations, split.where)
    return annotations._replace(images=check_images(annotations.images, split.where))


def of_one_class(annotations: Annotations, class_name: str) -> Annotations:
    """Gives all objects the same class."""
    images = [image._replace(labels=np.zeros_like(image.labels)) for image in annotations.images]
    return annotations._replace(category_ids=(1,), class_names=(class_name,), images=images)


def same_categories(contents: dict[str, Annotations]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Ids and names of the categories, which all splits must share, since labels follow from them."""
    categories = {name: (annotations.category_ids, annotations.class_names) for name, annotations in contents.items()}
    first, *others = categories
    for other in others:
        if categories[other] != categories[first]:
            raise DatasetError(
                f'splits {first!r} and {other!r} list different "categories"; make them the same, or prepare each '
                "split into a folder of its own"
            )
    return categories[first]
