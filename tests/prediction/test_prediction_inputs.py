"""What is named on a command line is found, in order, once, and its outputs do not meet."""

import os
from pathlib import Path

import pytest
from PIL import Image

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


def test_a_folder_gives_its_images_and_videos_by_name(folder: Path, caplog: pytest.LogCaptureFixture):
    assert sources(".") == ["a.PNG", "b.jpg", "clip.mp4", "odd[1].jpg"]
    # deep, empty and folder.jpg; notes.txt
    assert caplog.messages == ["skipped: 3 folders, 1 file neither image nor video (.txt)"]


@pytest.mark.parametrize("name", ["found", "found/*"])
def test_what_is_left_out_is_counted_by_kind(folder: Path, name: str, caplog: pytest.LogCaptureFixture):
    (folder / "found" / "clip.semantic").mkdir(parents=True)
    for file in ("a.jpg", "._a.jpg", ".DS_Store", "a.detections.png", "b.SPLASH.PNG", "b.semantic.png", "b.splash.avi"):
        (folder / "found" / file).touch()
    for file in ("detections.json", "images.json", "notes.txt", "LICENSE"):
        (folder / "found" / file).touch()
    os.mkfifo(folder / "found" / "pipe.jpg")
    (folder / "found" / "gone.jpg").symlink_to(folder / "nowhere")
    assert sources(name) == ["found/a.jpg"]
    # A pattern does not look at hidden files: the shell's rule, which glob follows.
    hidden = "2 hidden files, " if name == "found" else ""
    assert caplog.messages == [
        f"skipped: {hidden}5 own outputs, 2 irregular files, 4 files neither image nor video (.json, .txt, no ending)"
    ]


def test_label_maps_of_videos_are_own_outputs(folder: Path, caplog: pytest.LogCaptureFixture):
    (folder / "found" / "clip.semantic").mkdir(parents=True)
    for name in ("found/clip.semantic/000000.png", "found/a.jpg"):
        (folder / name).touch()
    assert sources("found/**/*.*") == ["found/a.jpg"]
    assert caplog.messages == ["skipped: 2 own outputs"]


def test_outputs_do_not_lie_among_inputs(folder: Path):
    (folder / "link").symlink_to(folder / "deep")
    for name, out in (("deep", "deep"), ("deep/", "./deep/../deep"), ("deep", "link"), ("link", "deep"), (".", "")):
        with pytest.raises(ValueError, match=r"is the folder .* of inputs; name another"):
            find_inputs([name], Path(out))
    for name, out in (("deep/*.jpg", "link"), ("**/*.jpg", "deep")):
        with pytest.raises(ValueError, match=r"is the folder (deep|link) of inputs"):
            find_inputs([name], Path(out))
    (folder / "a.detections.png").touch()
    with pytest.raises(ValueError, match="is the folder"):  # what a.PNG gives would be written over it
        find_inputs(["a.PNG", "a.detections.png"], folder)
    assert len(find_inputs(["deep", "b.jpg", "."], Path("new"))) == 6
    assert len(find_inputs(["b.jpg"], Path())) == 1


def test_a_gif_is_a_video_if_it_has_several_images(folder: Path):
    images = [Image.new("L", (8, 8), value) for value in (0, 99)]
    images[0].save("one.gif")
    images[0].save("two.gif", save_all=True, append_images=images[1:])
    (folder / "broken.gif").write_bytes(b"GIF89a")
    found = {one.name: one.is_video for one in find_inputs(["one.gif", "two.gif", "broken.gif"])}
    assert found == {"one": False, "two": True, "broken": False}


def test_names_leave_room_for_endings(folder: Path):
    names = ["猫" * 70 + "a.jpg", "猫" * 70 + "b.jpg"]
    for name in names:
        (folder / name).touch()
    assert [one.name for one in find_inputs(names)] == ["猫" * 66, "猫" * 66 + "_2"]  # 198 bytes


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


def test_the_same_file_is_used_once(folder: Path):
    assert sources("b.jpg", str(folder / "b.jpg"), "deep/../b.jpg") == ["b.jpg"]
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
        ([], ValueError, "no input: name images"),
        (
            ["empty"],
            ValueError,
            r"empty: holds no image and no video \(skipped: 1 file neither image nor video \(\.txt\)\)",
        ),
        (["*.gif"], ValueError, r"\*\.gif: no file matches"),
        (["nothing.jpg"], FileNotFoundError, r"nothing\.jpg: no such file or folder"),
        (["webcam:x"], FileNotFoundError, "webcam:x: no such file"),
    ],
)
def test_nothing_to_look_at(folder: Path, names: list[str], error: type[Exception], message: str):
    with pytest.raises(error, match=message):
        find_inputs(names)
