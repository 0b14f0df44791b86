"""Copy-paste augmentation: some objects of one image, cut out along their masks, put onto another."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from maskrcnn_jax.data.sources.example import Example
from maskrcnn_jax.data.transforms.transform import Transform
from maskrcnn_jax.messages.config_error import require_fraction


@dataclass(frozen=True)
class CopyPaste(Transform):
    """Pastes some objects of another image of the same bucket onto an image."""

    probability: float = 0.5

    name: ClassVar = "copy_paste"
    shares_generator: ClassVar = True
    needs_masks: ClassVar = True

    def validate(self, where: str) -> None:
        """Checks the fields; see `Value.validate`."""
        require_fraction(f"{where}.probability", self.probability)

    def mixes(self, rng: np.random.Generator) -> bool:
        """Draws whether to paste; see `Transform.mixes`."""
        return self.probability > 0 and bool(rng.random() < self.probability)

    def mix(self, example: Example, other: Example, rng: np.random.Generator) -> Example:
        """Pastes objects; see `paste`."""
        return paste(example, other, rng)


def paste(example: Example, donor: Example, rng: np.random.Generator) -> Example:
    """Pastes some of the donor's objects onto an image, at the same position.

    Each object that is no crowd is pasted with probability 0.5. Pixels that it covers are removed from the masks of
    other objects, whose boxes shrink accordingly; fully covered objects are left out. The upper left corners of both
    images coincide; parts outside the first are cut off.

    Args:
        example: The image that is pasted onto.
        donor: The image whose objects are pasted; it may have another size.
        rng: Decides which objects; consumed.

    Returns:
        The image and all its objects, those of the donor last.

    Source: Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation",
    section 3; without the blending of edges, which they found to make no difference.
    """
    size = example.image.shape[:2]
    chosen = np.flatnonzero((rng.random(len(donor.masks)) < 0.5) & ~donor.is_crowd).tolist()
    pasted = [_fit(donor.masks[i], size) for i in chosen]
    covered = np.zeros(size, np.uint8)
    for mask in pasted:
        covered |= mask
    masks = [mask & ~covered for mask in example.masks] + pasted
    return Example.of(
        np.where(covered[..., None] > 0, _fit(donor.image, size), example.image),
        example.image_id,
        np.concatenate([example.labels, donor.labels[chosen]]),
        masks,
        np.concatenate([example.is_crowd, donor.is_crowd[chosen]]),
    )


def _fit(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Cuts off or fills up with zeros at the right and bottom."""
    cut = array[: size[0], : size[1]]
    missing = [(0, size[0] - cut.shape[0]), (0, size[1] - cut.shape[1]), *[(0, 0)] * (array.ndim - 2)]
    return np.pad(cut, missing)
