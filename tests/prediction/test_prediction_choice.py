"""Thresholds and limits that are given replace the model's own."""

from dataclasses import replace

import numpy as np
import pytest
from small import CONFIG, build, change

from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.prediction.choice import choose
from maskrcnn_jax.prediction.predictor import Predictor

IMAGE = np.random.default_rng(3).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def silent() -> MaskRCNN:
    """A model that keeps nothing: no score is above 1."""
    return build(change(CONFIG.model, detect__score_threshold=1.0))


def scores(model: MaskRCNN) -> np.ndarray:
    return Predictor(model)([IMAGE])[0].scores


def test_a_least_score_below_the_models_own_threshold_takes_effect(silent: MaskRCNN):
    chosen, least = choose(silent, 0.1)
    assert least == 0.1 and len(scores(silent)) == 0
    found = scores(chosen)
    assert len(found) == CONFIG.model.detect.count and found.min() > 0.1
    assert silent.config.detect.score_threshold == 1.0  # the given model is not changed


def test_a_least_score_above_the_models_own_threshold_leaves_the_network_as_it_is():
    model = build()
    chosen, least = choose(model, 0.8)
    assert chosen.config == model.config and least == 0.8


def test_without_a_least_score_it_is_a_half_or_the_models_own_threshold(silent: MaskRCNN):
    assert choose(build())[1] == 0.5
    chosen, least = choose(silent)
    assert chosen.config == silent.config and least == 1.0


def test_tiles_need_lower_scores(silent: MaskRCNN):
    assert choose(silent, 0.4, tile=True)[0].config.detect.score_threshold == 0.2


def test_the_number_of_objects_and_their_overlap(silent: MaskRCNN):
    assert len(scores(choose(silent, 0.1, count=3)[0])) == 3
    # The same box twice: at an IoU of 1 neither suppresses the other in any of the 3 classes, below one does.
    boxes = [np.array([[8, 8, 40, 40]] * 2, np.float32)]
    for iou, count in ((1.0, 6), (0.9, 3)):
        [found] = Predictor(choose(silent, 0.0, nms_iou=iou)[0])([IMAGE], boxes)
        assert len(found.scores) == count
    assert choose(silent, count=5000)[0].config.detect == replace(silent.config.detect, count=5000, top_k=5000)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"min_score": 50.0}, r"min_score = 50\.0: must be between 0 and 1"),
        ({"min_score": float("nan")}, "min_score = nan"),
        ({"nms_iou": 1.5}, r"model\.detect\.nms_iou = 1\.5: must lie between 0 and 1"),
        ({"count": 0}, r"model\.detect\.count = 0: must be positive"),
    ],
)
def test_numbers_that_cannot_work(silent: MaskRCNN, numbers: dict[str, float], message: str):
    with pytest.raises((ValueError, ConfigError), match=message):
        choose(silent, **numbers)
