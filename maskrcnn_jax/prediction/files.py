"""Prediction of image and video files, written as drawn images and videos, colour splashes, label maps and JSON."""

import contextlib
import json
import logging
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.images.reading import read_image
from maskrcnn_jax.draw.colors import distinct_color
from maskrcnn_jax.draw.detections import draw_detections, splash
from maskrcnn_jax.draw.images import save_png
from maskrcnn_jax.files.printable import printable
from maskrcnn_jax.files.reading import require_regular
from maskrcnn_jax.files.writing import write_text
from maskrcnn_jax.masks.lazy_masks import select
from maskrcnn_jax.messages.counts import pluralize
from maskrcnn_jax.messages.system_errors import format_error
from maskrcnn_jax.prediction.choice import require_score
from maskrcnn_jax.prediction.inputs import Input
from maskrcnn_jax.prediction.predictor import Predictor
from maskrcnn_jax.prediction.results_writer import ResultsWriter
from maskrcnn_jax.prediction.semantic import class_table, label_map, save_label_map
from maskrcnn_jax.prediction.several import count_images
from maskrcnn_jax.prediction.threads import BackgroundWriter, ahead
from maskrcnn_jax.prediction.tiling import detect_tiled
from maskrcnn_jax.prediction.tracking import Tracks, follow, keep_colors
from maskrcnn_jax.prediction.video import BrokenVideo, VideoReader, VideoWriter
from maskrcnn_jax.structs import Detections

log = logging.getLogger(__name__)

Key = TypeVar("Key")
"""Identifies an image of a stream."""


class OutputOptions(NamedTuple):
    """Which files are written, and where."""

    folder: Path
    min_score: float = 0.5
    """Objects below are left out everywhere; in [0, 1]."""
    tile: bool = False
    """Predict large images in tiles."""
    splash: bool = False
    semantic: bool = False


def predict_files(predictor: Predictor, inputs: Sequence[Input], options: OutputOptions) -> list[str]:
    """Predicts images and videos and writes the files that are asked for.

    Reading, the device and drawing run in parallel. For `photo.jpg` it writes `photo.detections.png`,
    `photo.splash.png` and `photo.semantic.png`; for `clip.mp4` such videos and a folder of label maps; for all inputs
    together `detections.json` and `images.json` (see `ResultsWriter`), and `classes.json`, the classes of the values in
    label maps.

    Returns:
        One message for each input that cannot be read; the others are processed. With several inputs each is logged.

    Raises:
        ValueError: The least score is not in [0, 1], or a splash or label maps are asked for of a model without mask
            head.
        OSError: An output for images, or the files of all results, cannot be written.
    """
    config = predictor.config
    require_score(options.min_score)
    if config.mask_head is None and (options.splash or options.semantic):
        raise ValueError(
            "the model has no mask head, but colour splashes and label maps need masks; leave out "
            "--splash and --semantic, or name a model with masks"
        )
    failures: list[str] = []

    def fail(error: ValueError | OSError) -> None:
        failures.append(format_error(error))
        if len(inputs) > 1:
            log.warning("%s", failures[-1])

    images, videos = [i for i in inputs if not i.is_video], [i for i in inputs if i.is_video]
    with logging_redirect_tqdm(), ResultsWriter(options.folder, config.class_names, config.num_classes) as results:
        if images:
            _images(predictor, images, options, results, fail)
        for video in videos:
            try:
                _video(predictor, video, options, results)
            except (BrokenVideo, OSError) as error:
                fail(error)
    if results.images:
        seen = pluralize(results.images, "image" if not videos else "image or frame")
        print(printable(f"{seen}, {pluralize(results.objects, 'object')}, in {options.folder}"))
    if options.semantic and len(failures) < len(inputs):
        table = json.dumps(class_table(config.class_names, config.num_classes), indent=1)
        write_text(options.folder / "classes.json", table + "\n")
    return failures


def detect_stream(
    predictor: Predictor, images: Iterable[tuple[Key, np.ndarray | None]], options: OutputOptions
) -> Generator[tuple[Key, np.ndarray | None, Detections | None], None, None]:
    """Detects in a stream of images, batch by batch, while a thread fetches the next ones.

    Args:
        predictor: Finds the objects.
        images: Each with a key; None in place of an image passes through.
        options: Has the least score, and whether images are tiled.
    """
    count = 1 if options.tile else predictor.batch_size
    with contextlib.closing(ahead(images, count)) as source:
        while batch := list(islice(source, count)):
            shown = [image for _, image in batch if image is not None]
            if options.tile:
                found = [detect_tiled(predictor, image, min_score=options.min_score) for image in shown]
            else:
                found = [select(one, one.scores >= options.min_score) for one in predictor.detect(shown)]
            rest = iter(found)
            for key, image in batch:
                yield key, image, None if image is None else next(rest)


def _images(
    predictor: Predictor,
    inputs: Sequence[Input],
    options: OutputOptions,
    results: ResultsWriter,
    fail: Callable[[ValueError | OSError], None],
) -> None:
    def read() -> Iterator[tuple[Input, np.ndarray | None]]:
        for one in inputs:
            try:
                path = Path(str(one.source))
                require_regular(path)
                image, several = read_image(path), count_images(path)
                if several > 1:
                    log.warning("%s: holds %d images, of which the first is used", path, several)
                yield one, image
            except (BrokenImage, OSError) as error:
                fail(error)
                yield one, None

    def write(one: Input, image: np.ndarray, found: Detections) -> None:
        names, size = predictor.class_names, image.shape[:2]
        save_png(options.folder / f"{one.name}.detections.png", draw_detections(image, found, names))
        if options.splash:
            save_png(options.folder / f"{one.name}.splash.png", splash(image, found))
        if options.semantic:
            path = options.folder / f"{one.name}.semantic.png"
            save_label_map(path, label_map(found, size), predictor.config.num_classes)
        results.add(str(one.source), size, found)

    stream = detect_stream(predictor, read(), options)
    with BackgroundWriter(predictor.batch_size) as writer:
        for one, image, found in tqdm(stream, total=len(inputs), unit=" images", disable=None):
            if image is not None and found is not None:
                writer.call(write, one, image, found)


def _video(predictor: Predictor, video: Input, options: OutputOptions, results: ResultsWriter) -> None:
    reader = VideoReader(video.source)
    outputs = _VideoOutputs(predictor, video, reader, options, results)
    start = time.monotonic()
    try:
        # Closed before the reader: a thread may be reading a frame.
        found_stream = contextlib.closing(detect_stream(predictor, enumerate(reader.frames()), options))
        with found_stream as stream, BackgroundWriter(2 * predictor.batch_size) as writer:
            try:
                frames = tqdm(stream, printable(video.name), reader.count, unit=" frames", disable=None)
                for number, image, found in frames:
                    writer.call(outputs.add, number, image, found)
            except KeyboardInterrupt:
                if not reader.live:
                    raise
        outputs.close()
    except BaseException:
        outputs.discard()
        raise
    finally:
        reader.close()
    seconds = time.monotonic() - start
    speed = f"{outputs.count / seconds:.1f} a second"
    print(printable(f"{video.name}: {pluralize(outputs.count, 'frame')}, {speed}, in {outputs.drawn.path}"))


class _VideoOutputs:
    """The outputs of a video, written frame by frame."""

    def __init__(
        self, predictor: Predictor, video: Input, reader: VideoReader, options: OutputOptions, results: ResultsWriter
    ) -> None:
        self._name, self._size, self._results = reader.name, reader.size, results
        self._class_names, self._classes = predictor.class_names, predictor.config.num_classes
        self._maps = options.folder / f"{video.name}.semantic" if options.semantic else None
        self._tracks = Tracks()
        self._colors: dict[int, int] = {}
        self._frames = [np.zeros((*reader.size, 3), np.uint8)] * 2
        self.drawn = VideoWriter(options.folder / f"{video.name}.detections", reader.size, reader.rate)
        self._splash = None
        try:
            if options.splash:
                self._splash = VideoWriter(options.folder / f"{video.name}.splash", reader.size, reader.rate)
        except OSError:
            self.drawn.discard()
            raise
        self.count = 0

    def add(self, number: int, image: np.ndarray | None, found: Detections | None) -> None:
        """Draws and writes a frame; for a broken one the frame before is written again."""
        if image is not None and found is not None:
            self._tracks, tracks = follow(self._tracks, found.boxes, found.labels)
            followed = [track.number for track in self._tracks.current]
            self._colors = keep_colors(self._colors, followed)
            colors = [distinct_color(self._colors[track]) for track in tracks.tolist()]
            drawn = draw_detections(image, found, self._class_names, colors=colors, enlarge=False)
            self._frames = [drawn, drawn if self._splash is None else splash(image, found)]
            self._results.add(self._name, self._size, found, number, tracks.tolist())
            if self._maps is not None:
                save_label_map(self._maps / f"{number:06d}.png", label_map(found, self._size), self._classes)
        self.drawn.write(self._frames[0])
        if self._splash is not None:
            self._splash.write(self._frames[1])
        self.count += 1

    def close(self) -> None:
        self.drawn.close()
        if self._splash is not None:
            self._splash.close()

    def discard(self) -> None:
        self.drawn.discard()
        if self._splash is not None:
            self._splash.discard()
