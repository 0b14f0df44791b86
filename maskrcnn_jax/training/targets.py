"""The training targets of the heads, for one image."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from maskrcnn_jax.ops import boxes as box_ops
from maskrcnn_jax.ops.masks import crop_masks
from maskrcnn_jax.structs import GroundTruth, Rois


def box_targets(rois: Rois, ground_truth: GroundTruth, box_weights: box_ops.Weights) -> Float[Array, "n 4"]:
    """Deltas from each RoI to its matched object; meaningful where the RoI is foreground."""
    return box_ops.encode(ground_truth.boxes[rois.matched_index], rois.boxes, box_weights)


def mask_targets(
    rois: Rois, ground_truth: GroundTruth, size: int, samples: int, aligned: bool, binary: bool
) -> Float[Array, "n {size} {size}"]:
    """The mask of each RoI's matched object within the RoI, on the mask head's grid.

    Args:
        rois: of one image.
        ground_truth: of the same image.
        size: side of the mask head's output.
        samples: samples per bin and axis; 0 takes `⌈side / size⌉` of each RoI in pixels.
        aligned: sample at the RoI; False samples half a pixel further right and down, as torchvision.
        binary: round to {0, 1}; False keeps the covered share of each bin.

    Returns:
        `[n, size, size]` in `[0, 1]`; meaningful where the RoI is foreground.

    Source: Mask R-CNN, section 3.1; without samples and not aligned, numbers of torchvision `project_masks_on_boxes`.
    """
    index = rois.matched_index
    boxes = rois.boxes if aligned else rois.boxes + 0.5
    covered = crop_masks(ground_truth.masks[index], ground_truth.mask_extent[index], boxes, size, samples)
    return jnp.where(covered >= 0.5, 1.0, 0.0) if binary else covered
