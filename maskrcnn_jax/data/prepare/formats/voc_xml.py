"""Pascal VOC's XML, read without trust: entities are refused, depth and types are checked.

Boxes are numbers of pixels from 1, both ends included. Polygons, which VOC itself does not have, are continuous as the
tools that write them keep them: Roboflow's `<polygon><x1/><y1/><x2/>…`, and `<polygon><pt><x/><y/></pt>…` of LabelMe
and CVAT.
"""

import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np
from jaxtyping import Float

from maskrcnn_jax.data.prepare.formats.points import Malformed
from maskrcnn_jax.data.prepare.formats.raster import Sides, read_sides
from maskrcnn_jax.data.prepare.json_values import finite, shown, truth
from maskrcnn_jax.files.reading import read_bytes

LARGEST_FILE = 1 << 27
"""Bytes of an XML file that is read."""

DEEPEST = 50
"""Elements inside each other; VOC has five."""

WORDS = {"yes": True, "no": False, "unspecified": False}

COORDINATE = re.compile(r"([xy])(\d{1,7})")


class Named(NamedTuple):
    """One object of an XML file."""

    class_name: str
    box: tuple[float, float, float, float]
    """`(x0, y0, x1, y1)`, continuous pixels."""
    polygon: Float[np.ndarray, "n 2"] | None
    difficult: bool


class VocFile(NamedTuple):
    """What an XML file says."""

    file_name: str | None
    sides: Sides
    objects: list[Named]


def read_xml(path: Path) -> VocFile:
    """Reads one file.

    Raises:
        OSError: It cannot be read.
        Malformed: It is no VOC file, or an object has no name or no place.
    """
    root = parse_xml(read_bytes(path, LARGEST_FILE))
    if root.tag != "annotation":
        raise Malformed(f"its root is <{root.tag[:60]}>, not <annotation> as in Pascal VOC")
    sides = read_sides(*(text_of(root, f"size/{side}") or None for side in ("height", "width")))
    objects = [read_object(element, f"object {number}") for number, element in enumerate(root.findall("object"))]
    return VocFile(text_of(root, "filename") or None, sides, objects)


def parse_xml(data: bytes) -> ElementTree.Element:
    """Parses XML without a document type, which VOC does not have and whose entities may grow without end.

    Raises:
        Malformed: It is none; the message says why.
    """
    if not data.strip():
        raise Malformed("is empty; write or fetch it again")
    builder = ElementTree.TreeBuilder()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > DEEPEST:
            raise Malformed(f"has elements {depth} deep, which no annotation needs")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise Malformed("has a document type (<!DOCTYPE …>), which Pascal VOC does not have; remove it")

    try:
        parser = expat.ParserCreate()
        parser.StartElementHandler, parser.EndElementHandler = start, end
        parser.CharacterDataHandler = builder.data
        parser.StartDoctypeDeclHandler = refuse
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise Malformed(f"is no XML that can be read ({error}{encoding_of(data)})") from error
    except (LookupError, UnicodeError) as error:
        raise Malformed(f"its text cannot be decoded ({error}); convert it to UTF-8") from error
    except Malformed:
        raise
    except ValueError as error:  # Declared encodings of several bytes per character.
        raise Malformed(f"its declared encoding is not read ({error}); convert it to UTF-8") from error
    return builder.close()


def encoding_of(data: bytes) -> str:
    """A hint for text that is not UTF-8 and does not say what it is."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if not data.startswith((b"\xff\xfe", b"\xfe\xff")) and b"encoding" not in data[:100]:
            return f"; byte {error.start} is not UTF-8: convert it, such as with `iconv -f gb18030 -t utf-8`"
    return ""


def text_of(element: ElementTree.Element, path: str) -> str:
    """The text of an element inside, without space around it; empty if there is none."""
    return (element.findtext(path) or "").strip()


def read_object(element: ElementTree.Element, name: str) -> Named:
    """Checks one object.

    Raises:
        Malformed: It has no name, or neither box nor polygon, or what is no number.
    """
    class_name = text_of(element, "name")
    if not class_name:
        raise Malformed(f"{name} has no name")
    name = f"{name} ({shown(class_name)})"
    polygon = read_polygon(element.find("polygon"), name)
    corners = [text_of(element, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")]
    if any(corners):
        x0, y0, x1, y1 = (number_of(text, f"{name}: a side of its bndbox") for text in corners)
        if x1 < x0 or y1 < y0:
            raise Malformed(f"{name}: its bndbox ends before it begins ({x0:g}, {y0:g}, {x1:g}, {y1:g})")
        # Pixels 1 to n, both included, cover [0, n).
        box = (x0 - 1, y0 - 1, x1, y1)
    elif polygon is not None:
        box = (*polygon.min(axis=0).tolist(), *polygon.max(axis=0).tolist())
    else:
        raise Malformed(f"{name} has neither bndbox nor polygon")
    text = text_of(element, "difficult")
    difficult = WORDS.get(text.lower(), truth(text))
    if difficult is None:
        raise Malformed(f"{name}: difficult is {shown(text)}, neither 0 nor 1")
    return Named(class_name, box, polygon, difficult)


def read_polygon(element: ElementTree.Element | None, name: str) -> Float[np.ndarray, "n 2"] | None:
    """The corners of a polygon; None if there is none.

    Raises:
        Malformed: It is neither of the two forms.
    """
    if element is None or not len(element):
        return None
    if points := element.findall("pt"):
        corners = [(text_of(point, "x"), text_of(point, "y")) for point in points]
    else:
        found = {
            (match[1], int(match[2])): (child.text or "").strip()
            for child in element
            if (match := COORDINATE.fullmatch(child.tag))
        }
        numbers = sorted({number for _, number in found})
        corners = [(found.get(("x", number), ""), found.get(("y", number), "")) for number in numbers]
    if not corners:
        raise Malformed(f"{name}: its polygon holds neither <pt> nor <x1>, <y1>, …")
    return np.array([[number_of(text, f"{name}: a coordinate of its polygon") for text in point] for point in corners])


def number_of(text: str, what: str) -> float:
    """A finite number.

    Raises:
        Malformed: It is none, or is missing.
    """
    try:
        number = finite(float(text)) if "_" not in text else None
    except ValueError:
        number = None
    if number is None:
        raise Malformed(f"{what} is {shown(text)}, no finite number" if text else f"{what} is missing")
    return number
