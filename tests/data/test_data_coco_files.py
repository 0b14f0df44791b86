import zipfile
from pathlib import Path

import pytest
from conftest import WriteCoco, instances

from maskrcnn_jax.data.annotations import DatasetError
from maskrcnn_jax.data.coco_files import find_splits


def found(folder: Path, *wanted: str, images: Path | None = None) -> dict[str, tuple[str, str]]:
    return {s.name: (s.annotations.name, s.images.name) for s in find_splits(folder, wanted, images)}


def zip_up(folder: Path, name: str, *members: str) -> None:
    """Moves folders into a zip like those of the download page."""
    with zipfile.ZipFile(folder / name, "w") as archive:
        for member in members:
            archive.mkdir(member)
            for path in sorted((folder / member).iterdir()):
                archive.write(path, f"{member}/{path.name}")
                path.unlink()
            (folder / member).rmdir()


def test_years_are_left_out_where_they_are_not_needed(write_coco: WriteCoco):
    folder = write_coco(train2017=instances([]), val2017=instances([]))
    both = {
        "train": ("instances_train2017.json", "train2017"),
        "val": ("instances_val2017.json", "val2017"),
    }
    assert found(folder) == both
    assert found(folder, "val") == {"val": both["val"]}
    assert found(folder, "val2017", "train") == both


def test_years_stay_where_they_tell_splits_apart(write_coco: WriteCoco):
    folder = write_coco(val2014=instances([]), val2017=instances([]), train=instances([]))
    assert set(found(folder)) == {"val2014", "val2017", "train"}
    with pytest.raises(DatasetError, match="no split 'val'; it has"):
        found(folder, "val")


def test_images_in_a_folder_of_their_own(write_coco: WriteCoco):
    folder = write_coco(train=instances([]))
    (folder / "images").mkdir()
    (folder / "train").rename(folder / "images" / "train")
    assert found(folder)["train"][1] == "train"
    (folder / "images" / "train").rename(folder / "elsewhere")
    assert found(folder)["train"][1] == "images"
    assert found(folder, images=folder / "elsewhere")["train"][1] == "elsewhere"


def test_official_zips(write_coco: WriteCoco):
    folder = write_coco(train2017=instances([]), val2017=instances([]))
    zip_up(folder, "annotations_trainval2017.zip", "annotations")
    zip_up(folder, "train2017.zip", "train2017")
    zip_up(folder, "val2017.zip", "val2017")
    for split in find_splits(folder, (), None):
        assert split.annotations.read_bytes().startswith(b'{"images"')
        assert (split.images / "010.png").read_bytes().startswith(b"\x89PNG")


def test_single_annotation_file(write_coco: WriteCoco):
    folder = write_coco(custom=instances([]))
    path, images = folder / "annotations" / "instances_custom.json", folder / "custom"
    assert found(path, images=images) == {"train": (path.name, "custom")}
    assert found(path, "test", images=images) == {"test": (path.name, "custom")}
    with pytest.raises(DatasetError, match="name one"):
        found(path, "train", "val", images=images)


def test_nothing_there(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"found neither annotations/instances_<split>\.json nor"):
        found(tmp_path)


@pytest.mark.parametrize("images", [None, Path("nowhere")])
def test_no_image_folder(write_coco: WriteCoco, images: Path | None):
    folder = write_coco(train=instances([]))
    (folder / "train").rename(folder / "pictures")
    with pytest.raises(DatasetError, match=r"no folder with the images of 'train': tried .*--images"):
        found(folder, images=images)
