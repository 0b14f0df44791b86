import base64
import io
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from prepared import assert_objects, block, mean_under, prepared, write_image, write_json, write_turned

from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions

SIZE = (10, 12)
SQUARE = [[2.0, 3.0], [6.0, 3.0], [6.0, 7.0], [2.0, 7.0]]
SQUARE_PIXELS = block(SIZE, slice(3, 7), slice(2, 6))
"""Points are continuous: from 2 to 6 are the pixels 2, 3, 4, 5."""


def shape(label: str, points: list, kind: str | None = "polygon", **fields) -> dict:
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **fields}


def content(drawn: list, image: str = "a.png", **fields) -> dict:
    sides = {"imageHeight": SIZE[0], "imageWidth": SIZE[1]}
    return {"version": "5.5.0", "flags": {}, "shapes": drawn, "imagePath": image, "imageData": None, **sides, **fields}


def write(folder: Path, *shapes: dict, **fields) -> Path:
    """A data set of one image."""
    write_json(folder / "a.json", content(list(shapes), **fields))
    write_image(folder / "a.png", *SIZE)
    return folder


BRIGHT = [[4.0, 6.0], [28.0, 6.0], [28.0, 20.0], [4.0, 20.0]]


def with_bright_block(height: int, width: int) -> np.ndarray:
    upright = np.full((height, width), 40, np.uint8)
    upright[6:20, 4:28] = 230
    return upright


@pytest.mark.parametrize("size", [(64, 96), (64, 64)])
@pytest.mark.parametrize("orientation", [None, *range(1, 9)])
def test_points_refer_to_the_upright_image(tmp_path: Path, orientation: int | None, size: tuple[int, int]):
    write_turned(tmp_path / "data" / "a.jpg", with_bright_block(*size), orientation)
    sides = {"imageHeight": size[0], "imageWidth": size[1]}
    write_json(tmp_path / "data" / "a.json", content([shape("cat", BRIGHT)], "a.jpg", **sides))
    _, [example] = prepared(tmp_path / "data")
    assert example.image.shape[:2] == size
    assert example.masks[0].sum() == 14 * 24
    assert mean_under(example) == pytest.approx(230, abs=3)


def test_points_refer_to_the_stored_image_if_only_that_has_the_size(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """As tools annotate that ignore EXIF; upright the file has 96 × 64 pixels (height × width)."""
    stored = with_bright_block(64, 96)
    write_turned(tmp_path / "data" / "a.jpg", np.rot90(stored, -1), 6)
    sides = {"imageHeight": 64, "imageWidth": 96}
    write_json(tmp_path / "data" / "a.json", content([shape("cat", BRIGHT)], "a.jpg", **sides))
    with caplog.at_level(logging.WARNING):
        _, [example] = prepared(tmp_path / "data")
    assert mean_under(example) == pytest.approx(230, abs=3)
    assert "images are annotated as stored, not upright as their EXIF orientation says" in caplog.text


@pytest.mark.parametrize("side", [200_000, "tall", -5, 1.5, [10]])
def test_a_size_that_cannot_be_is_the_images_fault(tmp_path: Path, side: object):
    write(tmp_path / "data", shape("cat", SQUARE), shape("dog", SQUARE), imageHeight=side)
    with pytest.raises(DatasetError) as error:
        open_dataset(tmp_path / "data")
    assert str(error.value).count("a.json") == 1
    assert str(side)[:5] in str(error.value)


def coded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_the_copy_in_the_json_is_used_if_the_file_is_not_there(
    tmp_path: Path, prefix: str, caplog: pytest.LogCaptureFixture
):
    write(tmp_path / "data", shape("cat", SQUARE))
    copy = (tmp_path / "data" / "a.png").read_bytes()
    write_json(
        tmp_path / "data" / "a.json",
        content([shape("cat", SQUARE)], "..\\DSC_1.png", imageData=prefix + coded(tmp_path / "data" / "a.png")),
    )
    (tmp_path / "data" / "a.png").unlink()
    with caplog.at_level(logging.WARNING):
        classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("cat", SQUARE_PIXELS)])
    np.testing.assert_array_equal(example.image, np.asarray(Image.open(io.BytesIO(copy))))
    assert "took images from imageData in their JSON: " in caplog.text
    assert "a.json: ..\\DSC_1.png" in caplog.text


def test_the_copy_in_the_json_is_used_if_the_file_has_another_size(tmp_path: Path):
    write_image(tmp_path / "copy.png", *SIZE)
    write_json(tmp_path / "data" / "a.json", content([shape("cat", SQUARE)], imageData=coded(tmp_path / "copy.png")))
    write_image(tmp_path / "data" / "a.png", 20, 24)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("cat", SQUARE_PIXELS)])


def test_the_file_is_used_if_it_has_the_size(tmp_path: Path):
    write_image(tmp_path / "copy.png", *SIZE)
    write(tmp_path / "data", shape("cat", SQUARE), imageData=coded(tmp_path / "copy.png"))
    (tmp_path / "data" / "a.png").write_bytes(b"")
    Image.new("RGB", (12, 10), (1, 2, 3)).save(tmp_path / "data" / "a.png")
    _, [example] = prepared(tmp_path / "data")
    assert (example.image == [1, 2, 3]).all()


def test_the_copy_is_shown_as_stored(tmp_path: Path):
    """labelme turns an image before it copies it, and shows the copy as it is."""
    write_turned(tmp_path / "copy.jpg", with_bright_block(64, 64)[::-1], 4)
    sides = {"imageHeight": 64, "imageWidth": 64, "imageData": coded(tmp_path / "copy.jpg")}
    write_json(tmp_path / "data" / "a.json", content([shape("cat", BRIGHT)], "a.jpg", **sides))
    _, [example] = prepared(tmp_path / "data")
    assert mean_under(example) == pytest.approx(230, abs=3)


@pytest.mark.parametrize("copy", ["####", "bm8gaW1hZ2U=", 7, ["x"], {"a": 1}, "ä"])
def test_a_copy_that_is_no_image(tmp_path: Path, copy: object):
    write_json(tmp_path / "data" / "a.json", content([shape("cat", SQUARE)], imageData=copy))
    with pytest.raises(DatasetError, match=r"missing, looked for in .*a\.json: a\.png.*; .*imageData"):
        open_dataset(tmp_path / "data")


@pytest.mark.parametrize("name", [None, 7, ["a.png"], {}])
def test_an_image_without_a_name(tmp_path: Path, name: object):
    write_json(tmp_path / "data" / "a.json", content([shape("cat", SQUARE)], name))
    with pytest.raises(DatasetError, match=r"not named; write the name of the image file: \S+a\.json: imagePath "):
        open_dataset(tmp_path / "data")


def test_two_files_of_one_image(tmp_path: Path):
    write(tmp_path / "data", shape("cat", SQUARE))
    write_json(tmp_path / "data" / "b.json", content([shape("cat", SQUARE)]))
    with pytest.raises(DatasetError, match=r"annotated twice; remove one of the annotations: a\.png"):
        open_dataset(tmp_path / "data")


def test_images_beside_the_folder_of_annotations(tmp_path: Path):
    write_json(tmp_path / "data" / "labels" / "a.json", content([shape("cat", SQUARE)]))
    write_image(tmp_path / "data" / "images" / "a.png", *SIZE)
    classes, [example] = prepared(tmp_path / "data")
    assert_objects(example, classes, [("cat", SQUARE_PIXELS)])


def test_an_image_outside_the_data_set_is_asked_about(tmp_path: Path):
    write_image(tmp_path / "secret.png", *SIZE)
    write_json(tmp_path / "data" / "a.json", content([shape("cat", SQUARE)], "../secret.png"))
    with pytest.raises(DatasetError, match=r"outside .*; allow such images with --outside-images: "):
        open_dataset(tmp_path / "data")
    [split] = open_dataset(tmp_path / "data", ReadOptions(outside_images=True)).splits
    assert len(split.read().images) == 1


def test_text_in_another_encoding_that_happens_to_be_utf_8(tmp_path: Path):
    """图 in GB 18030 is CD BC, which is ͼ in UTF-8; the label would be another, too."""
    write_image(tmp_path / "data" / "图1.png", *SIZE)
    text = json.dumps(content([shape("猫", SQUARE)], "图1.png"), ensure_ascii=False)
    (tmp_path / "data" / "图1.json").write_bytes(text.encode("gb18030"))
    with pytest.raises(
        DatasetError, match=r"GB 18030.*iconv -f gb18030 -t utf-8.*图1\.json \(its image is not ͼ1\.png"
    ):
        open_dataset(tmp_path / "data")
    for encoding in ("utf-8-sig", "utf-16"):
        (tmp_path / "data" / "图1.json").write_bytes(text.encode(encoding))
        assert prepared(tmp_path / "data")[0] == ("猫",)
