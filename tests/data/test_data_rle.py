import numpy as np
import pycocotools.mask as reference
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from maskrcnn_jax.data.rle import decode_mask, encode_mask

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
