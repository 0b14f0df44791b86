import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from prepared import pixels

from maskrcnn_jax.data.prepare.formats.runs import encode_runs, intervals, is_empty, runs_of, union
from maskrcnn_jax.masks.rle import decode_mask, encode_mask


def test_intervals_that_touch_and_overlap_are_joined():
    # 2…5 and 4…8 overlap, 8…9 touches, 12…12 is empty, 20…21 is apart.
    starts, stops = np.array([20, 4, 2, 8, 12]), np.array([21, 8, 5, 9, 12])
    assert intervals(starts, stops).tolist() == [2, 9, 20, 21]
    assert intervals(np.array([1, 4]), np.array([3, 4])).tolist() == [1, 3]
    assert intervals(np.zeros(0, int), np.zeros(0, int)).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)), max_size=8))
def test_intervals_cover_what_one_of_them_covers(those: list[tuple[int, int]]):
    starts = np.array([start for start, _ in those], int)
    stops = starts + np.array([length for _, length in those], int)
    borders = intervals(starts, stops)
    assert (np.diff(borders) > 0).all()
    covered = {pixel for start, length in those for pixel in range(start, start + length)}
    assert {p for start, stop in borders.reshape(-1, 2).tolist() for p in range(start, stop)} == covered


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 2**25 - 1), st.integers(0, 3), st.integers(0, 3))
def test_a_part_of_a_mask_has_the_librarys_code(height: int, width: int, bits: int, left: int, top: int):
    part = (np.array([bits >> place & 1 for place in range(height * width)], np.uint8)).reshape(height, width)
    mask = np.zeros((top + height + 1, left + width), np.uint8)
    mask[top : top + height, left:] = part
    assert encode_runs([runs_of(part, left, top, mask.shape[0])], mask.shape) == encode_mask(mask)


def test_a_run_over_the_end_of_a_column_is_one_run():
    # Two full columns of three pixels, in two pieces: no pixel, then six, then three.
    code = encode_runs([np.array([0, 3]), np.array([3, 6])], (3, 3))
    assert code == encode_mask(pixels("##. ##. ##."))


def test_union_and_emptiness():
    left, right, none = (encode_mask(pixels(text)) for text in ("#.. ##.", "..# .#.", "... ..."))
    both = union([left, right, none])
    np.testing.assert_array_equal(decode_mask(both["counts"].encode(), (2, 3)), pixels("#.# ##."))
    assert is_empty(none)
    assert not is_empty(left)


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=4))
def test_union_is_what_one_of_the_masks_has(those: list[int]):
    masks = [np.array([bits >> place & 1 for place in range(16)], np.uint8).reshape(4, 4) for bits in those]
    assert union([encode_mask(mask) for mask in masks]) == encode_mask(np.bitwise_or.reduce(masks))
