"""A data set of a user's own, in a dozen lines."""

import itertools
import pickle
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest

from maskrcnn_jax.config import ConfigError, DataConfig, Resize, Source
from maskrcnn_jax.data import Example, Examples, ImageSource, train_batches


@dataclass(frozen=True)
class Discs(Source):
    """One white disc on black each, larger from image to image."""

    count: int = 6

    def open(self) -> Examples:
        """Draws all images."""
        masks = [cv2.circle(np.zeros((32, 48), np.uint8), (20, 16), 4 + i, 1, -1) for i in range(self.count)]
        images = [np.repeat(mask[..., None] * np.uint8(255), 3, axis=2) for mask in masks]
        return Examples(["disc"], [Example.of(images[i], 10 + i, [0], [masks[i]]) for i in range(self.count)])


def test_a_source_of_a_dozen_lines_gives_batches():
    transforms = (Resize((32,), 64),)
    config = DataConfig(batch_size=2, max_objects=2, mask_size=8, transforms=transforms, buckets=((32, 64),), threads=1)
    batches = train_batches(Discs().open(), config, seed=0, start_step=0)
    taken = list(itertools.islice(batches, 3))
    batches.close()
    ids = np.concatenate([batch.image_ids for batch in taken])
    boxes = np.concatenate([batch.ground_truth.boxes[:, 0] for batch in taken])
    assert sorted(ids) == [10, 11, 12, 13, 14, 15]
    # Image 10 + i has a disc of radius 4 + i about (20, 16): pixels 20 - r … 20 + r, so edges 20 - r and 21 + r.
    assert all(box.tolist() == [26 - i, 22 - i, 15 + i, 11 + i] for i, box in zip(ids, boxes, strict=True))


def test_what_is_not_given_comes_from_the_examples():
    source = Discs(3).open()
    assert isinstance(source, ImageSource) and len(source) == 3
    assert source.class_names == ("disc",) and source.category_ids == (1,) and source.has_masks
    assert source.sizes.tolist() == [[32, 48]] * 3 and source.sizes.dtype == np.int32
    assert source.num_objects.tolist() == [1, 1, 1]
    assert list(source.image_ids) == [10, 11, 12] and list(source.file_names) == ["10", "11", "12"]
    assert pickle.loads(pickle.dumps(source))[2].image_id == 12


def test_what_is_given_is_not_read():
    class Unreadable:
        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> Example:
            raise AssertionError("no example is read")

    given: dict[str, Any] = {
        "sizes": np.array([[8, 9]]), "num_objects": np.array([3]), "image_ids": [5], "file_names": ["a.png"],
        "category_ids": [7],
    }  # fmt: skip
    source = Examples(["x"], Unreadable(), **given)
    assert source.sizes.tolist() == [[8, 9]] and source.num_objects.tolist() == [3]
    assert (list(source.image_ids), list(source.file_names), source.category_ids) == ([5], ["a.png"], (7,))


def test_coco_form_of_examples():
    mask = np.zeros((4, 6), np.uint8)
    mask[1:3, 2:6] = 1
    crowd = np.zeros((4, 6), np.uint8)
    crowd[0, 0] = 1
    example = Example.of(np.zeros((4, 6, 3), np.uint8), 9, [1, 0], [mask, crowd], [False, True])
    examples = [example._replace(image_id=8), example]
    truth = Examples(["a", "b"], examples, category_ids=[3, 8], file_names=["p", "q"]).coco()
    assert truth["images"][1] == {"id": 9, "file_name": "q", "height": 4, "width": 6}
    assert truth["categories"] == [{"id": 3, "name": "a"}, {"id": 8, "name": "b"}]
    first, second, third, _ = truth["annotations"]
    # Height 2, width 4; COCO's box is x, y, width, height.
    assert (first["id"], first["category_id"], first["bbox"], first["area"]) == (1, 8, [2, 1, 4, 2], 8)
    assert (second["iscrowd"], second["category_id"], second["area"]) == (1, 3, 1) and third["id"] == 3
    assert first["segmentation"]["size"] == [4, 6]


def test_without_masks_there_is_no_segmentation():
    example = Example.of(np.zeros((4, 6, 3), np.uint8), 9, [0], [np.ones((4, 6), np.uint8)])
    (annotation,) = Examples(["a"], [example], has_masks=False).coco()["annotations"]
    assert "segmentation" not in annotation and annotation["area"] == 24


def test_objects_without_a_pixel_are_left_out():
    masks = [np.zeros((4, 6), np.uint8), np.ones((4, 6), np.uint8)]
    example = Example.of(np.zeros((4, 6, 3), np.uint8), 0, [0, 1], masks)
    assert example.labels.tolist() == [1] and example.boxes.tolist() == [[0, 0, 6, 4]] and len(example.masks) == 1
    assert Example.of(np.zeros((4, 6, 3), np.uint8), 0, [], []).boxes.shape == (0, 4)


GOOD = Example.of(np.zeros((4, 6, 3), np.uint8), 0, [0], [np.ones((4, 6), np.uint8)])


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (GOOD._replace(labels=np.array([2])), r"examples\[0\].labels = \[2\]: must lie in \[0, 2\)"),
        (GOOD._replace(image=np.zeros((4, 6), np.uint8)), r"examples\[0\].image = 'uint8 \(4, 6\)': must be uint8"),
        (GOOD._replace(image=np.zeros((4, 6, 3))), r"examples\[0\].image = 'float64"),
        (GOOD._replace(masks=[]), r"examples\[0\] = \(1, 1, 0\): boxes, is_crowd and masks must be one per object"),
    ],
)
def test_examples_of_another_form_are_errors(example: Example, message: str):
    with pytest.raises(ConfigError, match=message):
        Examples(["a", "b"], [example])[0]


def test_what_is_given_must_be_of_all_images():
    with pytest.raises(ConfigError, match="image_ids = 2: must be one per image, 1"):
        Examples(["a"], [GOOD], image_ids=[1, 2])
    with pytest.raises(ConfigError, match="category_ids"):
        Examples(["a"], [GOOD], category_ids=[1, 2])


def test_boolean_masks_are_stored_as_uint8():
    mask = np.zeros((4, 6), bool)
    mask[1:3, 2:5] = True
    example = Example.of(np.zeros((4, 6, 3), np.uint8), 1, [0], [mask])
    assert example.boxes.tolist() == [[2, 1, 5, 3]] and example.masks[0].dtype == np.uint8
    np.testing.assert_array_equal(example.masks[0], mask)


@pytest.mark.parametrize(
    ("labels", "is_crowd", "message"),
    [
        ([0, 1], None, r"labels of image 4 = 2: must be one per mask, 1"),
        ([], None, r"labels of image 4 = 0: must be one per mask, 1"),
        ([0], [False, True], r"is_crowd of image 4 = 2: must be one per mask, 1"),
    ],
)
def test_labels_and_masks_that_are_not_equally_many(labels: list[int], is_crowd: list[bool] | None, message: str):
    with pytest.raises(ConfigError, match=message):
        Example.of(np.zeros((4, 6, 3), np.uint8), 4, labels, [np.ones((4, 6), np.uint8)], is_crowd)


def test_two_images_of_one_number_are_an_error():
    example = Discs(1).open()[0]
    with pytest.raises(ConfigError, match=r"image_id of the examples = \[10\]: belong to several images"):
        _ = Examples(["disc"], [example, example]).image_ids
    with pytest.raises(ConfigError, match=r"image_ids = \[7\]: belong to several images"):
        Examples(["disc"], [example, example], image_ids=[7, 7])
