"""Matterport's checkpoints against its network and its detection, both written in NumPy."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matterport_numpy as numpy_version
import numpy as np
import pytest
from flax import nnx
from keras_network import Keras
from matterport_checkpoint import BLOCKS, BLOCKS_OF_101, layers, random_arrays, shapes_by_name, write

from maskrcnn_jax.checkpoints.convert import matterport
from maskrcnn_jax.checkpoints.convert.coco_names import COCO_80
from maskrcnn_jax.checkpoints.convert.matterport_model import recognise
from maskrcnn_jax.checkpoints.convert.rules import ConversionError, convert
from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.config import ModelConfig, PoolConfig
from maskrcnn_jax.model.mask_rcnn import MaskRCNN, forward
from maskrcnn_jax.model.stages import pool
from maskrcnn_jax.nn import params as weights
from maskrcnn_jax.ops.crop_and_resize import crop_and_resize
from maskrcnn_jax.prediction.coordinates import to_image_coords
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.structs import Trace

PUBLISHED = layers(BLOCKS_OF_101, classes=81, width=64, pyramid=256, rpn=512, fc=1024, mask=256)
SMALL = layers(BLOCKS, classes=4, width=8, pyramid=16, rpn=24, fc=32, mask=12)
SIDE = 128
SHAPE = (SIDE, SIDE)
WINDOW = np.array([16, 0, 112, 128])
"""Where an image of 96×128 pixels lies in the square: (y1, x1, y2, x2)."""
SETTINGS = numpy_version.Settings(pre_nms_limit=300, min_confidence=0.2)


def shrink(config: ModelConfig) -> ModelConfig:
    """For images of 96×128 pixels, which are not resized, and with fewer candidates and less sure detections."""
    proposals = dataclasses.replace(config.rpn.proposals, top_k=SETTINGS.pre_nms_limit)
    return dataclasses.replace(
        config,
        input=dataclasses.replace(config.input, shortest_edge=96, longest_edge=SIDE, buckets=(SHAPE,)),
        rpn=dataclasses.replace(config.rpn, proposals=proposals),
        pool=dataclasses.replace(config.pool, canonical_size=224 * (SIDE - 1) / SIDE),
        detect=dataclasses.replace(config.detect, score_threshold=SETTINGS.min_confidence),
    )


def our_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    _, params, statistics = weights.flatten(nnx.eval_shape(lambda: MaskRCNN(config, rngs=nnx.Rngs(0))))
    return {name: array.shape for name, array in (params | statistics).items()}


class Run(NamedTuple):
    """An image, the network, and all that it and its definition in NumPy made of it."""

    image: np.ndarray
    model: MaskRCNN
    trace: Trace
    levels: list[np.ndarray]
    objectness: np.ndarray
    anchor_deltas: np.ndarray
    proposals: np.ndarray
    roi_features: np.ndarray
    probabilities: np.ndarray
    deltas: np.ndarray
    found: numpy_version.Found
    masks: np.ndarray


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rng = np.random.default_rng(0)
    arrays = random_arrays(rng, shapes_by_name(SMALL))
    path = tmp_path_factory.mktemp("matterport") / "weights.h5"
    write(path, arrays)
    file = open_weights(path)
    config = recognise({name: file.shape(name) for name in file})
    assert config is not None
    model = load_pretrained(path, config=shrink(config))
    image = rng.integers(0, 256, (96, 128, 3)).astype(np.uint8)
    square = np.zeros((*SHAPE, 3), np.uint8)
    square[16:112] = image
    batch = jax.jit(forward)(model, square[None], np.array([[96, 128]], np.float32))
    trace = jax.tree.map(lambda x: np.asarray(x)[0], batch._replace(anchors=batch.anchors[None]))
    keras = Keras(arrays)
    levels = keras.pyramid(square - np.array([123.7, 116.8, 103.9]), BLOCKS)
    return Run(image, model, trace, *in_numpy(keras, levels))


def in_numpy(keras: Keras, levels: list[np.ndarray]) -> tuple:
    """The rest of a Run."""
    objectness, anchor_deltas = numpy_version.run_rpn(keras, levels)
    proposals = numpy_version.propose(objectness, anchor_deltas, numpy_version.anchors(SHAPE), SETTINGS)
    features = np.array([numpy_version.roi_align(levels, box, 7, SHAPE) for box in proposals])
    probabilities, deltas = map(np.array, zip(*map(keras.classifier, features), strict=True))
    window = numpy_version.normalise(WINDOW, SHAPE)
    found = numpy_version.detect(proposals, probabilities, deltas, window, SETTINGS)
    squares = [numpy_version.roi_align(levels, box, 14, SHAPE) for box in found.boxes]
    masks = np.array([keras.masks(square)[..., c] for square, c in zip(squares, found.classes, strict=True)])
    return levels, objectness, anchor_deltas, proposals, features, probabilities, deltas, found, masks


def xyxy(boxes: np.ndarray) -> np.ndarray:
    """Normalised (y1, x1, y2, x2) as our pixels (x0, y0, x1, y1), which end on the last one."""
    return boxes[:, [1, 0, 3, 2]] * (SIDE - 1)


def test_the_published_file_is_recognised():
    config = recognise(shapes_by_name(PUBLISHED))
    assert config is not None and config.mask_head is not None
    assert (config.num_classes, config.class_names) == (80, COCO_80)
    assert (config.backbone.depth, config.backbone.width, config.backbone.norm_eps) == (101, 64, 1e-3)
    assert config.backbone.stride_in_1x1 and config.backbone.pool_after
    assert (config.fpn.channels, config.rpn.channels, config.box_head.fcs) == (256, 512, (1024, 1024))
    assert (config.input.mean, config.input.std, config.input.bgr) == ((123.7, 116.8, 103.9), (1, 1, 1), False)
    assert config.rpn.anchors.aspect_ratios == (2, 1, 0.5)  # width over height 0.5, 1, 2
    assert (config.rpn.proposals.top_k, config.rpn.proposals.count) == (6000, 1000)
    assert config.box_head.box_weights == config.rpn.proposals.box_weights == (10, 10, 5, 5)
    assert (config.detect.score_threshold, config.detect.nms_iou, config.detect.count) == (0.7, 0.3, 100)


@pytest.mark.parametrize("published", [PUBLISHED, SMALL], ids=["R101", "R50"])
def test_every_array_is_mapped(published: dict):
    """The names on both sides are the same set, and the shapes fit: nothing is left, nothing is missing."""
    theirs = shapes_by_name(published)
    config = recognise(theirs)
    assert config is not None
    shapes = our_shapes(config)
    rules = matterport.rules(shapes, config, theirs)
    assert rules.keys() == shapes.keys()
    assert {name for rule in rules.values() for name in rule.names} == theirs.keys()
    for name, rule in rules.items():
        # Views of one number: the published arrays without their memory.
        assert rule.read(*(np.broadcast_to(np.float32(0), theirs[n]) for n in rule.names)).shape == shapes[name]


def test_other_class_counts_have_no_names():
    config = recognise(shapes_by_name(SMALL))
    assert config is not None
    assert (config.num_classes, config.class_names, config.backbone.depth) == (3, (), 50)


def test_without_masks():
    config = recognise({name: shape for name, shape in shapes_by_name(SMALL).items() if "mrcnn_mask" not in name})
    assert config is not None and config.mask_head is None


@pytest.mark.parametrize("missing", ["conv1", "rpn_conv_shared", "mrcnn_class_logits", "res4f_branch2a"])
def test_other_networks_are_not_taken_for_it(missing: str):
    shapes = shapes_by_name(SMALL)
    assert recognise(shapes) is not None
    del shapes[f"{missing}/kernel"]
    assert recognise(shapes) is None


def test_what_does_not_fit_is_listed_at_once():
    theirs = shapes_by_name(SMALL)
    config = recognise(theirs)
    assert config is not None
    file = {name: np.zeros(shape, np.float32) for name, shape in theirs.items()}
    del file["bn_conv1/beta"]
    file["extra/kernel"] = np.zeros((1, 2), np.float32)
    file["anchors/Variable"] = np.zeros((2, 4), np.float32)
    file["mrcnn_bbox_fc/bias"] = np.zeros(7, np.float32)
    shapes = our_shapes(config)
    with pytest.raises(ConversionError) as caught:
        convert(file, matterport.rules(shapes, config, file), shapes, matterport.unused(file))
    assert str(caught.value).splitlines()[1:] == [
        "  missing: bn_conv1/beta, for backbone.stem.norm.bias (8,)",
        "  shape: mrcnn_bbox_fc/bias (7,) does not make box_head.deltas.bias (16,)",
        "  unexpected: extra/kernel (1, 2)",
    ]


def test_pyramid(run: Run):
    """Biases before norms, the stride of the blocks, the asymmetric pooling, the eps: all in 49 convolutions."""
    for theirs, ours in zip(run.levels, run.trace.features, strict=True):
        assert theirs.shape == ours.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-5 * np.abs(theirs).max())


def test_objectness_and_deltas_of_the_anchors(run: Run):
    assert run.objectness.std() > 0.2
    np.testing.assert_allclose(jax.nn.sigmoid(run.trace.rpn.logits), run.objectness, atol=1e-5)
    np.testing.assert_allclose(run.trace.rpn.deltas, run.anchor_deltas[:, [1, 0, 3, 2]], atol=1e-4)


def test_anchors(run: Run):
    np.testing.assert_allclose(run.trace.anchors, xyxy(numpy_version.anchors(SHAPE)), atol=1e-4)


def test_proposals(run: Run):
    """All levels are ranked and suppressed together, and boxes are not cut to the image, only to the square."""
    ours, boxes = run.trace.proposals, run.proposals
    assert len(boxes) == ours.valid.sum() > 100
    np.testing.assert_allclose(ours.boxes[ours.valid], xyxy(boxes), atol=2e-3)
    assert (boxes[:, 0] < 15 / 127).any() and (boxes[:, 2] > 112 / 127).any()


def test_roi_features(run: Run):
    valid, expected = run.trace.proposals.valid, run.roi_features
    np.testing.assert_allclose(run.trace.roi_features[valid], expected, atol=2e-5 * np.abs(expected).max())


def test_classes_and_boxes_of_the_rois(run: Run):
    """Background is our last class; a box delta is (dy, dx, dh, dw) there, and there is one for background, too."""
    valid = run.trace.proposals.valid
    ours = jax.nn.softmax(run.trace.box.logits[valid])
    np.testing.assert_allclose(ours, run.probabilities[:, [1, 2, 3, 0]], atol=2e-4)
    np.testing.assert_allclose(run.trace.box.deltas[valid], run.deltas[:, 1:, [1, 0, 3, 2]], atol=2e-4)


def test_detections_and_their_masks(run: Run):
    found, ours = run.found, run.trace.detections
    assert len(found.boxes) == ours.valid.sum() > 20
    assert len(set(found.classes)) > 1
    # Some rois have two classes above the threshold: only the likelier counts.
    assert ((run.probabilities[:, 1:] > SETTINGS.min_confidence).sum(axis=1) > 1).any()
    np.testing.assert_array_equal(ours.labels[ours.valid], found.classes - 1)
    np.testing.assert_allclose(ours.scores[ours.valid], found.scores, atol=2e-4)
    np.testing.assert_allclose(ours.boxes[ours.valid], xyxy(found.boxes), atol=5e-3)
    np.testing.assert_allclose(ours.masks[ours.valid], run.masks, atol=5e-4)


def test_results_over_the_image(run: Run):
    """Boxes are cut to whole pixels there; masks lie on such boxes in both."""
    boxes, pasted = numpy_version.unmold(run.found, run.masks, WINDOW, SHAPE, (96, 128))
    (ours,) = Predictor(run.model)([run.image])
    np.testing.assert_array_equal(ours.boxes[:, [1, 0, 3, 2]], boxes)
    np.testing.assert_array_equal(ours.masks, pasted)


def test_boxes_of_resized_images_return_to_their_pixels():
    """640 × 427 becomes 1024 × 683 in the middle of the square, 170 pixels from its top."""
    rng = np.random.default_rng(0)
    window, size, original = np.array([170, 0, 853, 1024]), (1024, 1024), (427, 640)
    inside = numpy_version.normalise(window, size)
    share = np.sort(rng.uniform(size=(200, 2, 2)), axis=1).reshape(-1, 4)
    boxes = np.tile(inside[:2], 2) + share * np.tile(inside[2:] - inside[:2], 2)
    # Ours count pixels from the image's corner, and end on the last one.
    pixels = (boxes * 1023)[:, [1, 0, 3, 2]] - [0, 170, 0, 170]
    ours = to_image_coords(pixels, original, (1024 / 640, 683 / 427), inclusive=True)
    np.testing.assert_array_equal(ours[:, [1, 0, 3, 2]], numpy_version.denormalise(share, original))


def test_levels_and_samples_on_the_full_canvas():
    """A box goes to the nearest level; one sample per cell, the outer ones on its corners."""
    rng = np.random.default_rng(0)
    levels = [rng.normal(size=(side, side, 2)) for side in (256, 128, 64, 32)]
    start = rng.uniform(0, 0.6, (60, 2))
    boxes = np.concatenate([start, np.minimum(start + 0.8 * rng.uniform(0.02, 1, (60, 2)) ** 2, 1)], axis=1)
    expected = [numpy_version.roi_align(levels, box, 7, (1024, 1024)) for box in boxes]
    chosen = [numpy_version.level_of(box, (1024, 1024)) - 2 for box in boxes]
    assert set(chosen) == {0, 1, 2, 3}
    config = recognise(shapes_by_name(PUBLISHED))
    assert config is not None and config.pool != PoolConfig()
    pixels = jnp.asarray(boxes[:, [1, 0, 3, 2]] * 1023, jnp.float32)
    features = tuple(jnp.asarray(level, jnp.float32) for level in levels)
    ours, level = pool(features, pixels, (1024, 1024), 7, config.pool, crop_and_resize)
    np.testing.assert_array_equal(level, chosen)
    np.testing.assert_allclose(ours, expected, atol=1e-3)
