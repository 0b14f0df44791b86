"""Size, rate and number of frames stay, whatever is broken."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from maskrcnn_jax.prediction import video as module
from maskrcnn_jax.prediction.video import BrokenVideo, VideoReader, VideoWriter, silence

silence()


def frame(index: int, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A gradient that brightens from frame to frame; red grows to the right, green downwards."""
    y, x = np.mgrid[: size[0], : size[1]]
    return np.stack([60 + x, 60 + y, np.full(size, 40 + 8 * index)], axis=-1).astype(np.uint8)


def write(path: Path, count: int = 20, size: tuple[int, int] = (48, 64), rate: float = 25.0) -> Path:
    writer = VideoWriter(path, size, rate)
    for index in range(count):
        writer.write(frame(index, size))
    writer.close()
    return writer.path


@pytest.mark.parametrize("rate", [25.0, 30000 / 1001, 12.5])
@pytest.mark.parametrize(("size", "suffix"), [((48, 64), ".mp4"), ((47, 63), ".avi"), ((48, 63), ".avi")])
def test_what_is_written_is_read(tmp_path: Path, size: tuple[int, int], suffix: str, rate: float):
    path = write(tmp_path / "clip", 20, size, rate)
    assert path.name == f"clip{suffix}" and [*tmp_path.iterdir()] == [path]
    reader = VideoReader(path)
    assert reader.size == size and reader.count == 20 and reader.rate == pytest.approx(rate, rel=1e-4)
    frames = list(reader.frames())
    reader.close()
    assert len(frames) == 20
    for index, read in enumerate(frames):
        assert read.shape == (*size, 3)
        # Both codecs lose; a swap of red and blue would be 60 off and more, a frame before or after 8 everywhere.
        difference = read.astype(int) - frame(index, size)
        assert np.abs(difference).mean() < 4 and abs(difference[..., 2].mean()) < 4


def test_broken_frames_are_none(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """Motion JPEG: frames stand on their own, so zeros in the middle of one harm no other."""
    path = write(tmp_path / "clip", 20, (47, 63))
    data = bytearray(path.read_bytes())
    starts = [i for i in range(len(data)) if data.startswith(b"\xff\xd8\xff", i)]
    assert len(starts) == 20
    for index in (0, 7, 8):
        data[starts[index] : starts[index] + 600] = bytes(600)
    path.write_bytes(data)
    reader = VideoReader(path)
    frames = list(reader.frames())
    assert [index for index, read in enumerate(frames) if read is None] == [0, 7, 8]
    assert len(frames) == 20 and np.abs(frames[9].astype(int) - frame(9, (47, 63))).mean() < 4
    assert "frame 0 cannot be read" in caplog.text and "frames 7 to 8 cannot be read" in caplog.text


def test_a_lost_end_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = write(tmp_path / "clip", 20, (47, 63))
    data = path.read_bytes()
    starts = [i for i in range(len(data)) if data.startswith(b"\xff\xd8\xff", i)]
    path.write_bytes(data[: starts[12]])
    frames = list(VideoReader(path).frames())
    assert len(frames) == 20 and all(read is None for read in frames[12:])
    assert all(read is not None for read in frames[:12])
    assert "ends with frames 12 to 19" in caplog.text


class Capture:
    """A stand-in for OpenCV's: what it reads is told."""

    def __init__(self, frames: list[np.ndarray | None], count: float, rate: float = 10.0):
        self.frames, self.reads = iter(frames), 0
        self.values = {cv2.CAP_PROP_FPS: rate, cv2.CAP_PROP_FRAME_COUNT: count}
        self.values |= {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0}

    def isOpened(self):
        return True

    def get(self, name):
        return self.values[name]

    def read(self):
        self.reads += 1
        one = next(self.frames, None)
        return one is not None, one


def test_a_header_that_promises_too_much_is_not_believed(monkeypatch: pytest.MonkeyPatch):
    capture = Capture([frame(0)], 1e9)
    monkeypatch.setattr(module.cv2, "VideoCapture", lambda source: capture)
    frames = list(VideoReader(Path("clip.mp4")).frames())
    assert len(frames) == 1 + module.PATIENCE and capture.reads == 1 + module.PATIENCE


def test_a_header_that_promises_too_little_is_not_believed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.cv2, "VideoCapture", lambda source: Capture([frame(i) for i in range(5)], 3.0))
    assert len(list(VideoReader(Path("clip.mp4")).frames())) == 5


@pytest.mark.parametrize("rate", [0.0, float("nan"), -1.0])
def test_a_file_without_rate_gets_one(monkeypatch: pytest.MonkeyPatch, rate: float):
    monkeypatch.setattr(module.cv2, "VideoCapture", lambda source: Capture([], 3.0, rate))
    assert VideoReader(Path("clip.mp4")).rate == 30.0


def test_frames_that_a_camera_dropped_are_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.cv2, "VideoCapture", lambda source: Capture([frame(i) for i in range(4)], -1.0))
    # At 10 frames a second, frame i is due at i / 10 s. The third comes at .52 s: those due at .2, .3 and .4 are lost.
    times = iter([0.0, 0.02, 0.12, 0.52, 0.61])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times))
    reader = VideoReader(0)
    assert reader.live and reader.count is None and reader.name == "webcam:0"
    assert [read is None for read in reader.frames()] == [False, False, True, True, True, False, False]


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 99])
def test_what_is_no_video(tmp_path: Path, content: bytes):
    (tmp_path / "clip.mp4").write_bytes(content)
    with pytest.raises(BrokenVideo, match=r"clip\.mp4: no video that OpenCV can open; convert it"):
        VideoReader(tmp_path / "clip.mp4")


def test_a_video_without_frames(tmp_path: Path):
    path = write(tmp_path / "clip", 0, (47, 63))
    with pytest.raises(BrokenVideo, match=r"clip\.avi: (holds no frame|no video)"):
        list(VideoReader(path).frames())


def test_an_unfinished_video_leaves_no_file(tmp_path: Path):
    writer = VideoWriter(tmp_path / "deep" / "clip", (48, 64), 25.0)
    writer.write(frame(0))
    assert not writer.path.exists()
    writer.discard()
    assert not [*(tmp_path / "deep").iterdir()]


def test_where_nothing_can_be_written(tmp_path: Path):
    (tmp_path / "clip.tmp.mp4").mkdir()
    with pytest.raises(OSError, match=r"clip\.mp4: OpenCV cannot write"):
        VideoWriter(tmp_path / "clip", (48, 64), 25.0)
