"""The steps on a data set in the order of the page: each is a function of an `InspectedData`."""

from maskrcnn_jax.inspect.data.anchor_steps import anchor_assignment, anchors
from maskrcnn_jax.inspect.data.number_steps import classes, objects, sizes
from maskrcnn_jax.inspect.data.roi_steps import batches, mask_targets, rois
from maskrcnn_jax.inspect.data.stored_steps import boxes, data_set, samples
from maskrcnn_jax.inspect.data.training_steps import augmentation, copy_paste, crops, random_crops, resized

STEPS = (
    *(data_set, samples, boxes),
    *(resized, crops, augmentation, random_crops, copy_paste),
    *(sizes, objects, classes),
    *(anchors, anchor_assignment),
    *(rois, mask_targets, batches),
)
"""A step that does not apply is None."""
