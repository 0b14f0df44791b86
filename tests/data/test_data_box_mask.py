from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.data.prepare.coco.box_mask import fill
from maskrcnn_jax.data.prepare.finder.image_file import StoredFile
from maskrcnn_jax.data.prepare.formats.labeled_image import LabeledImage, Outlined, to_annotations
from maskrcnn_jax.data.prepare.formats.outlines import fill_box
from maskrcnn_jax.masks.rle import decode_mask, encode_mask


@pytest.mark.parametrize(
    ("box", "y", "x"),
    [
        ((2, 1, 5, 4), slice(1, 4), slice(2, 5)),
        ((0, 0, 9, 6), slice(0, 6), slice(0, 9)),
        # Centres at 2.5 and 3.5 lie on the edges, so inside; 1.5 does not.
        ((2.5, 0, 3.5, 6), slice(0, 6), slice(2, 4)),
        # Between the centres 2.5 and 3.5 lies none.
        ((2.6, 0, 3.4, 6), slice(0, 6), slice(0, 0)),
    ],
)
def test_boxes_by_hand(box, y, x):
    expected = np.zeros((6, 9), np.uint8)
    expected[y, x] = 1
    np.testing.assert_array_equal(decode_mask(fill(box, (6, 9)), (6, 9)), expected)


SIDE = st.integers(1, 12)
QUARTERS = st.integers(0, 48).map(lambda value: value / 4)


@given(SIDE, SIDE, QUARTERS, QUARTERS, QUARTERS, QUARTERS)
def test_equals_the_filled_polygon(height, width, a, b, c, d):
    (x0, x1), (y0, y1) = sorted([min(a, width), min(b, width)]), sorted([min(c, height), min(d, height)])
    if x0 == x1 or y0 == y1:
        return  # A line, which is no box.
    filled = decode_mask(fill((x0, y0, x1, y1), (height, width)), (height, width))
    code = fill_box(x0, y0, x1, y1, (height, width))
    np.testing.assert_array_equal(filled, decode_mask(code["counts"].encode("ascii"), (height, width)))


def test_a_box_over_all_of_a_wide_image_is_one_run():
    assert len(fill((0, 0, 2**20, 2000), (2000, 2**20))) < 10


def test_objects_of_other_formats_that_are_boxes_are_marked():
    mask = encode_mask(decode_mask(fill((2, 1, 5, 4), (6, 9)), (6, 9)))
    things = [Outlined("cat", mask), Outlined("cat", mask, is_box=True)]
    images = [LabeledImage(name, (6, 9), things, StoredFile(Path(name)), False) for name in ("a.png", "b.png")]
    annotations = to_annotations(images, ["cat"], "F")
    # The four objects are numbered from 1.
    assert annotations.box_only == [2, 4]
    assert [image.is_box.tolist() for image in annotations.images] == [[False, True]] * 2
