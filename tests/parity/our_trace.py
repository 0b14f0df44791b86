"""This project's forward pass of one image, without batch axis and padding."""

import dataclasses

import jax
import numpy as np
import torch

import maskrcnn_jax as mr
from maskrcnn_jax.nn.params import flatten, unflatten
from maskrcnn_jax.structs import Trace


def same_model(theirs: torch.nn.Module) -> mr.MaskRCNN:
    """This project's model with the weights, image sizes and proposal counts of a torchvision model."""
    model = mr.load_pretrained({name: value.numpy() for name, value in theirs.state_dict().items()})
    config, resize, rpn = model.config, theirs.transform, theirs.rpn
    proposals = dataclasses.replace(
        config.rpn.proposals, top_k=rpn._pre_nms_top_n["testing"], count=rpn._post_nms_top_n["testing"]
    )
    model.config = dataclasses.replace(
        config,
        input=dataclasses.replace(config.input, shortest_edge=resize.min_size[-1], longest_edge=resize.max_size),
        rpn=dataclasses.replace(config.rpn, proposals=proposals),
    )
    return model


class Forward:
    """`mr.forward`, compiled once per padded shape."""

    def __init__(self, model: mr.MaskRCNN):
        self.config = model.config
        structure, *self._weights = flatten(model)
        self._run = jax.jit(lambda params, statistics, *x: mr.forward(unflatten(structure, params, statistics), *x))

    def __call__(self, image: np.ndarray) -> Trace:
        """The trace of an RGB image `[h, w, 3]` uint8."""
        fitted = mr.fit(image, self.config.input)
        trace = jax.device_get(self._run(*self._weights, fitted.image[None], fitted.size[None]))
        trace = jax.tree.map(lambda x: x[0], trace._replace(anchors=trace.anchors[None]))
        rois, pairs, found = trace.proposals.valid, trace.pairs.valid, trace.detections.valid
        return trace._replace(
            proposals=jax.tree.map(lambda x: x[rois], trace.proposals),
            rois=jax.tree.map(lambda x: x[rois], trace.rois),
            roi_levels=trace.roi_levels[rois],
            roi_features=trace.roi_features[rois],
            box=jax.tree.map(lambda x: x[rois], trace.box),
            pairs=jax.tree.map(lambda x: x[pairs], trace.pairs),
            detections=jax.tree.map(lambda x: x[found], trace.detections),
            heads=jax.tree.map(lambda x: x[found], trace.heads),
        )
