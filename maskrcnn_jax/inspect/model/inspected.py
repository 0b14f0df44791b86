"""One image in a network: the image, every tensor, the backbone's stages, its objects if known."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, UInt8

from maskrcnn_jax.config import InputConfig, ModelConfig
from maskrcnn_jax.data.sources.coco_dictionary import coco_dictionary, of_example
from maskrcnn_jax.data.sources.example import ImageSource
from maskrcnn_jax.data.transforms.geometry import fit
from maskrcnn_jax.evaluation.coco import label_categories
from maskrcnn_jax.inspect.activations import module_names, observe
from maskrcnn_jax.inspect.data.anchor_targets import Pyramid
from maskrcnn_jax.inspect.model.annotated import AnnotatedImage, network_objects
from maskrcnn_jax.inspect.model.matches import Outcome, compare_results
from maskrcnn_jax.masks.lazy_masks import whole_masks
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.ops.images import Images, ImageSizes, valid_regions
from maskrcnn_jax.prediction.coco_results import CocoResult, image_results
from maskrcnn_jax.prediction.predictor import to_original
from maskrcnn_jax.structs import Array, Detections, GroundTruth, ImageRecord, Trace

NO_MARGIN = np.zeros(2)
STEM, BACKBONE = "backbone.stem", "backbone"


class InputView(NamedTuple):
    """The image inside the network's input, without normalisation: the background of figures."""

    image: np.ndarray
    """`[h, w, 3]` uint8 RGB: the input without its padding."""
    corner: np.ndarray
    """`[2]` float32 `(x, y)`: its upper left corner in the padded input, pixels."""

    def place(self, boxes: Array) -> np.ndarray:
        """Boxes of a trace, `[n, 4]` pixels of the padded input, in pixels of the view."""
        return np.asarray(boxes, np.float32) - np.tile(self.corner, 2)

    def window(self, box: Float[np.ndarray, "4"], margin: Array = NO_MARGIN) -> tuple[slice, slice]:
        """Lines and columns of the view in a box, at least one of each; a margin `(x, y)` is added on all sides."""
        height, width = self.image.shape[:2]
        x0, y0, x1, y1 = np.rint(box + np.concatenate([-margin, margin])).astype(int).tolist()
        x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
        return slice(y0, min(max(y1, y0 + 1), height)), slice(x0, min(max(x1, x0 + 1), width))


@dataclass(frozen=True)
class InspectedImage:
    """An image and all that a network computes for it; NumPy arrays, a batch of one."""

    model: MaskRCNN
    image: np.ndarray
    """`[h, w, 3]` uint8 RGB: the image itself."""
    scale: tuple[float, float]
    """`(x, y)`: network pixels per pixel of the image."""
    view: InputView
    trace: Trace
    activations: dict[str, Array]
    """The outputs of the backbone's stages, by name."""
    annotated: AnnotatedImage | None = None
    """The objects of the image; None if they are not known."""

    @property
    def config(self) -> ModelConfig:
        """The configuration of the network."""
        return self.model.config

    @property
    def names(self) -> tuple[str, ...]:
        """The network's classes by label."""
        return self.config.class_names

    @cached_property
    def objects(self) -> GroundTruth | None:
        """The annotated objects in coordinates of the network's input; no leading `B`, no padding."""
        return None if self.annotated is None else network_objects(self.annotated, self.scale, self.view.corner)

    @property
    def pyramid(self) -> Pyramid:
        """The anchors, pixels of the padded input, by level."""
        cells = tuple((level.shape[1], level.shape[2]) for level in self.trace.features)
        counts = tuple(self.config.rpn.anchors.per_cell * height * width for height, width in cells)
        return Pyramid(np.asarray(self.trace.anchors), cells, counts, self.config.level_names)

    @property
    def found(self) -> Detections:
        """The detections in pixels of the view, with masks over all of it; without padding."""
        size = self.view.image.shape[:2]
        found = to_original(self.from_corner, size, (1.0, 1.0), self.config)
        return found._replace(masks=whole_masks(found.masks, size))

    @property
    def from_corner(self) -> Detections:
        """The detections as `prediction.detector.Detector` gives them: boxes are measured from the view's corner."""
        first = jax.tree.map(lambda leaf: leaf[0], self.trace.detections)
        return first._replace(boxes=self.view.place(first.boxes))

    @cached_property
    def outcome(self) -> Outcome | None:
        """The detections compared with the annotated objects: by masks if the network has them, else by boxes."""
        if self.annotated is None:
            return None
        source, _, example, _ = self.annotated
        objects = [of_example(example, has_masks=source.has_masks)]
        truth = coco_dictionary(objects, source.category_ids, source.class_names)
        masks = self.config.mask_head is not None and source.has_masks
        return compare_results(self.results(source, example.image_id), truth["annotations"], masks=masks)

    def results(self, source: ImageSource, image_id: int) -> list[CocoResult]:
        """The detections in COCO's results format, in pixels of the image itself and categories of a data set."""
        config, (height, width) = self.config, self.image.shape[:2]
        return image_results(
            self.from_corner,
            ImageRecord(image_id, height, width, self.scale),
            label_categories(config.class_names, source.class_names, source.category_ids),
            masks=config.mask_head is not None,
            paste="exact" if config.mask_head is None else config.mask_head.paste,
            inclusive=config.inclusive_boxes,
        )


def run_model(
    model: MaskRCNN, image: UInt8[np.ndarray, "h w 3"], annotated: AnnotatedImage | None = None
) -> InspectedImage:
    """Runs a network on an image and keeps every tensor; each padded size compiles once.

    Args:
        model: The network.
        image: RGB of any size.
        annotated: The objects of the image, if they are known.

    Raises:
        ConfigError: The network has no bucket that holds the resized image.
    """
    config = model.config
    fitted = fit(image, config.input)
    names = tuple(name for name in (STEM, BACKBONE) if name in module_names(model))
    trace, inside, windows = jax.device_get(_run(model, fitted.image[None], fitted.size[None], names))
    view = input_view(trace, windows[0], config.input)
    return InspectedImage(model, image, fitted.scale, view, trace, _stages(inside, config.backbone.strides), annotated)


@partial(jax.jit, static_argnames="names")
def _run(
    model: MaskRCNN, images: Images, image_sizes: ImageSizes, names: tuple[str, ...]
) -> tuple[Trace, dict, jax.Array]:
    """The trace, the backbone's stages and the valid regions in one program."""
    trace, inside = observe(model, images, image_sizes, names)
    windows = valid_regions(image_sizes, (images.shape[1], images.shape[2]), model.config.input)
    return trace, inside, windows


def input_view(trace: Trace, region: Float[np.ndarray, "4"], config: InputConfig) -> InputView:
    """The image in the valid region of the first input of a trace, its normalisation undone."""
    x0, y0, x1, y1 = (int(edge) for edge in region)
    pixels = np.asarray(trace.images[0, y0:y1, x0:x1], np.float32)
    pixels = pixels[..., ::-1] if config.bgr else pixels
    pixels = pixels * np.array(config.std, np.float32) + np.array(config.mean, np.float32)
    return InputView(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), np.asarray(region[:2], np.float32))


def _stages(inside: dict[str, Array | tuple], strides: Sequence[int]) -> dict[str, Array]:
    """The stem, and C2 … C5, which the backbone returns together; they are named by their strides, 2² … 2⁵."""
    stages = {f"C{stride.bit_length() - 1}": array for stride, array in zip(strides, inside[BACKBONE], strict=True)}
    return {"stem": inside[STEM], **stages} if STEM in inside else stages
