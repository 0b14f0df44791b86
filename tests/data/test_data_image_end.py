import io

import pytest
from conftest import make_image
from PIL import Image, ImageDraw

from maskrcnn_jax.data.images.file_kind import BMP, JPEG, PNG, TIFF, WEBP, FileKind
from maskrcnn_jax.data.images.image_end import is_whole, png_chunks

SIZE = (40, 60)
SCAN, END = b"\xff\xda\0\x0c", b"\xff\xd9"


def written(kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(make_image(*SIZE)).save(file, kind, **options)
    return file.getvalue()


def with_thumbnail() -> bytes:
    """A JPEG with a whole JPEG in its EXIF segment."""
    exif = Image.Exif()
    exif[0x010E] = written("JPEG").decode("latin-1")
    return written("JPEG", exif=exif.tobytes())


JPEGS = {
    "baseline": written("JPEG"),
    "progressive": written("JPEG", progressive=True),
    "restarts": written("JPEG", restart_marker_blocks=2),
    "comment": written("JPEG", comment=b"a comment with a scan's and an end's marker " + SCAN + END),
    "thumbnail": with_thumbnail(),
}


@pytest.mark.parametrize("name", JPEGS)
@pytest.mark.parametrize("behind", [b"", b"\0" * 99, b"\0\0\0\x18ftypmp42" + SCAN + b"video", SCAN, END, b"\xff"])
def test_what_follows_a_jpeg_does_not_matter(name, behind):
    assert is_whole(JPEGS[name] + behind, JPEG)


@pytest.mark.parametrize("name", JPEGS)
def test_a_jpeg_is_whole_from_its_last_byte_on(name):
    data = JPEGS[name]
    assert not any(is_whole(data[:length], JPEG) for length in range(3, len(data)))


def test_a_second_image_does_not_lend_its_end():
    """Of two images in a file, as stereo cameras write them, the first counts; cut, it has no end of its own."""
    first = written("JPEG", progressive=True)
    assert is_whole(first + first, JPEG)
    # The segments of the tables say how long they are; the second image hides in one that is longer than the rest.
    cut = first[:-2] + b"\xff\xe2" + (len(first) + 2).to_bytes(2, "big") + first
    assert not is_whole(cut, JPEG)


@pytest.mark.parametrize(("name", "kind"), [("PNG", PNG), ("WEBP", WEBP)])
def test_png_and_webp_are_whole_from_their_last_byte_on(name, kind):
    data = written(name)
    assert is_whole(data, kind) and is_whole(data + b"more", kind)
    assert not any(is_whole(data[:length], kind) for length in range(12, len(data)))


def test_a_tiff_needs_its_directory():
    # Pillow writes it behind the pixels if these are compressed.
    data = written("TIFF", compression="tiff_lzw")
    assert is_whole(data, TIFF) and not is_whole(data[: len(data) // 2], TIFF)
    big = written("TIFF", big_tiff=True)
    assert is_whole(big, TIFF) and not is_whole(big[:16], TIFF)


def test_of_other_kinds_nothing_is_said():
    assert is_whole(b"BM", BMP) and is_whole(b"", FileKind("x"))


def test_chunks_of_a_png():
    image = Image.new("1", (3, 3))
    ImageDraw.Draw(image).point((1, 1), 1)
    file = io.BytesIO()
    image.save(file, "PNG")
    chunks = list(png_chunks(file.getvalue() + b"behind"))
    assert [kind for kind, _ in chunks] == [b"IHDR", b"IDAT", b"IEND"]
    # Width and height of 4 bytes each; 1 bit per pixel, gray, three zeros.
    assert bytes(chunks[0][1]) == b"\0\0\0\3\0\0\0\3\1\0\0\0\0"
