from conftest import instances, square

from maskrcnn_jax.data.prepare.coco.annotations import read_annotations
from maskrcnn_jax.data.prepare.crowds import crowd_warnings
from maskrcnn_jax.data.prepare.read_options import ReadOptions


def file(crowds: dict[int, int], objects: dict[int, int]) -> dict:
    """Annotations by category: so many crowds and objects of each."""
    kinds = [(category, 1) for category, count in crowds.items() for _ in range(count)]
    kinds += [(category, 0) for category, count in objects.items() for _ in range(count)]
    return instances([square(i, 10, category, 2, 3, 10, iscrowd=c) for i, (category, c) in enumerate(kinds, 1)])


def test_crowds_are_counted_by_class():
    # The labels are in the order of the ids 3 (cat) and 7 (dog).
    annotations = read_annotations(file({3: 2}, {3: 1, 7: 4}), "F")
    assert annotations.num_crowds.tolist() == [2, 0] and annotations.num_objects.tolist() == [1, 4]


def test_nothing_to_say_of_few_crowds():
    assert crowd_warnings(read_annotations(file({3: 1}, {3: 5}), "F")) == []
    assert crowd_warnings(read_annotations(file({}, {3: 5}), "F")) == []
    assert crowd_warnings(read_annotations(file({}, {}), "F")) == []


def test_a_considerable_share_is_warned_of():
    [line] = crowd_warnings(read_annotations(file({3: 1}, {3: 2, 7: 2}), "F"))
    assert line.startswith("1 of 5 annotations are crowds (iscrowd = 1), which are neither trained on")
    assert "CVAT marks every brush mask as one" in line and line.endswith("--crowds-as-objects")


def test_all_crowds():
    [line] = crowd_warnings(read_annotations(file({3: 1, 7: 2}, {}), "F"))
    assert line.startswith("all of 3 annotations are crowds")


def test_all_of_a_class():
    [line] = crowd_warnings(read_annotations(file({7: 1}, {3: 9}), "F"))
    assert line.startswith("all of 1 annotations of class 'dog' are crowds")


def test_crowds_are_read_as_objects_where_asked():
    annotations = read_annotations(file({3: 2}, {7: 1}), "F", options=ReadOptions(crowds_as_objects=True))
    assert annotations.num_crowds.tolist() == [0, 0] and annotations.num_objects.tolist() == [2, 1]
    assert not annotations.images[0].is_crowd.any() and crowd_warnings(annotations) == []
