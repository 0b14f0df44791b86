"""The records that cross stage borders, in the order of the forward pass.

Letters in shapes: `B` images, `A` anchors, `S` sampled anchors, `K` candidates, `N` proposals or rois, `R` boxes given
to further heads, `G` ground-truth slots, `D` detections, `C` foreground classes, `H W` pixels, `h w` feature cells, `F`
channels, `M` side of a ground-truth mask, `m` side of a predicted mask. Stages see one image, so their records lack the
leading `B`.

Boxes are `(x0, y0, x1, y1)` in absolute pixels of the padded network input, float32, continuous (no +1).
Labels are `0 … C-1`; background is `C`. Every padded array has a boolean `valid` beside it; padded slots hold finite
values.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import jax
import numpy as np

if TYPE_CHECKING:
    # With the union every reader of a record would have to check which of the two it got.
    Array: TypeAlias = Any
else:
    Array = jax.Array | np.ndarray | jax.ShapeDtypeStruct
    """Device arrays inside the model, NumPy arrays on the host, shapes under `jax.eval_shape`."""


class GroundTruth(NamedTuple):
    """The annotated objects of an image, padded to `G` slots."""

    boxes: Array
    """`[B, G, 4]` float32, pixels."""
    labels: Array
    """`[B, G]` int32 in `[0, C)`."""
    is_crowd: Array
    """`[B, G]` bool: the region covers a group of objects; it is never matched."""
    valid: Array
    """`[B, G]` bool: the slot holds an object."""
    masks: Array
    """`[B, G, M, M]` uint8 in {0, 1}: the object's mask, sampled over `mask_extent`."""
    mask_extent: Array
    """`[B, G, 4]` float32, pixels: the image region that each mask covers. The object's own box gives sharp crops
    at a fixed size (training); the whole image gives full-resolution masks (exact comparisons)."""


class Batch(NamedTuple):
    """A batch of the data pipeline."""

    images: Array
    """`[B, H, W, 3]` RGB in `[0, 255]`, padded as `InputConfig` says; uint8, or float32 of exact interpolation."""
    image_sizes: Array
    """`[B, 2]` float32 `(height, width)`: the size of the image inside the padding, pixels."""
    ground_truth: GroundTruth
    image_ids: Array
    """`[B]` int64 (host) or int32 (device): the data set's own ids."""


class RPNOutput(NamedTuple):
    """The output of the region proposal network for each anchor."""

    logits: Array
    """`[B, A]` float32: objectness before the sigmoid."""
    deltas: Array
    """`[B, A, 4]` float32: encoded boxes relative to the anchors."""


class AnchorTargets(NamedTuple):
    """The sampled anchors of the losses of the region proposal network, and their targets."""

    index: Array
    """`[B, S]` int32: which anchor each slot holds."""
    positive: Array
    """`[B, S]` bool: the anchor stands for an object."""
    valid: Array
    """`[B, S]` bool: the slot holds an anchor."""
    deltas: Array
    """`[B, S, 4]` float32: encoded box of the matched object; meaningful where positive."""


class Candidates(NamedTuple):
    """The best anchors, decoded and clipped, before and after non-maximum suppression."""

    anchor_index: Array
    """`[B, K]` int32: which anchor each candidate came from."""
    decoded: Array
    """`[B, K, 4]` float32, pixels: the anchor with its delta applied, not clipped."""
    boxes: Array
    """`[B, K, 4]` float32, pixels: `decoded`, clipped to the image, or to its canvas if the model wants it."""
    scores: Array
    """`[B, K]` float32 in `[0, 1]`: objectness after the sigmoid."""
    level: Array
    """`[B, K]` int32: pyramid level, 0 for the finest."""
    valid: Array
    """`[B, K]` bool: the box is finite and not smaller than the configured minimum."""
    keep: Array
    """`[B, K]` bool: the candidate survived non-maximum suppression."""


class Proposals(NamedTuple):
    """Class-agnostic boxes, best first."""

    boxes: Array
    """`[B, N, 4]` float32, pixels."""
    scores: Array
    """`[B, N]` float32 in `[0, 1]`."""
    valid: Array
    """`[B, N]` bool."""


class Rois(NamedTuple):
    """The boxes that go to a head. In training they are matched with objects."""

    boxes: Array
    """`[B, N, 4]` float32, pixels."""
    valid: Array
    """`[B, N]` bool."""
    labels: Array
    """`[B, N]` int32 in `[0, C]`: the matched object's class or background `C`; predicted class for boxes that the
    detector chose; background where unmatched."""
    matched_index: Array
    """`[B, N]` int32 in `[0, G)`: the matched ground-truth slot; meaningful where `labels < C`."""


class BoxOutput(NamedTuple):
    """The output of the box head for each RoI."""

    logits: Array
    """`[B, N, C + 1]` float32 before the softmax; background is the last column."""
    deltas: Array
    """`[B, N, C, 4]` float32: encoded boxes relative to the roi, one per class; `[B, N, 1, 4]` of a class-agnostic
    head."""


class HeadOutput(NamedTuple):
    """Input and output of a further head, such as the mask head."""

    rois: Rois
    """`R` boxes: the detections, or in training the sampled foreground."""
    levels: Array
    """`[B, R]` int32: the pyramid level each roi is pooled from, 0 for the finest."""
    features: Array
    """`[B, R, p, p, F]`, `p` the head's `pool_size`."""
    output: Array
    """`[B, R, …]`: of the mask head logits `[B, R, m, m, C]`, one mask per class, or `[B, R, m, m, 1]` of a
    class-agnostic one; float32 before the sigmoid."""


class Detections(NamedTuple):
    """The detected objects, best first."""

    boxes: Array
    """`[B, D, 4]` float32, pixels."""
    scores: Array
    """`[B, D]` float32 in `[0, 1]`."""
    labels: Array
    """`[B, D]` int32 in `[0, C)`."""
    valid: Array
    """`[B, D]` bool."""
    masks: Array | None
    """`[B, D, m, m]` float32 in `[0, 1]`: the probability of the object's own class over its box; None without mask
    head. From `Predictor`: `[D, H, W]` bool over the original image, or `Crops`, one mask of which is pasted when it
    is looked at."""
    extras: dict[str, Array] = {}  # noqa: RUF012  # never changed
    """Results of further heads, `[B, D, …]` each, by the head's name."""


class ClassCandidates(NamedTuple):
    """The best pairs of a roi and a class, before and after class-wise suppression, best first."""

    roi_index: Array
    """`[B, K]` int32: which roi."""
    boxes: Array
    """`[B, K, 4]` float32, pixels: the roi with the delta of the class applied, clipped to the image."""
    scores: Array
    """`[B, K]` float32 in `[0, 1]`: probability of the class."""
    labels: Array
    """`[B, K]` int32 in `[0, C)`."""
    valid: Array
    """`[B, K]` bool: the score passes the threshold, and the box is not smaller than the configured minimum."""
    keep: Array
    """`[B, K]` bool: the pair survived suppression."""


class Trace(NamedTuple):
    """Every intermediate tensor of one forward pass, in the order of the paper's figure."""

    images: Array
    """`[B, H, W, 3]` float: the normalised network input; zero where padded, or black if the model wants it."""
    features: tuple[Array, ...]
    """P2 … P6, `[B, h, w, F]` each, finest first."""
    anchors: Array
    """`[A, 4]` float32, pixels; level by level, row by row, then ratio."""
    rpn: RPNOutput
    anchor_targets: AnchorTargets | None
    """The anchors that training samples; None in prediction."""
    candidates: Candidates
    proposals: Proposals
    rois: Rois
    roi_levels: Array
    """`[B, N]` int32: the pyramid level each roi is pooled from, 0 for P2."""
    roi_features: Array
    """`[B, N, p, p, F]`, `p` the box head's `pool_size`, 7 in the paper."""
    box: BoxOutput
    pairs: ClassCandidates
    detections: Detections
    heads: dict[str, HeadOutput]
    """The mask head as "mask", if the model has one, and further heads by their names."""

    @property
    def mask_rois(self) -> Rois | None:
        """The boxes that go to the mask head; None without mask head."""
        return self.heads["mask"].rois if "mask" in self.heads else None

    @property
    def mask_features(self) -> Array | None:
        """`[B, R, p, p, F]`, `p` the mask head's `pool_size`, 14 in the paper."""
        return self.heads["mask"].features if "mask" in self.heads else None

    @property
    def mask_logits(self) -> Array | None:
        """`[B, R, m, m, C]` float32 before the sigmoid, one mask per class."""
        return self.heads["mask"].output if "mask" in self.heads else None


class ImageRecord(NamedTuple):
    """What evaluation needs to map detections back to the original image."""

    image_id: int
    """The data set's own id."""
    height: int
    """Of the original image, pixels."""
    width: int
    """Of the original image, pixels."""
    scale: tuple[float, float]
    """`(x, y)`: network pixels per original pixel."""
