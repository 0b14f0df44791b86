"""Finding annotations and images in a COCO-format folder, unpacked or as the official zips."""

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.annotations import DatasetError
from maskrcnn_jax.files.reading import AnyPath

ANNOTATIONS = re.compile(r"instances_(\w+)\.json")


class SplitFiles(NamedTuple):
    """Where one split lies."""

    name: str
    """What the prepared split is called."""
    annotations: AnyPath
    images: AnyPath


def find_splits(folder: Path, wanted: Sequence[str], images: Path | None) -> list[SplitFiles]:
    """Finds the splits of a COCO-format data set.

    Args:
        folder: Holds `annotations/instances_<split>.json` and `<split>/` or `images/<split>/` or `images/`, or zips
            of these as they are downloaded (`annotations_trainval2017.zip`, `train2017.zip`); or is one JSON file.
        wanted: Names of the splits; empty for all. A year at the end may be left out: "train" is train2017 where
            there is no other year. A single JSON file gives one split, called "train" unless named here.
        images: Image folder, if it is not beside the annotations as above.

    Returns:
        The splits, named without year where that is clear.

    Raises:
        DatasetError: Something is missing; the message says where it was looked for.
    """
    if folder.is_file():
        if len(wanted) > 1:
            raise DatasetError(f"splits = {wanted}: {folder} is one annotation file, which makes one split; name one")
        return [SplitFiles(wanted[0] if wanted else "train", folder, image_folder(folder.parent, "images", images))]
    found = {match[1]: path for path in annotation_files(folder) if (match := ANNOTATIONS.fullmatch(path.name))}
    if not found:
        raise DatasetError(
            f"{folder}: found neither annotations/instances_<split>.json nor annotations_*.zip; give the folder that "
            "holds annotations/, or an annotation file"
        )
    plain = [name.rstrip("0123456789") for name in found]
    names = {
        short if plain.count(short) == 1 and short else name: name for short, name in zip(plain, found, strict=True)
    }
    for name in wanted:
        if name not in names and name not in found:
            raise DatasetError(f"splits: {folder} has no split {name!r}; it has {', '.join(names)}")
    chosen = {short: name for short, name in names.items() if not wanted or short in wanted or name in wanted}
    return [SplitFiles(short, found[name], image_folder(folder, name, images)) for short, name in chosen.items()]


def annotation_files(folder: Path) -> list[AnyPath]:
    """Everything in `annotations/`, in the folder and in its zips."""
    roots: list[AnyPath] = [folder / "annotations"]
    roots += [zipfile.Path(path, "annotations/") for path in sorted(folder.glob("annotations*.zip"))]
    found: list[AnyPath] = []
    for root in roots:
        if root.is_dir():
            found += sorted(root.iterdir(), key=lambda path: path.name)
    return found


def image_folder(folder: Path, split: str, images: Path | None) -> AnyPath:
    """The folder, or folder in a zip, with a split's images."""
    if images is not None:
        tried: list[AnyPath] = [images]
    else:
        tried = [folder / split, folder / "images" / split]
        if (folder / f"{split}.zip").is_file():
            tried.append(zipfile.Path(folder / f"{split}.zip", f"{split}/"))
        tried.append(folder / "images")
    for path in tried:
        if path.is_dir():
            return path
    raise DatasetError(
        f"no folder with the images of {split!r}: tried {', '.join(map(str, tried))}; name it (--images)"
    )
