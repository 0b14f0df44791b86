import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps
from prepared import assert_objects, block, prepared, write_image
from pycocotools import mask as reference

from maskrcnn_jax.config import CocoSource, DataConfig
from maskrcnn_jax.data.pipeline import warn_of_overflow
from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.formats.label_image import object_masks, read_label_image
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.run import prepare

SIZE = (10, 12)
LEFT, RIGHT = block(SIZE, slice(1, 5), slice(0, 3)), block(SIZE, slice(2, 10), slice(6, 12))


def write_mask(path: Path, values: np.ndarray, mode: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(values)
    (image if mode is None else image.convert(mode)).save(path)


def nucleus(folder: Path, **masks: np.ndarray) -> None:
    write_image(folder / "images" / f"{folder.name}.png", *SIZE)
    (folder / "masks").mkdir()
    for name, mask in masks.items():
        write_mask(folder / "masks" / f"{name}.png", mask * np.uint8(255))


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
    write_mask(tmp_path / "data" / "one" / "masks" / "a.png", LEFT * np.uint8(255), mode)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", LEFT)])


def test_folders_of_masks_are_classes(tmp_path: Path):
    for name, mask in (("cell", LEFT), ("debris", RIGHT)):
        write_mask(tmp_path / "data" / "one" / "masks" / name / "a.png", mask * np.uint8(255))
    write_image(tmp_path / "data" / "one" / "images" / "x.jpg", *SIZE)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("cell", LEFT), ("debris", RIGHT)])


def test_an_image_of_numbered_objects(tmp_path: Path):
    # Numbers may have gaps, and an object may be in two parts.
    labels = LEFT * 2 + RIGHT * 7
    labels[9, 0] = 2
    write_mask(tmp_path / "data" / "masks" / "x.png", labels)
    write_mask(tmp_path / "data" / "masks" / "y.png", labels * 0)
    for name in ("x.jpg", "y.jpg"):
        write_image(tmp_path / "data" / "images" / name, *SIZE)
    classes, [first, second] = prepared(tmp_path / "data", class_name="cell")
    assert_objects(first, classes, [("cell", (labels == 2).astype(np.uint8)), ("cell", RIGHT)])
    assert_objects(second, classes, [])


def test_numbered_objects_of_classes(tmp_path: Path):
    write_mask(tmp_path / "data" / "masks" / "cat" / "x.png", LEFT)
    write_mask(tmp_path / "data" / "masks" / "dog" / "x.png", RIGHT)
    write_mask(tmp_path / "data" / "masks" / "dog" / "y.png", RIGHT)
    for name in ("x.jpg", "y.jpg"):
        write_image(tmp_path / "data" / "images" / name, *SIZE)
    classes, [first, second] = prepared(tmp_path / "data")
    assert_objects(first, classes, [("cat", LEFT), ("dog", RIGHT)])
    assert_objects(second, classes, [("dog", RIGHT)])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_three_hundred_objects(tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str):
    """16 bits: 300 does not become 44, and training says how many it leaves out."""
    labels = np.arange(1, 301, dtype=np.uint16).reshape(15, 20).repeat(2, axis=0).repeat(2, axis=1)
    write_mask(tmp_path / "data" / "masks" / f"x{suffix}", labels)
    write_image(tmp_path / "data" / "images" / "x.png", *labels.shape)
    prepare(tmp_path / "data", tmp_path / "out")
    source = CocoSource(tmp_path / "out").open()
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
    write_mask(tmp_path / "data" / "masks" / "x.png", coloured)
    write_image(tmp_path / "data" / "images" / "x.png", *SIZE)
    with pytest.raises(
        DatasetError, match=r"^\S+data: masks that cannot be used: .*x\.png: its pixels are colours; .*image$"
    ):
        open_dataset(tmp_path / "data")
    write_mask(tmp_path / "gray.png", (LEFT + RIGHT * 2).astype(np.uint8), "RGBA")
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
    write_mask(tmp_path / "data" / "masks" / "x.png", (LEFT | RIGHT) * np.uint8(255))
    write_image(tmp_path / "data" / "images" / "x.png", *SIZE)
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert "for one object; number the objects 1, 2, … if there are more: masks/x.png" in caplog.text
    assert_objects(example, classes, [("object", LEFT | RIGHT)])


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
    write_mask(tmp_path / "data" / "masks" / "x.png", (shown[..., 0] > 100).astype(np.uint8))
    with caplog.at_level(logging.WARNING):
        _, [example] = prepared(tmp_path / "data")
    np.testing.assert_array_equal(example.image, shown)
    assert (example.image[example.masks[0] > 0] == 230).all()
    assert ("both rasters have the masks' size" in caplog.text) == (same_size and orientation > 1)


def test_masks_may_be_gif(tmp_path: Path):
    """As those of the Carvana data are; a palette of black and white."""
    write_mask(tmp_path / "data" / "masks" / "x.gif", LEFT * np.uint8(255))
    write_image(tmp_path / "data" / "images" / "x.jpg", *SIZE)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", LEFT)])


def test_an_image_of_a_kind_that_is_not_decoded_is_named(tmp_path: Path):
    write_mask(tmp_path / "data" / "masks" / "x.png", LEFT)
    (tmp_path / "data" / "images").mkdir()
    (tmp_path / "data" / "images" / "x.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    with pytest.raises(DatasetError, match=r"images/x\.HEIC: HEIC is not decoded .*; convert it to JPEG"):
        open_dataset(tmp_path / "data")


def test_files_that_are_no_images_are_left_out_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    nucleus(tmp_path / "data" / "one", a=LEFT)
    np.save(tmp_path / "data" / "one" / "masks" / "b.npy", RIGHT)
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", LEFT)])
    assert "left out files whose names do not end as an image's does: one/masks/b.npy" in caplog.text


def test_files_that_differ_in_their_ending_only(tmp_path: Path):
    """One would silently take the other's place."""
    write_mask(tmp_path / "data" / "masks" / "x.png", LEFT)
    write_mask(tmp_path / "data" / "masks" / "x.tif", RIGHT)
    write_image(tmp_path / "data" / "images" / "x.jpg", *SIZE)
    with pytest.raises(DatasetError, match=r"differ in their ending only; .*: masks/x\.png and x\.tif"):
        open_dataset(tmp_path / "data")


def test_an_image_that_is_none(tmp_path: Path):
    write_mask(tmp_path / "data" / "masks" / "x.png", LEFT)
    (tmp_path / "data" / "images").mkdir()
    (tmp_path / "data" / "images" / "x.jpg").write_text("hello")
    with pytest.raises(DatasetError, match=r"images that cannot be used: images/x\.jpg: not an image but text"):
        open_dataset(tmp_path / "data")


def test_images_and_masks_that_have_no_partner(tmp_path: Path):
    write_mask(tmp_path / "data" / "masks" / "x.png", LEFT)
    write_mask(tmp_path / "data" / "masks" / "z.png", LEFT)
    for name in ("x.png", "y.png"):
        write_image(tmp_path / "data" / "images" / name, *SIZE)
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path / "data")
    assert "masks without an image of the same name in images/: masks/z.png" in str(error.value)
    assert "one without objects needs a mask of zeros: images/y.png" in str(error.value)


def test_masks_that_cannot_be_used(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    nucleus(tmp_path / "data" / "one", a=LEFT, b=LEFT[:-1], d=LEFT * 0)
    (tmp_path / "data" / "one" / "masks" / "c.png").write_text("no image")
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path / "data")
    assert "masks of another size than their image's other masks; write them again: one/masks/b.png" in str(error.value)
    assert "c.png: not an image but text (8 bytes)" in str(error.value)
    for name in "bc":
        (tmp_path / "data" / "one" / "masks" / f"{name}.png").unlink()
    with caplog.at_level(logging.WARNING):
        open_dataset(tmp_path / "data")
    assert "left out objects that cover no pixel of their image: one/masks/d.png" in caplog.text


def test_an_image_of_another_size_than_its_mask(tmp_path: Path):
    write_mask(tmp_path / "data" / "masks" / "x.png", LEFT)
    write_image(tmp_path / "data" / "images" / "x.png", 12, 10)
    with pytest.raises(DatasetError, match=r"images/x\.png: the file has 12×10 pixels .*, its annotation says 10×12"):
        prepared(tmp_path / "data")


def test_folders_that_need_one_image(tmp_path: Path):
    nucleus(tmp_path / "data" / "one", a=LEFT)
    write_image(tmp_path / "data" / "one" / "images" / "more.png", *SIZE)
    with pytest.raises(DatasetError, match=r"folders that need one image each in images/: .*one \(2\)"):
        open_dataset(tmp_path / "data")


def test_masks_beside_folders_of_classes(tmp_path: Path):
    nucleus(tmp_path / "data" / "one", a=LEFT)
    write_mask(tmp_path / "data" / "one" / "masks" / "cell" / "b.png", RIGHT)
    with pytest.raises(DatasetError, match=r"move each into the folder of its class: .*masks/a\.png"):
        open_dataset(tmp_path / "data")


def test_hidden_files_are_not_read(tmp_path: Path):
    nucleus(tmp_path / "data" / "one", a=LEFT)
    for hidden in ("one/masks/._a.png", "one/images/._one.png", ".DS_Store"):
        (tmp_path / "data" / hidden).write_bytes(b"\0")
    assert_objects(prepared(tmp_path / "data")[1][0], ("object",), [("object", LEFT)])


def test_masks_without_objects(tmp_path: Path):
    write_image(tmp_path / "data" / "images" / "x.jpg", *SIZE)
    write_mask(tmp_path / "data" / "masks" / "x.png", np.zeros(SIZE, np.uint8))
    with pytest.raises(DatasetError, match=r"^\S+data: no objects; annotate some: 1 image$"):
        open_dataset(tmp_path / "data")
