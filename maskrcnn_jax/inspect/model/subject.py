"""One picture on its way through a network: what it is, every tensor, and the inside of the backbone."""

from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, UInt8

from maskrcnn_jax.config import InputConfig, ModelConfig
from maskrcnn_jax.data.transforms.geometry import fit
from maskrcnn_jax.inspect.activations import module_names, observe
from maskrcnn_jax.masks.paste import Crop
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.ops.images import Images, ImageSizes, valid_regions
from maskrcnn_jax.prediction.predictor import to_original
from maskrcnn_jax.structs import Array, Detections, Trace

STEM, BACKBONE = "backbone.stem", "backbone"


class View(NamedTuple):
    """The picture inside the network's input, in its own colours: the ground that figures are drawn on."""

    image: np.ndarray
    """`[h, w, 3]` uint8 RGB: the input without its padding."""
    corner: np.ndarray
    """`[2]` float32 `(x, y)`: where it lies in the padded input, pixels."""

    def place(self, boxes: Array) -> np.ndarray:
        """Boxes of a trace, `[n, 4]` pixels of the padded input, in pixels of the picture."""
        return np.asarray(boxes, np.float32) - np.tile(self.corner, 2)


class Subject(NamedTuple):
    """A picture and what a network makes of it; NumPy arrays, a batch of one."""

    image: np.ndarray
    """`[h, w, 3]` uint8 RGB: the picture itself."""
    scale: tuple[float, float]
    """`(x, y)`: network pixels per pixel of the picture."""
    config: ModelConfig
    view: View
    trace: Trace
    activations: dict[str, Array]
    """What the stages of the backbone return, by name."""


def look(model: MaskRCNN, image: UInt8[np.ndarray, "h w 3"]) -> Subject:
    """Runs a picture through a network once and keeps everything; each padded size compiles once.

    Args:
        model: the network.
        image: RGB of any size.

    Raises:
        ConfigError: the network has no bucket that holds the resized picture.
    """
    config = model.config
    fitted = fit(image, config.input)
    names = tuple(name for name in (STEM, BACKBONE) if name in module_names(model))
    trace, inside, windows = jax.device_get(_run(model, fitted.image[None], fitted.size[None], names))
    return Subject(image, fitted.scale, config, picture(trace, windows[0], config.input), trace, _stages(inside))


@partial(jax.jit, static_argnames="names")
def _run(
    model: MaskRCNN, images: Images, image_sizes: ImageSizes, names: tuple[str, ...]
) -> tuple[Trace, dict, jax.Array]:
    """Everything in one program."""
    trace, inside = observe(model, images, image_sizes, names)
    windows = valid_regions(image_sizes, (images.shape[1], images.shape[2]), model.config.input)
    return trace, inside, windows


def picture(trace: Trace, window: Float[np.ndarray, "4"], config: InputConfig) -> View:
    """The picture in the first input of a trace, its normalisation undone.

    Args:
        trace: of a batch.
        window: the part of the input that is picture; see `mask_rcnn.valid_regions`.
        config: how the network's inputs are normalised.
    """
    x0, y0, x1, y1 = (int(edge) for edge in window)
    pixels = np.asarray(trace.images[0, y0:y1, x0:x1], np.float32)
    pixels = pixels[..., ::-1] if config.bgr else pixels
    pixels = pixels * np.array(config.std, np.float32) + np.array(config.mean, np.float32)
    return View(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), np.asarray(window[:2], np.float32))


def in_view(trace: Trace, view: View, config: ModelConfig) -> Detections:
    """The detections of the first picture of a trace, in pixels of its view, masks as `Crops`; without padding."""
    return to_original(from_corner(trace, view), view.image.shape[:2], (1.0, 1.0), config, crops=True)


def full(mask: Crop, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """A mask over all of a view, whose (height, width) is `size`."""
    pixels = np.zeros(size, bool)
    rows, columns = mask.mask.shape
    pixels[mask.y : mask.y + rows, mask.x : mask.x + columns] = mask.mask
    return pixels


def from_corner(trace: Trace, view: View) -> Detections:
    """The first picture's detections as `prediction.predictor.detect` gives them: boxes count from its upper left."""
    first = jax.tree.map(lambda leaf: leaf[0], trace.detections)
    return first._replace(boxes=view.place(first.boxes))


def _stages(inside: dict[str, Array | tuple]) -> dict[str, Array]:
    """The stem, and C2 … C5, which the backbone returns together."""
    levels = inside[BACKBONE]
    stages = {f"C{level}": array for level, array in enumerate(levels, start=2)}
    return {"stem": inside[STEM], **stages} if STEM in inside else stages
