import pytest

from maskrcnn_jax.data.images.file_kind import JPEG
from maskrcnn_jax.data.images.reading import Header
from maskrcnn_jax.data.prepare.formats.points import Malformed
from maskrcnn_jax.data.prepare.formats.raster import OtherSize, is_upright, read_sides


@pytest.mark.parametrize("usual", [False, True])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_decides_only_where_the_two_rasters_differ(orientation: int, usual: bool):
    header = Header((48, 80), orientation, JPEG)
    swapped = orientation in (5, 6, 7, 8)
    assert is_upright(header, (None, None), usual, "a.jpg") == usual
    assert is_upright(header, (48, 80), usual, "a.jpg") == (False if swapped else usual)
    if swapped:
        assert is_upright(header, (80, 48), usual, "a.jpg")
    else:
        with pytest.raises(OtherSize, match=r"a\.jpg has 48×80 pixels \(height×width\), its annotation says 80×48"):
            is_upright(header, (80, 48), usual, "a.jpg")
    assert is_upright(Header((64, 64), orientation, JPEG), (64, 64), usual, "a.jpg") == usual


def test_one_side_alone_is_checked():
    header = Header((48, 80), 1, JPEG)
    assert is_upright(header, (48, None), True, "a.jpg")
    with pytest.raises(OtherSize, match=r"says \?×48"):
        is_upright(header, (None, 48), True, "a.jpg")


@pytest.mark.parametrize("unknown", [None, 0, -1, "0", 0.0])
def test_sides_that_are_not_known(unknown: object):
    assert read_sides(unknown, unknown) == (None, None)


def test_sides_in_other_forms():
    assert read_sides("48", 80.0) == (48, 80)


@pytest.mark.parametrize("side", ["wide", -2, 48.5, True, [48], {}, float("nan")])
def test_sides_that_are_none(side: object):
    with pytest.raises(Malformed, match=r"the image's width is .*, no whole number of pixels"):
        read_sides(48, side)
