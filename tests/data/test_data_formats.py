from pathlib import Path

import pytest
from conftest import WriteCoco, instances, square
from prepared import prepared, write_image, write_json

from maskrcnn_jax.cli.commands import main
from maskrcnn_jax.config import CocoSource
from maskrcnn_jax.data.prepare.formats import open_dataset
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.data.prepare.read_options import ReadOptions
from maskrcnn_jax.data.prepare.run import prepare

SQUARE = {"name": "polygon", "all_points_x": [2, 5, 5, 2], "all_points_y": [3, 3, 6, 6]}


def via(*names: str, **attributes: str) -> dict:
    region = {"shape_attributes": SQUARE, "region_attributes": attributes}
    return {name: {"filename": name, "size": 1, "regions": [region]} for name in names}


def write(folder: Path, *names: str, **attributes: str) -> Path:
    write_json(folder / "via.json", via(*names, **attributes))
    for name in names:
        write_image(folder / name, 10, 12)
    return folder


@pytest.mark.parametrize("content", ["empty", "images", "text"])
def test_an_unknown_folder_is_told_where_to_read_what_is_understood(tmp_path: Path, content: str):
    folder = tmp_path / "data"
    folder.mkdir()
    if content == "images":
        write_image(folder / "a.jpg", 10, 12)
    if content == "text":
        (folder / "labels.txt").write_text("0 0.5 0.5 0.1 0.1")
    what = {"empty": "an empty folder", "images": "images without annotations", "text": "in no known format"}[content]
    remedy = "`python -m maskrcnn_jax prepare --help` says what is understood"
    with pytest.raises(DatasetError, match=f"^{folder}: (in no known format: )?{what}; {remedy}$"):
        prepare(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_help_says_what_is_understood(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    monkeypatch.setattr("sys.argv", ["maskrcnn_jax", "prepare", "--help"])
    with pytest.raises(SystemExit):
        main()
    said = capsys.readouterr().out
    for words in ("instances_SPLIT.json", "VGG", "labelme's", "ID/masks/*.png", "Pascal VOC", "Annotations/*.xml"):
        assert words in said


def test_files_that_are_no_data_set(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"nowhere: no such folder or file"):
        open_dataset(tmp_path / "nowhere")
    (tmp_path / "a.jpg").write_text("not an image")
    with pytest.raises(DatasetError, match=r"a\.jpg: an image, not annotations; give the folder of the data set"):
        open_dataset(tmp_path / "a.jpg")
    write_json(tmp_path / "other.json", {"name": "a package"})
    with pytest.raises(DatasetError, match=r"other\.json: in no known format; .* --help"):
        open_dataset(tmp_path / "other.json")


def test_a_text_file_called_jpg(tmp_path: Path):
    folder = write(tmp_path / "data", "a.jpg", "b.jpg")
    (folder / "b.jpg").write_text("not an image")
    with pytest.raises(
        DatasetError, match=r"images that cannot be read; .*: \S+b\.jpg: not an image but text \(12 bytes\)"
    ):
        prepare(folder, tmp_path / "out")


def test_a_truncated_image(tmp_path: Path):
    folder = write(tmp_path / "data", "a.jpg")
    whole = (folder / "a.jpg").read_bytes()
    (folder / "a.jpg").write_bytes(whole[:-20])
    with pytest.raises(DatasetError, match=r"a\.jpg: truncated after \d+ bytes"):
        prepare(folder, tmp_path / "out")


def test_nothing_annotated(tmp_path: Path):
    write_json(tmp_path / "none" / "via.json", {"_via_img_metadata": {}})
    with pytest.raises(DatasetError, match="no images; put them where the annotations expect them"):
        open_dataset(tmp_path / "none")
    write_json(tmp_path / "bare" / "via.json", {"a.png1": {"filename": "a.png", "size": 1, "regions": []}})
    write_image(tmp_path / "bare" / "a.png", 10, 12)
    with pytest.raises(DatasetError, match="no objects; annotate some: 1 image"):
        open_dataset(tmp_path / "bare")


def test_splits_share_their_classes(tmp_path: Path):
    write(tmp_path / "data" / "train", "a.png", kind="zebra")
    write(tmp_path / "data" / "val", "a.png", kind="ant")
    assert prepare(tmp_path / "data", tmp_path / "out").counts == {"train": 1, "val": 1}
    sources = [CocoSource(tmp_path / "out", split).open() for split in ("train", "val")]
    assert [source.class_names for source in sources] == [("ant", "zebra")] * 2
    assert [source[0].labels.tolist() for source in sources] == [[1], [0]]
    assert [source.coco()["images"][0]["file_name"] for source in sources] == ["train/a.png", "val/a.png"]


def test_splits_are_chosen_by_name(tmp_path: Path):
    for split in ("train", "val", "test"):
        write(tmp_path / "data" / split, "a.png")
    assert [split.name for split in open_dataset(tmp_path / "data", ReadOptions(("val",))).splits] == ["val"]
    with pytest.raises(DatasetError, match=r"no split 'minival'; it has train, val, test"):
        open_dataset(tmp_path / "data", ReadOptions(("minival",)))


def test_an_unlabelled_test_split_is_left_out(write_coco: WriteCoco, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    for split in ("train", "val"):
        write(tmp_path / "data" / split, "a.png")
    write_image(tmp_path / "data" / "test" / "a.png", 10, 12)
    assert prepare(tmp_path / "data", tmp_path / "out").counts == {"train": 1, "val": 1}
    assert "left out the split 'test', which has no annotations; to prepare it name it (--splits)" in caplog.text
    caplog.clear()
    folder = write_coco(train2017=instances([square(1, 10, 7, 2, 3, 10)]), test2017=instances([]))
    assert prepare(folder, tmp_path / "coco_out").counts == {"train": 3}
    assert "left out the split 'test'" in caplog.text
    assert prepare(folder, tmp_path / "named", ("train", "test")).counts == {"train": 3, "test": 3}


def test_an_undivided_folder_is_one_split(tmp_path: Path):
    folder = write(tmp_path / "data", "a.png")
    assert [split.name for split in open_dataset(folder).splits] == ["train"]
    assert [split.name for split in open_dataset(folder, ReadOptions(("everything",))).splits] == ["everything"]
    with pytest.raises(DatasetError, match="is not divided into splits; name one"):
        open_dataset(folder, ReadOptions(("train", "val")))


def names(out: Path, split: str) -> set[str]:
    return {image["file_name"] for image in CocoSource(out, split).open().coco()["images"]}


def test_a_share_is_held_out_for_validation(tmp_path: Path):
    everything = {f"{number}.png" for number in range(10)}
    folder = write(tmp_path / "data", *sorted(everything))
    assert prepare(folder, tmp_path / "out", validation_share=0.3).counts == {"train": 7, "val": 3}
    train, val = names(tmp_path / "out", "train"), names(tmp_path / "out", "val")
    assert train | val == everything
    assert not train & val
    # Again, and listed in another order: the same images.
    write_json(folder / "via.json", via(*sorted(everything, reverse=True)))
    prepare(folder, tmp_path / "again", validation_share=0.3)
    assert names(tmp_path / "again", "val") == val
    # More of them: the others stay.
    prepare(folder, tmp_path / "more", validation_share=0.5)
    assert names(tmp_path / "more", "val") > val


def test_at_least_one_image_on_each_side(tmp_path: Path):
    folder = write(tmp_path / "data", "a.png", "b.png")
    assert prepare(folder, tmp_path / "few", validation_share=0.01).counts == {"train": 1, "val": 1}
    assert prepare(folder, tmp_path / "many", validation_share=0.99).counts == {"train": 1, "val": 1}
    with pytest.raises(DatasetError, match=r"validation_share = 0\.2: a single image cannot be divided"):
        prepare(write(tmp_path / "one", "a.png"), tmp_path / "out", validation_share=0.2)


@pytest.mark.parametrize("share", [-0.1, 1.0, 20.0])
def test_a_share_is_below_one(tmp_path: Path, share: float):
    with pytest.raises(DatasetError, match=rf"validation_share = {share}: must be at least 0 and below 1"):
        prepare(tmp_path, tmp_path / "out", validation_share=share)


def test_coco_takes_the_same_options(write_coco: WriteCoco, tmp_path: Path):
    objects = [square(1, 10, 7, 2, 3, 10), square(2, 20, 3, 20, 5, 20), square(3, 30, 3, 20, 5, 20)]
    folder = write_coco(train=instances(objects))
    assert prepare(folder, tmp_path / "out", class_name="animal", validation_share=0.3).counts == {"train": 2, "val": 1}
    source = CocoSource(tmp_path / "out").open()
    assert source.class_names == ("animal",)
    assert [label for index in range(2) for label in source[index].labels] == [0, 0]
    write_coco(val=instances(objects))
    with pytest.raises(DatasetError, match=r"validation_share = 0\.2: \S+ has splits, train, val; leave it out"):
        prepare(folder, tmp_path / "other", validation_share=0.2)


def test_options_that_mean_nothing_here(write_coco: WriteCoco, tmp_path: Path):
    coco = write_coco(train=instances([square(1, 10, 7, 2, 3, 10)]))
    with pytest.raises(DatasetError, match=r"class_attribute = 'kind': .*coco holds COCO, only VIA has attributes"):
        open_dataset(coco, ReadOptions(class_attribute="kind"))
    folder = write(tmp_path / "data", "a.png", kind="cat")
    with pytest.raises(DatasetError, match=r"class_attribute = 'kind' and class_name = 'dog': give one of them"):
        open_dataset(folder, ReadOptions(class_attribute="kind", class_name="dog"))
    for name in ("images", "masks"):
        (tmp_path / "masked" / name).mkdir(parents=True)
    with pytest.raises(DatasetError, match=r"masked holds masks, whose layout says where the images are"):
        open_dataset(tmp_path / "masked", ReadOptions(images=tmp_path))
    for options, said in (
        (ReadOptions(crowds_as_objects=True), r"crowds_as_objects = True: .*data holds VIA, which does not mark"),
        (ReadOptions(boxes_from_masks=True), r"boxes_from_masks = True: .*data holds VIA, whose boxes always come"),
        (ReadOptions(raster="stored"), r"raster = 'stored': .*data holds VIA, which says itself"),
        (ReadOptions(images=tmp_path / "nowhere"), r"images = \S+nowhere: no such folder"),
    ):
        with pytest.raises(DatasetError, match=said):
            open_dataset(folder, options)


def test_coco_goes_first(write_coco: WriteCoco):
    """A COCO folder may hold other files of annotation tools."""
    folder = write_coco(train=instances([square(1, 10, 7, 2, 3, 10)]))
    write_json(folder / "via.json", via("a.png"))
    assert prepared(folder)[0] == ("cat", "dog")


def test_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    folder, out = write(tmp_path / "data", "a.png", "b.png", colour="red", size="big"), tmp_path / "out"
    arguments = ["prepare", str(folder), "--out", str(out)]
    monkeypatch.setattr("sys.argv", ["maskrcnn_jax", *arguments])
    with pytest.raises(
        SystemExit, match=r"^error: .*colour \(2\), size \(2\); say which of them is the class \(--class-attribute\)"
    ):
        main()
    monkeypatch.setattr("sys.argv", ["m", *arguments, "--class-attribute", "size", "--validation-share", "0.5"])
    main()
    assert capsys.readouterr().out.splitlines() == [
        f"{out}: prepared from VIA",
        "1 class, in the order of labels: big",
        "train: 1 image (0 without objects)",
        "  1 object: big 1",
        "  0 crowds",
        "val: 1 image (0 without objects)",
        "  1 object: big 1",
        "  0 crowds",
        "next: maskrcnn-jax train mask_rcnn_r50_fpn_1x --model.num-classes 1 --data.train.folder "
        f"{out} --data.train.split train --data.validation.folder {out} --data.validation.split val",
        "  (a recipe for GPUs; coco_mini in its place is a small Mask R-CNN for two CPU cores)",
    ]
    assert CocoSource(out).open().class_names == ("big",)
