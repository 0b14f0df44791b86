"""torchvision's forward pass as a `Trace`: its own tensors with this project's names and layouts."""

from contextlib import ExitStack
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
import torchvision
from torchvision.models.detection import MaskRCNN
from torchvision.ops import batched_nms, clip_boxes_to_image

from maskrcnn_jax.structs import (
    BoxOutput,
    Candidates,
    ClassCandidates,
    Detections,
    HeadOutput,
    Proposals,
    Rois,
    RPNOutput,
    Trace,
)


class Theirs(NamedTuple):
    """torchvision's tensors for one image, without batch axis and padding."""

    trace: Trace
    result: dict[str, np.ndarray]
    """Boxes, scores, labels (background is 0) and masks `[d, 1, h, w]` in pixels of the image."""


def run(model: MaskRCNN, image: torch.Tensor) -> Theirs:
    """Runs the model on one image `[3, h, w]` in `[0, 1]` and records all tensors."""
    rpn, heads = model.rpn, model.roi_heads
    heads.box_roi_pool.scales = heads.mask_roi_pool.scales = None  # otherwise they are those of the model's first image
    layers = {
        "input": model.transform,
        "features": model.backbone,
        "rpn": rpn.head,
        "anchors": rpn.anchor_generator,
        "proposals": rpn,
        "roi_features": heads.box_roi_pool,
        "box": heads.box_predictor,
        "detections": heads,
        "mask_features": heads.mask_roi_pool,
        "mask_logits": heads.mask_predictor,
    }
    seen: dict[str, Any] = {}
    with ExitStack() as stack, torch.no_grad():
        for name, layer in layers.items():
            hook = layer.register_forward_hook(lambda _layer, _in, out, name=name: seen.update({name: out}))
            stack.callback(hook.remove)
        spy = mock.patch.object(rpn, "filter_proposals", wraps=rpn.filter_proposals)
        filter_proposals = stack.enter_context(spy)
        # `postprocess` changes the output of the heads in place.
        stack.enter_context(mock.patch.object(model.transform, "postprocess", _postprocess_copy(model)))
        result = model([image])[0]
        trace = _trace(model, seen, filter_proposals.call_args.args)
    kept = trace.pairs.scores[trace.pairs.keep]
    np.testing.assert_array_equal(kept[: heads.detections_per_img], trace.detections.scores)
    return Theirs(trace, {k: v.numpy() for k, v in result.items()})


def _postprocess_copy(model: MaskRCNN):
    postprocess = model.transform.postprocess
    return lambda result, *sizes: postprocess([dict(r) for r in result], *sizes)


def _trace(model: MaskRCNN, seen: dict[str, Any], filtered: tuple) -> Trace:
    candidates, proposals = _proposals(model, *filtered)
    np.testing.assert_array_equal(proposals.boxes, seen["proposals"][0][0].numpy())
    boxes = seen["proposals"][0]
    logits, deltas = (x.numpy() for x in seen["box"])
    found = {k: v.numpy() for k, v in seen["detections"][0][0].items()}
    detections = Detections(
        found["boxes"],
        found["scores"],
        found["labels"].astype(np.int32) - 1,
        np.ones(len(found["boxes"]), bool),
        found["masks"][:, 0],
    )
    return Trace(
        images=seen["input"][0].tensors[0].permute(1, 2, 0).numpy(),
        features=tuple(f[0].permute(1, 2, 0).numpy() for f in seen["features"].values()),
        anchors=seen["anchors"][0].numpy(),
        rpn=RPNOutput(*(_by_anchor(levels) for levels in seen["rpn"])),
        anchor_targets=None,
        candidates=candidates,
        proposals=proposals,
        rois=Rois(proposals.boxes, proposals.valid, None, None),
        roi_levels=model.roi_heads.box_roi_pool.map_levels(boxes).numpy(),
        roi_features=seen["roi_features"].permute(0, 2, 3, 1).numpy(),
        box=BoxOutput(np.roll(logits, -1, axis=1), deltas.reshape(len(deltas), -1, 4)[:, 1:]),
        pairs=_pairs(model, *seen["box"], *seen["proposals"][0], seen["input"][0].image_sizes[0]),
        detections=detections,
        heads={
            "mask": HeadOutput(
                Rois(detections.boxes, detections.valid, detections.labels, np.zeros_like(detections.labels)),
                model.roi_heads.mask_roi_pool.map_levels([torch.from_numpy(detections.boxes)]).numpy(),
                seen["mask_features"].permute(0, 2, 3, 1).numpy(),
                seen["mask_logits"][:, 1:].permute(0, 2, 3, 1).numpy(),
            )
        },
    )


def _by_anchor(levels: list[torch.Tensor]) -> np.ndarray:
    """`[a]` logits or `[a, 4]` deltas of maps `[1, 3 or 12, h, w]`."""
    values = levels[0].shape[1] // 3
    flat = [x[0].permute(1, 2, 0).reshape(-1, values).numpy() for x in levels]
    return np.concatenate(flat).squeeze()


def _proposals(model: MaskRCNN, decoded, logits, sizes, counts) -> tuple[Candidates, Proposals]:
    """The candidates of the region proposal network, with torchvision's own calls."""
    rpn = model.rpn
    index = rpn._get_top_n_idx(logits.reshape(1, -1), counts)[0]
    level = torch.bucketize(index, torch.cumsum(torch.tensor(counts), 0), right=True)
    scores = torch.sigmoid(logits.flatten()[index])
    boxes = clip_boxes_to_image(decoded[0][index], sizes[0])
    sides = boxes[:, 2:] - boxes[:, :2]
    valid = (sides >= rpn.min_size).all(dim=1)
    usable = torch.where(valid)[0]
    order = usable[batched_nms(boxes[usable], scores[usable], level[usable], rpn.nms_thresh)]
    keep = torch.zeros_like(valid)
    keep[order] = True
    chosen = order[: rpn.post_nms_top_n()]
    candidates = (index.int(), decoded[0][index], boxes, scores, level.int(), valid, keep)
    proposals = (boxes[chosen], scores[chosen], torch.ones(len(chosen), dtype=torch.bool))
    return Candidates(*(x.numpy() for x in candidates)), Proposals(*(x.numpy() for x in proposals))


def _pairs(model: MaskRCNN, logits, deltas, proposals, size: tuple[int, int]) -> ClassCandidates:
    """The candidates of the detections, with torchvision's own calls."""
    heads = model.roi_heads
    boxes = clip_boxes_to_image(heads.box_coder.decode(deltas, [proposals]), size)[:, 1:].reshape(-1, 4)
    scores = torch.softmax(logits, -1)[:, 1:].reshape(-1)
    label = torch.arange(1, logits.shape[1]).expand(len(logits), -1).reshape(-1)
    index = torch.where((scores > heads.score_thresh) & (boxes[:, 2:] - boxes[:, :2] >= 1e-2).all(dim=1))[0]
    index = index[torch.argsort(scores[index], descending=True, stable=True)]
    boxes, scores, label = boxes[index], scores[index], label[index]
    with mock.patch.object(torchvision.ops.boxes, "nms", wraps=torchvision.ops.boxes.nms) as nms:
        order = batched_nms(boxes, scores, label, heads.nms_thresh)
    shifted = nms.call_count == 1 and len(nms.call_args.args[0]) == len(boxes)
    keep = torch.zeros_like(index, dtype=torch.bool)
    keep[order] = True
    # Up to 1000 pairs are shifted by a multiple of their class, so that one NMS handles all classes.
    seen = nms.call_args.args[0] if shifted else boxes
    roi, every = index // (logits.shape[1] - 1), torch.ones_like(keep)
    return ClassCandidates(*(x.numpy() for x in (roi.int(), seen, scores, label.int() - 1, every, keep)))
