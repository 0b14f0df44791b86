import threading
import warnings

import pytest
from conftest import make_image, written
from PIL import Image

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.file_kind import PNG
from maskrcnn_jax.data.images.pillow_image import opened, unlimited

LIMIT = Image.MAX_IMAGE_PIXELS


def test_pillows_limit_is_back_when_the_last_thread_has_left():
    first_is_in, first_may_leave = threading.Event(), threading.Event()

    def first() -> None:
        with unlimited():
            first_is_in.set()
            first_may_leave.wait()

    thread = threading.Thread(target=first)
    thread.start()
    first_is_in.wait()
    filters = None
    with unlimited():
        first_may_leave.set()
        thread.join()
        assert Image.MAX_IMAGE_PIXELS is None
        filters = len(warnings.filters)
    assert LIMIT == Image.MAX_IMAGE_PIXELS and len(warnings.filters) < filters


def test_pillows_limit_is_back_after_a_fault():
    with pytest.raises(BrokenImage, match=r"^x: PNG that cannot be"), opened(written(make_image(3, 4), "PNG"), "x"):
        raise RuntimeError("inside")
    assert LIMIT == Image.MAX_IMAGE_PIXELS


def test_an_image_is_opened_by_the_reader_of_its_kind():
    with opened(written(make_image(3, 4), "PNG"), "x") as (kind, image):
        assert kind == PNG and image.size == (4, 3)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), "x: not enough memory for its pixels; cut it into tiles, or use a machine with more"),
        (OSError("image file is truncated (3 bytes not processed)"), r"x: truncated after \d+ bytes; fetch the file"),
        (SyntaxError("broken PNG file"), r"^x: PNG that cannot be decoded \(broken PNG file\); write it again"),
        # What went wrong inside Python says nothing of the file.
        (KeyError("tile"), "^x: PNG that cannot be decoded; write it again as PNG or JPEG"),
        (EOFError(), "^x: PNG that cannot be decoded; write it again"),
        (BrokenImage("x: what was found"), "^x: what was found$"),
    ],
)
def test_faults_are_named(error: Exception, message: str):
    with pytest.raises(BrokenImage, match=message), opened(written(make_image(3, 4), "PNG"), "x"):
        raise error


def test_an_image_with_a_program_is_not_opened():
    """`Image.open` gives PostScript to Ghostscript."""
    message = r"^x: PostScript is not decoded \(\d+ bytes\); convert it to JPEG or PNG$"
    with pytest.raises(BrokenImage, match=message), opened(written(make_image(3, 4), "EPS"), "x"):
        pass
