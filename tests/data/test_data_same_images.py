import logging
from pathlib import Path

import pytest
from conftest import WriteCoco, instances, square
from prepared import write_image, write_json

from maskrcnn_jax.data.prepare.run import prepare

OBJECTS = [square(n, 10 * n, 7, 2, 3, 5) for n in (1, 2, 3)]


def warnings(folder: Path, caplog: pytest.LogCaptureFixture, **options) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        prepare(folder, folder.parent / "out", **options)
    return [record.getMessage() for record in caplog.records]


def test_frames_of_two_splits_in_one_folder(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = tmp_path / "coco"
    content = instances(OBJECTS, size=(10, 12))
    for split in ("train", "val"):
        write_json(folder / "annotations" / f"instances_{split}.json", content)
    for image in content["images"]:
        write_image(folder / "images" / image["file_name"], 10, 12)
    [said] = [line for line in warnings(folder, caplog) if "two splits" in line]
    assert "coco: 3 images in two splits, so that one is scored on what another trains on" in said
    assert said.endswith("010.png in 'train' and 'val', 020.png in 'train' and 'val', 030.png in 'train' and 'val'")


def test_copies_of_one_name(write_coco: WriteCoco, caplog: pytest.LogCaptureFixture):
    # The writer draws each image by its id alone, so both splits hold the same three files.
    folder = write_coco(train=instances(OBJECTS), val=instances(OBJECTS))
    assert any("3 images in two splits" in line for line in warnings(folder, caplog))


def test_other_images_of_the_same_name_are_others(write_coco: WriteCoco, caplog: pytest.LogCaptureFixture):
    other = instances(OBJECTS, size=(44, 60))
    folder = write_coco(train=instances(OBJECTS), val=other)
    assert not any("two splits" in line for line in warnings(folder, caplog))


def test_parts_of_an_undivided_data_set(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """An image that is listed twice may come to lie on both sides."""
    content = instances([square(n, 10 * n, 7, 2, 3, 5) for n in range(1, 41)], images=40, size=(10, 12))
    for image in content["images"]:
        image["file_name"] = "a.png"
    write_json(tmp_path / "coco" / "result.json", content)
    write_image(tmp_path / "coco" / "a.png", 10, 12)
    [said] = [line for line in warnings(tmp_path / "coco", caplog, validation_share=0.5) if "two splits" in line]
    assert "a.png in 'train' and 'val'" in said
