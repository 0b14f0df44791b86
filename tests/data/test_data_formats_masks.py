import io
import logging
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps
from prepared import assert_objects, block, prepared, write_picture
from pycocotools import mask as reference

from maskrcnn_jax.config import CocoSource, DataConfig
from maskrcnn_jax.data import open_source
from maskrcnn_jax.data.annotations import DatasetError
from maskrcnn_jax.data.formats import open_dataset
from maskrcnn_jax.data.formats.label_image import object_masks, read_label_image
from maskrcnn_jax.data.formats.soft_edges import has_soft_edges
from maskrcnn_jax.data.pipeline import warn_of_overflow
from maskrcnn_jax.data.prepare import prepare

SIZE = (10, 12)
LEFT, RIGHT = block(SIZE, slice(1, 5), slice(0, 3)), block(SIZE, slice(2, 10), slice(6, 12))


def write_image(path: Path, values: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(path)


def nucleus(folder: Path, **masks: np.ndarray) -> None:
    write_picture(folder / "images" / f"{folder.name}.png", *SIZE)
    (folder / "masks").mkdir()
    for name, mask in masks.items():
        write_image(folder / "masks" / f"{name}.png", mask * np.uint8(255))


def test_an_image_per_object(tmp_path: Path):
    """As in the nucleus data, divided into folders."""
    nucleus(tmp_path / "data" / "train" / "one", a=LEFT, b=RIGHT)
    nucleus(tmp_path / "data" / "train" / "two")
    nucleus(tmp_path / "data" / "val" / "three", c=RIGHT)
    classes, [first, second] = prepared(tmp_path / "data", class_name="nucleus")
    assert classes == ("nucleus",)
    assert_objects(first, classes, [("nucleus", LEFT), ("nucleus", RIGHT)])
    assert_objects(second, classes, [])
    classes, [third] = prepared(tmp_path / "data", "val")
    assert_objects(third, classes, [("object", RIGHT)])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_an_objects_image_may_be_of_any_kind(tmp_path: Path, mode: str):
    nucleus(tmp_path / "data" / "one")
    write_image(tmp_path / "data" / "one" / "masks" / "a.png", LEFT * np.uint8(255), mode)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", LEFT)])


def test_folders_of_masks_are_classes(tmp_path: Path):
    for name, mask in (("cell", LEFT), ("debris", RIGHT)):
        write_image(tmp_path / "data" / "one" / "masks" / name / "a.png", mask * np.uint8(255))
    write_picture(tmp_path / "data" / "one" / "images" / "x.jpg", *SIZE)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("cell", LEFT), ("debris", RIGHT)])


def test_an_image_of_numbered_objects(tmp_path: Path):
    # Numbers may have gaps, and an object may be in two parts.
    labels = LEFT * 2 + RIGHT * 7
    labels[9, 0] = 2
    write_image(tmp_path / "data" / "masks" / "x.png", labels)
    write_image(tmp_path / "data" / "masks" / "y.png", labels * 0)
    for name in ("x.jpg", "y.jpg"):
        write_picture(tmp_path / "data" / "images" / name, *SIZE)
    classes, [first, second] = prepared(tmp_path / "data", class_name="cell")
    assert_objects(first, classes, [("cell", (labels == 2).astype(np.uint8)), ("cell", RIGHT)])
    assert_objects(second, classes, [])


def test_numbered_objects_of_classes(tmp_path: Path):
    write_image(tmp_path / "data" / "masks" / "cat" / "x.png", LEFT)
    write_image(tmp_path / "data" / "masks" / "dog" / "x.png", RIGHT)
    write_image(tmp_path / "data" / "masks" / "dog" / "y.png", RIGHT)
    for name in ("x.jpg", "y.jpg"):
        write_picture(tmp_path / "data" / "images" / name, *SIZE)
    classes, [first, second] = prepared(tmp_path / "data")
    assert_objects(first, classes, [("cat", LEFT), ("dog", RIGHT)])
    assert_objects(second, classes, [("dog", RIGHT)])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_three_hundred_objects(tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str):
    """16 bits: 300 does not become 44, and training says how many it leaves out."""
    labels = np.arange(1, 301, dtype=np.uint16).reshape(15, 20).repeat(2, axis=0).repeat(2, axis=1)
    write_image(tmp_path / "data" / "masks" / f"x{suffix}", labels)
    write_picture(tmp_path / "data" / "images" / "x.png", *labels.shape)
    prepare(tmp_path / "data", tmp_path / "out")
    source = open_source(CocoSource(tmp_path / "out"))
    example = source[0]
    assert source.num_objects.tolist() == [300]
    # The last is in the corner, the 44th in the third row of squares, fourth from the left.
    np.testing.assert_array_equal(example.masks[299], block(labels.shape, slice(28, 30), slice(38, 40)))
    np.testing.assert_array_equal(example.masks[43], block(labels.shape, slice(4, 6), slice(6, 8)))
    with caplog.at_level(logging.WARNING):
        warn_of_overflow(source, DataConfig.max_objects)
    assert "more than max_objects = 100 objects in 1 image (in one 300)" in caplog.text


def test_palettes_hold_numbers(tmp_path: Path):
    image = Image.frombytes("P", SIZE[::-1], (LEFT + RIGHT * 2).tobytes())
    image.putpalette([0, 0, 0, 200, 0, 0, 200, 0, 0])  # Both objects red: only the numbers tell them apart.
    image.save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_label_image(tmp_path / "x.png"), LEFT + RIGHT * 2)


def test_colours_are_no_numbers(tmp_path: Path):
    coloured = np.stack([LEFT * 200, RIGHT * 200, LEFT], axis=-1).astype(np.uint8)
    write_image(tmp_path / "data" / "masks" / "x.png", coloured)
    write_picture(tmp_path / "data" / "images" / "x.png", *SIZE)
    with pytest.raises(
        DatasetError, match=r"^\S+data: masks that cannot be used: .*x\.png: its pixels are colours; .*image$"
    ):
        open_dataset(tmp_path / "data")
    write_image(tmp_path / "gray.png", (LEFT + RIGHT * 2).astype(np.uint8), "RGBA")
    np.testing.assert_array_equal(read_label_image(tmp_path / "gray.png"), LEFT + RIGHT * 2)


def test_run_length_codes_are_those_of_pycocotools():
    labels = np.random.default_rng(0).integers(0, 5, (9, 7))
    found = object_masks(labels)
    assert list(found) == [1, 2, 3, 4]
    # Also one that goes from the first pixel to the last.
    for image, number in [*((labels, number) for number in found), (np.full((3, 4), 9), 9)]:
        expected = reference.encode(np.asfortranarray(image == number, np.uint8))
        assert object_masks(image)[number] == expected | {"counts": expected["counts"].decode()}
    assert object_masks(np.zeros((3, 4), int)) == {}


def test_black_and_white_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Two objects in white would silently be one."""
    write_image(tmp_path / "data" / "masks" / "x.png", (LEFT | RIGHT) * np.uint8(255))
    write_picture(tmp_path / "data" / "images" / "x.png", *SIZE)
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert "for one object; number the objects 1, 2, … if there are more: masks/x.png" in caplog.text
    assert_objects(example, classes, [("object", LEFT | RIGHT)])


def disc(size: tuple[int, int], centre: tuple[int, int], radius: int) -> np.ndarray:
    """White on black, with soft edges: each pixel's share of a disc, from 16 samples."""
    fine = np.zeros((4 * size[0], 4 * size[1]), np.uint8)
    cv2.circle(fine, (4 * centre[0], 4 * centre[1]), 4 * radius, 255, -1)
    return cv2.resize(fine, size[::-1], interpolation=cv2.INTER_AREA)


def folder_of_masks(folder: Path, masks: dict[str, np.ndarray | bytes]) -> Path:
    """Images with a mask each, or bytes that are its file."""
    for name, mask in masks.items():
        path = folder / "masks" / name
        if isinstance(mask, bytes):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mask)
        else:
            write_image(path, mask)
        size = np.asarray(Image.open(path)).shape[:2]
        write_picture(folder / "images" / f"{path.stem}.png", *size)
    return folder


SOFT_DISC = disc((64, 96), (40, 30), 15)
"""Of the area 15² π = 707."""


def jpeg(values: np.ndarray, quality: int = 75) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "JPEG", quality=quality)
    return file.getvalue()


@pytest.mark.parametrize(
    "mask",
    [
        SOFT_DISC,
        cv2.GaussianBlur(SOFT_DISC, (0, 0), 2),
        jpeg(SOFT_DISC),
        jpeg(np.repeat(SOFT_DISC[..., None], 3, axis=2), 50),
        SOFT_DISC.astype(np.uint16) * 257,
    ],
)
@pytest.mark.parametrize("is_single", [False, True])
def test_a_white_object_with_soft_edges_is_one_from_half_the_range_on(tmp_path: Path, caplog, mask, is_single: bool):
    data = folder_of_masks(tmp_path / "data" / "one" if is_single else tmp_path / "data", {"x.png": mask})
    with caplog.at_level(logging.WARNING):
        _, [example] = prepared(data.parent if is_single else data)
    [found] = example.masks
    assert abs(int(found.sum()) - 707) < 20
    assert found[30, 40] == 1 and found[30, 40 - 17] == 0
    assert ("from half the range on" in caplog.text) and "masks/x.png" in caplog.text


@pytest.mark.parametrize("scale", [0.5, 0.7, 1.5])
@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA])
def test_numbers_that_were_scaled_smoothly_are_refused(tmp_path: Path, scale: float, interpolation: int):
    labels = np.zeros((120, 160), np.uint8)
    for number in range(1, 31):
        column, row = (number - 1) % 6, (number - 1) // 6
        cv2.circle(labels, (20 + 24 * column, 15 + 22 * row), 10, (number * 7) % 31, -1)
    scaled = cv2.resize(labels, None, fx=scale, fy=scale, interpolation=interpolation)
    data = folder_of_masks(tmp_path / "data", {"x.png": scaled})
    if (scale, interpolation) == (1.5, cv2.INTER_AREA):  # Above 1 this is nearest neighbour and linear by turns.
        data = folder_of_masks(tmp_path / "data", {"x.png": cv2.blur(scaled, (3, 3))})
    with pytest.raises(
        DatasetError, match=r"masks/x\.png: its objects have soft edges, .* as PNG, .* nearest neighbour"
    ):
        open_dataset(data)
    nearest = cv2.resize(labels, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST)
    _, [example] = prepared(folder_of_masks(tmp_path / "data", {"x.png": nearest}))
    assert len(example.masks) == 30


def test_two_numbered_objects_scaled_smoothly(tmp_path: Path):
    """Between 1 and 9 there are no other objects."""
    labels = np.zeros((128, 192), np.uint8)
    labels[20:60, 10:70], labels[40:110, 100:160] = 1, 9
    halved = cv2.GaussianBlur(labels, (0, 0), 1)[::2, ::2]
    with pytest.raises(DatasetError, match="its objects have soft edges"):
        open_dataset(folder_of_masks(tmp_path / "data", {"x.png": halved}))


def test_numbers_in_a_jpeg_are_refused(tmp_path: Path):
    """Its values are not those that were written."""
    data = folder_of_masks(tmp_path / "data", {"x.jpg": jpeg((LEFT * 60 + RIGHT * 120).repeat(8, 0).repeat(8, 1))})
    with pytest.raises(DatasetError, match=r"masks/x\.jpg: its objects have soft edges"):
        open_dataset(data)


def test_touching_and_thin_objects_are_no_soft_edges(tmp_path: Path):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 200, (300, 2))
    y, x = np.mgrid[:200, :200]
    cells = np.argmin([(y - a) ** 2 + (x - b) ** 2 for a, b in points], axis=0).astype(np.uint16) + 1
    lines = np.zeros((200, 200), np.uint8)
    for number, ends in enumerate(rng.integers(0, 200, (30, 4)).tolist(), 1):
        cv2.line(lines, tuple(ends[:2]), tuple(ends[2:]), number, 1)
    dots = np.zeros((50, 50), np.uint8)
    dots[::5, ::5] = np.arange(100).reshape(10, 10) + 1
    for labels in (cells, lines, dots):
        assert not has_soft_edges(labels)


def test_a_mask_that_is_transparency(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Black all over, and opaque where the object is; or white, as drawing programs have it."""
    nucleus(tmp_path / "data" / "one")
    for name, colour, shape in (("a", 0, LEFT), ("b", 255, RIGHT)):
        colours = np.full((*SIZE, 3), colour, np.uint8)
        write_image(tmp_path / "data" / "one" / "masks" / f"{name}.png", np.dstack([colours, shape * np.uint8(255)]))
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", LEFT), ("object", RIGHT)])
    assert "of one colour from their transparency: one/masks/a.png, one/masks/b.png" in caplog.text


def test_a_mask_whose_colours_and_transparency_differ(tmp_path: Path):
    nucleus(tmp_path / "data" / "one")
    values = np.dstack([LEFT * np.uint8(255)] * 3 + [RIGHT * np.uint8(255)])
    write_image(tmp_path / "data" / "one" / "masks" / "a.png", values)
    with pytest.raises(DatasetError, match=r"a\.png: its colours and its transparency show different shapes"):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize(("low", "high"), [(1, 2), (1, 255), (100, 200)])
def test_the_darker_of_two_values_is_the_background(tmp_path: Path, caplog, low: int, high: int):
    nucleus(tmp_path / "data" / "one")
    write_image(tmp_path / "data" / "one" / "masks" / "a.png", (low + RIGHT * (high - low)).astype(np.uint8))
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", RIGHT)])
    assert "took the darker of the two values" in caplog.text


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (2 - RIGHT, "has no black, and its brighter value 2 fills most of the border, so that nothing tells which is"),
        (np.full(SIZE, 1, np.uint8), "is 1 everywhere; write 255 for the object and 0 elsewhere"),
        (
            np.arange(120, dtype=np.uint8).reshape(SIZE).repeat(8, 0).repeat(8, 1),
            "has values between 0 and 119 that are no",
        ),
        (np.full(SIZE, np.nan, np.float32), "has values that are no finite numbers"),
    ],
)
def test_a_mask_that_does_not_show_one_object(tmp_path: Path, values: np.ndarray, message: str):
    nucleus(tmp_path / "data" / "one")
    write_image(tmp_path / "data" / "one" / "masks" / "a.tif", values)
    with pytest.raises(DatasetError, match=rf"a\.tif: {message}"):
        open_dataset(tmp_path / "data")


def test_a_palette_of_an_object_counts_by_its_colours(tmp_path: Path):
    """Place 0 is white."""
    nucleus(tmp_path / "data" / "one")
    image = Image.frombytes("P", SIZE[::-1], (1 - LEFT).tobytes())
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(tmp_path / "data" / "one" / "masks" / "a.png")
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", LEFT)])


INSIDE = block(SIZE, slice(2, 8), slice(2, 9))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((1 - INSIDE) * 255, "masks whose object fills the image's whole border and leaves a hole; .*: masks/x.png"),
        (INSIDE * 0 + 1, "masks that cover their whole image: masks/x.png"),
        (LEFT * 255 + RIGHT * 3, "masks with a number 255 apart from the others; .*: masks/x.png"),
    ],
)
def test_numbers_that_may_be_no_objects_are_warned_of(tmp_path: Path, caplog, labels: np.ndarray, message: str):
    with caplog.at_level(logging.WARNING):
        open_dataset(folder_of_masks(tmp_path / "data", {"x.png": labels.astype(np.uint8)}))
    assert re.search(message, caplog.text)


def test_numbers_without_background(tmp_path: Path):
    """Numbers that cover an image are read; of one that surrounds the others nothing tells what it is."""
    halves = block(SIZE, slice(None), slice(0, 5)) + 1
    classes, [example] = prepared(folder_of_masks(tmp_path / "data", {"x.png": halves}))
    assert_objects(example, classes, [("object", (halves == 1).astype(np.uint8)), ("object", halves - 1)])
    with pytest.raises(DatasetError, match=r"x\.png: no pixel is 0, which is the background, and number 1 surrounds"):
        open_dataset(folder_of_masks(tmp_path / "data", {"x.png": INSIDE + 1}))


def test_colours_of_sixteen_bits_are_refused(tmp_path: Path):
    """Pillow would drop the lower half, in which the numbers are."""
    coded = cv2.imencode(".png", np.repeat(LEFT[..., None], 3, 2).astype(np.uint16) * 3)[1].tobytes()
    with pytest.raises(DatasetError, match=r"x\.png: has colours of 16 bits; write gray"):
        open_dataset(folder_of_masks(tmp_path / "data", {"x.png": coded}))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("drawn_upright", [False, True])
@pytest.mark.parametrize("side", [10, 12])
def test_masks_belong_to_the_raster_of_their_size(tmp_path: Path, caplog, orientation, drawn_upright, side):
    """The stored one if both have it, which is said."""
    image = np.zeros((side, 12, 3), np.uint8)
    image[2:4, 1:8] = 230
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    (tmp_path / "data" / "images").mkdir(parents=True)
    Image.fromarray(image).save(tmp_path / "data" / "images" / "x.png", exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "data" / "images" / "x.png")))
    same_size = upright.shape == image.shape
    shown = upright if drawn_upright and not same_size else image
    write_image(tmp_path / "data" / "masks" / "x.png", (shown[..., 0] > 100).astype(np.uint8))
    with caplog.at_level(logging.WARNING):
        _, [example] = prepared(tmp_path / "data")
    np.testing.assert_array_equal(example.image, shown)
    assert (example.image[example.masks[0] > 0] == 230).all()
    assert ("both rasters have the masks' size" in caplog.text) == (same_size and orientation > 1)


def test_files_that_differ_in_their_ending_only(tmp_path: Path):
    """One would silently take the other's place."""
    write_image(tmp_path / "data" / "masks" / "x.png", LEFT)
    write_image(tmp_path / "data" / "masks" / "x.tif", RIGHT)
    write_picture(tmp_path / "data" / "images" / "x.jpg", *SIZE)
    with pytest.raises(DatasetError, match=r"differ in their ending only; .*: masks/x\.png and x\.tif"):
        open_dataset(tmp_path / "data")


def test_an_image_that_is_none(tmp_path: Path):
    write_image(tmp_path / "data" / "masks" / "x.png", LEFT)
    (tmp_path / "data" / "images").mkdir()
    (tmp_path / "data" / "images" / "x.jpg").write_text("hello")
    with pytest.raises(DatasetError, match=r"images that cannot be used: images/x\.jpg: not an image but text"):
        open_dataset(tmp_path / "data")


def test_pictures_and_masks_that_have_no_partner(tmp_path: Path):
    write_image(tmp_path / "data" / "masks" / "x.png", LEFT)
    write_image(tmp_path / "data" / "masks" / "z.png", LEFT)
    for name in ("x.png", "y.png"):
        write_picture(tmp_path / "data" / "images" / name, *SIZE)
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path / "data")
    assert "masks without a picture of the same name in images/: masks/z.png" in str(error.value)
    assert "one without objects needs a mask of zeros: images/y.png" in str(error.value)


def test_masks_that_cannot_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    nucleus(tmp_path / "data" / "one", a=LEFT, b=LEFT[:-1], d=LEFT * 0)
    (tmp_path / "data" / "one" / "masks" / "c.png").write_text("no image")
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path / "data")
    assert "masks of another size than their picture's other masks; write them again: one/masks/b.png" in str(
        error.value
    )
    assert "c.png: not an image but text (8 bytes)" in str(error.value)
    for name in "bc":
        (tmp_path / "data" / "one" / "masks" / f"{name}.png").unlink()
    with caplog.at_level(logging.WARNING):
        open_dataset(tmp_path / "data")
    assert "left out objects that cover no pixel of their picture: one/masks/d.png" in caplog.text


def test_a_picture_of_another_size_than_its_mask(tmp_path: Path):
    write_image(tmp_path / "data" / "masks" / "x.png", LEFT)
    write_picture(tmp_path / "data" / "images" / "x.png", 12, 10)
    with pytest.raises(DatasetError, match=r"images/x\.png: the file has 12×10 pixels .*, its annotation says 10×12"):
        prepared(tmp_path / "data")


def test_folders_that_need_one_picture(tmp_path: Path):
    nucleus(tmp_path / "data" / "one", a=LEFT)
    write_picture(tmp_path / "data" / "one" / "images" / "more.png", *SIZE)
    with pytest.raises(DatasetError, match=r"folders that need one picture each in images/: .*one \(2\)"):
        open_dataset(tmp_path / "data")


def test_masks_beside_folders_of_classes(tmp_path: Path):
    nucleus(tmp_path / "data" / "one", a=LEFT)
    write_image(tmp_path / "data" / "one" / "masks" / "cell" / "b.png", RIGHT)
    with pytest.raises(DatasetError, match=r"move each into the folder of its class: .*masks/a\.png"):
        open_dataset(tmp_path / "data")


def test_hidden_files_are_not_read(tmp_path: Path):
    nucleus(tmp_path / "data" / "one", a=LEFT)
    for hidden in ("one/masks/._a.png", "one/images/._one.png", ".DS_Store"):
        (tmp_path / "data" / hidden).write_bytes(b"\0")
    assert_objects(prepared(tmp_path / "data")[1][0], ("object",), [("object", LEFT)])


def test_masks_without_objects(tmp_path: Path):
    write_picture(tmp_path / "data" / "images" / "x.jpg", *SIZE)
    write_image(tmp_path / "data" / "masks" / "x.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(DatasetError, match=r"^\S+data: no objects; annotate some: 1 picture$"):
        open_dataset(tmp_path / "data")
