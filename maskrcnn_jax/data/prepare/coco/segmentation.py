"""The segmentation of a COCO annotation: its types checked, then coded over its image."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from faster_coco_eval.core import mask as library

from maskrcnn_jax.data.prepare.json_values import finite, shown, whole
from maskrcnn_jax.data.prepare.problems import Dropped, Refused
from maskrcnn_jax.masks.rle import decode_runs, encode_runs

LONGEST_OUTLINE = 4_000_000
"""Pixels: the library's rasteriser takes 120 bytes and 0.2 µs for each pixel of an outline."""

FORM = "segmentation must be a list of flat lists [x, y, x, y, …] or run-length code {size, counts}"
NOT_FINITE = "coordinates that are no finite numbers (text, null, NaN or infinite); correct or remove the annotations"
FAR = (
    "coordinates that lie outside their image by more than its longer side; correct them, and check that they are "
    "pixels of this image"
)


class Polygons(NamedTuple):
    """Outlines whose union is the mask."""

    parts: list[list[float]]
    """Each `[x, y, x, y, …]` of at least three points, finite, pixels."""
    short: int
    """Parts of fewer points that were left out."""

    def encode(self, size: tuple[int, int]) -> bytes:
        """Compressed run-length code over `size` = (height, width).

        Raises:
            Refused: Coordinates lie far outside the image, or an outline is too long to be one.
            Dropped: The coordinates are normalised.
        """
        height, width = size
        side = max(size)
        for part in self.parts:
            low, high = min(part), max(part)
            if low < -side or high > 2 * side:
                raise Refused(FAR, shown(low if low < -side else high))
            if low >= 0 and high <= 1:
                require_pixels(part, size)
            # The quick bound spares nearly every polygon the exact sum.
            if len(part) * (high - low) > LONGEST_OUTLINE and (length := outline(part)) > LONGEST_OUTLINE:
                raise Refused(f"polygons whose outline is longer than {LONGEST_OUTLINE} pixels", f"{length:.0f} pixels")
        codes = library.frPyObjects(self.parts, height, width)
        return (codes[0] if len(codes) == 1 else library.merge(codes))["counts"]


class RunLengths(NamedTuple):
    """Run-length code, compressed or not."""

    size: tuple[int, int] | None
    """(height, width) as the code says."""
    counts: list[int] | bytes

    def encode(self, size: tuple[int, int]) -> bytes:
        """Compressed run-length code over `size` = (height, width).

        Raises:
            Refused: The code is none, or of another size.
        """
        height, width = size
        if self.size is None:
            raise Refused('run-length code without its size; add "size": [height, width]', "")
        if self.size != size:
            swapped = "; height and width are exchanged" if self.size == (width, height) else ""
            detail = f"{self.size[0]}×{self.size[1]} pixels, its image {height}×{width}{swapped}"
            raise Refused("run-length code of another size (height × width) than its image", detail)
        if isinstance(self.counts, list):
            covered = sum(self.counts)
            if covered != height * width:
                detail = f"its runs sum to {covered}, not {height}×{width} = {height * width}"
                raise Refused("run-length code that does not cover its image exactly", detail)
            return encode_runs(self.counts, size)
        try:
            decode_runs(self.counts, size)
        except ValueError as error:
            raise Refused("run-length code that cannot be read", f"it {error}") from error
        return self.counts


def parse_segmentation(value: Any) -> Polygons | RunLengths | None:
    """Checks the types of a segmentation; None where there is none, as in data annotated by boxes.

    Flat lists, points as pairs, lists nested once more, and a code in a list are other forms of the same thing.

    Raises:
        Refused: It is neither polygons nor run-length code.
        Dropped: No polygon has three points.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0]
    if value is None or value in ("", [], {}, [[]]):
        return None
    if isinstance(value, dict):
        return parse_code(value)
    if not isinstance(value, list):
        raise Refused(FORM, shown(value))
    parts = polygons_of(value)
    for part in parts:
        if len(part) % 2:
            raise Refused("polygons with an odd number of coordinates; each point has two", f"{len(part)} coordinates")
    long = [part for part in parts if len(part) >= 6]
    if not long:
        raise Dropped("polygon with fewer than three points")
    return Polygons(long, len(parts) - len(long))


def polygons_of(value: list) -> list[list[float]]:
    """Flat lists of numbers from any of the accepted forms."""
    if not any(isinstance(part, list | dict) for part in value):
        return [numbers(value)]
    if is_pairs(value):
        return [numbers([number for point in value for number in point])]
    found = []
    for part in value:
        if not isinstance(part, list):
            raise Refused(FORM, shown(value))
        if not any(isinstance(inner, list | dict) for inner in part):
            found.append(numbers(part))
        elif is_pairs(part):
            found.append(numbers([number for point in part for number in point]))
        elif all(isinstance(inner, list) and not any(isinstance(v, list | dict) for v in inner) for inner in part):
            found += [numbers(inner) for inner in part]
        else:
            raise Refused(FORM, shown(value))
    return [part for part in found if part] or [[]]


def is_pairs(value: list) -> bool:
    """Whether a list is three or more points [x, y]."""
    return len(value) >= 3 and all(
        isinstance(point, list) and len(point) == 2 and not any(isinstance(v, list | dict) for v in point)
        for point in value
    )


def numbers(values: list) -> list[float]:
    """The same list, whose values are known to be finite numbers."""
    if not all_finite(values):
        raise Refused(NOT_FINITE, shown(next((value for value in values if not all_finite([value])), values)))
    return values


def require_pixels(values: Sequence[float], size: tuple[int, int]) -> None:
    """Raises Dropped if coordinates are shares of the image of `size` = (height, width), as far as one can tell."""
    if min(values) >= 0 and max(values) <= 1 < min(size) and not all(float(value).is_integer() for value in values):
        raise Dropped(
            "coordinates between 0 and 1, as if normalised; COCO's are pixels, so multiply them by width and height "
            "of the image"
        )


def all_finite(values: Sequence[Any]) -> bool:
    """Whether all are finite numbers, no text and no booleans."""
    # By a set and a sum, which take a tenth of the time of a loop: COCO holds 40 million coordinates.
    if not set(map(type, values)) <= {int, float}:
        return False
    try:
        return math.isfinite(math.fsum(values))
    except (OverflowError, ValueError):  # A number or the sum lies above 1e308, or infinities have both signs.
        return all(finite(value) is not None for value in values)


def outline(part: Sequence[float]) -> float:
    """What the rasteriser walks along a closed polygon: the longer of both steps, summed over its edges."""
    x, y = part[::2], part[1::2]
    return sum(max(abs(x[i] - x[i - 1]), abs(y[i] - y[i - 1])) for i in range(len(x)))


def parse_code(value: dict) -> RunLengths:
    """Checks the types of run-length code."""
    size, counts = value.get("size"), value.get("counts")
    sides = [side for side in map(whole, size) if side is not None] if isinstance(size, list) else []
    if size is not None and not (isinstance(size, list) and len(sides) == len(size) == 2):
        raise Refused('run-length code whose "size" is not [height, width]', shown(size))
    known = (sides[0], sides[1]) if sides else None
    if isinstance(counts, str):
        if counts.startswith(("b'", 'b"')):
            raise Refused(
                "run-length code written as Python's str(bytes); write counts.decode('ascii') into the JSON",
                shown(counts),
            )
        if not counts.isascii() or " " in counts.strip():
            raise Refused("run-length code whose counts are neither a list of numbers nor COCO's code", shown(counts))
        return RunLengths(known, counts.encode("ascii"))
    if not isinstance(counts, list):
        raise Refused(FORM, f"counts {shown(counts)}")
    return RunLengths(known, [run_length(count) for count in counts])


def run_length(value: Any) -> int:
    """A number of pixels, which some write as 48.0.

    Raises:
        Refused: It is none.
    """
    length = None if isinstance(value, str) else whole(value)
    if length is None or length < 0:
        raise Refused("run-length code whose counts are no whole numbers from 0", shown(value))
    return length
