import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import WriteCoco, encode, instances, make_image, square
from test_data_coco_files import zip_up

from maskrcnn_jax.config import CocoSource
from maskrcnn_jax.data.prepare.run import DatasetError, prepare
from maskrcnn_jax.data.sources.prepared import CocoInstances

OBJECTS = [square(1, 10, 7, 2, 3, 10), square(2, 30, 3, 20, 5, 20)]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_splits_are_written_and_counted(write_coco: WriteCoco, tmp_path: Path, capfd: pytest.CaptureFixture):
    folder = write_coco(train2017=instances(OBJECTS), val2017=instances(OBJECTS, images=5))
    assert prepare(folder, tmp_path / "deep" / "out").counts == {"train": 3, "val": 5}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert len(CocoInstances(CocoSource(tmp_path / "deep" / "out", "val", keep_empty=True))) == 5
    # Where no terminal watches there is no progress to draw.
    assert capfd.readouterr().out == ""


def test_image_files_are_copied_as_they_are(write_coco: WriteCoco, tmp_path: Path):
    content = instances(OBJECTS)
    content["images"][0]["file_name"] = "a.jpg"
    folder = write_coco(train=content)
    prepare(folder, tmp_path / "out")
    records = CocoInstances(CocoSource(tmp_path / "out", keep_empty=True)).records
    assert records[0]["image"] == (folder / "train" / "a.jpg").read_bytes()


def test_zips_give_the_same_records(write_coco: WriteCoco, tmp_path: Path):
    folder = write_coco(train2017=instances(OBJECTS))
    prepare(folder, tmp_path / "plain")
    zip_up(folder, "annotations_trainval2017.zip", "annotations")
    zip_up(folder, "train2017.zip", "train2017")
    prepare(folder, tmp_path / "zipped")
    plain, zipped = (CocoInstances(CocoSource(tmp_path / name, keep_empty=True)) for name in ("plain", "zipped"))
    assert plain.coco() == zipped.coco()
    assert [r["image"] for r in plain.records] == [r["image"] for r in zipped.records]


def test_dropped_annotations_are_named(write_coco: WriteCoco, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = write_coco(train=instances([*OBJECTS, square(77, 10, 7, 2, 3, 10, bbox=[2, 3, 0, 5])]))
    with caplog.at_level(logging.WARNING):
        prepare(folder, tmp_path / "out")
    assert "dropped 1 annotation, box of zero or negative size or outside its image, unlike its mask" in caplog.text


def test_bad_images_are_named_together(write_coco: WriteCoco, tmp_path: Path):
    folder = write_coco(train=instances(OBJECTS, images=6))
    images = folder / "train"
    (images / "010.png").unlink()
    (images / "020.png").write_bytes((images / "020.png").read_bytes()[:300])
    (images / "040.png").write_bytes(b"<html>")
    (images / "060.png").write_bytes(encode(make_image(41, 60), ".png"))
    with pytest.raises(DatasetError) as error:
        prepare(folder, tmp_path / "out")
    for words in (
        r"images that are missing, looked for in [^:]+: 010\.png",
        r"images of another size .*: 060\.png \(the file has 41×60 pixels, height×width, the entry 40×60\)",
        r"040\.png: not an image",
    ):
        assert re.search(words, str(error.value))
    assert "030.png" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_image_missing_from_a_zip(write_coco: WriteCoco, tmp_path: Path):
    folder = write_coco(train2017=instances(OBJECTS))
    (folder / "train2017" / "020.png").unlink()
    zip_up(folder, "train2017.zip", "train2017")
    with pytest.raises(DatasetError, match=r"images that are missing, looked for in .*: 020\.png"):
        prepare(folder, tmp_path / "out")


def test_failed_prepare_leaves_what_was_there(write_coco: WriteCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder, out = write_coco(train=instances(OBJECTS)), tmp_path / "out"
    prepare(folder, out)
    before = files(tmp_path / "out")
    image = folder / "train" / "010.png"
    whole = image.read_bytes()
    image.write_bytes(whole[:-20])
    with pytest.raises(DatasetError):
        prepare(folder, out)
    image.write_bytes(whole)

    def full_disk(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("maskrcnn_jax.data.sources.prepared.Index.save", full_disk)
    with pytest.raises(OSError, match="No space left"):
        prepare(folder, out)
    assert files(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["coco", "out"]


def test_prepared_again_is_replaced(write_coco: WriteCoco, tmp_path: Path):
    out = tmp_path / "out"
    prepare(write_coco(train=instances(OBJECTS)), out)
    prepare(write_coco(train=instances(OBJECTS, images=7)), out)
    assert len(CocoInstances(CocoSource(out, keep_empty=True))) == 7


def test_a_data_set_is_not_prepared_into_itself(write_coco: WriteCoco, tmp_path: Path):
    folder = write_coco(train=instances(OBJECTS))
    before = files(folder)
    (tmp_path / "link").symlink_to(folder)
    for out in (folder, folder / "records", folder / "train", tmp_path / "link" / "deep" / "records"):
        with pytest.raises(DatasetError, match=r"out = .*: lies in the data set's own folder"):
            prepare(folder, out)
    assert files(folder) == before
    # A prepared data set that somebody keeps the originals in.
    prepare(folder, tmp_path / "out")
    folder.rename(tmp_path / "out" / "originals")
    with pytest.raises(DatasetError, match=r"out = .*: holds the data set, .*, which would be lost"):
        prepare(tmp_path / "out" / "originals", tmp_path / "out")


@pytest.mark.parametrize("vanishes", [True, False])
def test_an_image_that_changes_or_vanishes_meanwhile(
    write_coco: WriteCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vanishes: bool
):
    folder = write_coco(train=instances(OBJECTS))
    path = folder / "train" / "020.png"

    def change(*_: object) -> None:
        """Is called between the check and the writing."""
        if vanishes:
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:300])

    monkeypatch.setattr("maskrcnn_jax.data.prepare.run.warn_of_same_images", change)
    said = r"could be read when it was checked, but not again \(.*No such" if vanishes else "has changed since it was"
    with pytest.raises(DatasetError, match=rf"020\.png: {said}"):
        prepare(folder, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["coco"]


def test_other_splits_and_foreign_folders_are_not_overwritten(write_coco: WriteCoco, tmp_path: Path):
    folder, out = write_coco(train=instances(OBJECTS), val=instances(OBJECTS)), tmp_path / "out"
    prepare(folder, out)
    with pytest.raises(DatasetError, match="holds the prepared split train, which would be lost"):
        prepare(folder, out, splits=("val",))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(DatasetError, match="exists and is no prepared data set"):
        prepare(folder, tmp_path / "mine")


def test_splits_with_different_categories(write_coco: WriteCoco, tmp_path: Path):
    other = instances([square(1, 10, 3, 2, 3, 10)])
    other["categories"] = [{"id": 3, "name": "horse"}]
    folder = write_coco(train=instances(OBJECTS), val=other)
    with pytest.raises(DatasetError, match="'train' and 'val' list different"):
        prepare(folder, tmp_path / "out")


def test_broken_json(write_coco: WriteCoco, tmp_path: Path):
    folder = write_coco(train=instances(OBJECTS))
    path = folder / "annotations" / "instances_train.json"
    path.write_text(json.dumps(instances(OBJECTS))[:200])
    with pytest.raises(DatasetError, match=r"instances_train\.json: not valid JSON"):
        prepare(folder, tmp_path / "out")


@pytest.mark.parametrize("shard", [1000, 7])
def test_images_keep_their_order(write_coco: WriteCoco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shard: int):
    # In one file and in six, of which the last is not full.
    monkeypatch.setattr("maskrcnn_jax.data.prepare.coco_writer.SHARD", shard)
    content = instances(OBJECTS, images=40, size=(4, 5))
    content["annotations"] = []
    content["images"] = [content["images"][i] for i in np.random.default_rng(0).permutation(40)]
    prepare(write_coco(train=content), tmp_path / "out")
    source = CocoInstances(CocoSource(tmp_path / "out", keep_empty=True))
    assert len(list((tmp_path / "out").glob("*array_record*"))) == -(-40 // shard)
    assert [source[i].image_id for i in range(40)] == [image["id"] for image in content["images"]]
