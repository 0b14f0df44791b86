"""The interface of data sets: random-access, picklable sequences of examples."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np

from maskrcnn_jax.messages.config_error import require


class Example(NamedTuple):
    """One image and its annotated objects, as stored."""

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
    """n masks, `[H, W]` uint8 in {0, 1} each. Those of a stored data set are decoded on access."""

    @classmethod
    def of(
        cls,
        image: np.ndarray,
        image_id: int,
        labels: Sequence[int] | np.ndarray,
        masks: Sequence[np.ndarray],
        is_crowd: Sequence[bool] | np.ndarray | None = None,
    ) -> "Example":
        """Makes an example whose boxes are those around the masks; objects without a pixel are left out.

        Args:
            image: `[H, W, 3]` uint8 RGB.
            image_id: the data set's own number of the image.
            labels: one per object, in `[0, C)`.
            masks: one per object, `[H, W]` uint8 in {0, 1} or bool.
            is_crowd: one per object; none is a crowd by default.

        Raises:
            ConfigError: labels, masks and `is_crowd` are not equally many.
        """
        require(
            len(labels) == len(masks), f"labels of image {image_id}", len(labels), f"must be one per mask, {len(masks)}"
        )
        masks = [mask.view(np.uint8) if mask.dtype == bool else mask for mask in masks]
        extents = [cv2.boundingRect(mask) for mask in masks]
        visible = [i for i, (_, _, width, _) in enumerate(extents) if width > 0]
        boxes = [(x, y, x + width, y + height) for x, y, width, height in (extents[i] for i in visible)]
        crowds = np.zeros(len(masks), bool) if is_crowd is None else np.asarray(is_crowd, bool)
        require(
            len(crowds) == len(masks),
            f"is_crowd of image {image_id}",
            len(crowds),
            f"must be one per mask, {len(masks)}",
        )
        return cls(
            image,
            image_id,
            np.asarray(boxes, np.float32).reshape(-1, 4),
            np.asarray(labels, np.int32)[visible],
            crowds[visible],
            [masks[i] for i in visible],
        )


@runtime_checkable
class ImageSource(Protocol):
    """A data set; `Source.open` makes one."""

    class_names: tuple[str, ...]
    """One name per label."""
    category_ids: tuple[int, ...]
    """The data set's own number of each label."""
    has_masks: bool
    """Whether objects have masks; without, masks are filled boxes, which no mask head is trained with."""

    @property
    def sizes(self) -> np.ndarray:
        """`[len, 2]` int32 `(height, width)` of every image, known without decoding."""
        ...

    @property
    def num_objects(self) -> np.ndarray:
        """`[len]` int32: objects per image, crowds included; an upper bound for images that are drawn on demand."""
        ...

    @property
    def image_ids(self) -> Sequence[int]:
        """The data set's own number of every image, in order, known without decoding."""
        ...

    @property
    def file_names(self) -> Sequence[str]:
        """The file name of every image, in order, known without decoding."""
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
