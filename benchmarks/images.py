"""Images, boxes and objects for the benchmarks."""

import cv2
import numpy as np

from maskrcnn_jax.config import DataConfig
from maskrcnn_jax.structs import GroundTruth


def random_image(height: int, width: int, seed: int) -> np.ndarray:
    """Noise of several scales, `[height, width, 3]` uint8, which has edges and smooth areas."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cells in (4, 8, 16, 32, 64, 128):
        noise = rng.normal(size=(cells, cells * width // height, 3)).astype(np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.clip(127 + 40 * total, 0, 255).astype(np.uint8)


def random_boxes(rng: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    """Boxes inside an image, `[count, 4]` float32; the logarithm of their side is uniform."""
    side = np.exp2(rng.uniform(4, np.log2(min(shape)), (count, 1))) * np.exp2(rng.uniform(-0.5, 0.5, (count, 2)))
    side = np.minimum(side, np.array(shape[::-1]) - 1)
    corner = rng.uniform(size=(count, 2)) * (np.array(shape[::-1]) - side)
    return np.concatenate([corner, corner + side], axis=1).astype(np.float32)


def clustered_boxes(rng: np.random.Generator, count: int, shape: tuple[int, int]) -> np.ndarray:
    """Clusters of five boxes on average, like those of a network before suppression."""
    centres = random_boxes(rng, count // 5, shape)[rng.integers(0, count // 5, count)]
    sides = np.tile(centres[:, 2:] - centres[:, :2], 2)
    return (centres + rng.normal(0, 0.08, centres.shape) * sides).astype(np.float32)


def ground_truth(boxes: list[np.ndarray], crop: int) -> GroundTruth:
    """Ground truth whose objects fill the upper left half of their boxes; the other slots are padding."""
    slots = DataConfig().max_objects
    padded = np.zeros((len(boxes), slots, 4), np.float32)
    masks = np.zeros((len(boxes), slots, crop, crop), np.uint8)
    for image, objects in enumerate(boxes):
        padded[image, : len(objects)] = objects
        masks[image, : len(objects)] = np.triu(np.ones((crop, crop), np.uint8))[:, ::-1]
    valid = padded.any(axis=-1)
    return GroundTruth(padded, np.zeros_like(valid, np.int32), np.zeros_like(valid), valid, masks, padded)
