"""Detectron2's checkpoints against its network and its detection, both written in NumPy."""

import dataclasses
from typing import NamedTuple

import detectron2_numpy as numpy_version
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from detectron2_checkpoint import BUFFERS, LSJ, SMALL, detector, random_arrays, write
from detectron2_network import Detectron2, convolve

from maskrcnn_jax.checkpoints.convert.detectron2_model import recognise
from maskrcnn_jax.checkpoints.formats.files import open_weights
from maskrcnn_jax.checkpoints.pretrained import load_pretrained
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.masks.paste import paste_mask
from maskrcnn_jax.model.mask_rcnn import forward
from maskrcnn_jax.structs import Trace

MEAN = np.array([103.53, 116.28, 123.675])
"""Blue, green, red."""
SIZE, PADDED = (90, 120), (96, 128)


def recognised(shapes: dict[str, tuple[int, ...]]) -> ModelConfig:
    config = recognise(shapes)
    assert config is not None
    return config


def test_a_block_of_resnext():
    """Groups, and the stride in the 3×3 convolution."""
    theirs = detector(**(SMALL | {"inner": 16, "groups": 4}))
    config = recognised(theirs)
    assert (config.backbone.inner_width, config.backbone.groups, config.backbone.stride_in_1x1) == (16, 4, False)
    rng = np.random.default_rng(0)
    arrays = random_arrays(rng, theirs)
    model = load_pretrained(arrays)
    x = rng.normal(size=(32, 8, 8))
    expected = Detectron2(arrays, stride_in_1x1=False).block("backbone.bottom_up.res3.0", x, 2)
    ours = model.backbone.layer2[0](jnp.asarray(x.transpose(1, 2, 0)[None], jnp.float32))[0]
    np.testing.assert_allclose(ours, expected.transpose(1, 2, 0), atol=1e-5)


def test_groups_of_the_numpy_convolution():
    """Each half of the outputs sees its half of the inputs: (1·2, 10·3) for weights 2 and 3."""
    weight = np.array([2.0, 3.0]).reshape(2, 1, 1, 1)
    np.testing.assert_array_equal(convolve(np.array([1.0, 10.0]).reshape(2, 1, 1), weight, 1, 0).ravel(), [2, 30])


class Run(NamedTuple):
    """What the same weights made of an image in both programs."""

    trace: Trace
    numpy: Detectron2
    levels: list[np.ndarray]


def shrink(config: ModelConfig) -> ModelConfig:
    """For images of 90×120 pixels, which are not resized, and with fewer proposals."""
    proposals = dataclasses.replace(config.rpn.proposals, top_k=60, count=100)
    return dataclasses.replace(
        config,
        input=dataclasses.replace(config.input, shortest_edge=90),
        rpn=dataclasses.replace(config.rpn, proposals=proposals),
    )


@pytest.fixture(scope="module", params=["old", "LSJ"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    rng = np.random.default_rng(0)
    shapes = detector(**SMALL, **(LSJ if request.param == "LSJ" else {}))
    arrays = random_arrays(rng, shapes)
    path = tmp_path_factory.mktemp("detectron2") / "model.pkl"
    write(path, arrays | {name: np.zeros(shape, np.float32) for name, shape in BUFFERS.items()})
    file = open_weights(path)
    config = recognised({name: file.shape(name) for name in file})
    model = load_pretrained(path, config=shrink(config))
    image = rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
    padded = np.zeros((*PADDED, 3), np.uint8)
    padded[: SIZE[0], : SIZE[1]] = image
    batch = jax.jit(forward)(model, padded[None], np.array([SIZE], np.float32))
    trace = jax.tree.map(lambda x: np.asarray(x)[0], batch._replace(anchors=batch.anchors[None]))
    pixels = np.zeros((3, *PADDED))
    pixels[:, : SIZE[0], : SIZE[1]] = (image[..., ::-1] - MEAN).transpose(2, 0, 1)
    numpy = Detectron2(arrays, stride_in_1x1=True)
    return Run(trace, numpy, numpy.pyramid(pixels))


def test_pyramid(run: Run):
    for theirs, ours in zip(run.levels, run.trace.features, strict=True):
        np.testing.assert_allclose(ours.transpose(2, 0, 1), theirs, atol=1e-5 * np.abs(theirs).max())


def rpn(run: Run) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Anchors, logits and deltas of each level."""
    return [
        (numpy_version.anchors(*level.shape[1:], number), *run.numpy.rpn(level))
        for number, level in enumerate(run.levels, 2)
    ]


def test_anchors_objectness_and_deltas(run: Run):
    anchors, logits, deltas = (np.concatenate(part) for part in zip(*rpn(run), strict=True))
    np.testing.assert_allclose(run.trace.anchors, anchors, atol=1e-4)
    np.testing.assert_allclose(run.trace.rpn.logits, logits, atol=3e-5)
    np.testing.assert_allclose(run.trace.rpn.deltas, deltas, atol=3e-5)


def proposals(run: Run) -> np.ndarray:
    return numpy_version.find_top_proposals(rpn(run), SIZE, pre_nms=60, post_nms=100)


def test_proposals(run: Run):
    boxes, ours = proposals(run), run.trace.proposals
    assert len(boxes) == ours.valid.sum() > 50
    np.testing.assert_allclose(ours.boxes[ours.valid], boxes, atol=2e-3)


def heads(run: Run) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roi features, probabilities and deltas of each proposal."""
    rois = [numpy_version.roi_align(run.levels, box, 7) for box in proposals(run)]
    probabilities, deltas = zip(*map(run.numpy.box, rois), strict=True)
    return np.array(rois), np.array(probabilities), np.array(deltas)


def test_roi_features_classes_and_boxes(run: Run):
    """Background is the last class on both sides; a linear layer sees channel, row, column there."""
    features, probabilities, deltas = heads(run)
    valid = run.trace.proposals.valid
    np.testing.assert_allclose(run.trace.roi_features[valid].transpose(0, 3, 1, 2), features, atol=2e-4)
    np.testing.assert_allclose(jax.nn.softmax(run.trace.box.logits)[valid], probabilities, atol=2e-4)
    np.testing.assert_allclose(run.trace.box.deltas[valid], deltas, atol=2e-4)


def test_detections_and_their_masks(run: Run):
    _, probabilities, deltas = heads(run)
    found, ours = numpy_version.fast_rcnn_inference(proposals(run), probabilities, deltas, SIZE), run.trace.detections
    assert len(found.boxes) == ours.valid.sum() > 20
    assert len(set(found.classes)) > 1
    np.testing.assert_array_equal(ours.labels[ours.valid], found.classes)
    np.testing.assert_allclose(ours.scores[ours.valid], found.scores, atol=2e-4)
    np.testing.assert_allclose(ours.boxes[ours.valid], found.boxes, atol=5e-3)

    rois = [numpy_version.roi_align(run.levels, box, 14) for box in found.boxes]
    masks = np.array([run.numpy.masks(roi)[c] for roi, c in zip(rois, found.classes, strict=True)])
    np.testing.assert_allclose(ours.masks[ours.valid], masks, atol=5e-4)

    for mask, box in zip(masks[:8], found.boxes[:8], strict=True):
        mask, box = mask.astype(np.float32), box.astype(np.float32)
        np.testing.assert_array_equal(paste_mask(mask, box, *SIZE), numpy_version.paste(mask, box, *SIZE))
