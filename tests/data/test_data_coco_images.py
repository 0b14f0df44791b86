import json
import logging
from pathlib import Path

import numpy as np
import pytest
from conftest import WriteCoco, instances, make_image, square
from PIL import Image
from prepared import prepared

from maskrcnn_jax.data.prepare.coco.images import CocoImages
from maskrcnn_jax.data.prepare.finder.image_entry import ImageEntry
from maskrcnn_jax.data.prepare.finder.image_finder import ImageFinder
from maskrcnn_jax.data.prepare.problems import DatasetError, Refused
from maskrcnn_jax.data.prepare.read_options import Raster, ReadOptions
from maskrcnn_jax.data.prepare.run import prepare

ORIENTATION = 0x0112
HEIGHT, WIDTH = 40, 60

STORED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
"""What a camera stores of an upright image, by EXIF's definition: 6 says that the first row is the right-hand side, so
the stored image is the upright one turned to the left."""


def write_turned(path: Path, orientation: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Writes an image with an EXIF orientation; returns it upright."""
    upright = make_image(*size, seed=orientation)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(STORED[orientation](upright))).save(path, exif=exif)
    return upright


def locate(folder: Path, size: tuple[int, int] | None, raster: Raster | None = None):
    images = CocoImages(ImageFinder([folder], folder), ReadOptions(raster=raster))
    return images.locate(ImageEntry(1, "a.png", size))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("raster", [None, "stored", "upright"])
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (50, 50)])
def test_the_raster_is_that_of_the_option_or_the_size_or_the_stored_one(
    tmp_path: Path, orientation: int, raster: Raster | None, size: tuple[int, int]
):
    write_turned(tmp_path / "a.png", orientation, size)
    height, width = size
    swapped = (width, height) if orientation >= 5 else size
    by_size = locate(tmp_path, size, raster)
    assert by_size.size == (swapped if raster == "stored" else size)
    is_told = orientation >= 5 and height != width
    expected = {"stored": False, "upright": True, None: is_told}[raster]
    assert by_size.upright == (expected and orientation != 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_without_a_size_it_is_the_stored_raster(tmp_path: Path, orientation: int):
    write_turned(tmp_path / "a.png", orientation)
    stored = (WIDTH, HEIGHT) if orientation >= 5 else (HEIGHT, WIDTH)
    located = locate(tmp_path, None)
    assert (located.size, located.upright) == (stored, False)


def test_a_size_of_neither_raster_is_the_fault_of_the_image(tmp_path: Path):
    write_turned(tmp_path / "a.png", 6)
    with pytest.raises(Refused) as error:
        locate(tmp_path, (41, 60))
    # Stored on its side: 60 high, 40 wide.
    assert error.value.args[1] == "a.png (the file has 60×40 pixels, height×width, the entry 41×60)"


@pytest.mark.parametrize("raster", ["stored", "upright"])
@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_the_chosen_raster_is_what_is_trained_on(tmp_path: Path, orientation: int, raster: Raster):
    folder = tmp_path / "coco"
    folder.mkdir()
    upright = write_turned(folder / "train" / "010.png", orientation, (50, 50))
    content = instances([square(1, 10, 7, 2, 3, 10)], images=1, size=(50, 50))
    write(folder, content)
    _, [example] = prepared(folder, raster=raster)
    wanted = upright if raster == "upright" else STORED[orientation](upright)
    np.testing.assert_array_equal(example.image, wanted)


def write(folder: Path, content: dict) -> None:
    (folder / "annotations").mkdir()
    (folder / "annotations" / "instances_train.json").write_text(json.dumps(content))


def test_one_warning_names_the_choice_and_the_flag(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = tmp_path / "coco"
    for number, orientation in ((10, 3), (20, 1), (30, 6)):
        write_turned(folder / "train" / f"{number:03d}.png", orientation)
    # The third is annotated as it is upright.
    write(folder, instances([square(1, 10, 7, 2, 3, 10)]))
    with caplog.at_level(logging.WARNING):
        prepare(folder, tmp_path / "out")
    turned = [record.getMessage() for record in caplog.records if "EXIF" in record.getMessage()]
    assert len(turned) == 2
    assert "1 image with an EXIF orientation" in turned[0]
    assert turned[0].endswith("took the stored one (--raster stored or --raster upright chooses): 010.png")
    assert turned[1].endswith("took the upright one (--raster stored or --raster upright chooses): 030.png")
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        prepare(folder, tmp_path / "chosen", raster="upright")
    assert "EXIF" not in caplog.text


def test_images_that_are_no_images_or_missing(write_coco: WriteCoco, tmp_path: Path):
    folder = write_coco(train=instances([square(1, 10, 7, 2, 3, 10)]))
    (folder / "train" / "010.png").write_bytes(b"<html>")
    (folder / "train" / "020.png").unlink()
    with pytest.raises(DatasetError) as error:
        prepare(folder, tmp_path / "out")
    assert "images that cannot be used: 010.png: not an image" in str(error.value)
    assert "; add the files, or name their folder (--images): 020.png" in str(error.value)
