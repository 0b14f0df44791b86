"""Any sequence of examples as a data set."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np

from maskrcnn_jax.data.sources.coco_dictionary import of_examples
from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.messages.config_error import require


@runtime_checkable
class Indexed(Protocol):
    """Anything with a length and examples by index, such as a list."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Example: ...


class Examples:
    """Makes a data set of a sequence of examples and the names of its classes. Implements `ImageSource`.

    Values that are not given are read from the examples; the first use of any of them reads every example once. A
    fork's `Source.open` returns this.

    Args:
        class_names: One name per label.
        examples: A list, or anything with `len` and `[index]`; picklable. Threads read from it at the same time.
        category_ids: The data set's own number of each label; 1, 2, … by default.
        sizes: `[len, 2]` `(height, width)` of every image.
        num_objects: `[len]` objects per image, crowds included, or an upper bound.
        image_ids: The data set's own number of every image; no two are equal.
        file_names: The name of every image; by default its number.
        has_masks: Whether objects have masks; see `ImageSource`. If not, use `FilledBoxes`.

    Raises:
        ConfigError: A value has the wrong number of classes or images; or an example, when it is read, does not have
            the form of `Example`.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        examples: Indexed,
        *,
        category_ids: Sequence[int] | None = None,
        sizes: np.ndarray | None = None,
        num_objects: np.ndarray | None = None,
        image_ids: Sequence[int] | None = None,
        file_names: Sequence[str] | None = None,
        has_masks: bool = True,
    ):
        self.class_names = tuple(class_names)
        self.examples = examples
        ids = range(1, len(self.class_names) + 1) if category_ids is None else category_ids
        self.category_ids = tuple(ids)
        self.has_masks = has_masks
        given = {"sizes": sizes, "num_objects": num_objects, "image_ids": image_ids, "file_names": file_names}
        for name, values in given.items():
            if values is not None:
                require(len(values) == len(self), name, len(values), f"must be one per image, {len(self)}")
                setattr(self, name, values)
        if image_ids is not None:
            _require_unique("image_ids", image_ids)
        classes = len(self.class_names)
        require(len(self.category_ids) == classes, "category_ids", self.category_ids, f"must be of {classes} classes")

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self._checked(self.examples[index], index)

    def _checked(self, example: Example, index: int) -> Example:
        """The example, after checking its form."""
        where, image, labels = f"examples[{index}]", example.image, np.asarray(example.labels)
        form = f"{image.dtype.name} {image.shape}"
        require(image.dtype == np.uint8 and image.shape[2:] == (3,), f"{where}.image", form, "must be uint8 [H, W, 3]")
        inside = all(0 <= label < len(self.class_names) for label in labels.tolist())
        remedy = f"must lie in [0, {len(self.class_names)}), which class_names has"
        require(inside, f"{where}.labels", labels.tolist(), remedy)
        lengths = (len(example.boxes), len(example.is_crowd), len(example.masks))
        remedy = f"boxes, is_crowd and masks must be one per object, {len(labels)} each"
        require(lengths == (len(labels),) * 3, where, lengths, remedy)
        return example

    @cached_property
    def _read(self) -> tuple[np.ndarray, np.ndarray, tuple[int, ...]]:
        """Sizes, numbers of objects and ids, of every example.

        Raises:
            BrokenImage: An image cannot be decoded.
        """
        examples = (self[index] for index in range(len(self)))
        entries = [(*example.image.shape[:2], len(example.labels), int(example.image_id)) for example in examples]
        table = np.array(entries, np.int64).reshape(-1, 4)
        _require_unique("image_id of the examples", table[:, 3].tolist())
        return table[:, :2].astype(np.int32), table[:, 2].astype(np.int32), tuple(table[:, 3].tolist())

    @cached_property
    def sizes(self) -> np.ndarray:
        """`[len, 2]` int32 `(height, width)`."""
        return self._read[0]

    @cached_property
    def num_objects(self) -> np.ndarray:
        """`[len]` int32."""
        return self._read[1]

    @cached_property
    def image_ids(self) -> Sequence[int]:
        """The data set's own number of every image, in order."""
        return self._read[2]

    @cached_property
    def file_names(self) -> Sequence[str]:
        """The name of every image, in order."""
        return tuple(map(str, self.image_ids))

    def coco(self) -> dict[str, Any]:
        """Reads every example and returns the ground truth in COCO's form; annotation ids count from 1.

        Raises:
            BrokenImage: An image cannot be decoded.
        """
        return of_examples(self)


def _require_unique(where: str, ids: Sequence[int]) -> None:
    """Raises ConfigError if two images have the same number: evaluation matches detections and objects by it."""
    twice = [number for number, count in Counter(ids).items() if count > 1]
    require(not twice, where, twice, "belong to several images; give every image a number of its own")
