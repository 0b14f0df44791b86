"""The objects found in one image."""

import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, overload

import numpy as np
from jaxtyping import Bool, Float32, Int32, Integer, UInt8

from maskrcnn_jax.draw.detections import class_name, draw_detections
from maskrcnn_jax.draw.images import encode, save_image
from maskrcnn_jax.masks.lazy_masks import as_crop, select, whole_masks
from maskrcnn_jax.prediction.results_writer import results
from maskrcnn_jax.structs import Detections

Indices = slice | Sequence[int] | Integer[np.ndarray, " n"] | Bool[np.ndarray, " d"]


class DetectedObject(NamedTuple):
    """One object of a `Result`."""

    box: Float32[np.ndarray, "4"]
    """(x0, y0, x1, y1), pixels of the image."""
    score: float
    """In [0, 1]."""
    label: int
    """In [0, C)."""
    name: str
    """Of its class."""
    mask: Bool[np.ndarray, "h w"] | None
    """Over the whole image; None for a model without mask head."""


@dataclass(frozen=True, eq=False)
class Result:
    """The objects found in an image, best first, as NumPy arrays; can be pickled.

    `len(result)` is their number, iteration gives each as a `DetectedObject`, `result[0]` is one of them, and
    `result[result.scores > 0.5]`, `result[:10]` and `result[indices]` are a Result with some. In a notebook a result is
    shown as its drawn image.
    """

    image: UInt8[np.ndarray, "h w 3"]
    """RGB, upright."""
    source: str | None
    """The path or URL of the image; None for an image in memory."""
    detections: Detections
    """`[D]` objects in pixels of the image, without padding; masks as `[D, h, w]` bool, `Crops` or None."""
    class_names: tuple[str, ...] = ()
    """One per label."""

    @property
    def boxes(self) -> Float32[np.ndarray, "D 4"]:
        """(x0, y0, x1, y1), pixels of the image."""
        return self.detections.boxes

    @property
    def scores(self) -> Float32[np.ndarray, " D"]:
        """In [0, 1], in descending order."""
        return self.detections.scores

    @property
    def labels(self) -> Int32[np.ndarray, " D"]:
        """In [0, C)."""
        return self.detections.labels

    @property
    def names(self) -> list[str]:
        """Class name of each object; its label's number if there is none."""
        return [class_name(self.class_names, label) for label in self.labels.tolist()]

    @property
    def extras(self) -> dict[str, Any]:
        """Results of further heads, `[D, …]` each, by the head's name."""
        return self.detections.extras

    @cached_property
    def masks(self) -> Bool[np.ndarray, "D h w"] | None:
        """Over the whole image, pasted at the first access; None for a model without mask head."""
        return whole_masks(self.detections.masks, self.size)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image, pixels."""
        return self.image.shape[0], self.image.shape[1]

    def __len__(self) -> int:
        return len(self.detections.boxes)

    def __iter__(self) -> Iterator[DetectedObject]:
        return (self[i] for i in range(len(self)))

    @overload
    def __getitem__(self, indices: int | np.integer) -> DetectedObject: ...

    @overload
    def __getitem__(self, indices: Indices) -> "Result": ...

    def __getitem__(self, indices: int | np.integer | Indices) -> "DetectedObject | Result":
        if isinstance(indices, int | np.integer):
            return self._object(range(len(self))[indices])
        return replace(self, detections=select(self.detections, np.arange(len(self))[indices]))

    def _object(self, row: int) -> DetectedObject:
        one = whole_masks(self[[row]].detections.masks, self.size)
        mask = None if one is None else one[0]
        label = int(self.labels[row])
        name = class_name(self.class_names, label)
        return DetectedObject(self.boxes[row], float(self.scores[row]), label, name, mask)

    def filter(self, *, score: float = 0.0, classes: Collection[str | int] | None = None) -> "Result":
        """The objects with at least this score and of these classes.

        Args:
            score: In [0, 1].
            classes: Names or labels; all if None.

        Raises:
            ValueError: The score is not in [0, 1], or a class is not the model's.
        """
        if not 0 <= score <= 1:
            raise ValueError(f"score = {score!r}: must be in [0, 1]")
        wanted = self.scores >= score
        if classes is not None:
            if isinstance(classes, str):
                raise ValueError(f"classes = {classes!r}: pass several, such as [{classes!r}]")
            wanted &= np.isin(self.labels, [self._label(one) for one in classes])
        return self[wanted]

    def _label(self, name: str | int) -> int:
        if not isinstance(name, str):
            return name
        if name not in self.class_names:
            near = difflib.get_close_matches(name, self.class_names, n=3, cutoff=0.5) or self.class_names[:10]
            raise ValueError(f"classes: the model has no class {name!r}; it has {', '.join(near) or 'no names'}, …")
        return self.class_names.index(name)

    def draw(self, *, min_score: float = 0.0) -> UInt8[np.ndarray, "H W 3"]:
        """The image with masks, boxes and names; a small image is enlarged by a whole factor."""
        return draw_detections(self.image, self.detections, self.class_names, min_score=min_score)

    def save(self, path: Path | str) -> None:
        """Writes the drawn image; the file is written atomically.

        Args:
            path: NAME.png, or NAME.jpg.

        Raises:
            WrongEnding: The path has another ending.
            OSError: The file cannot be written.
        """
        save_image(path, self.draw())

    def to_coco(self, image_id: int = 1, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """The objects in COCO's results format: boxes as (x, y, width, height), masks as run-length code.

        Args:
            image_id: The image's.
            category_ids: The id of each label; the labels + 1 if None.
        """
        found = results(self.detections, image_id, self.size)
        if category_ids is None:
            return found
        return [one | {"category_id": category_ids[label]} for one, label in zip(found, self.labels, strict=True)]

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row for each object: name, label, score, x0, y0, x1, y1, and area of the mask.

        Raises:
            ImportError: pandas is not installed.
        """
        pandas = _require("pandas")
        table = {"name": self.names, "label": self.labels, "score": self.scores}
        table |= dict(zip(("x0", "y0", "x1", "y1"), self.boxes.T, strict=True))
        masks = self.detections.masks
        if masks is not None:
            table["area"] = np.array([as_crop(masks[row]).mask.sum() for row in range(len(self))], int)
        return pandas.DataFrame(table)

    def to_supervision(self) -> Any:
        """A `supervision.Detections` with boxes, masks, scores, labels, and `data["class_name"]`.

        Raises:
            ImportError: supervision is not installed.
        """
        supervision = _require("supervision")
        return supervision.Detections(
            xyxy=self.boxes,
            mask=self.masks,
            confidence=self.scores,
            class_id=self.labels.astype(int),
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "masks"}

    def _repr_png_(self) -> bytes:
        return encode(self.draw(), ".png")


def _require(package: str) -> Any:
    try:
        return __import__(package)
    except ImportError as error:
        raise ImportError(f"{package} is not installed: pip install {package}") from error
