"""From files to files: images, videos, what is broken among them, and what the command line says."""

import json
import os
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from small import CONFIG, build, change

from maskrcnn_jax.checkpoints.saving import save_pretrained
from maskrcnn_jax.cli.commands import main
from maskrcnn_jax.config import ModelConfig
from maskrcnn_jax.draw.colors import PALETTE
from maskrcnn_jax.masks.lazy_masks import Crops, Patch
from maskrcnn_jax.prediction import files as module
from maskrcnn_jax.prediction import video
from maskrcnn_jax.prediction.files import OutputOptions, detect_stream, predict_files
from maskrcnn_jax.prediction.inputs import find_inputs
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.prediction.video import VideoReader, VideoWriter
from maskrcnn_jax.structs import Detections

GRAY, WHITE = 90, 255
NAMED = change(CONFIG.model, class_names=("square", "circle", "triangle"))


class FindsWhite(Predictor):
    """Finds each white rectangle: an object of label 1 with a score of .9, and of .3 if it is lower than 8 pixels."""

    def __init__(self, config: ModelConfig = NAMED, batch_size: int = 4):
        self.config, self.class_names, self.batch_size = config, config.class_names, batch_size
        self.batches: list[int] = []

    def detect(self, images, proposals=None):
        self.batches.append(len(images))
        return [self.find(image) for image in images]

    def find(self, image: np.ndarray) -> Detections:
        height, width = image.shape[:2]
        _, _, stats, _ = cv2.connectedComponentsWithStats((image.min(axis=-1) > 200).astype(np.uint8))
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:]], np.float32).reshape(-1, 4)
        masks = [(Patch(np.ones((28, 28), np.float32), box, (0, 0, width, height)),) for box in boxes]
        scores = np.where(boxes[:, 3] - boxes[:, 1] < 8, 0.3, 0.9).astype(np.float32)
        labels, valid = np.ones(len(boxes), np.int32), np.ones(len(boxes), bool)
        return Detections(boxes, scores, labels, valid, None if self.config.mask_head is None else Crops(masks))


def make_image(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (64, 96)) -> np.ndarray:
    """White rectangles on gray, with a red corner that splash must take away."""
    image = np.full((*size, 3), GRAY, np.uint8)
    image[-8:, :8] = (255, 0, 0)
    for x0, y0, x1, y1 in boxes:
        image[y0:y1, x0:x1] = WHITE
    return image


def save(path: Path, image: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1])
    return path


def read(path: Path) -> np.ndarray:
    return cv2.imread(str(path))[..., ::-1]


def film(path: Path, frames: list[np.ndarray]) -> Path:
    writer = VideoWriter(path, frames[0].shape[:2], 12.5)
    for frame in frames:
        writer.write(frame)
    writer.close()
    return writer.path


def predict(folder: Path, *names: Path | str, predictor: Predictor | None = None, **wanted: bool | float) -> list[str]:
    inputs = find_inputs([str(name) for name in names])
    return predict_files(predictor or FindsWhite(), inputs, OutputOptions(folder, **wanted))


def found_in(folder: Path) -> dict[int, list[dict]]:
    """The results of each image of the table."""
    table = json.loads((folder / "images.json").read_text())
    results = json.loads((folder / "detections.json").read_text())
    return {image["id"]: [one for one in results if one["image_id"] == image["id"]] for image in table["images"]}


def test_images(tmp_path: Path):
    save(tmp_path / "in" / "a.png", make_image((10, 12, 40, 42), (60, 50, 90, 55)))
    save(tmp_path / "in" / "b.png", make_image(size=(70, 50)))
    assert predict(tmp_path / "out", tmp_path / "in", splash=True, semantic=True) == []
    kinds = ("detections", "semantic", "splash")
    expected = [f"{name}.{kind}.png" for name in "ab" for kind in kinds]
    expected += ["classes.json", "detections.json", "images.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(expected)
    assert read(tmp_path / "out" / "a.detections.png").shape == (64 * 5, 96 * 5, 3)  # enlarged to be read
    splashed = read(tmp_path / "out" / "a.splash.png")
    assert (splashed == splashed[..., :1]).all() and (splashed[20:30, 20:30] == WHITE).all()
    labels = np.asarray(Image.open(tmp_path / "out" / "a.semantic.png"))
    assert labels[25, 25] == 2 and set(np.unique(labels)) == {0, 2} and labels[52, 70] == 0
    assert (np.asarray(Image.open(tmp_path / "out" / "b.semantic.png")) == 0).all()
    assert json.loads((tmp_path / "out" / "classes.json").read_text())[2]["name"] == "circle"
    found = found_in(tmp_path / "out")
    assert [(len(found[i])) for i in (1, 2)] == [1, 0]  # the low rectangle scores .3
    assert found[1][0]["bbox"] == [10, 12, 30, 30] and found[1][0]["category_id"] == 2


def test_only_what_is_wanted(tmp_path: Path):
    save(tmp_path / "a.png", make_image((10, 12, 40, 42), (60, 50, 90, 55)))
    predict(tmp_path / "out", tmp_path / "a.png", min_score=0.2)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["a.detections.png", "detections.json", "images.json"]
    assert len(found_in(tmp_path / "out")[1]) == 2


def test_broken_images_are_named_and_the_others_processed(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.jpg").write_text("no image")
    save(tmp_path / "in" / "b.png", make_image((10, 12, 40, 42)))
    (tmp_path / "in" / "c.mp4").write_text("no video")
    failures = predict(tmp_path / "out", tmp_path / "in")
    assert len(failures) == 2 and "a.jpg: not an image" in failures[0] and "c.mp4: OpenCV cannot open" in failures[1]
    assert all(failure in caplog.text for failure in failures)
    assert sorted(p.name for p in (tmp_path / "out").glob("*.png")) == ["b.detections.png"]
    assert len(found_in(tmp_path / "out")) == 1


def test_what_is_no_regular_file_is_named_and_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe.mp4")
    save(tmp_path / "b.png", make_image((10, 12, 40, 42)))
    names = [tmp_path / name for name in ("pipe.jpg", "b.png", "pipe.mp4")]
    failures = predict(tmp_path / "out", *names)
    assert failures == [f"{path}: is a named pipe, not a regular file; give a file" for path in names[::2]]
    assert len(found_in(tmp_path / "out")) == 1


def test_of_several_images_in_a_file_the_first_is_used(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    images = [Image.fromarray(make_image(box)) for box in ((10, 12, 40, 42), (1, 1, 20, 20))]
    images[0].save(tmp_path / "a.tiff", save_all=True, append_images=images[1:])
    assert predict(tmp_path / "out", tmp_path / "a.tiff") == []
    assert found_in(tmp_path / "out")[1][0]["bbox"] == [10, 12, 30, 30]
    assert caplog.messages == [f"{tmp_path / 'a.tiff'}: holds 2 images, of which the first is used"]


def test_a_gif_becomes_a_video(tmp_path: Path):
    images = [Image.fromarray(frame) for frame in moving(4)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=80)
    assert predict(tmp_path / "out", tmp_path / "a.gif") == []
    reader = VideoReader(tmp_path / "out" / "a.detections.mp4")
    assert (reader.rate, reader.count) == (12.5, 4)
    assert [one["bbox"] for [one] in found_in(tmp_path / "out").values()] == [[2 + 3 * t, 4, 20, 20] for t in range(4)]


def test_a_video_that_cannot_be_written_whole_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As of a full disk; the other inputs are done."""
    clip = film(tmp_path / "clip", moving(3))
    save(tmp_path / "a.png", make_image((10, 12, 40, 42)))
    monkeypatch.setattr(video, "_count_frames", lambda path: 2)
    [failure] = predict(tmp_path / "out", clip, tmp_path / "a.png", splash=True)
    assert failure.startswith(f"{tmp_path / 'out' / 'clip.detections.mp4'}: OpenCV could not write the whole video")
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["a.detections.png", "a.splash.png", "detections.json", "images.json"]


def moving(count: int) -> list[np.ndarray]:
    """Two rectangles of one class: one shifts right by 3 pixels a frame, the other, from frame 4, does not."""
    return [make_image((2 + 3 * t, 4, 22 + 3 * t, 24), *([(60, 36, 90, 60)] if t >= 4 else [])) for t in range(count)]


def test_a_video_keeps_size_rate_length_and_colours(tmp_path: Path, capsys: pytest.CaptureFixture):
    # Four times as large, so that names do not cover the objects.
    clip = film(tmp_path / "clip", [frame.repeat(4, axis=0).repeat(4, axis=1) for frame in moving(10)])
    predictor = FindsWhite()
    assert predict(tmp_path / "out", clip, predictor=predictor, splash=True, semantic=True) == []
    assert predictor.batches == [4, 4, 2]
    for kind in ("detections", "splash"):
        reader = VideoReader(tmp_path / "out" / f"clip.{kind}.mp4")
        assert (reader.size, reader.rate, reader.count) == ((256, 384), 12.5, 10)
    drawn = list(VideoReader(tmp_path / "out" / "clip.detections.mp4").frames())
    for t, frame in enumerate(drawn):
        tint = 0.6 * WHITE + 0.4 * np.array(PALETTE[0])
        assert np.abs(frame[52:60, 44 + 12 * t : 52 + 12 * t].mean(axis=(0, 1)) - tint).max() < 25
        if t >= 4:
            tint = 0.6 * WHITE + 0.4 * np.array(PALETTE[1])
            assert np.abs(frame[190:200, 290:310].mean(axis=(0, 1)) - tint).max() < 25
    found = found_in(tmp_path / "out")
    assert len(found) == 10 and [len(found[i]) for i in range(1, 11)] == [1] * 4 + [2] * 6
    for image_id, results in found.items():
        assert {one["track_id"]: one["bbox"][0] < 236 for one in results} == {0: True} | (
            {1: False} if image_id > 4 else {}
        )
    table = json.loads((tmp_path / "out" / "images.json").read_text())["images"]
    assert [(image["file_name"], image["frame"]) for image in table] == [(str(clip), t) for t in range(10)]
    assert len([*(tmp_path / "out" / "clip.semantic").iterdir()]) == 10
    assert "clip: 10 frames" in capsys.readouterr().out


def test_a_broken_frame_shows_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    frames = moving(6)
    clip = film(tmp_path / "clip", frames)
    broken = [None, frames[1], None, None, frames[4], None]
    monkeypatch.setattr(VideoReader, "frames", lambda self: iter(broken))
    predict(tmp_path / "out", clip)
    monkeypatch.undo()
    drawn = list(VideoReader(tmp_path / "out" / "clip.detections.mp4").frames())
    assert len(drawn) == 6 and drawn[0].max() < 20  # black before the first
    same = [bool(np.abs(a.astype(int) - b).mean() < 2) for a, b in pairwise(drawn)]
    assert same == [False, True, True, False, True]
    table = json.loads((tmp_path / "out" / "images.json").read_text())["images"]
    assert [image["frame"] for image in table] == [1, 4]


def test_an_error_leaves_no_half_video(tmp_path: Path):
    class Fails(FindsWhite):
        def find(self, image):
            raise RuntimeError("out of memory")

    clip = film(tmp_path / "clip", moving(3))
    with pytest.raises(RuntimeError, match="out of memory"):
        predict(tmp_path / "out", clip, predictor=Fails())
    assert not (tmp_path / "out").exists()


def test_a_camera_is_watched_until_it_is_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Camera(VideoReader):
        def __init__(self, source):
            self.name, self.live, self.rate, self.count, self.size = f"webcam:{source}", True, 10.0, None, (64, 96)

        def frames(self):
            yield from moving(6)
            raise KeyboardInterrupt

        def close(self):
            pass

    monkeypatch.setattr(module, "VideoReader", Camera)
    predict(tmp_path / "out", "webcam", predictor=FindsWhite(batch_size=2))
    assert VideoReader(tmp_path / "out" / "webcam0.detections.mp4").count == 6
    assert len(found_in(tmp_path / "out")) == 6


def test_large_images_in_tiles(tmp_path: Path):
    save(tmp_path / "a.png", make_image((10, 12, 40, 42), (110, 70, 135, 95), size=(150, 200)))
    predictor = FindsWhite()
    predict(tmp_path / "out", tmp_path / "a.png", predictor=predictor, tile=True)
    (found,) = found_in(tmp_path / "out").values()
    assert sorted(one["bbox"] for one in found) == [[10, 12, 30, 30], [110, 70, 25, 25]]
    assert sum(predictor.batches) == 3 * 4 + 2 * 2 + 1  # of the network's 64 pixels: 150 × 200, 75 × 100, 48 × 64


@pytest.mark.parametrize("score", [50.0, -0.1, float("nan")])
def test_a_least_score_outside_its_range(tmp_path: Path, score: float):
    save(tmp_path / "a.png", make_image((10, 12, 40, 42)))
    with pytest.raises(ValueError, match=rf"min_score = {score}: must be between 0 and 1"):
        predict(tmp_path / "out", tmp_path / "a.png", min_score=score)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wanted", ["splash", "semantic"])
def test_a_model_without_masks_draws_boxes_only(tmp_path: Path, wanted: str):
    save(tmp_path / "a.png", make_image((10, 12, 40, 42)))
    predictor = FindsWhite(change(NAMED, mask_head=None))
    with pytest.raises(ValueError, match="no mask head"):
        predict(tmp_path / "no", tmp_path / "a.png", predictor=predictor, **{wanted: True})
    assert not (tmp_path / "no").exists()
    predict(tmp_path / "out", tmp_path / "a.png", predictor=predictor)
    assert "segmentation" not in found_in(tmp_path / "out")[1][0]
    assert (read(tmp_path / "out" / "a.detections.png") == PALETTE[1]).all(-1).any()


def test_the_stream_keeps_order_and_gaps():
    frames = [make_image((10, 12, 40, 42 + t)) if t not in (1, 5) else None for t in range(7)]
    predictor = FindsWhite(batch_size=3)
    out = list(detect_stream(predictor, enumerate(frames), OutputOptions(Path())))
    assert [key for key, _, _ in out] == list(range(7)) and predictor.batches == [2, 2, 1]
    for t, image, found in out:
        assert (image is None) == (found is None) == (t in (1, 5))
        assert found is None or found.boxes.tolist() == [[10, 12, 40, 42 + t]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    return save_pretrained(build(), path)[0]


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["maskrcnn_jax", "predict", *map(str, arguments)])
    main()


def test_the_command(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture):
    """The network itself: with scores above 0 an untrained one finds something."""
    save(tmp_path / "a.png", make_image((10, 12, 40, 42)))
    out = tmp_path / "out"
    numbers = ("--min-score", "0", "--detections", "3", "--nms-iou", "0.9")
    command(monkeypatch, tmp_path / "a.png", "--checkpoint", weights, "--out", out, *numbers, "--splash")
    assert (out / "a.splash.png").exists()
    assert len(found_in(out)[1]) == 3
    assert capsys.readouterr().out == f"1 image, 3 objects, in {out}\n"


def test_outputs_are_in_one_folder(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = save(tmp_path / "a.png", make_image((10, 12, 40, 42)))
    with pytest.raises(SystemExit, match=r"error: .*a\.png: File exists; name a folder or a new path$"):
        command(monkeypatch, path, "--checkpoint", weights, "--out", path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("text.jpg",), r"error: .*text\.jpg: not an image but text \(7 bytes\); give an image in its place"),
        (("text.mp4",), r"error: .*text\.mp4: OpenCV cannot open this video"),
        (("empty",), r"error: .*empty: holds no image and no video"),
        (("nothing.jpg",), r"error: .*nothing\.jpg: no such file or folder; correct the path"),
        (("a.png", "text.jpg"), r"error: 1 of 2 inputs could not be predicted, the others are in .*out"),
        (("text.mp4", "text.jpg"), r"error: none of the 2 inputs could be predicted; see the warnings above"),
    ],
)
def test_bad_input_ends_with_one_line(
    names: tuple[str, ...], message: str, weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save(tmp_path / "a.png", make_image((10, 12, 40, 42)))
    (tmp_path / "empty").mkdir()
    for name in ("text.jpg", "text.mp4"):
        (tmp_path / name).write_text("nothing")
    with pytest.raises(SystemExit, match=message) as ended:
        inputs = [tmp_path / name for name in names]
        command(monkeypatch, *inputs, "--checkpoint", weights, "--out", tmp_path / "out", "--semantic")
    assert len(str(ended.value).splitlines()) == 1
    assert (tmp_path / "out").exists() == ("a.png" in names)
    written = {path.name for path in tmp_path.glob("out/*")}
    usable = {"a.detections.png", "a.semantic.png", "classes.json", "detections.json", "images.json"}
    assert written == (usable if "a.png" in names else set())
