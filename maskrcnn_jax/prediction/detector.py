"""Detections of a padded batch, compiled once per shape."""

from functools import partial

import jax
import jax.numpy as jnp

from maskrcnn_jax.distributed.mesh import replicate
from maskrcnn_jax.model.mask_rcnn import MaskRCNN, forward
from maskrcnn_jax.nn.params import Arrays, Structure, flatten, unflatten
from maskrcnn_jax.ops.boxes import clip, shorten
from maskrcnn_jax.ops.images import valid_regions
from maskrcnn_jax.structs import Array, Detections, Proposals


class Detector:
    """The compiled prediction of a model: padded images to detections.

    Boxes, also those of `proposals`, are measured from the upper left corner of the image, wherever it is in the padded
    input.

    Args:
        model: the network; changing it later changes nothing here.
    """

    def __init__(self, model: MaskRCNN):
        self._weights = flatten(model)

    def __call__(self, images: Array, image_sizes: Array, proposals: Proposals | None = None) -> Detections:
        """The detections of a batch; arguments as those of `forward`."""
        return detect(*self._weights, images, image_sizes, proposals)


@partial(jax.jit, static_argnames="structure")
def detect(
    structure: Structure,
    params: Arrays,
    statistics: Arrays,
    images: jax.Array,
    image_sizes: jax.Array,
    proposals: Proposals | None = None,
) -> Detections:
    """The program of a `Detector`."""
    model = unflatten(structure, *replicate((params, statistics)))
    windows = valid_regions(image_sizes, (images.shape[1], images.shape[2]), model.config.input)
    corners = jnp.tile(windows[:, :2], 2)[:, None]
    if proposals is not None:
        boxes = proposals.boxes + jnp.broadcast_to(corners, proposals.boxes.shape)
        inside = shorten(windows, float(model.config.inclusive_boxes))
        proposals = proposals._replace(boxes=jax.vmap(clip)(boxes, inside))
    found = forward(model, images, image_sizes, proposals=proposals).detections
    boxes = found.boxes - jnp.broadcast_to(corners, found.boxes.shape)
    return found._replace(boxes=jnp.where(found.valid[..., None], boxes, 0.0))
