"""What is named on a command line is found, in order, once, and its outputs do not meet."""

import os
from pathlib import Path

import pytest

from maskrcnn_jax.prediction.inputs import find_inputs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "b.jpg",
        "a.PNG",
        "notes.txt",
        "clip.mp4",
        "deep/a.jpg",
        "deep/c.jpeg",
        "empty/notes.txt",
        "odd[1].jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    os.mkdir(tmp_path / "folder.jpg")
    return tmp_path


def sources(*names: str) -> list[str]:
    return [str(one.source) for one in find_inputs(names)]


def test_a_folder_gives_its_pictures_and_videos_by_name(folder: Path):
    assert sources(".") == ["a.PNG", "b.jpg", "clip.mp4", "odd[1].jpg"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.jpg", ["b.jpg", "odd[1].jpg"]),
        ("**/*.jpg", ["b.jpg", "deep/a.jpg", "odd[1].jpg"]),
        ("deep/?.jp*", ["deep/a.jpg", "deep/c.jpeg"]),
        ("odd[1].jpg", ["odd[1].jpg"]),
    ],
    ids=["here", "deeper", "letters", "a file called like a pattern"],
)
def test_patterns(folder: Path, pattern: str, expected: list[str]):
    assert sources(pattern) == expected


def test_what_is_a_video(folder: Path):
    found = find_inputs(["b.jpg", "clip.mp4", "webcam", "webcam:2", "notes.txt"])
    assert [one.is_video for one in found] == [False, True, True, True, False]
    assert [one.source for one in found[2:4]] == [0, 2]
    assert [one.name for one in found] == ["b", "clip", "webcam0", "webcam2", "notes"]


def test_the_same_file_is_looked_at_once(folder: Path):
    assert sources("b.jpg", ".", "b.jpg") == ["b.jpg", "a.PNG", "clip.mp4", "odd[1].jpg"]


def test_outputs_of_the_same_name_differ(folder: Path):
    (folder / "a_2.jpg").write_bytes(b"")
    names = [one.name for one in find_inputs(["a.PNG", "a_2.jpg", "deep/a.jpg", "deep/c.jpeg"])]
    assert names == ["a", "a_2", "a_3", "c"]
    names = [one.name for one in find_inputs(["a.PNG", "deep/a.jpg", "a_2.jpg"])]
    assert len(set(names)) == 3 and names[:2] == ["a", "a_2"]


@pytest.mark.parametrize(
    ("names", "error", "message"),
    [
        ([], ValueError, "no input: name pictures"),
        (["empty"], ValueError, "empty: holds no picture and no video"),
        (["*.gif"], ValueError, r"\*\.gif: no file is called like this"),
        (["nothing.jpg"], FileNotFoundError, r"nothing\.jpg: no such file or folder"),
        (["webcam:x"], FileNotFoundError, "webcam:x: no such file"),
    ],
)
def test_nothing_to_look_at(folder: Path, names: list[str], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        find_inputs(names)
