"""Reading and writing video files, and reading cameras, without losing frames."""

import contextlib
import logging
import math
import os
import struct
import time
from collections.abc import Iterator
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from maskrcnn_jax.files.reading import require_regular
from maskrcnn_jax.files.writing import written_whole

log = logging.getLogger(__name__)

MAX_BROKEN = 250
"""Consecutive frames that may be broken; else a truncated file would be read up to the length in its header."""


def silence() -> None:
    """Silences messages of OpenCV's libraries about broken frames; call it before the first video is opened."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


class BrokenVideo(ValueError):
    """A video without frames that can be read; the message names it."""


class VideoReader:
    """The frames of a video file or a camera.

    Args:
        source: A file, or a camera's number.

    Raises:
        BrokenVideo: It cannot be opened.
    """

    def __init__(self, source: Path | int) -> None:
        self.name = f"webcam:{source}" if isinstance(source, int) else str(source)
        self.live = isinstance(source, int)
        if isinstance(source, Path):
            require_regular(source)
            if not _is_text(source):
                raise BrokenVideo(f"{source}: OpenCV cannot open a video whose name is not UTF-8; rename it")
        self._capture = cv2.VideoCapture(source if isinstance(source, int) else str(source))
        if not self._capture.isOpened():
            remedy = "connect it or give another number" if self.live else "convert it, for example to .mp4 with H.264"
            raise BrokenVideo(f"{self.name}: OpenCV cannot open this video; {remedy}")
        rate, count = (self._capture.get(name) for name in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.rate = float(rate) if 0 < rate < 1e6 else 30.0
        """Frames per second."""
        self.count = int(count) if count > 0 and not self.live else None
        """Number of frames in the file's header."""
        width, height = (self._capture.get(name) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        self.size = int(height), int(width)
        self._times = _Times(self.name, self.rate)

    def frames(self) -> Iterator[UInt8[np.ndarray, "h w 3"] | None]:
        """RGB frames, with None for each that is broken or that a camera dropped, so that the timing stays right.

        Raises:
            BrokenVideo: No frame can be read.
        """
        index, missing, start = 0, 0, time.monotonic()
        while missing < MAX_BROKEN:
            read, frame = self._capture.read()
            if not read:
                if self.count is None or index + missing >= self.count:
                    break
                missing += 1
                continue
            if self.live:
                missing = max(0, int((time.monotonic() - start) * self.rate) - index)
            elif missing:
                log.warning("%s: %s cannot be read; the frame before is repeated", self.name, _span(index, missing))
            yield from repeat(None, missing)
            if not self.live:
                self._times.add(index + missing, self._capture.get(cv2.CAP_PROP_POS_MSEC))
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
            index, missing = index + missing + 1, 0
        if index == 0:
            raise BrokenVideo(f"{self.name}: holds no frame that can be read; give another video")
        if missing:
            log.warning(
                "%s: ends with %s that cannot be read; the frame before is repeated", self.name, _span(index, missing)
            )
            yield from repeat(None, missing)
        self._times.warn()

    def close(self) -> None:
        """Closes the file or the camera."""
        self._capture.release()


class _Times:
    """The times of frames in a video file, compared with the constant rate at which they are written."""

    def __init__(self, name: str, rate: float) -> None:
        self._name, self._frame = name, 1000 / rate
        self._start: float | None = None
        self._last, self._shortest, self._longest, self._off = 0.0, math.inf, 0.0, 0.0

    def add(self, index: int, time: float) -> None:
        """Adds a frame's number and time, ms; for a file without times OpenCV's does not advance."""
        if self._start is None:
            self._start = time - index * self._frame
        elif time > self._last:
            self._shortest = min(self._shortest, time - self._last)
            self._longest = max(self._longest, time - self._last)
            self._off = max(self._off, abs(time - self._start - index * self._frame))
        self._last = time

    def warn(self) -> None:
        """Warns if the rate varies, as frames are then written with other times."""
        if self._off > 1.5 * self._frame:
            log.warning(
                "%s: its frame rate varies (frames last %.0f to %.0f ms); in the output each "
                "lasts %.0f ms, and times differ by up to %.2f s",
                self._name,
                self._shortest,
                self._longest,
                self._frame,
                self._off / 1000,
            )


class _Unwanted(Exception):
    """Discards a file that is being written."""


class VideoWriter:
    """Writes a video of a given size and rate; the file is written atomically.

    The format is MPEG-4 in .mp4, and for odd sizes, which it cannot hold, Motion JPEG in .avi.

    Args:
        path: Of the file, without ending.
        size: (height, width), pixels.
        rate: Frames per second.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, path: Path, size: tuple[int, int], rate: float) -> None:
        self._rate, self._even = rate, size[0] % 2 == size[1] % 2 == 0
        self._count = 0
        suffix, code, backend = (
            (".mp4", "mp4v", cv2.CAP_FFMPEG) if self._even else (".avi", "MJPG", cv2.CAP_OPENCV_MJPEG)
        )
        self.path = path.with_name(path.name + suffix)
        if not _is_text(self.path):
            raise OSError(f"{self.path}: OpenCV cannot write a video whose path is not UTF-8; name another folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        self._whole = contextlib.ExitStack()
        self._partial = self._whole.enter_context(written_whole(self.path))
        fourcc = cv2.VideoWriter.fourcc(*code)
        self._writer = cv2.VideoWriter(str(self._partial), backend, fourcc, rate, size[::-1])
        if not self._writer.isOpened():
            self.discard()
            raise OSError(f"{self.path}: OpenCV cannot write a video of {size[0]}×{size[1]} pixels there")

    def write(self, frame: UInt8[np.ndarray, "h w 3"]) -> None:
        """Appends an RGB frame."""
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self._count += 1

    def close(self) -> None:
        """Completes the file.

        Raises:
            OSError: It could not be written completely; there is no file.
        """
        self._writer.release()
        with self._whole:
            # Before the headers are read: they are missing if the disk was full.
            if self._count and _count_frames(self._partial) != self._count:
                raise _why_not(self._partial, self.path)
            if not self._even:
                _set_rate(self._partial, self._rate)

    def discard(self) -> None:
        """Removes the unfinished file."""
        self._writer.release()
        with contextlib.suppress(_Unwanted), self._whole:
            raise _Unwanted


def _is_text(path: Path) -> bool:
    """Whether a path is valid text: OpenCV crashes on others."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _count_frames(path: Path) -> int:
    """The number of frames in a video's headers if the last frame can be read; else 0.

    OpenCV reports no errors of writing; a truncated file lacks its headers or its last frame.
    """
    capture = cv2.VideoCapture(str(path))
    try:
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) if capture.isOpened() else 0
        if count < 1:
            return 0
        capture.set(cv2.CAP_PROP_POS_FRAMES, count - 1)
        return count if capture.grab() else 0
    finally:
        capture.release()


def _why_not(partial: Path, path: Path) -> OSError:
    """Why a video could not be written, found by appending to its file."""
    try:
        with partial.open("ab") as file:
            file.write(bytes(1 << 20))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return OSError(error.errno, error.strerror, str(path))
    return OSError(f"{path}: OpenCV could not write the whole video; check the disk and the memory, and try again")


def _set_rate(path: Path, rate: float) -> None:
    """Writes a frame rate into an AVI's two headers: OpenCV's own writer rounds it to a whole number."""
    exact = Fraction(rate).limit_denominator(1001)
    with path.open("r+b") as file:
        head = file.read(4096)
        for name, offset, value in (
            (b"avih", 8, struct.pack("<I", round(1e6 / rate))),
            (b"strh", 28, struct.pack("<II", exact.denominator, exact.numerator)),
        ):
            file.seek(head.index(name) + offset)
            file.write(value)


def _span(first: int, count: int) -> str:
    return f"frame {first}" if count == 1 else f"frames {first} to {first + count - 1}"
