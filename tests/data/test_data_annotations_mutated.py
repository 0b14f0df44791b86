"""Whatever an annotation file holds, reading it ends in annotations or in a DatasetError of clear text."""

import copy
import json
import math
import random
from typing import Any

import pytest
from conftest import instances, square

from maskrcnn_jax.data.prepare.coco.annotations import read_annotations
from maskrcnn_jax.data.prepare.coco.box_mask import fill
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.masks.rle import decode_runs

DEEP: Any = 1
for _ in range(100):
    DEEP = [DEEP]

VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    7,
    1.5,
    -0.0,
    1e8,
    -1e8,
    1e308,
    2**31,
    2**63,
    10**400,
    math.nan,
    math.inf,
    -math.inf,
    "",
    "7",
    "x",
    "\0",
    "\ud800",
    "b'12'",
    "P" * 30,
    "oooooooooooo0",
    [],
    [[]],
    {},
    [None],
    [[1, 2, 3]],
    [1, 2, 3, 4],
    [0.1, 0.2, 0.3, 0.2, 0.3, 0.4],
    [[1, 2], [3, 4], [5, 9]],
    {"size": [40, 60], "counts": "0"},
    {"size": [40, 60], "counts": [2400.0]},
    {"size": [60000, 60000], "counts": [3_600_000_000]},
    DEEP,
]


def valid() -> dict[str, Any]:
    """A file that holds every kind of field."""
    code = {"size": [40, 60], "counts": fill((20, 4, 50, 9), (40, 60)).decode()}
    annotations = [
        square(1, 10, 3, 5, 5, 10),
        square(2, 10, 7, 20, 4, 5, segmentation=code, bbox=[20, 4, 30, 5], iscrowd=1),
        square(3, 20, 7, 0, 0, 5, segmentation={"size": [40, 60], "counts": [0, 5, 35, 5, 2355]}, bbox=[0, 0, 2, 5]),
        square(4, 30, 3, 30, 8, 20, segmentation=[]),
    ]
    content = instances(annotations)
    content["images"][2]["coco_url"] = "http://example.org/train/030.png"
    return content


def locations(value: Any, path: tuple = ()) -> list[tuple]:
    """The paths to everything inside a JSON value."""
    inside = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    return [(*path, key) for key, _ in inside] + [p for key, inner in inside for p in locations(inner, (*path, key))]


def mutated(choose: random.Random) -> Any:
    """A valid file with one to three changes: a value of another type, a missing one, a repeated entry."""
    content = copy.deepcopy(valid())
    for _ in range(choose.randint(1, 3)):
        *way, last = choose.choice(locations(content))
        parent = content
        for key in way:
            parent = parent[key]
        change = choose.random()
        if change < 0.1:
            del parent[last]
        elif change < 0.2 and isinstance(parent, list):
            parent.insert(last, copy.deepcopy(parent[last]))
        else:
            parent[last] = copy.deepcopy(choose.choice(VALUES))
    return content


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_end_in_annotations_or_a_named_error(seed: int):
    choose = random.Random(seed)
    read = 0
    for _ in range(100):
        content = mutated(choose)
        options = ReadOptions(
            class_name=choose.choice([None, "thing"]),
            crowds_as_objects=choose.random() < 0.5,
            boxes_from_masks=choose.random() < 0.5,
        )
        try:
            annotations = read_annotations(content, "F", options=options)
        except DatasetError as error:
            assert str(error).startswith("F")
            continue
        read += 1
        for image in annotations.images:
            height, width = image.size
            x0, y0, x1, y1 = image.boxes.T
            assert ((x0 >= 0) & (x0 < x1) & (x1 <= width) & (y0 >= 0) & (y0 < y1) & (y1 <= height)).all()
            assert ((image.areas > 0) & (image.areas <= height * width)).all()
            assert all(decode_runs(mask, image.size)[1::2].sum() > 0 for mask in image.masks)
            json.dumps([image.file_name, image.annotation_ids.tolist()])
    assert 5 < read < 95


def test_the_file_without_mutation_is_read():
    annotations = read_annotations(valid(), "F")
    assert [image.annotation_ids.tolist() for image in annotations.images] == [[1, 2], [3], [4]]
    assert annotations.dropped == {} and annotations.box_only == [4]
