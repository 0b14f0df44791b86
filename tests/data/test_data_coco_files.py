import zipfile
from pathlib import Path

import pytest
from conftest import WriteCoco, instances
from prepared import write_json

from maskrcnn_jax.data.prepare.coco.files import find_splits
from maskrcnn_jax.data.prepare.problems import DatasetError


def found(folder: Path, *wanted: str, files: tuple[Path, ...] = ()) -> dict[str, str]:
    """The annotation file of each split."""
    return {split.name: split.annotations.name for split in find_splits(folder, wanted, files)}


def folders(folder: Path, *wanted: str, files: tuple[Path, ...] = ()) -> list[str]:
    """Where the images of an only split may lie, below the data set's folder."""
    [split] = find_splits(folder, wanted, files)
    return [str(path).removeprefix(str(split.root)).strip("/") for path in split.folders]


def zip_up(folder: Path, name: str, *members: str) -> None:
    """Packs folders into a zip like those of the download page."""
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member in members:
            archive.mkdir(member)
            for path in sorted((folder / member).iterdir()):
                archive.write(path, f"{member}/{path.name}")
                path.unlink()
            (folder / member).rmdir()


def test_years_are_left_out_where_they_are_not_needed(write_coco: WriteCoco):
    folder = write_coco(train2017=instances([]), val2017=instances([]))
    both = {"train": "instances_train2017.json", "val": "instances_val2017.json"}
    assert found(folder) == both
    assert found(folder, "val") == {"val": both["val"]}
    assert found(folder, "val2017", "train") == both


def test_years_stay_where_they_tell_splits_apart(write_coco: WriteCoco):
    folder = write_coco(val2014=instances([]), val2017=instances([]), train=instances([]))
    assert set(found(folder)) == {"val2014", "val2017", "train"}
    with pytest.raises(DatasetError, match="no split 'val'; it has"):
        found(folder, "val")


def test_names_of_splits_may_have_any_form(tmp_path: Path):
    names = ("batch-1", "batch-2", "Train", "Validation", "night shots v1.2", "2017")
    for name in names:
        write_json(tmp_path / "annotations" / f"instances_{name}.json", instances([]))
    # A stored split's name has letters, digits, "_" and "-".
    called = {"batch-1", "batch-2", "train", "val", "night_shots_v1_2", "2017"}
    assert set(found(tmp_path)) == called
    assert found(tmp_path, "night shots v1.2") == {"night_shots_v1_2": "instances_night shots v1.2.json"}


def test_two_splits_that_would_be_called_the_same_keep_their_names(tmp_path: Path):
    for name in ("valid", "val", "a b", "a_b"):
        write_json(tmp_path / "annotations" / f"instances_{name}.json", instances([]))
    with pytest.raises(DatasetError, match=r"'a b' and 'a_b' would both be called 'a_b'"):
        found(tmp_path)
    (tmp_path / "annotations" / "instances_a b.json").unlink()
    assert set(found(tmp_path)) == {"valid", "val", "a_b"}


def test_images_are_looked_for_from_the_most_particular_folder(write_coco: WriteCoco):
    folder = write_coco(train=instances([]))
    for name in ("images/train", "JPEGImages"):
        (folder / name).mkdir(parents=True)
    assert folders(folder) == ["train", "images/train", "images", "JPEGImages", "annotations", ""]


def test_folders_of_a_split_may_bear_its_other_names(tmp_path: Path):
    write_json(tmp_path / "annotations" / "instances_val.json", instances([]))
    (tmp_path / "valid").mkdir()
    assert folders(tmp_path)[0] == "valid"


def test_official_zips(write_coco: WriteCoco):
    folder = write_coco(train2017=instances([]), val2017=instances([]))
    zip_up(folder, "annotations_trainval2017.zip", "annotations")
    zip_up(folder, "train2017.zip", "train2017")
    zip_up(folder, "val2017.zip", "val2017")
    for split in find_splits(folder, ()):
        assert split.annotations.read_bytes().startswith(b'{"images"')
        assert (split.folders[0] / "010.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_unpacked_goes_before_its_zip(write_coco: WriteCoco):
    folder = write_coco(train2017=instances([]), val2017=instances([]))
    zip_up(folder, "annotations_trainval2017.zip", "annotations")
    zip_up(folder, "train2017.zip", "train2017")
    write_coco(train2017=instances([]))
    train, val = find_splits(folder, ())
    assert isinstance(train.annotations, Path)
    assert train.folders[0] == folder / "train2017"
    assert isinstance(val.annotations, zipfile.Path)
    (folder / "annotations.zip").write_bytes((folder / "annotations_trainval2017.zip").read_bytes())
    with pytest.raises(DatasetError, match=r"the split 'val2017' has 2 annotation files, \S+annotations\.zip"):
        find_splits(folder, ())


def test_a_broken_zip_is_named(write_coco: WriteCoco):
    folder = write_coco(train2017=instances([]))
    (folder / "train2017.zip").write_bytes(b"<html>not found</html>")
    with pytest.raises(DatasetError, match=r"train2017\.zip: not a ZIP archive that can be read .*; fetch it again"):
        find_splits(folder, ())


def test_an_only_annotation_file(write_coco: WriteCoco):
    folder = write_coco(custom=instances([]))
    path = folder / "annotations" / "instances_custom.json"
    assert found(path) == {"train": path.name}
    assert found(path, "test") == {"test": path.name}
    # The folder above annotations/ is the data set's.
    assert folders(path) == ["custom", "annotations", ""]
    with pytest.raises(DatasetError, match="name one"):
        found(path, "train", "val")


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["result.json"], {"train"}),
        (["train/_annotations.coco.json", "valid/_annotations.coco.json"], {"train", "val"}),
        (["lvis_v1_train.json", "lvis_v1_val.json"], {"train", "val"}),
        (["annotations/a.json", "annotations/b.json"], {"a", "b"}),
        (["annotations/train2017.json"], {"train"}),
    ],
)
def test_files_of_other_names_are_splits_by_their_name_or_folder(tmp_path: Path, names: list[str], splits: set[str]):
    files = tuple(tmp_path / name for name in names)
    for path in files:
        write_json(path, instances([]))
    assert set(found(tmp_path, files=files)) == splits


def test_two_files_of_one_split_are_ambiguous(tmp_path: Path):
    files = (tmp_path / "old_train.json", tmp_path / "train" / "labels.json")
    with pytest.raises(DatasetError, match=r"the split 'train' has 2 annotation files, \S+old_train\.json, \S+labels"):
        found(tmp_path, files=files)
