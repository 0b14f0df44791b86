import logging
from pathlib import Path

import numpy as np
import pytest
from prepared import assert_objects, block, mean_under, prepared, write_image, write_json, write_turned

from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.data.prepare.run import prepare

SIZE = (10, 12)
SQUARE = {"name": "polygon", "all_points_x": [2, 5, 5, 2], "all_points_y": [3, 3, 6, 6]}
SQUARE_PIXELS = block(SIZE, slice(3, 7), slice(2, 6))


def region(shape: dict = SQUARE, **attributes) -> dict:
    return {"shape_attributes": shape, "region_attributes": attributes}


def entries(*names: str, regions: list | dict | None = None) -> dict:
    found = [region()] if regions is None else regions
    return {f"{name}12": {"filename": name, "size": 12, "regions": found, "file_attributes": {}} for name in names}


def write_images(folder: Path, *names: str) -> None:
    for name in names:
        write_image(folder / name, *SIZE)


@pytest.mark.parametrize("size", [(64, 96), (64, 64)])
@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_points_refer_to_the_image_as_browsers_show_it(tmp_path: Path, orientation: int | None, size: tuple[int, int]):
    upright = np.full(size, 40, np.uint8)
    upright[6:20, 4:28] = 230
    write_turned(tmp_path / "data" / "a.jpg", upright, orientation)
    # The numbers of the first and the last bright pixel.
    bright = {"name": "polygon", "all_points_x": [4, 27, 27, 4], "all_points_y": [6, 6, 19, 19]}
    write_json(tmp_path / "data" / "via.json", entries("a.jpg", regions=[region(bright)]))
    _, [example] = prepared(tmp_path / "data")
    assert example.image.shape[:2] == size
    assert example.masks[0].sum() == 14 * 24
    assert mean_under(example) == pytest.approx(230, abs=3)


def test_a_project_and_its_export_are_one_data_set(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_json(tmp_path / "data" / "project.json", {"_via_img_metadata": entries("a.png"), "_via_settings": {}})
    numbered = entries("a.png", regions={"0": region()})  # As version 1 writes the same.
    write_json(tmp_path / "data" / "export.json", numbered)
    write_images(tmp_path / "data", "a.png")
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("object", SQUARE_PIXELS)])
    assert "took images once that several VIA files annotate alike: project.json: a.png\n" in caplog.text


def test_files_of_parts_are_put_together(tmp_path: Path):
    write_json(tmp_path / "data" / "one.json", entries("a.png"))
    write_json(tmp_path / "data" / "two.json", entries("b.png", "c.png"))
    write_images(tmp_path / "data", "a.png", "b.png", "c.png")
    _, examples = prepared(tmp_path / "data")
    assert [example.labels.tolist() for example in examples] == [[0], [0], [0]]


def test_files_that_list_all_images_and_annotate_some(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    write_json(tmp_path / "data" / "one.json", entries("a.png") | entries("b.png", "c.png", regions=[]))
    write_json(tmp_path / "data" / "two.json", entries("b.png") | entries("a.png", "c.png", regions=[]))
    write_images(tmp_path / "data", "a.png", "b.png", "c.png")
    with caplog.at_level(logging.WARNING):
        classes, found = prepared(tmp_path / "data")
    assert len(found) == 3
    for example, objects in zip(found, ([SQUARE_PIXELS], [SQUARE_PIXELS], []), strict=True):
        assert_objects(example, classes, [("object", mask) for mask in objects])
    assert "images that others list without any: one.json: a.png, two.json: b.png" in caplog.text


def test_one_name_in_two_folders_is_two_images(tmp_path: Path):
    for part in ("one", "two"):
        write_json(tmp_path / "data" / part / "via.json", entries("a.png"))
        write_images(tmp_path / "data" / part, "a.png")
    [split] = open_dataset(tmp_path / "data").splits
    assert [image.file_name for image in split.read().images] == ["one/a.png", "two/a.png"]


def test_files_that_annotate_an_image_differently(tmp_path: Path):
    write_json(tmp_path / "data" / "one.json", entries("a.png"))
    write_json(tmp_path / "data" / "two.json", entries("a.png", regions=[region(), region()]))
    write_images(tmp_path / "data", "a.png")
    with pytest.raises(
        DatasetError, match=r"several VIA files annotate differently.*: a\.png \(one\.json, two\.json\)$"
    ):
        open_dataset(tmp_path / "data")


def test_an_image_listed_twice_in_one_file(tmp_path: Path):
    both = {size: entry for size, entry in zip("12", [*entries("a.png").values()] * 2, strict=True)}
    write_json(tmp_path / "data" / "via.json", both)
    write_images(tmp_path / "data", "a.png")
    with pytest.raises(DatasetError, match=r"annotated twice; remove one of the annotations: a\.png"):
        open_dataset(tmp_path / "data")


def test_splits_that_are_not_annotated(tmp_path: Path):
    for split in ("train", "val", "test"):
        write_images(tmp_path / "data" / split, "a.png")
    write_json(tmp_path / "data" / "train" / "via.json", entries("a.png"))
    with pytest.raises(DatasetError, match=r"val: holds no VIA file; add it, or name the splits that have one"):
        open_dataset(tmp_path / "data")
    assert [split.name for split in open_dataset(tmp_path / "data", ReadOptions(("train",))).splits] == ["train"]
    write_json(tmp_path / "data" / "val" / "via.json", entries("a.png"))
    assert [split.name for split in open_dataset(tmp_path / "data").splits] == ["train", "val"]


def test_one_split_is_read_without_a_look_at_the_others(tmp_path: Path):
    write_json(tmp_path / "data" / "train" / "via.json", entries("a.png"))
    write_images(tmp_path / "data" / "train", "a.png")
    write_json(tmp_path / "data" / "val" / "one.json", entries("gone.png"))
    write_json(tmp_path / "data" / "val" / "two.json", entries("gone.png", regions=[]))
    prepare(tmp_path / "data", tmp_path / "out", ("train",))


@pytest.mark.parametrize("name", ["https://example.org/photos/a.png?size=full", "C:\\photos\\a.png", "/home/me/a.png"])
def test_names_of_other_machines(tmp_path: Path, name: str):
    write_json(tmp_path / "data" / "via.json", entries(name))
    write_images(tmp_path / "images", "a.png")
    with pytest.raises(DatasetError, match=r"missing, looked for in .*, or name their folder \(--images\): "):
        open_dataset(tmp_path / "data")
    classes, [example] = prepared(tmp_path / "data", images=tmp_path / "images")
    assert_objects(example, classes, [("object", SQUARE_PIXELS)])
