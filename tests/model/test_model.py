"""The forward pass: the fields of the trace, replaceable stages, and unused fields that are not computed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from small import CONFIG, SIDE, abstract, build, change, jit, mixed

from maskrcnn_jax.config import AnchorConfig, InputConfig, ProposalConfig
from maskrcnn_jax.model import stages
from maskrcnn_jax.model.mask_rcnn import forward, predict
from maskrcnn_jax.model.sampler import Inference
from maskrcnn_jax.ops.anchors import pyramid_anchors
from maskrcnn_jax.ops.images import normalize, valid_regions
from maskrcnn_jax.structs import Detections, Proposals, Rois, Trace

# Of 64 × 64 pixels: P2 … P6 have 16², 8², 4², 2² and 1 cells, three anchors each.
CELLS = (256, 64, 16, 4, 1)
STRIDES = (4, 8, 16, 32, 64)


@pytest.fixture(scope="module")
def model():
    return build()


@pytest.fixture(scope="module")
def trace(model) -> Trace:
    return jit(forward)(model, mixed().images, mixed().image_sizes)


def shapes(tree):
    return jax.tree.map(lambda x: (x.shape, x.dtype.name), tree)


def test_shapes_and_types_of_the_trace(trace):
    f32, i32, flag = "float32", "int32", "bool"
    # Candidates: 30 of P2, P3 and P4 each (48 anchors there), 12 of P5 and 3 of P6.
    assert shapes(trace)._asdict() == {
        "images": ((4, 64, 64, 3), f32),
        "features": tuple(((4, side, side, 16), f32) for side in (16, 8, 4, 2, 1)),
        "anchors": ((1023, 4), f32),
        "rpn": (((4, 1023), f32), ((4, 1023, 4), f32)),
        "anchor_targets": None,
        "candidates": (
            ((4, 105), i32),
            ((4, 105, 4), f32),
            ((4, 105, 4), f32),
            ((4, 105), f32),
            ((4, 105), i32),
            ((4, 105), flag),
            ((4, 105), flag),
        ),
        "proposals": (((4, 12, 4), f32), ((4, 12), f32), ((4, 12), flag)),
        "rois": (((4, 12, 4), f32), ((4, 12), flag), ((4, 12), i32), ((4, 12), i32)),
        "roi_levels": ((4, 12), i32),
        "roi_features": ((4, 12, 7, 7, 16), f32),
        "box": (((4, 12, 4), f32), ((4, 12, 3, 4), f32)),
        # Every roi with each of the three classes.
        "pairs": (((4, 36), i32), ((4, 36, 4), f32), ((4, 36), f32), ((4, 36), i32), ((4, 36), flag), ((4, 36), flag)),
        "detections": (((4, 8, 4), f32), ((4, 8), f32), ((4, 8), i32), ((4, 8), flag), ((4, 8, 28, 28), f32), {}),
        "heads": {
            "mask": (
                (((4, 8, 4), f32), ((4, 8), flag), ((4, 8), i32), ((4, 8), i32)),
                ((4, 8), i32),
                ((4, 8, 14, 14, 16), f32),
                ((4, 8, 28, 28, 3), f32),
            )
        },
    }


def test_the_trace_has_properties_for_the_mask_head(trace):
    mask = trace.heads["mask"]
    assert trace.mask_rois is mask.rois and trace.mask_features is mask.features and trace.mask_logits is mask.output


def test_every_number_is_finite(trace):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(trace))


def test_in_prediction_the_rois_are_proposals_and_detections(trace):
    np.testing.assert_array_equal(trace.rois.boxes, trace.proposals.boxes)
    np.testing.assert_array_equal(trace.rois.valid, trace.proposals.valid)
    assert np.all(trace.rois.labels == 3)
    for name in ("boxes", "valid", "labels"):
        np.testing.assert_array_equal(getattr(trace.mask_rois, name), getattr(trace.detections, name))
    own = jnp.take_along_axis(trace.mask_logits, trace.detections.labels[..., None, None, None], axis=-1)[..., 0]
    np.testing.assert_allclose(trace.detections.masks, jax.nn.sigmoid(own), rtol=1e-5)
    assert np.any(trace.detections.valid, axis=1).all()


def test_boxes_stay_inside_the_image(trace):
    for boxes in (trace.candidates.boxes, trace.proposals.boxes, trace.detections.boxes):
        height, width = np.split(mixed().image_sizes[:, None], 2, axis=2)
        assert np.all(boxes >= 0)
        assert np.all(boxes[..., 0::2] <= width) and np.all(boxes[..., 1::2] <= height)


def test_images_of_a_batch_are_independent(model, trace):
    """A permuted batch gives the permuted trace."""
    batch, order = mixed(), np.array([2, 0, 3, 1])
    moved = jit(forward)(model, batch.images[order], batch.image_sizes[order])
    np.testing.assert_allclose(moved.box.logits, trace.box.logits[order], rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(moved.detections.boxes, trace.detections.boxes[order], rtol=1e-3, atol=1e-2)


def test_normalising():
    config = InputConfig(mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0))
    image = jnp.full((1, 2, 3, 3), 7, jnp.uint8)
    # (7 − 1) / 1, (7 − 2) / 2, (7 − 3) / 4 in an image of 1 × 2 pixels, 0 around it.
    expected = np.zeros((1, 2, 3, 3))
    expected[0, 0, :2] = 6, 2.5, 1
    window = jnp.array([[0.0, 0.0, 2.0, 1.0]])
    np.testing.assert_allclose(normalize(image, window, config), expected)
    # Channels are swapped after normalising, so mean and deviation stay with their channel.
    reverse = normalize(image.astype(jnp.float32), window, change(config, bgr=True))
    np.testing.assert_allclose(reverse, expected[..., ::-1])
    # Black padding, as Matterport has it: (0 − 1) / 1, (0 − 2) / 2, (0 − 3) / 4 around the image.
    black = normalize(image, window, change(config, black_padding=True))
    expected[0, 1], expected[0, 0, 2] = (-1, -1, -0.75), (-1, -1, -0.75)
    np.testing.assert_allclose(black, expected)


def test_valid_region_of_a_centred_image():
    sizes = jnp.array([[64.0, 64.0], [33.0, 20.0]])
    np.testing.assert_array_equal(valid_regions(sizes, (64, 64), InputConfig()), [[0, 0, 64, 64], [0, 0, 20, 33]])
    # 31 pixels of height and 44 of width are left over: 15 above and 16 below, 22 on either side.
    centered = valid_regions(sizes, (64, 64), InputConfig(centered=True))
    np.testing.assert_array_equal(centered, [[0, 0, 64, 64], [22, 15, 42, 48]])


def test_pixels_outside_the_valid_region_have_no_influence(model, trace):
    batch = mixed()
    images = batch.images.at[1, SIDE - 4 :].set(0).at[1, :, SIDE - 2 :].set(255)
    other = jit(forward)(model, images, batch.image_sizes)
    np.testing.assert_array_equal(other.images, trace.images)
    np.testing.assert_array_equal(other.detections.scores, trace.detections.scores)


def test_anchors_of_the_pyramid(trace):
    cells = [level.shape[1:3] for level in trace.features]
    anchors, counts = pyramid_anchors(CONFIG.model.rpn.anchors, cells, STRIDES, (SIDE, SIDE))
    assert counts == tuple(3 * cells for cells in CELLS)
    np.testing.assert_array_equal(anchors, trace.anchors)
    # P3's second cell of the first row is centred on (8, 0); its middle anchor is square, of 16 pixels.
    np.testing.assert_allclose(anchors[3 * 256 + 3 + 1], [0, -8, 16, 8])
    # P6's only cell: ratio 1/2 of size 48 is 48·√2 wide and 48/√2 high.
    np.testing.assert_allclose(anchors[-3], [-33.941, -16.971, 33.941, 16.971], atol=1e-3)


def test_strides_that_divide_the_image():
    """An image of height 800 has 13 cells on P6: ⌊800 / 13⌋ = 61 pixels apart in torchvision, 64 elsewhere."""
    cells = [(height, 1) for height in (200, 100, 50, 25, 13)]
    for floor_stride, expected in ((True, (4, 8, 16, 32, 61)), (False, (4, 8, 16, 32, 64))):
        config = AnchorConfig(aspect_ratios=(1.0,), floor_stride=floor_stride)
        anchors, counts = pyramid_anchors(config, cells, STRIDES, (800, 32))
        starts = np.cumsum([0, *counts[:-1]])
        np.testing.assert_array_equal(np.asarray(anchors)[starts + 1, 1] - np.asarray(anchors)[starts, 1], expected)


def test_boxes_that_end_on_their_last_pixel(model, trace):
    """Inside the model, anchors and the edges for clipping end one pixel earlier."""
    inclusive = build(change(CONFIG.model, inclusive_boxes=True))
    batch = mixed()
    other = jit(forward)(inclusive, batch.images, batch.image_sizes)
    np.testing.assert_array_equal(other.anchors, trace.anchors - jnp.array([[0.0, 0.0, 1.0, 1.0]]))
    height, width = batch.image_sizes[1]
    boxes = np.asarray(other.candidates.boxes[1])
    assert boxes[:, 2].max() == width - 1 and boxes[:, 3].max() == height - 1


def test_candidates_may_reach_into_the_padding(model):
    batch = mixed()
    for clip_to_canvas, right in ((True, SIDE), (False, batch.image_sizes[1, 1])):
        config = change(CONFIG.model, rpn__proposals__clip_to_canvas=clip_to_canvas)
        seen = jit(forward)(build(config), batch.images, batch.image_sizes)
        assert np.asarray(seen.candidates.boxes[1])[:, 2].max() == right
        assert np.asarray(seen.detections.boxes[1])[:, 2].max() <= batch.image_sizes[1, 1]


def test_without_mask_head_it_is_faster_rcnn(trace):
    config = change(CONFIG.model, mask_head=None)
    model = abstract(config)
    assert model.mask_head is None
    boxes_only = jax.eval_shape(forward, model, mixed().images, mixed().image_sizes)
    assert boxes_only.mask_rois is boxes_only.mask_features is boxes_only.mask_logits is None
    assert boxes_only.detections.masks is None
    assert shapes(boxes_only.detections[:4]) == shapes(trace.detections[:4])


def test_background_outputs_are_computed_and_dropped(trace):
    """In torchvision's form the heads have an additional output, which is not in the trace."""
    model = abstract(change(CONFIG.model, background_outputs=True))
    assert model.box_head.deltas.kernel.shape == (32, 4 * 4)
    assert model.mask_head.logits.kernel.shape == (1, 1, 16, 4)
    seen = jax.eval_shape(forward, model, mixed().images, mixed().image_sizes)
    assert shapes(seen.box) == shapes(trace.box)
    assert shapes(seen.mask_logits) == shapes(trace.mask_logits)


def external() -> Proposals:
    boxes = jnp.tile(jnp.array([[4.0, 6, 30, 28], [30, 20, 60, 56], [0, 0, 0, 0]]), (4, 1, 1))
    valid = jnp.tile(jnp.array([True, True, False]), (4, 1))
    return Proposals(boxes, valid.astype(jnp.float32), valid)


def test_given_proposals_it_is_fast_rcnn(model, trace):
    batch = mixed()
    given = jit(forward)(model, batch.images, batch.image_sizes, proposals=external())
    np.testing.assert_array_equal(given.proposals.boxes, external().boxes)
    np.testing.assert_array_equal(given.rois.boxes, external().boxes)
    # The output of the region proposal network is in the trace nevertheless.
    np.testing.assert_allclose(given.rpn.logits, trace.rpn.logits, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(given.candidates.keep, trace.candidates.keep)
    # No class of the padded third roi is found: at most two of each class.
    per_class = [np.sum(given.detections.valid & (given.detections.labels == c), axis=1) for c in range(3)]
    assert 0 < np.max(per_class) <= 2


def test_given_proposals_the_rpn_is_not_computed(model):
    batch = mixed()
    lowered = [
        jax.jit(lambda p: forward(model, batch.images, batch.image_sizes, proposals=p).detections.boxes).lower(p)
        for p in (external(), None)
    ]
    given, own = (module.cost_analysis()["flops"] for module in lowered)
    # The RPN's 3×3 convolution on the 341 cells: 2 · 9 · 16 · 16 FLOPs each, of 4 images, less at the borders.
    assert own - given > 0.8 * 2 * 9 * 16 * 16 * sum(CELLS) * 4


def test_training_and_prediction_differ_only_in_the_rois(model):
    """A sampler that chooses prediction's RoIs gives the trace of prediction, except for the masks of detections."""
    batch = mixed()

    class Given(Inference):
        """Takes every proposal, and given boxes in place of the detections for further heads."""

        detects = False

        def box_rois(self, proposals: Proposals, background: int) -> Rois:
            unmatched = jnp.zeros(proposals.valid.shape, jnp.int32)
            return Rois(proposals.boxes, proposals.valid, unmatched + background, unmatched)

        def head_rois(self, rois: Rois, detections: Detections, background: int) -> Rois:
            return self.given_rois

    def compare(model):
        own = forward(model, batch.images, batch.image_sizes)
        sampler = Given()
        sampler.given_rois = own.mask_rois
        return own, model(batch.images, batch.image_sizes, sampler)

    own, given = jit(compare)(model)
    assert given.detections.masks is None
    own = own._replace(detections=own.detections._replace(masks=None))
    for a, b in zip(jax.tree.leaves(own), jax.tree.leaves(given), strict=True):
        np.testing.assert_array_equal(a, b)


class Few(Inference):
    def limits(self, config: ProposalConfig) -> tuple[int, int]:
        return 5, 7


def test_limits_set_the_number_of_candidates_and_proposals(model):
    seen = jax.eval_shape(lambda m, i, s: m(i, s, Few()), model, mixed().images, mixed().image_sizes)
    assert seen.candidates.boxes.shape == (4, 4 * 5 + 3, 4)
    assert seen.proposals.boxes.shape == (4, 7, 4)


class Constant(nnx.Module):
    """A mask head without weights: every mask is certain of the left half."""

    def __call__(self, roi_features):
        left = jnp.where(jnp.arange(8) < 4, 9.0, -9.0).reshape(1, 1, 1, 8, 1)
        return jnp.broadcast_to(left, (*roi_features.shape[:2], 8, 8, 3))


def test_stages_are_replaced_by_assignment():
    model = build()
    model.mask_head = Constant()
    model.nms = lambda boxes, valid, iou, group=None: valid & (jnp.arange(len(boxes)) == 0)
    model.roi_align = lambda features, boxes, level, shape, bins, *_: jnp.ones((len(boxes), bins, bins, 16))
    found = jit(predict)(model, mixed().images, mixed().image_sizes)
    # One candidate of each level is kept, one detection in the end.
    np.testing.assert_array_equal(found.valid.sum(axis=1), [1, 1, 1, 1])
    np.testing.assert_allclose(found.masks, np.broadcast_to((np.arange(8) < 4) * 1.0, found.masks.shape), atol=1e-3)


def test_convolutions_are_bfloat16_and_choices_float32():
    """Convolutions in bfloat16; boxes, scores and everything that indexes in float32 and int32."""
    model = abstract(change(CONFIG.model, dtype="bfloat16"))
    assert {leaf.dtype.name for leaf in jax.tree.leaves(nnx.state(model))} == {"float32"}
    seen = jax.eval_shape(forward, model, mixed().images, mixed().image_sizes)
    half = {"features", "roi_features", "mask features"}
    mask = seen.heads["mask"]
    fields = seen._asdict() | {"heads": mask._replace(features=None), "mask features": mask.features}
    for name, field in fields.items():
        kinds = {leaf.dtype.name for leaf in jax.tree.leaves(field)}
        assert kinds == {"bfloat16"} if name in half else kinds <= {"float32", "int32", "bool"}, name


def test_predict_is_the_trace_s_detections(model, trace):
    found = jit(predict)(model, mixed().images, mixed().image_sizes)
    np.testing.assert_allclose(found.scores, trace.detections.scores, rtol=1e-4)
    np.testing.assert_array_equal(found.labels, trace.detections.labels)


def test_default_stages_are_those_of_the_package():
    model = abstract(CONFIG.model)
    assert model.nms is stages.nms_ops.nms and model.roi_align is stages.roi_align
