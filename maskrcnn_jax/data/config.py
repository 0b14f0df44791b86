"""Which images, and how they become batches."""

from dataclasses import dataclass

from maskrcnn_jax.data.sources.prepared import CocoSource
from maskrcnn_jax.data.sources.source import Source


@dataclass(frozen=True)
class DataConfig:
    """Images, their augmentation and how they are batched."""

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
    """Probability that some objects of another image of the same bucket are pasted onto an image."""
    threads: int = 16
    """Threads that decode and augment."""
    max_broken: int = 10
    """Broken images that are skipped with a warning before the run stops."""
