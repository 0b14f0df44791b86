"""From annotated pictures to records that training reads at random."""

import logging
import os
import tempfile
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from maskrcnn_jax.data.annotations import (
    AnnotatedImage,
    Annotations,
    DatasetError,
    Problems,
    first_of,
)
from maskrcnn_jax.data.coco import Index
from maskrcnn_jax.data.coco_writer import write_records
from maskrcnn_jax.data.formats import Split, open_dataset
from maskrcnn_jax.data.hold_out import hold_out
from maskrcnn_jax.data.images import decode
from maskrcnn_jax.data.read_options import ReadOptions
from maskrcnn_jax.data.source import BrokenImage
from maskrcnn_jax.plural import counted

log = logging.getLogger(__name__)


def prepare(
    folder: Path,
    out: Path,
    splits: Sequence[str] = (),
    images: Path | None = None,
    class_attribute: str | None = None,
    class_name: str | None = None,
    validation_share: float = 0.0,
) -> dict[str, int]:
    """Checks a data set and writes it as ArrayRecord, with an index beside the records.

    Everything is checked, each image decoded, before anything is written; `out` changes only when all is done, in one
    move, so a failure leaves what was prepared before.

    Args:
        folder: In COCO's layout or the format of an annotation tool; see `open_dataset`.
        out: Folder for the records; an earlier data set of the same splits there is replaced.
        splits: Names of the splits; empty for all.
        images: Image folder, if it is not beside the annotations.
        class_attribute: The region attribute of VIA that says the class, if that is not clear.
        class_name: One class for all objects, whatever they are called; "object" where nothing calls them.
        validation_share: Share of an undivided data set that becomes the split "val"; see `hold_out`.

    Returns:
        Number of images of each split.

    Raises:
        DatasetError: The data set cannot be used, or `out` holds something that would be lost.
    """
    if not 0 <= validation_share < 1:
        raise DatasetError(f"validation_share = {validation_share}: must be at least 0 and below 1, such as 0.2")
    options = ReadOptions(tuple(splits), images, class_attribute, class_name)
    found = open_dataset(folder, options).splits
    names = [split.name for split in found]
    if validation_share and len(found) > 1:
        of_its_own = ", ".join(names)
        raise DatasetError(f"validation_share = {validation_share}: {folder} has splits, {of_its_own}; leave it out")
    require_replaceable(out, ["train", "val"] if validation_share else names)
    contents = {split.name: read_split(split) for split in found}
    if class_name is not None:
        contents = {name: of_one_class(annotations, class_name) for name, annotations in contents.items()}
    if validation_share:
        [annotations] = contents.values()
        contents = hold_out(annotations, validation_share)
    category_ids, class_names = same_categories(contents)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        written = Path(scratch) / "records"
        written.mkdir()
        write_records(written, contents, {"category_ids": list(category_ids), "class_names": list(class_names)})
        for name, annotations in contents.items():
            Index.of(annotations.images).save(written, name)
        replace(out, written, Path(scratch))
    return {name: len(annotations.images) for name, annotations in contents.items()}


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
    for reason, ids in annotations.dropped.items():
        log.warning("%s: dropped %s, %s: %s", split.where, counted(len(ids), "annotation"), reason, first_of(ids))
    check_images(annotations.images, split.where)
    return annotations


def of_one_class(annotations: Annotations, class_name: str) -> Annotations:
    """Gives all objects the same class."""
    images = [image._replace(labels=np.zeros_like(image.labels)) for image in annotations.images]
    return annotations._replace(category_ids=(1,), class_names=(class_name,), images=images)


def check_images(images: Sequence[AnnotatedImage], where: str) -> None:
    """Decodes every image once.

    Raises:
        DatasetError: Names those that are missing, truncated, no images, or of another size than annotated.
    """

    def problem(image: AnnotatedImage) -> str | None:
        try:
            decode(image.file.read(), image.size, image.file_name, image.upright)
        except (BrokenImage, OSError, zipfile.BadZipFile) as error:
            return str(error)
        return None

    cv2.setNumThreads(1)
    problems = Problems(where)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in tqdm(pool.map(problem, images), "checking images", len(images), unit=" images", disable=None):
            if found is not None:
                problems.add("images that cannot be used", found)
    problems.raise_if_any()


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


def replace(out: Path, written: Path, scratch: Path) -> None:
    """Puts a finished data set in the place of an earlier one."""
    if out.exists():
        os.replace(out, scratch / "earlier")
    try:
        os.replace(written, out)
    except OSError:
        if (scratch / "earlier").exists():
            os.replace(scratch / "earlier", out)
        raise
