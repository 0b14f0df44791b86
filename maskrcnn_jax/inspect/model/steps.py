"""The steps on an image in a network in the order of the page: functions of an `InspectedImage`.

The last step of the page is `score_steps.scores`, on several images.
"""

from maskrcnn_jax.inspect.model.box_head_steps import (
    class_probabilities,
    roi_classes,
    roi_features,
    roi_levels,
    roi_refinement,
)
from maskrcnn_jax.inspect.model.detection_steps import class_masks, class_suppression, color_splash, detections, masks
from maskrcnn_jax.inspect.model.input_steps import annotated_objects, backbone, image, pyramid, tensors
from maskrcnn_jax.inspect.model.match_steps import errors, overlaps, precision
from maskrcnn_jax.inspect.model.proposal_steps import (
    anchor_targets,
    deltas,
    objectness,
    proposal_corners,
    refined,
    suppression,
    top_anchors,
)
from maskrcnn_jax.inspect.model.recall_steps import recall

STEPS = (
    *(image, tensors, annotated_objects),
    *(backbone, pyramid),
    *(anchor_targets, objectness, top_anchors, refined, suppression, proposal_corners, deltas, recall),
    *(roi_levels, roi_features, roi_classes, class_probabilities, roi_refinement),
    *(class_suppression, detections),
    *(masks, class_masks, color_splash),
    *(precision, overlaps, errors),
)
"""A step that does not apply is None."""
