"""Checks that an image file is complete, by walking through its parts.

Decoders fill what is missing of a JPEG with gray. Its end cannot be searched for: thumbnails have end markers of their
own, and what follows the image, such as the video of a motion photograph, is arbitrary.
"""

from collections.abc import Iterator
from typing import Literal

import numpy as np

from maskrcnn_jax.data.images.file_kind import JPEG, PNG, TIFF, WEBP, FileKind

END_OF_IMAGE, START_OF_SCAN = 0xD9, 0xDA

WITHOUT_LENGTH = (0x01, 0xD8)
"""Markers of JPEG that no length follows, besides the end and those in scans."""

IN_SCANS = (0x00, *range(0xD0, 0xD8), 0xFF)
"""What follows a byte 255 inside a scan: it stands for the byte itself, restarts the decoder, or fills up."""

PNG_SIGNATURE = 8
"""Bytes before the first chunk."""


def is_whole_jpeg(data: bytes) -> bool:
    """Whether a JPEG has the end marker that belongs to it, after a scan.

    Source: ITU-T T.81, B.1.1 and B.2: segments begin with a marker and, with a few exceptions, their length.
    """
    coded = np.frombuffer(data, np.uint8)
    before = np.flatnonzero(coded[:-1] == 0xFF)
    markers = before[~np.isin(coded[before + 1], IN_SCANS)]
    position, scanned = 2, False
    # Like decoders, skips bytes between segments that belong to none.
    while (following := np.searchsorted(markers, position)) < len(markers):
        marker, position = data[markers[following] + 1], int(markers[following]) + 2
        if marker == END_OF_IMAGE:
            return scanned
        if marker not in WITHOUT_LENGTH:
            position += max(int.from_bytes(data[position : position + 2], "big"), 2)
            scanned = scanned or marker == START_OF_SCAN
    return False


def png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The chunks of a PNG in order, as (type, content), as far as they are whole; the last of a whole PNG is `IEND`.

    Source: PNG specification, 5.3: length, type, content and check sum of each.
    """
    view, position, kind = memoryview(data), PNG_SIGNATURE, b""
    while kind != b"IEND":
        length, kind = int.from_bytes(data[position : position + 4], "big"), data[position + 4 : position + 8]
        if position + 12 + length > len(data):
            return
        yield kind, view[position + 8 : position + 8 + length]
        position += 12 + length


def is_whole_png(data: bytes) -> bool:
    """Whether a PNG has its last chunk."""
    return any(kind == b"IEND" for kind, _ in png_chunks(data))


def is_whole_webp(data: bytes) -> bool:
    """Whether a WebP has as many bytes as its header declares."""
    return 8 + int.from_bytes(data[4:8], "little") <= len(data)


def is_whole_tiff(data: bytes) -> bool:
    """Whether the directory of a TIFF, which many writers put at the end, lies inside the file.

    Source: TIFF 6.0, section 2: its place, the number of entries, and these; BigTIFF: the same with more bytes each.
    """
    order: Literal["little", "big"] = "little" if data.startswith(b"II") else "big"
    is_big = 43 in data[2:4]
    start, stop, counter, entry = (8, 16, 8, 20) if is_big else (4, 8, 2, 12)
    directory = int.from_bytes(data[start:stop], order)
    entries = int.from_bytes(data[directory : directory + counter], order)
    return directory + counter + entries * entry <= len(data)


ENDS = {JPEG: is_whole_jpeg, PNG: is_whole_png, WEBP: is_whole_webp, TIFF: is_whole_tiff}


def is_whole(data: bytes, kind: FileKind) -> bool:
    """Whether an image file is not truncated, as far as that shows without decoding; true of other kinds."""
    return kind not in ENDS or ENDS[kind](data)
