"""Which pictures, and how they become batches."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["square", "circle", "triangle", "star", "ring", "cross"]
"""What the synthetic pictures may show."""


@dataclass(frozen=True)
class ShapesSource:
    """Endless synthetic pictures of simple shapes, drawn by index."""

    seed: int = 0
    image_size: int = 128
    """Side of the square picture, pixels."""
    first: int = 0
    """Index of the first picture: ranges that do not overlap share no picture."""
    count: int = 1_000_000
    """Number of pictures."""
    max_objects: int = 4
    kinds: tuple[Kind, ...] = ("square", "circle", "triangle")
    """The classes, in the order of their labels."""


@dataclass(frozen=True)
class CocoSource:
    """A split of a prepared COCO-format data set: see `python -m maskrcnn_jax prepare`."""

    folder: Path = Path("data/coco")
    """The folder that `prepare` wrote."""
    split: str = "train"
    """Name of the split, with TFDS slices: "train", "val", "train[:8]"."""
    keep_empty: bool = False
    """Keep images that have no object."""


Source = ShapesSource | CocoSource


@dataclass(frozen=True)
class DataConfig:
    """Pictures, their augmentation and how they are batched."""

    train: Source = CocoSource()
    validation: Source = CocoSource(split="val", keep_empty=True)
    batch_size: int = 16
    """Images per step over all devices."""
    validation_batch_size: int = 8
    max_objects: int = 100
    """Ground-truth slots per image; of more, the largest are kept and a warning counts the rest."""
    mask_size: int = 112
    """Side `M` of the ground-truth mask crops."""
    shortest_edges: tuple[int, ...] = (800,)
    """Lengths of the shorter side to choose from at random (multi-scale), pixels."""
    longest_edge: int = 1333
    buckets: tuple[tuple[int, int], ...] = ((832, 1344), (1344, 832))
    """Padded (height, width) of training batches; images of one bucket are batched together."""
    flip: float = 0.5
    """Probability of a horizontal flip."""
    scale_jitter: tuple[float, float] | None = None
    """Large-scale jitter: resize by a random factor in this range relative to the (only) bucket, then crop to it."""
    color_jitter: float = 0.0
    """Strength of random brightness, contrast and saturation; 0.4 scales each by 0.6 … 1.4."""
    copy_paste: float = 0.0
    """Probability that some objects of another picture of the same bucket are pasted onto a picture."""
    threads: int = 16
    """Threads that decode and augment."""
    max_broken: int = 10
    """Broken images that are skipped with a warning before the run stops."""
