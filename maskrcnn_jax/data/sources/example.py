"""What a data set is to the pipeline: a random-access, picklable sequence of examples."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np


class Example(NamedTuple):
    """One picture and its annotated objects, as stored."""

    image: np.ndarray
    """`[H, W, 3]` uint8 RGB."""
    image_id: int
    boxes: np.ndarray
    """`[n, 4]` float32 `(x0, y0, x1, y1)`, pixels."""
    labels: np.ndarray
    """`[n]` int32 in `[0, C)`."""
    is_crowd: np.ndarray
    """`[n]` bool."""
    masks: Sequence[np.ndarray]
    """n masks, `[H, W]` uint8 in {0, 1} each. Those of a stored data set are decoded when asked for."""


@runtime_checkable
class ImageSource(Protocol):
    """A data set; `Source.open` makes one."""

    class_names: tuple[str, ...]
    """One name per label."""
    category_ids: tuple[int, ...]
    """The data set's own number of each label."""
    sizes: np.ndarray
    """`[len, 2]` int32 `(height, width)` of every image, known without decoding."""
    num_objects: np.ndarray
    """`[len]` int32: objects per image, crowds included; an upper bound where pictures are drawn on demand."""

    @property
    def image_ids(self) -> Sequence[int]:
        """The data set's own number of every image, in order, known without decoding."""
        ...

    @property
    def file_names(self) -> Sequence[str]:
        """What every image is called, in order, known without decoding."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Example:
        """Decodes one image.

        Raises:
            BrokenImage: The image cannot be decoded.
        """
        ...

    def coco(self) -> dict[str, Any]:
        """Returns the ground truth of every image as a COCO instances dictionary, ready for `json` and COCO tools."""
        ...
