import json
import logging
import pickle
import re
from pathlib import Path

import numpy as np
import pycocotools.mask as reference
import pytest
from conftest import WriteCoco, encode, instances, make_image, square
from pycocotools.coco import COCO

from maskrcnn_jax.config import CocoSource, ConfigError, DataConfig, Flip, Resize, ShapesSource
from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.pipeline import train_batches
from maskrcnn_jax.data.prepare.run import prepare
from maskrcnn_jax.data.sources.example import ImageSource
from maskrcnn_jax.data.sources.prepared import CocoInstances
from maskrcnn_jax.data.sources.shapes import Shapes

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own

OBJECTS = [
    square(1, 10, 7, 2, 3, 10),
    square(2, 10, 3, 20.5, 5, 15.25),
    square(3, 20, 7, 5, 5, 30, iscrowd=1),
    square(4, 40, 3, 0, 0, 4),
    square(5, 40, 3, 5, 5, 30, iscrowd=1),
]
"""Of the images 10, 20, 30, 40 the second has a crowd alone, the third nothing."""


@pytest.fixture
def folder(write_coco: WriteCoco, tmp_path: Path) -> Path:
    train = instances(OBJECTS, images=4)
    train["images"][3].update(height=50, width=30)
    prepare(write_coco(train=train, val=instances(OBJECTS[:1], images=2)), tmp_path / "out")
    return tmp_path / "out"


def ids(folder: Path, split: str, keep_empty: bool = True) -> list[int]:
    source = CocoSource(folder, split, keep_empty).open()
    return [source[i].image_id for i in range(len(source))]


def test_an_example_is_what_was_written(folder: Path):
    source = CocoSource(folder).open()
    assert isinstance(source, ImageSource)
    assert source.file_names == ("010.png", "040.png")
    assert source.class_names == ("cat", "dog") and source.category_ids == (3, 7)
    example = source[0]
    np.testing.assert_array_equal(example.image, make_image(40, 60, seed=10))
    assert example.image_id == 10
    assert example.boxes.tolist() == [[2, 3, 12, 13], [20.5, 5, 35.75, 20.25]]
    assert example.boxes.dtype == np.float32
    assert example.labels.tolist() == [1, 0] and example.labels.dtype == np.int32
    assert example.is_crowd.tolist() == [False, False]
    assert len(example.masks) == 2
    for mask, annotation in zip(example.masks, OBJECTS, strict=False):
        polygons = reference.frPyObjects(annotation["segmentation"], 40, 60)
        np.testing.assert_array_equal(mask, reference.decode(polygons)[..., 0])


def test_images_without_objects_are_kept_or_left_out(folder: Path):
    assert ids(folder, "train", keep_empty=True) == [10, 20, 30, 40]
    assert ids(folder, "train", keep_empty=False) == [10, 40]


def test_sizes_and_counts_are_known_without_decoding(folder: Path):
    source = CocoSource(folder, keep_empty=True).open()
    assert source.sizes.tolist() == [[40, 60], [40, 60], [40, 60], [50, 30]]
    assert source.num_objects.tolist() == [2, 1, 0, 2]
    assert CocoSource(folder).open().sizes.tolist() == [[40, 60], [50, 30]]


def test_numbers_of_the_images_are_known_in_order(folder: Path):
    assert list(CocoSource(folder, keep_empty=True).open().image_ids) == [10, 20, 30, 40]
    assert list(CocoSource(folder).open().image_ids) == [10, 40]
    assert list(CocoSource(folder, "train[2:]+val", True).open().image_ids) == [30, 40, 10, 20]


def test_example_without_objects(folder: Path):
    example = CocoSource(folder, keep_empty=True).open()[2]
    assert example.boxes.shape == (0, 4) and example.labels.shape == (0,) and len(example.masks) == 0


def test_slices(folder: Path):
    assert ids(folder, "train[1:3]") == [20, 30]
    assert ids(folder, "train[50%:]") == [30, 40]
    assert ids(folder, "train[:1]+val") == [10, 10, 20]


def test_coco_form_equals_the_annotation_file(folder: Path, tmp_path: Path):
    truth = CocoSource(folder, keep_empty=True).open().coco()
    original = json.loads((tmp_path / "coco" / "annotations" / "instances_train.json").read_text())
    assert truth["images"] == original["images"]
    assert truth["categories"] == sorted(original["categories"], key=lambda category: category["id"])
    assert len(truth["annotations"]) == len(OBJECTS)
    sizes = {image["id"]: (image["height"], image["width"]) for image in original["images"]}
    for ours, theirs in zip(truth["annotations"], OBJECTS, strict=True):
        for key in ("id", "image_id", "category_id", "iscrowd", "area"):
            assert ours[key] == theirs[key]
        polygons = reference.frPyObjects(theirs["segmentation"], *sizes[theirs["image_id"]])
        np.testing.assert_array_equal(
            reference.decode(ours["segmentation"]), reference.decode(reference.merge(polygons))
        )
    assert truth["annotations"][0]["bbox"] == OBJECTS[0]["bbox"]
    # Clipped: the crowd reaches beyond the right side of the narrow image.
    assert truth["annotations"][4]["bbox"] == [5, 5, 25, 30]


def test_coco_form_is_read_by_pycocotools(folder: Path, tmp_path: Path):
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(CocoSource(folder).open().coco()))
    coco = COCO(str(path))
    assert coco.getImgIds() == [10, 40] and len(coco.getAnnIds(iscrowd=False)) == 3


def test_source_pickles(folder: Path):
    source = CocoSource(folder).open()
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[1].image, source[1].image)


def test_broken_record_is_named(folder: Path):
    source = CocoSource(folder).open()
    source.records = [{**source.records[0], "image": b"\xff\xd8\xff broken"}]
    with pytest.raises(BrokenImage, match=r"image 10 \(010\.png\): truncated"):
        source[0]


def test_folder_that_was_not_prepared(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"folder = '.*nowhere': holds no prepared data set; make one with .*prepare"):
        CocoSource(tmp_path / "nowhere").open()


@pytest.mark.parametrize("split", ["test", "train[:x]", "train[9:20]"])
def test_unknown_split(folder: Path, split: str):
    with pytest.raises(ConfigError, match=r"split = '.*has train, val"):
        CocoSource(folder, split).open()


def test_shapes_are_opened_by_their_configuration():
    assert isinstance(ShapesSource(count=3).open(), Shapes)


def test_a_split_of_crowds_alone_says_so(write_coco: WriteCoco, tmp_path: Path):
    crowds = [square(1, 10, 7, 2, 3, 10, iscrowd=1), square(2, 20, 3, 2, 3, 10, iscrowd=1)]
    folder = tmp_path / "out"
    prepare(write_coco(train=instances(crowds), val=instances(OBJECTS[:1])), folder)
    said = r"split = 'train': \S+ holds 3 images there, but every object is a crowd .*--crowds-as-objects"
    with pytest.raises(ConfigError, match=said):
        CocoSource(folder).open()
    # To look at, such images are as good as others.
    assert len(CocoSource(folder, keep_empty=True).open()) == 3
    assert len(CocoSource(folder, "val").open()) == 1


@pytest.fixture
def large_folder(write_coco: WriteCoco, tmp_path: Path) -> Path:
    """40 images that do not compress, so that the records fill several blocks of their file."""
    folder = write_coco(train=instances([square(i, 10 * i, 7, 2, 3, 10) for i in range(1, 41)], images=40))
    rng = np.random.default_rng(0)
    for path in (folder / "train").iterdir():
        path.write_bytes(encode(rng.integers(0, 256, (40, 60, 3), np.uint8), ".png"))
    prepare(folder, tmp_path / "out")
    return tmp_path / "out"


def shard_of(folder: Path) -> Path:
    [shard] = folder.glob("*train.array_record*")
    return shard


def test_a_damaged_record_is_a_broken_image_of_its_own(large_folder: Path):
    shard = shard_of(large_folder)
    data = bytearray(shard.read_bytes())
    middle = len(data) // 3
    data[middle] ^= 0xFF
    shard.write_bytes(data)
    source = CocoInstances(CocoSource(large_folder))
    broken = []
    for index in range(len(source)):
        try:
            source[index]
        except BrokenImage as error:
            broken.append(index)
            message = f"{shard}: record {index} cannot be read (Corrupted Riegeli/records file: "
            assert str(error).startswith(message) and str(error).endswith("; prepare the data set again")
    assert len(broken) == 1
    for read in (source.coco, lambda: source.image_ids, lambda: source.file_names):
        with pytest.raises(BrokenImage, match=rf"record {broken[0]} cannot be read"):
            read()
    # Counted in the file, whatever part of the split is read.
    part = CocoInstances(CocoSource(large_folder, f"train[{broken[0] - 1}:]"))
    assert part[0].image_id == source[broken[0] - 1].image_id
    with pytest.raises(BrokenImage, match=rf"record {broken[0]} cannot be read"):
        part[1]


@pytest.mark.parametrize("kept", [0, 0.3, 0.99, None])
def test_a_truncated_or_missing_shard_is_named(large_folder: Path, kept: float | None):
    shard = shard_of(large_folder)
    data = shard.read_bytes()
    if kept is None:
        shard.unlink()
    else:
        shard.write_bytes(data[: int(kept * len(data))])
    source = CocoInstances(CocoSource(large_folder))
    with pytest.raises(BrokenImage, match=rf"^{re.escape(str(shard))}: record 3 cannot be read \(.*\); prepare"):
        source[3]


def test_training_skips_a_damaged_record(large_folder: Path, caplog: pytest.LogCaptureFixture):
    source = CocoInstances(CocoSource(large_folder))
    assert source.image_ids and source.file_names  # The check of types asks for them, and they read every record.
    shard = shard_of(large_folder)
    data = bytearray(shard.read_bytes())
    data[len(data) // 3] ^= 0xFF
    shard.write_bytes(data)
    source.records = CocoInstances(CocoSource(large_folder)).records
    config = DataConfig(batch_size=4, buckets=((64, 64),), transforms=(Flip(), Resize((40,), 64)), threads=1)
    with caplog.at_level(logging.WARNING):
        batches = train_batches(source, config, seed=0, start_step=0)
        seen = [next(batches).images.shape for _ in range(10)]
        batches.close()
    assert seen == [(4, 64, 64, 3)] * 10
    [skipped] = [message for message in caplog.messages if "skipped" in message]
    assert f"skipped {shard}: record " in skipped


@pytest.mark.parametrize("name", ["dataset_info.json", "features.json", "metadata.json", "index_train.npz"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\x80\x02garbage"])
def test_damaged_files_of_a_prepared_data_set(folder: Path, name: str, content: bytes | None):
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(ConfigError, match=r"holds no prepared data set; make one|has train|prepare the data set again"):
        CocoSource(folder).open()


def test_an_index_of_another_data_set(folder: Path):
    (folder / "index_train.npz").write_bytes((folder / "index_val.npz").read_bytes())
    # Two images of val, four of train.
    with pytest.raises(ConfigError, match=r"index_train\.npz: has arrays of \(2, 2\), \(2,\), \(2,\), but .* 4 images"):
        CocoSource(folder).open()
