"""The lists of a COCO annotation file, every entry's types checked and every reference followed."""

from collections import Counter
from typing import Any, NamedTuple

from maskrcnn_jax.data.prepare.coco.categories import classes
from maskrcnn_jax.data.prepare.coco.types import (
    RawAnnotation,
    RawCategory,
    lists_of,
    parse_annotation,
    parse_category,
    parse_image,
    require_object,
    require_readable,
)
from maskrcnn_jax.data.prepare.finder.image_entry import ImageEntry, Locate
from maskrcnn_jax.data.prepare.finder.image_file import Located, StoredFile
from maskrcnn_jax.data.prepare.json_values import shown, whole
from maskrcnn_jax.data.prepare.problems import Dropped, Problems, Refused
from maskrcnn_jax.data.prepare.read_options import ReadOptions


class Findings(NamedTuple):
    """Findings while an annotation file is read."""

    problems: Problems
    """Problems, raised together."""
    warnings: Problems
    """Warnings, logged."""
    dropped: dict[str, list[int]]
    """Ids of annotations that are left out, by reason."""


class Entries(NamedTuple):
    """The content of an annotation file with checked types."""

    classes: list[RawCategory]
    """In the order of the labels."""
    images: list[ImageEntry]
    located: dict[int, Located]
    """By id of the image."""
    annotations: list[RawAnnotation]
    """Only of valid images and categories."""


class Listed:
    """The ids that a list of the file gives, which annotations refer to."""

    def __init__(self, key: str, field: str, unlisted: str):
        self.key = key
        self.field = field
        self.unlisted = unlisted
        self.right: set[int] = set()
        self.faulty: set[int | str] = set()
        """Ids that are listed, but with a problem that is reported already; annotations of them are not reported."""
        self.unknown = False
        """Whether an entry without any id is listed, which annotations may mean."""

    def fault(self, entry: Any) -> None:
        """Notes an entry that is wrong."""
        given = entry.get("id") if isinstance(entry, dict) else None
        self.unknown |= given is None
        self.faulty.add(key_of(given))

    def holds(self, annotation: dict[str, Any], name: str, problems: Problems) -> bool:
        """Whether the entry that an annotation refers to is listed and valid; notes it if it is not listed."""
        value = annotation.get(self.field)
        number = whole(value)
        if number in self.right:
            return True
        if key_of(value) in self.faulty:
            return False
        if number is None:
            problem = f'annotations need as {self.field} a whole number that "{self.key}" lists as id'
            problems.add(problem, f"{name}: {self.field} {shown(value)}")
        elif not self.unknown:
            problems.add(self.unlisted, name if self.field == "image_id" else f"{name}: {self.field} {number}")
        return False


def key_of(value: Any) -> int | str:
    """An id of any type, for comparison."""
    number = whole(value)
    return shown(value) if number is None else number


def read_entries(coco: Any, where: str, locate: Locate, options: ReadOptions, findings: Findings) -> Entries:
    """Checks all types of an annotation file, finds its images and follows references.

    Raises:
        DatasetError: It is no instances file. All else goes into `findings`.
    """
    images, annotations, categories = lists_of(coco, where)
    images_listed = Listed(
        "images", "image_id", 'annotations of an image that "images" does not list; add it or remove them'
    )
    categories_listed = Listed(
        "categories", "category_id", 'annotations of a category that "categories" does not list; add it'
    )
    named = read_categories(categories, categories_listed, findings.problems)
    entries, located = read_images(images, locate, images_listed, findings)
    raw = read_types(annotations, images_listed, categories_listed, options, findings)
    used = {annotation.category_id for annotation in raw if annotation.category_id is not None}
    return Entries(classes(named, used, findings.problems, findings.warnings), entries, located, raw)


def read_categories(categories: list, listed: Listed, problems: Problems) -> list[RawCategory]:
    """Checks the types of the categories."""
    found = []
    for position, entry in enumerate(categories):
        try:
            category = parse_category(require_object(entry, "categories", position))
        except Refused as refused:
            problems.add(*refused.args)
            listed.fault(entry)
        else:
            found.append(category)
            listed.right.add(category.category_id)
    return found


def read_images(
    images: list, locate: Locate, listed: Listed, findings: Findings
) -> tuple[list[ImageEntry], dict[int, Located]]:
    """Checks the types of the images, and finds each."""
    found: list[ImageEntry] = []
    located: dict[int, Located] = {}
    for position, entry in enumerate(images):
        try:
            image = parse_image(require_object(entry, "images", position))
            if image.image_id in located:
                raise Refused("two images have the same id; give each its own", image.name)
            place = locate(image)
            require_readable(place.size, image.name)
            located[image.image_id] = place
        except Refused as refused:
            findings.problems.add(*refused.args)
            listed.fault(entry)
        else:
            found.append(image)
            listed.right.add(image.image_id)
    paths = {image.image_id: path_of(image, located[image.image_id]) for image in found}
    times = Counter(paths.values())
    for image in found:
        if times[paths[image.image_id]] > 1:
            findings.warnings.add("the same file is listed as several images; join their annotations", image.name)
    return found, located


def path_of(image: ImageEntry, located: Located) -> str:
    """The identity of a file."""
    return str(located.file.path) if isinstance(located.file, StoredFile) else image.file_name


def read_types(
    annotations: list, images: Listed, categories: Listed, options: ReadOptions, findings: Findings
) -> list[RawAnnotation]:
    """Checks the types of the annotations, and that what they refer to is listed."""
    found, seen = [], set()
    for position, entry in enumerate(annotations):
        try:
            require_object(entry, "annotations", position)
        except Refused as refused:
            findings.problems.add(*refused.args)
            continue
        number = whole(entry.get("id"))
        name = f"annotation {shown(entry.get('id'))} (image {shown(entry.get('image_id'))})"
        if number is None or number in seen:
            what = "need whole numbers of 64 bits as id" if number is None else "need ids, each its own"
            findings.problems.add(f"annotations {what}", name)
            continue
        seen.add(number)
        if not images.holds(entry, name, findings.problems):
            continue
        if entry.get("category_id") is None and options.class_name is None:
            problem = "annotations without category; give each one, or read all as one class (--class-name NAME)"
            findings.problems.add(problem, name)
            continue
        if entry.get("category_id") is not None and not categories.holds(entry, name, findings.problems):
            continue
        try:
            found.append(parse_annotation(entry, options.boxes_from_masks))
        except Dropped as reason:
            findings.dropped[str(reason)].append(number)
        except Refused as refused:
            add_to(name, refused, findings.problems)
    return found


def add_to(name: str, refused: Refused, problems: Problems) -> None:
    """Notes a problem with the annotation that has it."""
    problem, detail = refused.args
    problems.add(problem, f"{name}: {detail}" if detail else name)
