"""COCO's annotations and images, read without `prepare`."""

import logging
import pickle
from pathlib import Path

import numpy as np
import pytest
from conftest import WriteCoco, instances, square

from maskrcnn_jax.config import CocoFolder, CocoSource, ConfigError
from maskrcnn_jax.data import BrokenImage, ImageSource
from maskrcnn_jax.data.prepare.run import prepare

OBJECTS = [
    square(1, 10, 7, 2, 3, 10),
    square(2, 10, 3, 20.5, 5, 15.25),
    square(3, 20, 7, 5, 5, 30, iscrowd=1),
    square(4, 40, 3, 0, 0, 4),
]
"""Of the images 10, 20, 30, 40 the second has a crowd alone, the third nothing."""


@pytest.fixture
def folder(write_coco: WriteCoco) -> Path:
    return write_coco(train=instances(OBJECTS, images=4))


def source_of(folder: Path, keep_empty: bool = False) -> CocoFolder:
    return CocoFolder(folder / "annotations" / "instances_train.json", folder / "train", keep_empty)


@pytest.mark.parametrize("keep_empty", [False, True])
def test_it_is_what_prepare_writes(folder: Path, tmp_path: Path, keep_empty: bool):
    prepare(folder, tmp_path / "out")
    written, read = CocoSource(tmp_path / "out", "train", keep_empty).open(), source_of(folder, keep_empty).open()
    assert isinstance(read, ImageSource) and len(read) == len(written) == (4 if keep_empty else 2)
    assert read.coco() == written.coco()
    for name in ("class_names", "category_ids", "image_ids", "file_names", "has_masks"):
        assert getattr(read, name) == getattr(written, name)
    np.testing.assert_array_equal(read.sizes, written.sizes)
    np.testing.assert_array_equal(read.num_objects, written.num_objects)
    for index in range(len(read)):
        a, b = pickle.loads(pickle.dumps(read))[index], written[index]
        for x, y in zip(a[:5], b[:5], strict=True):
            np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(list(a.masks), list(b.masks))


def test_what_is_left_out_is_counted_once(write_coco: WriteCoco, caplog: pytest.LogCaptureFixture):
    # The third annotation's box lies outside its image of 40 × 60 pixels, unlike its mask.
    content = instances([*OBJECTS, square(9, 40, 3, 5, 5, 6, bbox=[70, 5, 6, 6])], images=4)
    caplog.set_level(logging.WARNING)
    source_of(write_coco(train=content)).open()
    lines = [record.getMessage() for record in caplog.records]
    assert sum("dropped 1 annotation, box of zero or negative size or outside" in line for line in lines) == 1
    [line] = [line for line in lines if "left out 2 images without an object that is no crowd" in line]
    assert line.endswith("20, 30")


def test_a_file_that_is_gone_is_a_broken_image(folder: Path):
    source = source_of(folder).open()
    (folder / "train" / "010.png").unlink()
    with pytest.raises(BrokenImage, match=r"image 10 \(010.png\): cannot be read"):
        source[0]


def test_errors_say_what_is_wrong(folder: Path):
    found = source_of(folder)
    with pytest.raises(ConfigError, match=r"annotations = .*: no such file"):
        CocoFolder(folder / "none.json", found.images).open()
    with pytest.raises(ConfigError, match=r"images = .*: no such folder"):
        CocoFolder(found.annotations, folder / "none").open()
    (found.images / "040.png").unlink()
    with pytest.raises(ConfigError, match=r"040.png"):
        found.open()
