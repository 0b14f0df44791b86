import dataclasses
import gc
import itertools
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator

import jax
import numpy as np
import pytest

from maskrcnn_jax.config import (
    ColorJitter,
    ConfigError,
    CopyPaste,
    DataConfig,
    Flip,
    InputConfig,
    Resize,
    ScaleJitter,
    ShapesSource,
)
from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.pipeline import train_batches, validation_batches
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.sources.shapes import Shapes
from maskrcnn_jax.data.transforms.geometry import fit
from maskrcnn_jax.structs import Batch

SHAPES = DataConfig(
    batch_size=4,
    max_objects=4,
    mask_size=14,
    transforms=(Flip(), Resize((96, 128), 128), ColorJitter(0.2)),
    buckets=((128, 128),),
    threads=3,
)
MIXED = DataConfig(
    batch_size=4,
    max_objects=2,
    mask_size=7,
    transforms=(Flip(), Resize((16, 32), 64)),
    buckets=((32, 64), (64, 32)),
    threads=2,
)
INPUT = InputConfig(shortest_edge=32, longest_edge=64, buckets=((32, 64), (64, 32)))


class Plain:
    """Images of given sizes, whose pixels all hold their index; some are broken."""

    class_names, category_ids, has_masks = ("thing",), (1,), True

    def __init__(self, sizes: list[tuple[int, int]], broken: tuple[int, ...] = (), num_objects: int = 1):
        self.sizes = np.array(sizes, np.int32).reshape(-1, 2)
        self.num_objects = np.full(len(sizes), num_objects, np.int32)
        self.broken = broken
        self.image_ids = range(len(sizes))
        self.file_names = [f"p{index}.jpg" for index in self.image_ids]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Example:
        if index in self.broken:
            raise BrokenImage(f"image {index} (p{index}.jpg): truncated")
        height, width = self.sizes[index].tolist()
        image = np.full((height, width, 3), index, np.uint8)
        box = np.array([[0, 0, width, height]], np.float32)
        mask = np.ones((height, width), np.uint8)
        return Example(image, index, box, np.zeros(1, np.int32), np.zeros(1, bool), [mask])

    def coco(self) -> dict:
        return {}


WIDE, TALL = (30, 50), (50, 30)


def take(batches: Iterator, count: int) -> list:
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def assert_equal(a: Batch, b: Batch) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_batch_is_as_the_contract_says():
    (batch,) = take(train_batches(Shapes(ShapesSource(count=50)), SHAPES, seed=0, start_step=0), 1)
    truth = batch.ground_truth
    found = {
        name: (value.shape, value.dtype.name)
        for name, value in {**batch._asdict(), **truth._asdict()}.items()
        if name != "ground_truth"
    }
    assert found == {
        "images": ((4, 128, 128, 3), "uint8"),
        "image_sizes": ((4, 2), "float32"),
        "image_ids": ((4,), "int64"),
        "boxes": ((4, 4, 4), "float32"),
        "labels": ((4, 4), "int32"),
        "is_crowd": ((4, 4), "bool"),
        "valid": ((4, 4), "bool"),
        "masks": ((4, 4, 14, 14), "uint8"),
        "mask_extent": ((4, 4, 4), "float32"),
    }
    assert truth.valid.any(axis=1).all() and truth.masks[truth.valid].any(axis=(1, 2)).all()
    assert not truth.masks[~truth.valid].any() and not truth.boxes[~truth.valid].any()


@pytest.mark.parametrize("step", [1, 7, 25])
def test_resuming_at_a_step_gives_the_same_batches(step):
    # 50 images in batches of 4: 13 steps per epoch, so step 25 is the last of the second epoch.
    source = Shapes(ShapesSource(count=50))
    whole = take(train_batches(source, SHAPES, seed=3, start_step=0), step + 3)
    resumed = take(train_batches(source, SHAPES, seed=3, start_step=step), 3)
    for a, b in zip(whole[step:], resumed, strict=True):
        assert_equal(a, b)


def test_batches_do_not_depend_on_threads():
    source = Plain([WIDE, TALL] * 9)
    single = DataConfig(**{**MIXED.__dict__, "threads": 1})
    for a, b in zip(*(take(train_batches(source, c, 0, 0), 8) for c in (MIXED, single)), strict=True):
        assert_equal(a, b)


def test_seeds_give_different_batches():
    source = Shapes(ShapesSource(count=50))
    a, b = (take(train_batches(source, SHAPES, seed, 0), 1)[0] for seed in (0, 1))
    assert (a.image_ids != b.image_ids).any()


def test_processes_share_a_batch():
    source = Plain([WIDE, TALL] * 9)
    whole = take(train_batches(source, MIXED, 0, 2), 5)
    halves = [take(train_batches(source, MIXED, 0, 2, index, 2), 5) for index in range(2)]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert_equal(batch, jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second))


def test_an_epoch_shows_every_image_in_its_bucket():
    # 8 wide and 4 tall images in batches of 4: three steps.
    source = Plain([WIDE, TALL, WIDE] * 4)
    batches = take(train_batches(source, MIXED, 0, 0), 3)
    assert sorted(np.concatenate([batch.image_ids for batch in batches])) == list(range(12))
    for batch in batches:
        height, width = batch.images.shape[1:3]
        assert all((source.sizes[i][0] > source.sizes[i][1]) == (height > width) for i in batch.image_ids)
        assert batch.images[:, 0, 0, 0].tolist() == batch.image_ids.tolist()


def test_broken_images_are_replaced_and_named(caplog: pytest.LogCaptureFixture):
    source = Plain([WIDE, TALL] * 4, broken=(2, 3))
    with caplog.at_level(logging.WARNING):
        batches = take(train_batches(source, MIXED, 0, 0), 6)
        again = take(train_batches(source, MIXED, 0, 4), 2)
    for a, b in zip(batches[4:], again, strict=True):
        assert_equal(a, b)
    shown = np.bincount(np.concatenate([batch.image_ids for batch in batches]), minlength=8)
    # In 3 epochs of 2 batches the next image of the same shape, 4 for 2 and 5 for 3, is shown twice as often.
    assert shown.tolist() == [3, 3, 0, 0, 6, 6, 3, 3]
    messages = [record.message for record in caplog.records]
    assert sum("skipped image 2 (p2.jpg): truncated" in message for message in messages) == 2  # once per iterator
    assert all("image 2 " in message or "image 3 " in message for message in messages)


def test_too_many_broken_images_end_the_run():
    config = DataConfig(**{**MIXED.__dict__, "max_broken": 2})
    batches = train_batches(Plain([WIDE] * 40, broken=tuple(range(0, 40, 4))), config, 0, 0)
    with pytest.raises(BrokenImage, match=r"more than max_broken = 2 .* image \d+ \(p\d+\.jpg\): truncated"):
        take(batches, 10)


def test_nothing_but_broken_images():
    with pytest.raises(BrokenImage, match="all 3 training images"):
        take(train_batches(Plain([WIDE] * 3, broken=(0, 1, 2)), MIXED, 0, 0), 1)


def test_surplus_objects_are_counted_once(caplog: pytest.LogCaptureFixture):
    source = Plain([WIDE] * 5)
    source.num_objects[:] = [1, 2, 3, 4, 7]
    with caplog.at_level(logging.WARNING):
        take(train_batches(source, MIXED, 0, 0), 3)
    # Two slots: 1 + 2 + 5 objects of three images go.
    (record,) = caplog.records
    assert "more than max_objects = 2 objects in 3 images (in one 7)" in record.message
    assert "8 in all" in record.message


def test_bad_data_is_refused_before_training():
    with pytest.raises(ConfigError, match="holds no image"):
        train_batches(Plain([]), MIXED, 0, 0)
    with pytest.raises(ConfigError, match=r"buckets = .*64×32 pixels"):
        train_batches(Plain([WIDE, (64, 32)]), DataConfig(**{**MIXED.__dict__, "buckets": ((32, 64),)}), 0, 0)
    with pytest.raises(ConfigError, match="batch_size = 4: take a multiple of the 3 processes"):
        train_batches(Plain([WIDE]), MIXED, 0, 0, 0, 3)
    with pytest.raises(ConfigError, match="holds no image"):
        validation_batches(Plain([]), INPUT, 4)


def test_copy_paste_needs_masks():
    config = dataclasses.replace(MIXED, transforms=(CopyPaste(0.5), *MIXED.transforms))
    source = Plain([WIDE] * 4)
    source.has_masks = False
    with pytest.raises(
        ConfigError, match=r"transforms.copy_paste = CopyPaste\(probability=0.5\): needs masks, but the data has boxes"
    ):
        train_batches(source, config, seed=0, start_step=0)


def test_scale_jitter_uses_its_bucket_for_every_size():
    config = dataclasses.replace(MIXED, transforms=(Flip(), ScaleJitter(0.5, 2.0)), buckets=((48, 48),))
    for batch in take(train_batches(Plain([WIDE, TALL, (200, 300)]), config, 0, 0), 4):
        assert batch.images.shape == (4, 48, 48, 3) and (batch.image_sizes <= 48).all()


def test_pasted_objects_come_from_the_same_bucket_and_depend_on_step_alone():
    """Each image is one object of its own colour: what is pasted covers all of it, and there is nothing else."""
    config = dataclasses.replace(MIXED, transforms=(CopyPaste(1.0), *MIXED.transforms))
    source = Plain([WIDE] * 6 + [TALL] * 6)
    batches = take(train_batches(source, config, 0, 0), 12)
    colors = [np.unique(image[:2, :2]).item() for batch in batches for image in batch.images]
    ids = np.concatenate([batch.image_ids for batch in batches])
    pasted = colors != ids
    assert ((np.array(colors) < 6) == (ids < 6)).all()
    # A half of the donors' objects goes, one of six donors is the image itself: 5 / 12 of 48.
    assert 10 <= pasted.sum() <= 30
    for before, after in zip(batches[5:8], take(train_batches(source, config, 0, 5), 3), strict=True):
        assert_equal(before, after)


def test_validation_shows_every_image_once():
    source = Plain([WIDE, TALL, WIDE] * 3)  # 6 wide, 3 tall
    batches = list(validation_batches(source, INPUT, 4))
    assert [len(records) for _, records in batches] == [4, 2, 3]
    assert sorted(record.image_id for _, records in batches for record in records) == list(range(9))
    for batch, records in batches:
        assert batch.images.shape[0] == 4 and batch.ground_truth.boxes.shape == (4, 0, 4)
        assert batch.image_ids[: len(records)].tolist() == [record.image_id for record in records]
        for image, size, record in zip(batch.images, batch.image_sizes, records, strict=False):
            original = source[record.image_id].image
            expected = fit(original, INPUT)
            np.testing.assert_array_equal(image, expected.image)
            np.testing.assert_array_equal(size, expected.size)
            assert (record.height, record.width) == original.shape[:2] and record.scale == expected.scale


def test_validation_without_buckets_groups_by_padded_size():
    # The shorter side 32: 32 × 53, 53 × 32, 32 × 32, padded to 32 × 64, 64 × 32 and 32 × 32.
    source = Plain([WIDE, TALL, (30, 30), WIDE, (31, 49)])
    config = InputConfig(shortest_edge=32, longest_edge=64, interpolation="exact", centered=True, buckets=())
    batches = list(validation_batches(source, config, 2))
    found = {(batch.images.shape, tuple(record.image_id for record in records)) for batch, records in batches}
    assert found == {
        ((2, 32, 32, 3), (2,)),
        ((2, 32, 64, 3), (0, 3)),
        ((2, 32, 64, 3), (4,)),
        ((2, 64, 32, 3), (1,)),
    }
    for batch, records in batches:
        assert batch.images.dtype == np.float32
        for image, record in zip(batch.images, records, strict=False):
            np.testing.assert_array_equal(image, fit(source[record.image_id].image, config).image)


def test_training_centers_where_the_model_does():
    config = dataclasses.replace(MIXED, transforms=(Resize((16,), 64),))
    (batch,) = take(train_batches(Plain([WIDE] * 4), config, 0, 0, centered=True), 1)
    # 30 × 50 becomes 16 × 27 (26.67); in 32 × 64 that is 8 pixels above and ⌊37 / 2⌋ = 18 on the left.
    assert batch.image_sizes.tolist() == [[16, 27]] * 4
    np.testing.assert_array_equal(batch.ground_truth.boxes[:, 0], [[18, 8, 45, 24]] * 4)
    for image, image_id in zip(batch.images, batch.image_ids, strict=True):
        assert (image[8:24, 18:45] == image_id).all() and image.sum() == image_id * 16 * 27 * 3


def test_processes_share_validation():
    source = Plain([WIDE, TALL, WIDE] * 3)
    halves = [list(validation_batches(source, INPUT, 4, index, 2)) for index in range(2)]
    assert len(halves[0]) == len(halves[1]) == 3
    shown = [record.image_id for half in halves for _, records in half for record in records]
    assert sorted(shown) == list(range(9))


def test_broken_image_ends_validation():
    with pytest.raises(BrokenImage, match="image 4"):
        list(validation_batches(Plain([WIDE] * 6, broken=(4,)), INPUT, 2))


def readers() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("grain")]


def test_closing_and_forgetting_end_the_threads():
    closed = train_batches(Plain([WIDE] * 9), MIXED, 0, 0)
    next(closed)
    assert readers()
    closed.close()
    forgotten = train_batches(Plain([WIDE] * 9), MIXED, 0, 0)
    next(forgotten)
    del forgotten
    gc.collect()
    for thread in threading.enumerate():
        if thread.name.startswith("grain"):
            thread.join(timeout=10)
    assert not readers()


def test_program_ends_without_closing():
    program = (
        "from maskrcnn_jax.config import DataConfig, ShapesSource\n"
        "from maskrcnn_jax.data import train_batches\n"
        "config = DataConfig(batch_size=2, buckets=((832, 1344),), threads=2)\n"
        "batches = train_batches(ShapesSource(count=10).open(), config, 0, 0)\n"
        "print(next(batches).images.shape)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "(2, 832, 1344, 3)\n", "")
