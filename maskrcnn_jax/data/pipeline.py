"""Batches for training and evaluation, read ahead by threads.

Samples are read and augmented independently, many at a time, and stacked in order; so the order of batches and every
augmentation depend on (seed, step) alone, not on threads, processes or the step at which a run was resumed.
"""

import logging
import threading
from collections.abc import Generator

import cv2
import grain
import numpy as np

from maskrcnn_jax.data.augment import augment
from maskrcnn_jax.data.config import DataConfig
from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.order import TrainOrder, slot_rng
from maskrcnn_jax.data.sources.example import Example, ImageSource
from maskrcnn_jax.data.transforms.buckets import choose_buckets, fitted_sizes
from maskrcnn_jax.data.transforms.generators import Generators
from maskrcnn_jax.data.transforms.geometry import empty_slots, fit
from maskrcnn_jax.messages.config_error import ConfigError, require
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.ops.images import InputConfig
from maskrcnn_jax.structs import Batch, ImageRecord

log = logging.getLogger(__name__)

FOREVER = 2**62
"""Length of an endless sequence."""


class TrainSamples:
    """The endless sequence of augmented training samples that one process reads."""

    def __init__(
        self,
        source: ImageSource,
        config: DataConfig,
        seed: int,
        process_index: int,
        process_count: int,
        centered: bool,
    ):
        self.source, self.config, self.seed, self.centered = source, config, seed, centered
        self.local_batch_size = local_batch_size(config.batch_size, process_count)
        self.first_slot = process_index * self.local_batch_size
        self.bucket_of = train_buckets(source, config)
        self.groups = {int(b): np.flatnonzero(self.bucket_of == b) for b in np.unique(self.bucket_of)}
        self.order = TrainOrder(list(self.groups.values()), config.batch_size, seed)
        self._lock = threading.Lock()
        self._broken: set[int] = set()

    def __len__(self) -> int:
        return FOREVER

    def __getitem__(self, position: int) -> Batch:
        step, local = divmod(position, self.local_batch_size)
        slot = self.first_slot + local
        index = int(self.order.batch(step)[slot])
        generators = Generators(slot_rng(self.seed, step, slot))
        group = int(self.bucket_of[index])
        mixing = [transform for transform in self.config.transforms if transform.mixes(generators.of(transform))]
        chosen = [int(generators.of(transform).choice(self.groups[group])) for transform in mixing]
        others = [(transform, self._read(other)) for transform, other in zip(mixing, chosen, strict=True)]
        bucket = self.config.buckets[group]
        return augment(self._read(index), generators, self.config, bucket, self.centered, others)

    def _read(self, index: int) -> Example:
        """The example; if it is broken, the next one of its bucket that is not."""
        group = self.groups[int(self.bucket_of[index])]
        start = int(np.searchsorted(group, index))
        for position in range(start, start + len(group)):
            candidate = int(group[position % len(group)])
            try:
                return self.source[candidate]
            except BrokenImage as error:
                self._report(candidate, error)
        raise BrokenImage(f"all {len(group)} training images of one bucket are broken; see the warnings")

    def _report(self, index: int, error: BrokenImage) -> None:
        with self._lock:
            if index in self._broken:
                return
            self._broken.add(index)
            if len(self._broken) > self.config.max_broken:
                raise BrokenImage(
                    f"more than max_broken = {self.config.max_broken} training images cannot be read, the last: "
                    f"{error}; repair the data set and prepare it again, or raise max_broken"
                ) from error
            log.warning("skipped %s; the next image of its bucket is used instead", error)


class ValidationSamples:
    """Every image once, grouped by padded size, in whole batches; the samples that one process reads."""

    def __init__(
        self, source: ImageSource, config: InputConfig, batch_size: int, process_index: int, process_count: int
    ):
        require_images(source)
        self.source, self.config = source, config
        _, padded = fitted_sizes(source.sizes, config)
        batches, real = [], []
        for size in np.unique(padded, axis=0):
            group = np.flatnonzero((padded == size).all(axis=1))
            missing = -len(group) % batch_size
            batches.append(np.pad(group, (0, missing), mode="edge").reshape(-1, batch_size))
            real.append((np.arange(len(group) + missing) < len(group)).reshape(-1, batch_size))
        self.local_batch_size = local_batch_size(batch_size, process_count)
        mine = slice(process_index * self.local_batch_size, (process_index + 1) * self.local_batch_size)
        self.indices = np.concatenate(batches)[:, mine].ravel()
        self.real = np.concatenate(real)[:, mine].ravel()

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[Batch, ImageRecord | None]:
        """The sample, and its record unless it only fills up a batch."""
        example = self.source[int(self.indices[position])]
        image, size, scale = fit(example.image, self.config)
        height, width = example.image.shape[:2]
        record = ImageRecord(example.image_id, height, width, scale) if self.real[position] else None
        return Batch(image, size, empty_slots(0, 1), np.array(example.image_id, np.int64)), record


def train_batches(
    source: ImageSource,
    config: DataConfig,
    seed: int,
    start_step: int,
    process_index: int = 0,
    process_count: int = 1,
    centered: bool = False,
) -> Generator[Batch, None, None]:
    """Returns this process's part of the training batches of `start_step`, `start_step + 1`, … without end.

    Args:
        source: The training images.
        config: Augmentation, batch size, buckets, threads.
        seed: Of the order and the augmentation, at least 0.
        start_step: Step of the first batch; nothing else is needed to resume.
        process_index: Index of this process.
        process_count: Processes that share each batch; must divide the batch size.
        centered: Whether the image is in the middle of its canvas: `InputConfig.centered`.

    Returns:
        An iterator of `Batch` with `batch_size / process_count` images; `close()` ends its threads.

    Raises:
        ConfigError: The source is empty, an image fits no bucket, a value of `config` is not valid, or a
            transform needs masks that the source does not have.
    """
    for transform in config.transforms:
        needs = transform.needs_masks and not source.has_masks
        require(not needs, f"transforms.{transform.name}", transform, "needs masks, but the data has boxes alone")
    samples = TrainSamples(source, config, seed, process_index, process_count, centered)
    warn_of_overflow(source, config.max_objects)
    dataset = grain.MapDataset.source(samples)[start_step * samples.local_batch_size :]
    return read(dataset, samples.local_batch_size, config.threads, stack)


def validation_batches(
    source: ImageSource,
    config: InputConfig,
    batch_size: int,
    process_index: int = 0,
    process_count: int = 1,
    threads: int = 4,
) -> Generator[tuple[Batch, list[ImageRecord]], None, None]:
    """Returns every image of a source once, resized and padded as in prediction, without ground truth slots.

    Args:
        source: The images.
        config: How the network expects its images.
        batch_size: Images per batch over all processes. The last batch of a size is filled up with its last image.
        process_index: Index of this process.
        process_count: Processes that share each batch; must divide the batch size.
        threads: Threads that decode and resize.

    Returns:
        An iterator of (batch, records of the leading samples, without those that fill up); every process gets the same
        number of batches. `close()` ends its threads.

    Raises:
        ConfigError: The source is empty or an image fits no bucket.
        BrokenImage: On iteration: an image cannot be decoded. An evaluation never leaves one out.
    """
    samples = ValidationSamples(source, config, batch_size, process_index, process_count)
    return read(grain.MapDataset.source(samples), samples.local_batch_size, threads, stack_with_records)


def read(dataset: grain.MapDataset, batch_size: int, threads: int, stack_samples) -> Generator:
    """Reads samples with threads and stacks them, a few batches ahead."""
    # Each reader thread keeps one core busy; OpenCV's own threads would only compete with them.
    cv2.setNumThreads(1)
    ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=2 * max(threads, batch_size))
    return close_at_end(dataset.to_iter_dataset(ahead).batch(batch_size, batch_fn=stack_samples))


def close_at_end(samples: grain.IterDataset) -> Generator:
    """Iterates; ends the reading threads when the iterator is exhausted, closed or deleted."""
    iterator = iter(samples)
    try:
        yield from iterator
    finally:
        iterator.close()


def stack(samples: list[Batch]) -> Batch:
    """Stacks samples along a new leading axis."""
    images, sizes, truths, ids = zip(*samples, strict=True)
    truth = type(truths[0])(*(np.stack(field) for field in zip(*truths, strict=True)))
    return Batch(np.stack(images), np.stack(sizes), truth, np.stack(ids))


def stack_with_records(samples: list[tuple[Batch, ImageRecord | None]]) -> tuple[Batch, list[ImageRecord]]:
    """Stacks validation samples and collects the records of those that do not only fill up the batch."""
    return stack([sample for sample, _ in samples]), [record for _, record in samples if record is not None]


def train_buckets(source: ImageSource, config: DataConfig) -> np.ndarray:
    """The bucket index of each image at its largest training size."""
    require_images(source)
    return choose_buckets(config.largest(source.sizes), config.buckets)


def require_images(source: ImageSource) -> None:
    """Raises ConfigError if a source is empty."""
    if len(source) == 0:
        raise ConfigError("the data set holds no image (with keep_empty = False: none with an object)")


def local_batch_size(batch_size: int, process_count: int) -> int:
    """Samples of each batch that one process reads."""
    require(
        batch_size % process_count == 0, "batch_size", batch_size, f"take a multiple of the {process_count} processes"
    )
    return batch_size // process_count


def warn_of_overflow(source: ImageSource, max_objects: int) -> None:
    """Warns once with the counts if images have more objects than there are slots."""
    surplus = np.maximum(source.num_objects - max_objects, 0)
    if surplus.any():
        log.warning(
            "more than max_objects = %d objects in %s (in one %d); the smallest, %d in all, are left out",
            max_objects,
            pluralize(int(np.count_nonzero(surplus)), "image"),
            source.num_objects.max(),
            surplus.sum(),
        )
