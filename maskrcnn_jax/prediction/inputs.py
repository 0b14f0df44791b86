"""What a user names to be looked at: pictures, folders of them, patterns, videos and cameras."""

import glob
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2"}
VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"}


class Input(NamedTuple):
    """A picture, a video or a camera."""

    source: Path | int
    """The file, or the camera's number."""
    name: str
    """What outputs are called after it; no two are alike."""

    @property
    def is_video(self) -> bool:
        """Whether there are frames in it; a file without a video's ending is taken for a picture."""
        return isinstance(self.source, int) or self.source.suffix.lower() in VIDEOS


def find_inputs(names: Sequence[str]) -> list[Input]:
    """The pictures and videos that arguments name.

    Args:
        names: Files, folders (their pictures and videos, by name), patterns such as "photos/**/*.jpg", and "webcam" or
            "webcam:1".

    Raises:
        OSError: There is no such file.
        ValueError: A folder or pattern has no picture and no video, or nothing is named.
    """
    sources = [source for name in names for source in _sources(name)]
    if not sources:
        raise ValueError("no input: name pictures, folders, patterns, videos or webcam")
    seen: Counter[str] = Counter()
    inputs = []
    for source in dict.fromkeys(sources):
        stem = f"webcam{source}" if isinstance(source, int) else source.stem
        seen[stem] += 1
        while seen[stem] > 1 and f"{stem}_{seen[stem]}" in seen:
            seen[stem] += 1
        name = stem if seen[stem] == 1 else f"{stem}_{seen[stem]}"
        seen[name] = max(seen[name], 1)
        inputs.append(Input(source, name))
    return inputs


def _sources(name: str) -> list[Path | int]:
    if camera := re.fullmatch(r"webcam(?::(\d+))?", name):
        return [int(camera[1] or 0)]
    path = Path(name)
    if path.is_dir():
        found = [file for file in path.iterdir() if file.suffix.lower() in PICTURES | VIDEOS and file.is_file()]
        if not found:
            raise ValueError(
                f"{path}: holds no picture and no video; give another folder, or a pattern for what is deeper"
            )
    elif path.exists():
        return [path]
    elif glob.has_magic(name):
        found = [Path(file) for file in glob.glob(name, recursive=True) if Path(file).is_file()]
        if not found:
            raise ValueError(f"{name}: no file is called like this; mend the pattern")
    else:
        raise FileNotFoundError(f"{path}: no such file or folder; mend the path")
    return [*sorted(found)]
