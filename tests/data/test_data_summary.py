import shlex
from pathlib import Path

import pytest
from conftest import WriteCoco, instances, square

from maskrcnn_jax.config.loading import load_config
from maskrcnn_jax.data.prepare.run import prepare


def content() -> dict:
    """Three images; two dogs and a crowd of cats in the first, a cat and a box of no size in the second, none in the
    third."""
    return instances(
        [
            square(1, 10, 7, 2, 3, 10),
            square(2, 10, 7, 20, 5, 20),
            square(3, 10, 3, 20, 5, 20, iscrowd=1),
            square(4, 20, 3, 20, 5, 20),
            square(5, 20, 3, 20, 5, 20, bbox=[2, 3, 0, 5]),
        ]
    )


def test_everything_is_counted(write_coco: WriteCoco, tmp_path: Path):
    folder = write_coco(train2017=content(), val2017=instances([square(1, 10, 7, 2, 3, 10)], images=1))
    summary = prepare(folder, tmp_path / "out")
    assert summary.kind == "COCO"
    # Labels count by category id: cat has 3, dog 7.
    assert summary.class_names == ("cat", "dog")
    train, val = summary.splits
    assert (train.name, train.images, train.empty, train.objects, train.crowds) == ("train", 3, 1, (1, 2), 1)
    assert (val.name, val.images, val.empty, val.objects, val.crowds) == ("val", 1, 0, (0, 1), 0)
    assert list(train.dropped.values()) == [1]
    assert summary.counts == {"train": 3, "val": 1}
    lines = list(summary.lines())
    assert lines[:5] == [
        f"{tmp_path / 'out'}: prepared from COCO",
        "2 classes, in the order of labels: cat, dog",
        "train: 3 images (1 without objects)",
        "  3 objects: cat 1, dog 2",
        "  1 crowd",
    ]
    assert lines[5].startswith("  1 annotation left out: box of zero or negative size")


def test_a_share_for_validation_is_counted_by_split(write_coco: WriteCoco, tmp_path: Path):
    folder = write_coco(train=instances([square(n, 10 * n, 3, 2, 3, 10) for n in range(1, 11)], images=10))
    summary = prepare(folder, tmp_path / "out", validation_share=0.3)
    assert [(split.name, split.images, split.objects) for split in summary.splits] == [
        ("train", 7, (7, 0)),
        ("val", 3, (3, 0)),
    ]


@pytest.mark.parametrize("splits", [("train", "val"), ("night", "train"), ("a", "b"), ("val",)])
def test_the_next_command_is_one_that_works(write_coco: WriteCoco, tmp_path: Path, splits: tuple[str, ...]):
    folder = write_coco(**{split: content() for split in splits})
    program, command, recipe, *overrides = shlex.split(prepare(folder, tmp_path / "my data").next_command())
    assert (program, command) == ("maskrcnn-jax", "train")
    config = load_config(recipe, overrides)
    assert config.model.num_classes == 2
    assert config.data.train.folder == config.data.validation.folder == tmp_path / "my data"
    expected = {"train": ("train", "val"), "night": ("train", "night"), "a": ("a", "b"), "val": ("val", "val")}
    assert (config.data.train.split, config.data.validation.split) == expected[splits[0]]


def test_long_lists_of_classes_are_wrapped(write_coco: WriteCoco, tmp_path: Path):
    many = instances([square(1, 10, 0, 2, 3, 10)])
    many["categories"] = [{"id": index, "name": f"class {index}"} for index in range(100)]
    summary = prepare(write_coco(train=many), tmp_path / "out")
    lines = list(summary.lines())
    assert max(map(len, lines[1:-2])) <= 118
    assert "class 99 0" in "\n".join(lines)


def test_crowds_and_boxes_alone_are_counted_and_said(
    write_coco: WriteCoco, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    crowds = instances([square(n, 10 * n, 7, 2, 3, 10, iscrowd=1) for n in (1, 2, 3)])
    folder = write_coco(train=crowds)
    [split] = prepare(folder, tmp_path / "out").splits
    assert (split.empty, split.objects, split.crowds) == (3, (0, 0), 3)
    assert "all of 3 annotations are crowds (iscrowd = 1)" in caplog.text
    [split] = prepare(folder, tmp_path / "out", crowds_as_objects=True).splits
    assert (split.empty, split.objects, split.crowds) == (0, (0, 3), 0)

    boxes = instances([square(n, 10 * n, 7, 2, 3, 10, segmentation=[]) for n in (1, 2, 3)])
    summary = prepare(write_coco(train=boxes), tmp_path / "out")
    assert [split.boxes_alone for split in summary.splits] == [3]
    assert "  3 annotations with a box alone, filled as its mask" in list(summary.lines())
    assert "faster_rcnn_r50_fpn_1x" in summary.next_command()
