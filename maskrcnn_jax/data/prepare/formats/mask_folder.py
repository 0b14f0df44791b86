"""Folders of masks: one mask file per object, or one file of numbered objects per image.

- `ID/images/IMAGE` and `ID/masks/*.png`, a file per object that is black where it is not (the nuclei of the 2018
  Data Science Bowl).
- `images/NAME.jpg` and `masks/NAME.png` of 8 or 16 bits: 0 is background, and each other number an object.

Folders inside `masks/` are classes: `masks/CLASS/…`. Masks belong to the stored raster of their image, unless only the
upright one has their size.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from maskrcnn_jax.data.images.reading import read_header
from maskrcnn_jax.data.prepare.finder.image_file import StoredFile
from maskrcnn_jax.data.prepare.formats.label_image import object_masks
from maskrcnn_jax.data.prepare.formats.labeled_image import UNREADABLE, Findings, LabeledImage, Outlined, reason
from maskrcnn_jax.data.prepare.formats.layout import image_files, relative, visible
from maskrcnn_jax.data.prepare.formats.mask_image import read_numbered_mask, read_object_mask
from maskrcnn_jax.files.reading import read_bytes

BROKEN = "masks that cannot be used"
OTHER_SIZE = "masks of another size than their image's other masks; write them again"
AMBIGUOUS = (
    "took masks for those of the stored raster where the EXIF orientation turns the image and both rasters have the "
    "masks' size; turn the image itself and remove the tag if they are drawn on the upright one"
)


def has_pair(folder: Path) -> bool:
    """Whether a folder holds images and masks."""
    return (folder / "images").is_dir() and (folder / "masks").is_dir()


def object_folders(folder: Path) -> list[Path]:
    """The folders of images with a mask file per object."""
    return [path for path in visible(folder) if has_pair(path)]


def is_mask_folder(folder: Path) -> bool:
    """Whether a folder is laid out in one of the two ways."""
    return has_pair(folder) or bool(object_folders(folder))


def read(
    folders: Mapping[str, Path], root: Path, default_class: str, findings: Findings
) -> dict[str, list[LabeledImage]]:
    """Reads each split.

    Args:
        folders: The folder of each split.
        root: What file names are relative to.
        default_class: Of all objects where `masks/` has no folders.
        findings: Notes problems.
    """
    images: dict[str, list[LabeledImage]] = {}
    for split, folder in folders.items():
        if has_pair(folder):
            images[split] = read_numbered(folder, root, default_class, findings)
        else:
            singles = tqdm(object_folders(folder), f"reading {split}", unit=" images", disable=None)
            read_all = (read_single(single, root, default_class, findings) for single in singles)
            images[split] = [image for image in read_all if image is not None]
    return images


def classes_in(folder: Path, default_class: str, findings: Findings) -> dict[str, Path]:
    """The folder of each class's masks."""
    found = {path.name: path for path in visible(folder) if path.is_dir()}
    for path in image_files(folder) if found else []:
        findings.problems.add("masks beside folders of classes; move each into the folder of its class", str(path))
    return found or {default_class: folder}


def images_in(folder: Path, root: Path, findings: Findings) -> list[Path]:
    """A folder's image files, by name; notes other files."""
    found = image_files(folder)
    for path in visible(folder):
        if path.is_file() and path not in found:
            findings.warnings.add("left out files whose names do not end as an image's does", relative(path, root))
    return found


def read_single(folder: Path, root: Path, default_class: str, findings: Findings) -> LabeledImage | None:
    """Reads an image with a mask file per object; None if it cannot be used, which is noted."""
    images = images_in(folder / "images", root, findings)
    if len(images) != 1:
        findings.problems.add("folders that need one image each in images/", f"{folder} ({len(images)})")
        return None
    size: tuple[int, int] | None = None
    objects: list[Outlined] = []
    for class_name, inside in classes_in(folder / "masks", default_class, findings).items():
        for path in images_in(inside, root, findings):
            name = relative(path, root)
            try:
                mask = read_object_mask(path, partial(findings.warnings.add, offender=name))
            except UNREADABLE as error:
                findings.problems.add(BROKEN, reason(path, error))
                continue
            size = size or mask.shape
            if mask.shape == size:
                findings.add_object(objects, class_name, mask, name)
            else:
                findings.problems.add(OTHER_SIZE, name)
    return labeled_image(images[0], size, objects, root, findings)


def read_numbered(folder: Path, root: Path, default_class: str, findings: Findings) -> list[LabeledImage]:
    """Reads images with a file of numbered objects each."""
    masks: dict[str, dict[str, Path]] = defaultdict(dict)
    for class_name, inside in classes_in(folder / "masks", default_class, findings).items():
        for stem, path in by_stem(images_in(inside, root, findings), root, findings).items():
            masks[stem][class_name] = path
    found = by_stem(images_in(folder / "images", root, findings), root, findings)
    for stem in sorted(masks.keys() - found.keys()):
        for path in masks[stem].values():
            findings.problems.add("masks without an image of the same name in images/", relative(path, root))
    images = []
    for stem, path in tqdm(found.items(), "reading masks", unit=" images", disable=None):
        if stem not in masks:
            what = "images without a mask of the same name in masks/; one without objects needs a mask of zeros"
            findings.problems.add(what, relative(path, root))
        elif (image := read_labels(path, masks[stem], root, findings)) is not None:
            images.append(image)
    return images


def by_stem(paths: Sequence[Path], root: Path, findings: Findings) -> dict[str, Path]:
    """Files by their name without ending; notes those that share it."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            both = f"{relative(found[path.stem], root)} and {path.name}"
            findings.problems.add("files that differ in their ending only; rename or remove one", both)
        found[path.stem] = path
    return found


def read_labels(path: Path, masks: dict[str, Path], root: Path, findings: Findings) -> LabeledImage | None:
    """Reads the objects of one image, by class; None if they cannot be used, which is noted."""
    size: tuple[int, int] | None = None
    objects: list[Outlined] = []
    for class_name, mask in masks.items():
        name = relative(mask, root)
        try:
            labels = read_numbered_mask(mask, partial(findings.warnings.add, offender=name))
        except UNREADABLE as error:
            findings.problems.add(BROKEN, reason(mask, error))
            continue
        size = size or labels.shape
        if labels.shape != size:
            findings.problems.add(OTHER_SIZE, name)
            continue
        objects += [Outlined(class_name, code) for code in object_masks(labels).values()]
    return None if size is None else labeled_image(path, size, objects, root, findings)


def labeled_image(
    path: Path, size: tuple[int, int] | None, objects: list[Outlined], root: Path, findings: Findings
) -> LabeledImage | None:
    """Joins an image and its objects; None if the image cannot be used, which is noted.

    Args:
        path: The image.
        size: (height, width) of the masks; None without masks.
        objects: What the masks show.
        root: What file names are relative to.
        findings: Notes problems.
    """
    name = relative(path, root)
    try:
        header = read_header(read_bytes(path), name)
    except UNREADABLE as error:
        findings.problems.add("images that cannot be used", reason(path, error))
        return None
    upright = size not in (None, header.size) and size == header.size_of(upright=True)
    if objects and header.orientation != 1 and header.size_of(upright=False) == header.size_of(upright=True):
        findings.warnings.add(AMBIGUOUS, name)
    return LabeledImage(name, size or header.size, objects, StoredFile(path), upright)
