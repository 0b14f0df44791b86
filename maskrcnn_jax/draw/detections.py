"""Detections drawn over an image."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from maskrcnn_jax.draw.colors import Color, contrast, distinct_color
from maskrcnn_jax.draw.label_layout import find_position
from maskrcnn_jax.masks.lazy_masks import as_crop
from maskrcnn_jax.structs import Detections

FONT = cv2.FONT_HERSHEY_SIMPLEX
READABLE = 480
"""Images whose longer side is shorter, pixels, are enlarged by a whole factor before anything is drawn on them."""

MAX_TAG_AREA = 1 / 8
"""Of an image: once tags cover more of it, no further ones are drawn."""


def draw_detections(
    image: UInt8[np.ndarray, "h w 3"],
    detections: Detections,
    class_names: Sequence[str] = (),
    *,
    min_score: float = 0.0,
    colors: Sequence[Color] | None = None,
    enlarge: bool = True,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draws masks, boxes and names.

    The best detection is drawn last, on top. Lines and tags have a black or white rim, so that they are visible on any
    background. A name is written beside its box if there is room, over no other box if possible, and never outside the
    image; it is left out if it would cover another name, or if names already cover an eighth of the image.

    Args:
        image: RGB.
        detections: Of this image, in its pixels, as `Predictor` returns them: no leading `B`, `masks` as
            `[D, h, w]` bool, `Crops` or None.
        class_names: One per label; without a name the label's number is shown.
        min_score: Detections below are left out.
        colors: One per detection, in place of its label's.
        enlarge: Enlarge a small image by a whole factor, so that names can be read.

    Returns:
        A copy.
    """
    factor = max(1, -(-READABLE // max(image.shape[:2]))) if enlarge else 1
    if colors is None:
        colors = [distinct_color(label) for label in detections.labels.tolist()]
    canvas = _enlarge(image, factor)
    shown = np.flatnonzero(detections.valid & (detections.scores >= min_score))
    order = shown[np.argsort(detections.scores[shown], kind="stable")].tolist()
    thickness = max(1, round(max(canvas.shape[:2]) / 320))
    rim = max(1, round(thickness / 3))
    if detections.masks is not None:
        for index in order:
            crop = as_crop(detections.masks[index])
            mask = _enlarge(crop.mask.astype(np.uint8), factor)
            _fill(canvas, mask, (crop.x * factor, crop.y * factor), colors[index], thickness)
    boxes = np.rint(detections.boxes * factor).astype(int)
    for index in order:
        x0, y0, x1, y1 = boxes[index].tolist()
        for color, width in ((contrast(colors[index]), thickness + 2 * rim), (colors[index], thickness)):
            cv2.rectangle(canvas, (x0, y0), (x1 - 1, y1 - 1), color, width)
    best = order[::-1]  # their names are placed first
    names = [class_name(class_names, label) for label in detections.labels[best].tolist()]
    texts = [f"{name} {score:.2f}" for name, score in zip(names, detections.scores[best].tolist(), strict=True)]
    _write(canvas, texts, boxes[best], [colors[index] for index in best], rim)
    return canvas


def class_name(names: Sequence[str], label: int) -> str:
    """The name of a label, or its number if it has no name."""
    return names[label] if label < len(names) else str(label)


def splash(
    image: UInt8[np.ndarray, "h w 3"], detections: Detections, *, min_score: float = 0.0
) -> UInt8[np.ndarray, "h w 3"]:
    """The image in gray, with its colours where an object is.

    Args:
        image: RGB.
        detections: As for `draw_detections`, with masks.
        min_score: Detections below leave no colour.

    Raises:
        ValueError: The detections have no masks.

    Source: Matterport `samples/balloon`, `color_splash`.
    """
    if detections.masks is None:
        raise ValueError("splash of detections without masks: the model must have a mask head")
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    splashed = np.repeat(gray[..., None], 3, axis=2)
    for index in np.flatnonzero(detections.valid & (detections.scores >= min_score)):
        mask, y, x = as_crop(detections.masks[index])
        region = slice(y, y + mask.shape[0]), slice(x, x + mask.shape[1])
        splashed[region][mask] = image[region][mask]
    return splashed


def _enlarge(array: np.ndarray, factor: int) -> np.ndarray:
    return array.copy() if factor == 1 else array.repeat(factor, axis=0).repeat(factor, axis=1)


def _fill(canvas: np.ndarray, mask: np.ndarray, corner: tuple[int, int], color: Color, thickness: int) -> None:
    """Tints a mask whose upper left corner is (x, y) and draws its outline."""
    if not mask.size:
        return
    (x, y), (height, width) = corner, mask.shape
    region = canvas[y : y + height, x : x + width]
    tints = np.rint(0.6 * np.arange(256)[:, None] + 0.4 * np.array(color)).astype(np.uint8)
    np.copyto(region, cv2.LUT(region, tints[None]), where=mask[..., None] > 0)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=corner)
    cv2.drawContours(canvas, contours, -1, color, thickness, cv2.LINE_AA)


def _write(
    canvas: np.ndarray, texts: Sequence[str], boxes: Int[np.ndarray, "n 4"], colors: Sequence[Color], rim: int
) -> None:
    """Writes a text beside each box on a rimmed tag of its colour; those without room are left out."""
    height, width = canvas.shape[:2]
    scale = max(0.45, min(max(height, width) / 1300, 1.2))
    stroke = max(1, round(2 * scale)) if scale >= 0.7 else 1
    tags = np.zeros((0, 4))
    for text, box, color in zip(texts, boxes, colors, strict=True):
        if (tags[:, 2:] - tags[:, :2]).prod(axis=1).sum() > MAX_TAG_AREA * height * width:
            break
        (wide, high), below = cv2.getTextSize(text, FONT, scale, stroke)
        pad = 2 + rim + below // 2
        size = wide + 2 * pad, high + below // 2 + 2 * pad
        tag = find_position(box, size, (0, 0, width, height), boxes, tags)
        if tag is None:
            continue
        tags = np.concatenate([tags, tag[None]])
        x0, y0, x1, y1 = tag.astype(int).tolist()
        ink = contrast(color)
        cv2.rectangle(canvas, (x0, y0), (x1 - 1, y1 - 1), ink, cv2.FILLED)
        cv2.rectangle(canvas, (x0 + rim, y0 + rim), (x1 - 1 - rim, y1 - 1 - rim), color, cv2.FILLED)
        cv2.putText(canvas, text, (x0 + pad, y1 - pad - below // 2), FONT, scale, ink, stroke, cv2.LINE_AA)
