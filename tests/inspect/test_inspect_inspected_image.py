"""An image on its way through a network: the same numbers as the predictor's, and the image as it is."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from inspected import VIEW, careless, image, seen, trace
from small import CONFIG, SIDE, build, change

from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.inspect.model.inspected import input_view, run_model
from maskrcnn_jax.prediction.predictor import Predictor


def test_the_stages_are_what_the_pyramid_is_made_of():
    network = seen()
    assert list(network.activations) == ["stem", "C2", "C3", "C4", "C5"]
    assert network.activations["stem"].shape == (1, SIDE // 2, SIDE // 2, 8)
    expected = build().fpn(tuple(jnp.asarray(network.activations[name]) for name in ("C2", "C3", "C4", "C5")))
    for level, wanted in zip(network.trace.features, expected, strict=True):
        np.testing.assert_allclose(level, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bgr", [False, True])
@pytest.mark.parametrize("padding", [{}, {"black_padding": True}, {"centered": True}])
def test_normalisation_is_undone(bgr: bool, padding: dict):
    """Normalised by hand: RGB minus mean, divided by deviation, then turned over."""
    config = dataclasses.replace(CONFIG.model.input, bgr=bgr, **padding)
    pixels = image(40, 60)
    normal = (pixels - np.array(config.mean)) / np.array(config.std)
    canvas = np.zeros((64, 64, 3), np.float32)
    canvas[4:44, 2:62] = normal[..., ::-1] if bgr else normal
    shown = input_view(trace()._replace(images=canvas[None]), np.array([2, 4, 62, 44], np.float32), config)
    np.testing.assert_array_equal(shown.image, pixels)
    assert shown.corner.tolist() == [2, 4]


def test_boxes_move_with_the_corner_of_the_image():
    assert VIEW.place(np.array([[2.0, 4.0, 12.0, 14.0]])).tolist() == [[0, 0, 10, 10]]


@pytest.mark.parametrize(
    ("box", "margin", "y", "x"),
    [
        ([3.4, 2.2, 7.1, 9.9], 0, (2, 10), (3, 7)),
        ([20, 10, 40, 30], 4, (6, 34), (16, 44)),
        ([-5, -5, 4, 6], 0, (0, 6), (0, 4)),
        ([5, 5, 5, 5], 0, (5, 6), (5, 6)),  # at least a pixel
        ([100, 100, 120, 120], 0, (39, 40), (59, 60)),
    ],
)
def test_windows_stay_inside(box, margin, y, x):
    assert VIEW.window(np.array(box, np.float32), np.full(2, margin)) == (slice(*y), slice(*x))


ELSEWHERE = change(
    CONFIG.model, input__centered=True, input__bgr=True, inclusive_boxes=True, mask_head__paste="rounded"
)
"""The image in the middle, boxes that end on their last pixel."""


@pytest.mark.parametrize("config", [CONFIG.model, ELSEWHERE], ids=["plain", "elsewhere"])
def test_detections_are_those_of_the_predictor(config: ModelConfig):
    """Of an image that is neither enlarged nor reduced, so that both have the same pixels."""
    pixels = image(48, SIDE)
    network = run_model(build(config), pixels)
    np.testing.assert_array_equal(network.view.image, pixels)
    [expected] = Predictor(build(config))([pixels])
    found = network.found
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-3)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert len(found.boxes) == 8
    assert np.mean(found.masks != expected.masks) < 1e-3


def test_a_large_image_is_shown_as_the_network_s_input():
    large = np.repeat(np.repeat(image(), 2, axis=0), 2, axis=1)
    network = run_model(build(), large)
    # Twice as large with every pixel four times: halved it is the small one again.
    np.testing.assert_array_equal(network.view.image, image())
    assert network.scale == (0.5, 0.5) and network.image.shape == (2 * SIDE, 2 * SIDE, 3)


def test_a_model_without_mask_head_and_with_a_suppression_of_its_own():
    network = careless()
    assert network.trace.mask_logits is None
    assert network.found.masks is None
    np.testing.assert_array_equal(network.trace.pairs.keep, network.trace.pairs.valid)
