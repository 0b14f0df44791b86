"""Detections of many images in COCO's results format, written image by image."""

import json
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import numpy as np

from maskrcnn_jax.files.lock import turn
from maskrcnn_jax.files.writing import write_text, written_whole
from maskrcnn_jax.masks.lazy_masks import as_crop
from maskrcnn_jax.prediction.coco_results import CocoResult, encode_crop
from maskrcnn_jax.structs import Detections


class _NoImage(Exception):
    """No image was added, so there are no files to write."""


class ResultsWriter:
    """Writes `detections.json` and `images.json`, the images and categories of its ids.

    `images.json` is a data set in COCO's format without annotations: images by running number, with their file and for
    videos the frame, and categories, the labels + 1. COCO's tools read both:
    `COCO("images.json").loadRes("detections.json")`. As a context manager it completes both files, or writes neither
    after an error or without an image, and removes a folder that it made and that is empty. Of several processes that
    write to one folder, both files of the last one that ends remain.

    Args:
        folder: It is created if needed.
        class_names: One per label; empty for their numbers.
        classes: How many labels there are.
    """

    def __init__(self, folder: Path, class_names: Sequence[str], classes: int) -> None:
        self._made = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._names = [*class_names] or [str(label) for label in range(classes)]
        self._images: list[dict[str, Any]] = []
        self.objects = 0
        self._whole, self._turn = ExitStack(), ExitStack()
        partial = self._whole.enter_context(written_whole(folder / "detections.json"))
        self._file: TextIO = self._whole.enter_context(partial.open("w", encoding="utf-8"))

    def __enter__(self) -> "ResultsWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                self._whole.__exit__(kind, error, trace)
                return
            with self._turn, suppress(_NoImage), self._whole:
                self._finish()
        finally:
            if self._made and not any(self._folder.iterdir()):
                self._folder.rmdir()

    def _finish(self) -> None:
        if not self._images:
            raise _NoImage
        self._file.write("]\n" if self.objects else "[]\n")
        self._file.close()
        categories = [{"id": label + 1, "name": name} for label, name in enumerate(self._names)]
        table = {"images": self._images, "annotations": [], "categories": categories}
        # Held until both files are in place, so that those of two processes are not mixed.
        self._turn.enter_context(turn(self._folder))
        write_text(self._folder / "images.json", json.dumps(table) + "\n")

    @property
    def images(self) -> int:
        """Images and frames so far; `objects` is the number of their detections."""
        return len(self._images)

    def add(
        self,
        name: str,
        size: tuple[int, int],
        detections: Detections,
        frame: int | None = None,
        tracks: Sequence[int] | None = None,
    ) -> None:
        """Appends an image or a frame.

        Args:
            name: Of the file or camera.
            size: (height, width), pixels.
            detections: In its pixels, without padding.
            frame: Its number in the video, from 0.
            tracks: One number per detection, the same for one object in several frames.
        """
        height, width = size
        image_id = len(self._images) + 1
        image: dict[str, Any] = {"id": image_id, "file_name": name, "height": height, "width": width}
        self._images.append(image if frame is None else image | {"frame": frame})
        for row, result in enumerate(results(detections, image_id, size)):
            if tracks is not None:
                result["track_id"] = int(tracks[row])
            self._file.write((",\n" if self.objects else "[") + json.dumps(result))
            self.objects += 1


def results(detections: Detections, image_id: int, size: tuple[int, int]) -> list[CocoResult]:
    """One image's detections in COCO's results format.

    Args:
        detections: In the image's pixels, without padding, masks `[D, h, w]` bool, `Crops` or None.
        image_id: The image's.
        size: (height, width) of the image.
    """
    found = []
    for row, (x0, y0, x1, y1) in enumerate(np.asarray(detections.boxes, float).tolist()):
        result: CocoResult = {
            "image_id": image_id,
            "category_id": int(detections.labels[row]) + 1,
            "bbox": [x0, y0, x1 - x0, y1 - y0],
            "score": float(detections.scores[row]),
        }
        if detections.masks is not None:
            result["segmentation"] = encode_crop(as_crop(detections.masks[row]), *size)
        found.append(result)
    return found
