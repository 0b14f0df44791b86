"""The inputs of a prediction: images, folders of them, patterns, videos and cameras."""

import glob
import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.prediction.several import count_images

log = logging.getLogger(__name__)

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".jp2", ".gif"}
VIDEOS = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts"}
OUTPUT = re.compile(r"\.(detections\.(png|mp4|avi)|splash\.(png|mp4|avi)|semantic\.png)$", re.IGNORECASE)
"""Endings of the files that `predict_files` writes."""
OUTPUT_FOLDER = ".semantic"
"""Ending of the folders that it writes for the label maps of videos."""
MAX_LISTED = 8
"""Endings of skipped files that are listed."""
MAX_NAME = 200
"""Bytes of the name of an output, without its ending; file systems allow 255 in all."""


class Input(NamedTuple):
    """An image, a video or a camera."""

    source: Path | int
    """The file, or the camera's number."""
    name: str
    """The start of its outputs' names; unique."""
    is_video: bool
    """Whether it has frames; files of unknown type are taken as images."""


def find_inputs(names: Sequence[str], out: Path | None = None) -> list[Input]:
    """Finds the images and videos that arguments name.

    Files that are named are always used. Of folders and patterns these files are skipped: hidden files, outputs of
    `predict_files`, irregular files, and those without the ending of an image or a video; one line of the log counts
    them by kind. A GIF with several images is a video.

    Args:
        names: Files, folders (their images and videos, by name), patterns such as "photos/**/*.jpg", and "webcam" or
            "webcam:1".
        out: The folder of the outputs; it may not be one of the inputs.

    Raises:
        OSError: There is no such file, or a folder cannot be read.
        ValueError: A folder or pattern has no image and no video, nothing is named, or outputs would be written among
            the inputs.
    """
    skipped: Counter[str] = Counter()
    sources = [source for name in names for source in _sources(name, out, skipped)]
    if skipped:
        log.warning("skipped: %s", _listed(skipped))
    if not sources:
        raise ValueError("no input: name images, folders, patterns, videos or webcam")
    once: dict[str | int, Path | int] = {}
    for source in sources:
        once.setdefault(source if isinstance(source, int) else os.path.abspath(source), source)
    seen: Counter[str] = Counter()
    return [Input(source, _name(source, seen), _is_video(source)) for source in once.values()]


def _sources(name: str, out: Path | None, skipped: Counter[str]) -> list[Path | int]:
    if camera := re.fullmatch(r"webcam(?::(\d{1,4}))?", name):
        return [int(camera[1] or 0)]
    path = Path(name)
    if path.is_dir():
        entries, where = sorted(path.iterdir()), {path: None}
    elif path.exists():
        if OUTPUT.search(path.name):
            _require_elsewhere({path.parent}, out)  # it would be overwritten
        return [path]
    elif glob.has_magic(name):
        entries = sorted(Path(file) for file in glob.glob(name, recursive=True))
        where = dict.fromkeys(entry.parent for entry in entries)
        if not entries:
            raise ValueError(f"{name}: no file matches; correct the pattern")
    else:
        raise FileNotFoundError(f"{path}: no such file or folder; correct the path")
    _require_elsewhere(where, out)
    kinds = {entry: _reason(entry) for entry in entries}
    found = [entry for entry, reason in kinds.items() if reason is None]
    unused = Counter(reason for reason in kinds.values() if reason is not None)
    if not found:
        contents = f" (skipped: {_listed(unused)})" if unused else ""
        raise ValueError(f"{name}: holds no image and no video{contents}; give another folder, or a pattern")
    skipped.update(unused)
    return [*found]


def _require_elsewhere(folders: Iterable[Path], out: Path | None) -> None:
    """Checks that no outputs are written into a folder of inputs, also through another name of it."""
    for folder in folders:
        if out is not None and out.exists() and folder.exists() and out.samefile(folder):
            raise ValueError(
                f"--out {out}: is the folder {folder} of inputs; name another, so that outputs "
                "are not mixed with inputs"
            )


def _reason(path: Path) -> str | None:
    """Why a file of a folder is skipped: a kind, or its ending if that is of no image or video; None if it is used."""
    if path.name.startswith("."):
        return "hidden"
    if OUTPUT.search(path.name) or OUTPUT_FOLDER in (path.suffix.lower(), path.parent.suffix.lower()):
        return "output"
    if path.is_dir():
        return "folder"
    if not path.is_file():
        return "irregular"
    ending = path.suffix.lower()
    return None if ending in IMAGES | VIDEOS else ending or "no ending"


def _listed(skipped: Counter[str]) -> str:
    kinds = {
        "hidden": "hidden file",
        "output": "own output",
        "folder": "folder",
        "irregular": "irregular file",
    }
    parts = [pluralize(skipped[kind], noun) for kind, noun in kinds.items() if skipped[kind]]
    endings = sorted(skipped.keys() - kinds.keys())
    if endings:
        count = sum(skipped[ending] for ending in endings)
        more = ", …" if len(endings) > MAX_LISTED else ""
        parts.append(f"{pluralize(count, 'file')} neither image nor video ({', '.join(endings[:MAX_LISTED])}{more})")
    return ", ".join(parts)


def _name(source: Path | int, seen: Counter[str]) -> str:
    """The name of a source's outputs: that of the file, with a number if taken, short enough for their endings."""
    stem = f"webcam{source}" if isinstance(source, int) else source.stem
    while len(os.fsencode(stem)) > MAX_NAME:
        stem = stem[:-1]
    seen[stem] += 1
    while seen[stem] > 1 and f"{stem}_{seen[stem]}" in seen:
        seen[stem] += 1
    name = stem if seen[stem] == 1 else f"{stem}_{seen[stem]}"
    seen[name] = max(seen[name], 1)
    return name


def _is_video(source: Path | int) -> bool:
    if isinstance(source, int):
        return True
    ending = source.suffix.lower()
    return ending in VIDEOS or (ending == ".gif" and count_images(source) > 1)
