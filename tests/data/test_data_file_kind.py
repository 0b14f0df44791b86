import io
import zipfile

import numpy as np
import pytest
from conftest import make_image
from PIL import Image

from maskrcnn_jax.data.images.file_kind import (
    AVIF,
    BMP,
    EMPTY,
    GIF,
    HEIC,
    JPEG,
    JPEG_2000,
    NETPBM,
    PNG,
    TEXT,
    TGA,
    TIFF,
    UNKNOWN,
    VIDEO,
    WEB_PAGE,
    WEBP,
    ZEROS,
    file_kind,
)


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", b"")
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("JPEG", JPEG),
        ("PNG", PNG),
        ("GIF", GIF),
        ("BMP", BMP),
        ("TIFF", TIFF),
        ("WEBP", WEBP),
        ("JPEG2000", JPEG_2000),
        ("AVIF", AVIF),
        ("PPM", NETPBM),
        ("TGA", TGA),
    ],
)
def test_what_pillow_writes_is_what_it_is_called(name, kind):
    file = io.BytesIO()
    Image.fromarray(make_image(9, 12)).save(file, name)
    assert file_kind(file.getvalue()) == kind
    # The header tells, whatever follows; TGA, which has no signature, needs its 9 · 12 · 3 = 324 bytes of pixels.
    assert file_kind(file.getvalue()[:18] + b"\1" * 300) == (UNKNOWN if kind == TGA else kind)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", EMPTY),
        (b"\0" * 1000, ZEROS),
        (b"\n <!DOCTYPE html><p>404", WEB_PAGE),
        (b"<?xml version='1.0'?>\n<html xmlns='x'>", WEB_PAGE),
        (b"BM is how this text begins, and it is no bitmap", TEXT),
        ('{"Größe": 3}'.encode(), TEXT),
        (b"\x81\x92\x03" * 9, UNKNOWN),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", HEIC),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", AVIF),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", VIDEO),
        (b"RIFF\x10\0\0\0AVI LIST", VIDEO),
    ],
)
def test_other_files_are_told_apart(data, kind):
    assert file_kind(data) == kind


@pytest.mark.parametrize(
    ("data", "name", "remedy"),
    [
        (zipped(), "a ZIP archive", "unpack"),
        (array(), "a NumPy array", "write it as PNG"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4\n", "a pointer of Git LFS", "git lfs pull"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG", "convert it"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", "convert it"),
        (b"%PDF-1.7\n", "PDF", "convert it"),
    ],
)
def test_a_file_that_is_not_decoded_has_a_remedy(data, name, remedy):
    kind = file_kind(data)
    assert kind.name == name and remedy in kind.remedy
