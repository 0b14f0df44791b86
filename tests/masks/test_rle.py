import numpy as np
import pycocotools.mask as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskrcnn_jax.masks.rle import decode_mask, decode_runs, encode_mask, encode_runs, extent

MASKS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.integers(0, 1))


@given(MASKS)
def test_encoding_equals_pycocotools(mask):
    theirs = reference.encode(np.asfortranarray(mask))
    assert encode_mask(mask) == {"size": theirs["size"], "counts": theirs["counts"].decode()}


@given(MASKS)
def test_decoding_equals_pycocotools(mask):
    counts = reference.encode(np.asfortranarray(mask))["counts"]
    np.testing.assert_array_equal(decode_mask(counts, mask.shape), mask)


def test_long_runs_and_negative_differences():
    # Runs of 0 and 1 column by column: 300 000 zeros, one long object, then short ones: several characters per number,
    # and differences to the last run but one of both signs.
    mask = np.zeros((1000, 700), np.uint8)
    mask[:, 300:500] = 1
    mask[3:5, 600] = mask[900:997, 601] = 1
    coded = reference.encode(np.asfortranarray(mask))
    np.testing.assert_array_equal(decode_mask(coded["counts"], mask.shape), mask)


def test_runs_by_hand():
    # Column by column: two zeros, three ones, one zero. Small numbers are single characters: 48 + value.
    mask = np.array([[0, 1, 1], [0, 1, 0]], np.uint8)
    assert encode_mask(mask) == {"size": [2, 3], "counts": "231"}
    np.testing.assert_array_equal(decode_mask(b"231", (2, 3)), mask)


@pytest.mark.parametrize("counts", [b"", b"23", b"2311", b"23P", b"PPPP", b"0O7"])
def test_code_that_does_not_cover_the_mask_is_refused(counts):
    with pytest.raises(ValueError, match="run-length code"):
        decode_mask(counts, (2, 3))


@given(MASKS)
def test_runs_and_extent_equal_pycocotools(mask):
    coded = reference.encode(np.asfortranarray(mask))
    runs = decode_runs(coded["counts"], mask.shape)
    assert encode_runs(runs.tolist(), mask.shape) == coded["counts"]
    assert runs[1::2].sum() == reference.area(coded)
    x, y, width, height = reference.toBbox(coded).tolist()
    assert extent(runs, mask.shape[0]) == ((x, y, x + width, y + height) if mask.any() else None)


def test_extent_ignores_runs_of_no_pixel():
    # Over 4 × 5 pixels: an empty run of ones at column 1, then the pixels at y = 1 and 2 of column 2, then an empty
    # one in column 4.
    runs = np.array([5, 0, 4, 2, 6, 0, 3])
    assert extent(runs, 4) == (2, 1, 3, 3)


HOSTILE = st.binary(max_size=40) | st.text("0123OPQo", max_size=40).map(str.encode)


@given(HOSTILE, st.integers(1, 9), st.integers(1, 9))
def test_any_bytes_are_a_mask_or_a_value_error(counts, height, width):
    try:
        mask = decode_mask(counts, (height, width))
    except ValueError as error:
        assert str(error).startswith("run-length code ")
        return
    coded = {"size": [height, width], "counts": counts}
    np.testing.assert_array_equal(mask, reference.decode(coded))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (b"", "is empty"),
        (b"23P", "ends within a number"),
        (b"2/1", "characters that compressed run-length code does not have"),
        (b"2\xff1", "characters that compressed run-length code does not have"),
        (b"oooooooooooooooo0", "a number of 17 characters; run lengths have 7 at most"),
        # A run of 2^33, again and again: the sum of as many as 64 bits hold would overflow.
        (b"PPPPPP8" * 1000, "holds a run of negative length|covers"),
        (b"0O7", "a run of negative length"),
        (b"22", "covers 4 pixels, not 2×3 = 6"),
    ],
)
def test_hostile_codes_are_named(counts, message):
    with pytest.raises(ValueError, match=f"^run-length code .*({message})"):
        decode_mask(counts, (2, 3))
