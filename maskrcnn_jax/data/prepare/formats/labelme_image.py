"""The image of a labelme file: the file that it names, or the copy that it holds (`imageData`).

labelme itself shows the copy if there is one. The file is as good if it has the annotated size, and was not encoded
again; but it may be gone, renamed, or another one of that name.
"""

from pathlib import Path
from typing import Any, NamedTuple

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import read_header
from maskrcnn_jax.data.prepare.finder.image_file import Located, StoredFile
from maskrcnn_jax.data.prepare.finder.image_finder import ImageFinder, ImageNotFound
from maskrcnn_jax.data.prepare.formats.labeled_image import BROKEN, OTHER_SIZE, Findings
from maskrcnn_jax.data.prepare.formats.labelme_base64 import decode_base64
from maskrcnn_jax.data.prepare.formats.layout import relative
from maskrcnn_jax.data.prepare.formats.points import Malformed
from maskrcnn_jax.data.prepare.formats.raster import OtherSize, Sides, is_upright, read_sides
from maskrcnn_jax.data.prepare.json_values import shown
from maskrcnn_jax.files.json_text import JsonError, parse_json
from maskrcnn_jax.files.reading import read_bytes

COPY_TAKEN = "took images from imageData in their JSON"

OTHER_ENCODING = (
    "files whose text is not UTF-8 but GB 18030, as labelme wrote on Chinese Windows; convert them with "
    "`iconv -f gb18030 -t utf-8`"
)


class EmbeddedImage(NamedTuple):
    """The copy of the image inside a labelme file."""

    path: Path
    """The JSON."""

    def read(self) -> bytes:
        """Returns the encoded image.

        Raises:
            OSError: The JSON cannot be read.
            BrokenImage: It does not hold an image any more.
        """
        try:
            content = parse_json(read_bytes(self.path))
        except JsonError as error:
            raise BrokenImage(f"{self.path}: {error}") from error
        text = content.get("imageData") if isinstance(content, dict) else None
        return decode_base64(text, f"{self.path}: imageData")


def find_image(
    content: dict[str, Any], path: Path, finder: ImageFinder, root: Path, findings: Findings
) -> tuple[str, Located] | None:
    """Finds the image of a labelme file.

    Args:
        content: Of the JSON.
        path: The JSON.
        finder: Finds image files.
        root: What file names are relative to.
        findings: Notes problems.

    Returns:
        The image's name and where it is; None if it cannot be used, which is noted.
    """
    try:
        annotated = read_sides(content.get("imageHeight"), content.get("imageWidth"))
    except Malformed as error:
        findings.problems.add("files whose image has no size; correct imageHeight and imageWidth", f"{path} ({error})")
        return None
    try:
        return named_file(content.get("imagePath"), annotated, path, finder, root, findings)
    except ImageNotFound as error:
        if (other := in_other_encoding(content.get("imagePath"), finder)) is not None:
            findings.problems.add(OTHER_ENCODING, f"{path} (its image is not {content['imagePath']} but {other})")
            return None
        kind, what = error.problem, f"{path}: {error.offender}"
    except OtherSize as error:
        kind, what = OTHER_SIZE, f"{path}: {error}"
    except (BrokenImage, OSError) as error:
        kind, what = BROKEN, f"{path}: {error}"
    if not content.get("imageData"):
        findings.problems.add(kind, what)
        return None
    copy = EmbeddedImage(path)
    try:
        # labelme shows the raster that is stored in the copy; it turned the image before it wrote that.
        name = f"{path}: imageData"
        located = locate(copy, decode_base64(content["imageData"], name), annotated, False, name)
    except (BrokenImage, OtherSize) as error:
        findings.problems.add(kind, f"{what}; {error}")
        return None
    findings.warnings.add(COPY_TAKEN, what)
    return relative(path, root), located


def in_other_encoding(name: Any, finder: ImageFinder) -> str | None:
    """The name of an image that is there if the file's text is GB 18030, which may happen to be valid UTF-8."""
    if not isinstance(name, str) or name.isascii():
        return None
    try:
        other = name.encode("utf-8").decode("gb18030")
        finder.find(other)
    except (UnicodeError, ImageNotFound):
        return None
    return other


def named_file(
    name: Any, annotated: Sides, path: Path, finder: ImageFinder, root: Path, findings: Findings
) -> tuple[str, Located]:
    """The file that `imagePath` names.

    Raises:
        ImageNotFound, BrokenImage, OSError, OtherSize: It cannot be used.
    """
    if not isinstance(name, str):
        raise ImageNotFound(f"imagePath {shown(name)}", "not named; write the name of the image file")
    found = finder.find(name)
    file = StoredFile(found)
    located = locate(file, file.read(), annotated, True, str(found))
    if not located.upright:
        findings.warnings.add(
            "images are annotated as stored, not upright as their EXIF orientation says: imageHeight and imageWidth "
            "are the stored ones",
            str(path),
        )
    return relative(found, root), located


def locate(file: StoredFile | EmbeddedImage, data: bytes, annotated: Sides, usual: bool, name: str) -> Located:
    """Chooses the raster of an image file.

    Raises:
        BrokenImage, OtherSize: It cannot be used.
    """
    header = read_header(data, name)
    upright = is_upright(header, annotated, usual, name)
    return Located(file, header.size_of(upright), upright)
