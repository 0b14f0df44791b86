"""An image's objects beside what a network finds in it: boxes, categories and scores."""

import dataclasses
import math

import numpy as np
import pytest
from examples import Images, example
from inspected import NAMES, VIEW, careless, careless_model, image, trace
from small import CONFIG, abstract

from maskrcnn_jax.config import Config, ShapesSource
from maskrcnn_jax.inspect.model.annotated import AnnotatedImage, network_objects, read_annotated
from maskrcnn_jax.inspect.model.inspected import InspectedImage
from maskrcnn_jax.inspect.model.score_steps import same_input, score_images

NAMED = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, class_names=NAMES))
EXAMPLE = example((0, (0, 0, 10, 40)), (2, (5, 10, 20, 30)), size=(80, 30))
"""An image of 80 × 30, which the trace's view has at half its height and twice its width: 40 × 60."""


def annotated(*examples, config=NAMED) -> AnnotatedImage:
    return read_annotated(Images(*examples), 0, config)


def seen(config: Config = NAMED) -> InspectedImage:
    return InspectedImage(
        abstract(config.model), EXAMPLE.image, (2.0, 0.5), VIEW, trace(), {}, annotated(EXAMPLE, config=config)
    )


def test_objects_lie_where_the_network_has_them():
    placed = seen().objects
    assert placed is not None
    # (0, 0, 10, 40) → (0, 0, 20, 20), and the corner is (2, 4)
    assert placed.boxes.tolist() == [[2, 4, 22, 24], [12, 9, 42, 19]]
    assert placed.labels.tolist() == [0, 2] and placed.valid.all()
    inclusive = dataclasses.replace(NAMED, model=dataclasses.replace(NAMED.model, inclusive_boxes=True))
    assert network_objects(annotated(EXAMPLE, config=inclusive), (2.0, 0.5), VIEW.corner).boxes[0].tolist() == [
        2,
        4,
        21,
        23,
    ]


def test_detections_in_the_image_s_own_pixels():
    [found] = seen().results(Images(EXAMPLE), 7)
    # (0, 0, 20, 20) in the view is (0, 0, 10, 40) in the image; cat is the data's category 2.
    assert found["bbox"] == [0, 0, 10, 40] and found["category_id"] == 2 and found["image_id"] == 7
    assert found["score"] == pytest.approx(0.6)


def test_the_outcome_compares_masks():
    outcome = seen().outcome
    assert outcome is not None
    # The mask is the left half of the first object, and has 5 × 20 pixels in common with the second, 100 / (200 + 300
    # − 100); without the second object's first 5 columns: none of it lies in columns 0 … 4.
    assert outcome.iou.tolist() == [[0.5, 0.0]]
    assert outcome.same.tolist() == [[True, False]]
    maskless = seen(dataclasses.replace(NAMED, model=dataclasses.replace(NAMED.model, mask_head=None))).outcome
    assert maskless is not None
    # Boxes: the first is the object; the second shares 5 × 20 of 400 + 300 − 100 pixels.
    np.testing.assert_allclose(maskless.iou, [[1.0, 100 / 600]])


def test_data_without_masks_is_compared_by_boxes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Images, "has_masks", False)
    outcome = seen().outcome
    assert outcome is not None
    np.testing.assert_allclose(outcome.iou, [[1.0, 100 / 600]])


def test_objects_are_numbered_and_crowds_left_out():
    crowd = EXAMPLE._replace(is_crowd=np.array([True, False]))
    assert annotated(EXAMPLE).object_names == ["cat 1", "owl 2"]
    assert annotated(crowd).object_names == ["owl 1"]


def test_classes_meet_by_their_names():
    data = Images(EXAMPLE)
    data.class_names = ("owl", "fox", "cat")
    [found] = seen().results(data, 7)
    assert found["category_id"] == 17


@pytest.mark.parametrize(
    ("names", "position", "message"),
    [
        (NAMES, 1, "position = 1: the data has 1 image, the first is 0"),
        (NAMES, -1, "position = -1"),
        (("ant", "bee", "fly"), 0, "none of the model's classes, but cat, dog, owl"),
    ],
)
def test_what_does_not_fit_is_an_error(names, position, message):
    model = dataclasses.replace(CONFIG.model, class_names=names)
    with pytest.raises(ValueError, match=message):
        read_annotated(Images(EXAMPLE), position, dataclasses.replace(CONFIG, model=model))


def test_without_names_there_must_be_as_many_classes():
    assert annotated(EXAMPLE, config=CONFIG).category_names == {2: "cat", 5: "dog", 17: "owl"}
    four = dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, num_classes=4))
    with pytest.raises(ValueError, match="the data has 3 classes, the model 4 without names"):
        annotated(EXAMPLE, config=four)


def test_images_that_compile_nothing_anew():
    """A network without buckets pads 40 × 60 to 64 × 96, and 64 × 60 and 63 × 64, which it resizes a little, to 96 × 64
    and 64 × 96."""
    wide, square = example(size=(40, 60)), example(size=(64, 64))
    free = dataclasses.replace(NAMED.model.input, buckets=(), shortest_edge=64, longest_edge=96)
    config = dataclasses.replace(NAMED, model=dataclasses.replace(NAMED.model, input=free))
    made = annotated(wide, square, wide, square, wide, config=config)
    assert same_input(made, 10) == [0, 2, 4]
    assert len(same_input(made, 2)) == 2
    assert same_input(made._replace(position=1), 10) == [1, 3]


def test_scores_of_several_images():
    """Boxes of a network without masks, whose classes are the shapes' in their order."""
    config = dataclasses.replace(CONFIG, model=careless().config)
    source = ShapesSource(image_size=64, count=5).open()
    model = careless_model()
    table, metrics = score_images(model, read_annotated(source, 0, config), [1, 3])
    first, second, mean = table.entries
    assert (first[:3], second[:3]) == ((1, 1, len(source[1].labels)), (3, 3, len(source[3].labels)))
    assert mean[:2] == ("mean", "") and mean[2] == first[2] + second[2] and mean[3] == first[3] + second[3]
    assert len(first) == len(table.columns) == 15
    np.testing.assert_allclose(mean[4:], np.mean([first[4:], second[4:]], axis=0))
    assert first[4] == pytest.approx(np.mean(first[5:]))
    assert "bbox/AP" in metrics and "segm/AP" not in metrics


def test_images_without_objects_have_no_score():
    config = dataclasses.replace(CONFIG, model=careless().config)
    model = careless_model()
    data = Images(example(size=(64, 64), image=image()))
    table, _ = score_images(model, read_annotated(data, 0, config), [0])
    assert all(math.isnan(value) for row in table.entries for value in row[4:])
