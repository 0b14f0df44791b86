"""Size, rate and number of frames are kept even if frames are broken."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from maskrcnn_jax.files.reading import NotAFile
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
    """Motion JPEG: frames are independent, so zeros in the middle of one damage no other."""
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
    """Replaces OpenCV's: it reads what it is given."""

    def __init__(self, frames: list[np.ndarray | None], count: float, rate: float = 10.0):
        self.frames, self.reads = iter(frames), 0
        self.values = {cv2.CAP_PROP_FPS: rate, cv2.CAP_PROP_FRAME_COUNT: count}
        self.values |= {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0, cv2.CAP_PROP_POS_MSEC: 0.0}

    def isOpened(self):
        return True

    def get(self, name):
        return self.values[name]

    def read(self):
        self.reads += 1
        one = next(self.frames, None)
        return one is not None, one


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A file for the replacement, which does not read it."""
    (tmp_path / "clip.mp4").touch()
    return tmp_path / "clip.mp4"


def test_a_header_with_too_many_frames(clip: Path, monkeypatch: pytest.MonkeyPatch):
    capture = Capture([frame(0)], 1e9)
    monkeypatch.setattr(module.cv2, "VideoCapture", lambda source: capture)
    frames = list(VideoReader(clip).frames())
    assert len(frames) == 1 + module.MAX_BROKEN and capture.reads == 1 + module.MAX_BROKEN


def test_a_header_with_too_few_frames(clip: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.cv2, "VideoCapture", lambda source: Capture([frame(i) for i in range(5)], 3.0))
    assert len(list(VideoReader(clip).frames())) == 5


@pytest.mark.parametrize("rate", [0.0, float("nan"), -1.0])
def test_a_file_without_rate_gets_one(clip: Path, monkeypatch: pytest.MonkeyPatch, rate: float):
    monkeypatch.setattr(module.cv2, "VideoCapture", lambda source: Capture([], 3.0, rate))
    assert VideoReader(clip).rate == 30.0


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
    with pytest.raises(BrokenVideo, match=r"clip\.mp4: OpenCV cannot open this video; convert it"):
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
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        VideoWriter(tmp_path / "file" / "clip", (48, 64), 25.0)
    with pytest.raises(OSError, match=r"clip\.mp4: OpenCV cannot write a video of 0×0 pixels there"):
        VideoWriter(tmp_path / "clip", (0, 0), 25.0)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


LIMITED = """
import resource, sys
from pathlib import Path
import numpy as np
from maskrcnn_jax.prediction.video import VideoWriter, silence
from maskrcnn_jax.messages.system_errors import format_error
silence()
rng, size = np.random.default_rng(0), (int(sys.argv[2]), int(sys.argv[3]))
writer = VideoWriter(Path(sys.argv[1]), size, 25.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
for _ in range(30):
    writer.write(rng.integers(0, 256, (*size, 3), np.uint8))
try:
    writer.close()
except OSError as error:
    print(format_error(error))
"""


@pytest.mark.parametrize(("size", "suffix"), [((240, 320), ".mp4"), ((241, 321), ".avi")])
def test_a_video_that_is_not_written_whole_is_an_error(tmp_path: Path, size: tuple[int, int], suffix: str):
    """Where files may have 100,000 bytes; OpenCV itself reports nothing."""
    (tmp_path / f"clip{suffix}").write_text("of another run")
    command = [sys.executable, "-c", LIMITED, tmp_path / "clip", *map(str, size)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout.startswith(f"{tmp_path / 'clip'}{suffix}: File too large; above the largest size of a file")
    assert (tmp_path / f"clip{suffix}").read_text() == "of another run" and len([*tmp_path.iterdir()]) == 1


def test_a_frame_of_another_size_is_not_lost_silently(tmp_path: Path):
    """OpenCV leaves it out without a word."""
    writer = VideoWriter(tmp_path / "clip", (48, 64), 25.0)
    for size in ((48, 64), (64, 48), (48, 64)):
        writer.write(frame(0, size))
    with pytest.raises(OSError, match=r"clip\.mp4: OpenCV could not write the whole video"):
        writer.close()
    assert not [*tmp_path.iterdir()]


def test_names_that_are_not_utf_8(tmp_path: Path):
    """OpenCV would crash."""
    path = tmp_path / os.fsdecode(b"clip\xff.mp4")
    path.write_bytes(b"")
    with pytest.raises(BrokenVideo, match="name is not UTF-8; rename it"):
        VideoReader(path)
    with pytest.raises(OSError, match="path is not UTF-8; name another folder"):
        VideoWriter(path, (48, 64), 25.0)


def test_a_pipe_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "clip.mp4")
    with pytest.raises(NotAFile, match=r"clip\.mp4: is a named pipe"):
        VideoReader(tmp_path / "clip.mp4")


@pytest.mark.parametrize(
    ("durations", "message"),
    [
        ([100] * 6, None),
        # 0.72 s in all: each frame is to last 120 ms. The last begins after 640 ms and would after 5 · 120 = 600; frame
        # 4 begins after 240 ms instead of 480, 0.24 s too early.
        (
            [40, 40, 120, 40, 400, 80],
            "frames last 40 to 400 ms); in the output each lasts 120 ms, and times differ by up to 0.24 s",
        ),
    ],
)
def test_a_varying_rate_is_warned_of(tmp_path: Path, durations: list[int], message: str | None, caplog):
    images = [Image.fromarray(frame(index)) for index in range(6)]
    images[0].save(tmp_path / "clip.gif", save_all=True, append_images=images[1:], duration=durations)
    frames = list(VideoReader(tmp_path / "clip.gif").frames())
    assert len(frames) == 6 and all(one is not None for one in frames)
    assert caplog.text == "" if message is None else f"clip.gif: its frame rate varies ({message}" in caplog.text
