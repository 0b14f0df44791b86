import os
import unicodedata
import zipfile
from pathlib import Path

import pytest

from maskrcnn_jax.data.prepare.finder.image_finder import ImageFinder, ImageNotFound
from maskrcnn_jax.data.prepare.read_options import ReadOptions

NFC, NFD = (unicodedata.normalize(form, "Größe.png") for form in ("NFC", "NFD"))


def put(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def finder(root: Path, *folders: str, outside: bool = False) -> ImageFinder:
    return ImageFinder([root / folder for folder in folders or ("images", "")], root, outside)


def not_found(of: ImageFinder, name: str) -> str:
    with pytest.raises(ImageNotFound) as error:
        of.find(name)
    return str(error.value)


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg",
        "./a.jpg",
        "images/a.jpg",
        r"images\a.jpg",
        r".\images\a.jpg",
        r"C:\Users\me\project\images\a.jpg",
        "D:/project/a.jpg",
        "/home/me/project/images/a.jpg",
        "/data/upload/4/a.jpg",
        r"..\..\media\upload\4\a.jpg",
        "../elsewhere/a.jpg",
        "https://example.org/data/a.jpg?size=1#top",
        "s3://bucket/project/a.jpg",
        "file:///home/me/a.jpg",
        "/data/local-files/?d=project/images/a.jpg",
        "http://[broken/a.jpg",
        "a.JPG",
        "A.jpg",
    ],
)
def test_names_of_other_systems_and_machines(tmp_path: Path, name: str):
    root = put(tmp_path, "images/a.jpg")
    assert finder(root).find(name) == root / "images" / "a.jpg"


@pytest.mark.parametrize(("stored", "name"), [(NFD, NFC), (NFC, NFD), (NFD, NFC.upper()), (NFD, f"photos/{NFC}")])
def test_names_of_another_unicode_form(tmp_path: Path, stored: str, name: str):
    root = put(tmp_path, f"images/{stored}")
    assert stored != name
    assert finder(root).find(name) == root / "images" / stored


def test_names_that_are_percent_encoded(tmp_path: Path):
    root = put(tmp_path, "images/my photo #1.png", "images/100%25.png")
    find = finder(root).find
    assert find("my%20photo%20%231.png").name == "my photo #1.png"
    assert find("https://example.org/my%20photo%20%231.png").name == "my photo #1.png"
    # What is called so goes before what it decodes to.
    assert find("100%25.png").name == "100%25.png"


def test_the_whole_name_goes_before_its_end(tmp_path: Path):
    root = put(tmp_path, "images/b/x.jpg", "images/x.jpg")
    assert finder(root).find("b/x.jpg") == root / "images" / "b" / "x.jpg"
    assert finder(root).find("a/b/x.jpg") == root / "images" / "b" / "x.jpg"
    assert finder(root).find("c/x.jpg") == root / "images" / "x.jpg"


def test_the_first_folder_goes_first(tmp_path: Path):
    root = put(tmp_path, "train/x.jpg", "images/x.jpg")
    assert finder(root, "train", "images").find("x.jpg") == root / "train" / "x.jpg"
    assert finder(root, "images", "train").find("x.jpg") == root / "images" / "x.jpg"


def test_the_exact_case_goes_first_then_that_of_the_ending(tmp_path: Path):
    root = put(tmp_path, "images/a.jpg", "images/A.JPG", "images/B.png", "images/b.PNG")
    assert [finder(root).find(name).name for name in ("a.jpg", "A.JPG", "A.jpg")] == ["a.jpg", "A.JPG", "A.JPG"]
    assert finder(root).find("b.png").name == "b.PNG"


def test_files_that_match_equally_are_named(tmp_path: Path):
    root = put(tmp_path, "images/AB.jpg", "images/ab.JPG", "other/x.jpg", "images/x.jpg")
    said = not_found(finder(root), "Ab.Jpg")
    assert said.startswith("Ab.Jpg: ambiguous; keep one file, or name its folder (--images)")
    assert "images/AB.jpg" in said
    assert "images/ab.JPG" in said
    assert "ambiguous" in not_found(finder(root, "images", "other"), "/far/x.jpg")


def test_one_file_is_not_guessed_for_two_names(tmp_path: Path):
    """Frames of two videos have the same names; those of the second were not copied."""
    root = put(tmp_path, "images/frame_0.png")
    once = finder(root)
    assert once.find("video_1/frame_0.png") == once.find("video_1/frame_0.png")
    said = not_found(once, "video_2/frame_0.png")
    assert "images/frame_0.png is also video_1/frame_0.png" in said
    exact = finder(root)
    exact.find("frame_0.png")
    assert "is also frame_0.png" in not_found(exact, "video_1/frame_0.png")


def test_a_missing_image_is_told_with_where_it_was_looked_for(tmp_path: Path):
    root = put(tmp_path, "images/IMG_0001.jpg")
    said = not_found(finder(root), "quite_another.png")
    assert said == (
        f"quite_another.png: missing, looked for in {root / 'images'}, {root}; add the files, or name their folder "
        "(--images)"
    )
    with pytest.raises(ImageNotFound) as error:
        finder(root).find("quite_another.png")
    assert error.value.offender == "quite_another.png"
    assert error.value.problem.startswith("images that are missing, looked for in")


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("photo.png", "there is photo.jpg"),
        ("PHOTO.tif", "there is photo.jpg"),
        ("IMG_0002.JPG", "there is IMG_0001.JPG"),
        ("deep.jpg", "below/deep.jpg; name its folder with --images"),
        ("gone.jpg", "gone.jpg is a link to what is not there"),
        ("pipe.jpg", "pipe.jpg is a named pipe, not a file"),
        ("below.jpg", "below.jpg is a folder, not a file"),
    ],
)
def test_what_is_there_instead_is_named(tmp_path: Path, name: str, there: str):
    root = put(
        tmp_path,
        "images/photo.jpg",
        "images/photo.json",
        "images/IMG_0001.JPG",
        "images/below/deep.jpg",
        "images/below.jpg/x",
    )
    (root / "images" / "gone.jpg").symlink_to("nowhere")
    os.mkfifo(root / "images" / "pipe.jpg")
    assert there in not_found(finder(root), name)


@pytest.mark.parametrize("name", ["", ".", "..", "/", "\0.jpg", "x" * 5000, "\ud800.jpg", "a.jpg/b", "//", "C:\\", "%"])
def test_names_that_no_file_can_have(tmp_path: Path, name: str):
    root = put(tmp_path, "images/a.jpg")
    assert "missing" in not_found(finder(root), name)


def test_images_outside_are_refused_unless_allowed(tmp_path: Path):
    root = put(tmp_path / "set", "images/a.jpg")
    other = put(tmp_path / "other", "b.jpg", "c.jpg") / "b.jpg"
    (root / "images" / "link.jpg").symlink_to(other)
    (root / "linked").symlink_to(tmp_path / "other")
    for name in (str(other), "../../other/b.jpg", "link.jpg", "linked/c.jpg"):
        said = not_found(finder(root), name)
        assert said.startswith(f"{name}: outside {root}; allow such images with --outside-images")
        assert finder(root, outside=True).find(name).resolve().parent == tmp_path / "other"


def test_links_within_the_data_set_are_followed(tmp_path: Path):
    root = put(tmp_path / "set", "images/a.jpg")
    (root / "linked").symlink_to("images")
    (root / "b.jpg").symlink_to("images/a.jpg")
    (tmp_path / "alias").symlink_to(root)
    assert finder(tmp_path / "alias").find("linked/a.jpg").resolve() == root / "images" / "a.jpg"
    assert finder(root).find("b.jpg").resolve() == root / "images" / "a.jpg"


def test_the_folder_that_the_user_names_is_the_only_one(tmp_path: Path):
    root = put(tmp_path / "set", "images/a.jpg")
    named = put(tmp_path / "named", "a.jpg", "b/c.jpg")
    of = ImageFinder.of(ReadOptions(images=named), [root / "images"], root)
    assert of.find("a.jpg") == named / "a.jpg"
    assert of.find(r"..\b\c.jpg") == named / "b" / "c.jpg"
    assert "missing" in not_found(of, "../set/images/b.jpg")
    assert ImageFinder.of(ReadOptions(), [root / "images"], root).find("a.jpg") == root / "images" / "a.jpg"


def test_images_in_zips(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "train.zip", "w") as archive:
        for name in ("train/a.jpg", f"train/{NFD}"):
            archive.writestr(name, name)
    of = ImageFinder([zipfile.Path(tmp_path / "train.zip", "train/")], tmp_path)
    assert of.find("a.jpg").read_bytes() == b"train/a.jpg"
    assert of.find("a.jpg").read_bytes() == b"train/a.jpg"
    assert "is also a.jpg" in not_found(of, "A.JPG")
    assert of.find(f"far/{NFC}").read_bytes() == f"train/{NFD}".encode()
    assert "missing" in not_found(of, "../a.png")


def test_each_folder_is_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    root = put(tmp_path, *(f"images/IMG_{number}.JPG" for number in range(50)))
    listed = []
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda folder: listed.append(folder) or listdir(folder))
    of = finder(root)
    for number in range(50):
        assert of.find(f"img_{number}.jpg").name == f"IMG_{number}.JPG"
    assert sorted(listed) == [root, root / "images"]


def test_names_are_compared_for_the_first_few_that_are_missing(tmp_path: Path):
    """A message names ten; to compare each of 100,000 missing names with as many files would take hours."""
    of = finder(put(tmp_path, "images/IMG_0001.JPG"))
    said = [not_found(of, f"IMG_000{letter}.JPG") for letter in "abcdefghijkl"]
    assert ["there is IMG_0001.JPG" in text for text in said] == [True] * 10 + [False] * 2
