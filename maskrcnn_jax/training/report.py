"""The results of a finished run: its training curves, and images with their detections."""

from pathlib import Path

import jax
import jax.numpy as jnp

from maskrcnn_jax.data.sources.example import ImageSource
from maskrcnn_jax.draw.curves import plot_curves
from maskrcnn_jax.draw.images import image_grid, save_png
from maskrcnn_jax.evaluation.run import table
from maskrcnn_jax.model.mask_rcnn import MaskRCNN
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.training import metrics

MIN_SCORE = 0.5
"""Of the detections that are drawn."""


def report(model: MaskRCNN, source: ImageSource, evaluated: dict[str, float], folder: Path) -> None:
    """Draws the training curves and the first images with their detections, and prints the metrics and the files."""
    predictor = Predictor(model)
    images = [source[i].image for i in range(min(16, len(source)))]
    drawn = [found.draw(min_score=MIN_SCORE) for found in predictor(images)]
    save_png(folder / "detections.png", image_grid(drawn, columns=4))
    plot_curves(metrics.read(folder), folder / "curves.png")
    print(table(evaluated))
    print(f"{folder}: metrics.json, curves.png, detections.png, checkpoints/")


def on_one_device(model: MaskRCNN) -> MaskRCNN:
    """The model on this process's first device, where it may be used without the other processes."""
    return jax.tree.map(jnp.asarray, jax.device_get(model))
