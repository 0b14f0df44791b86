"""Short flags of the package's own transforms: `--data.flip 0` for `--data.transforms.flip.probability 0`."""

from dataclasses import dataclass, fields

from maskrcnn_jax.data.config import DataConfig
from maskrcnn_jax.data.transforms.color_jitter import ColorJitter
from maskrcnn_jax.data.transforms.copy_paste import CopyPaste
from maskrcnn_jax.data.transforms.placing import Flip, Resize, ScaleJitter
from maskrcnn_jax.data.transforms.transform import Transform


@dataclass(frozen=True)
class ShortFlags:
    """The fields of `data` in versions before transforms were values, whose configurations are read by them."""

    shortest_edges: tuple[int, ...] = (800,)
    """Of the transform `resize`: lengths of the shorter side to choose from at random, pixels."""
    longest_edge: int = 1333
    """Of the transform `resize`: upper bound of the longer side, pixels."""
    flip: float = 0.5
    """Of the transform `flip`: its probability."""
    scale_jitter: tuple[float, float] | None = None
    """Of the transform `scale_jitter`, which replaces `resize`: low and high; None for `resize`."""
    color_jitter: float = 0.0
    """Of the transform `color_jitter`: its strength; 0 for none."""
    copy_paste: float = 0.0
    """Of the transform `copy_paste`: its probability; 0 for none."""

    @classmethod
    def of(cls, data: DataConfig) -> "ShortFlags":
        """The short flags of a configuration's transforms."""
        resize, jitter = data.transform(Resize) or Resize(), data.transform(ScaleJitter)
        return cls(
            resize.shortest_edges,
            resize.longest_edge,
            (data.transform(Flip) or Flip(0.0)).probability,
            None if jitter is None else (jitter.low, jitter.high),
            (data.transform(ColorJitter) or ColorJitter(0.0)).strength,
            (data.transform(CopyPaste) or CopyPaste(0.0)).probability,
        )

    def transforms(self) -> tuple[Transform, ...]:
        """The transforms with the settings of these fields."""
        found = (
            CopyPaste(self.copy_paste) if self.copy_paste else None,
            Flip(self.flip),
            self._sizing(),
            ColorJitter(self.color_jitter) if self.color_jitter else None,
        )
        return tuple(transform for transform in found if transform is not None)

    def applied(self, before: "ShortFlags", transforms: tuple[Transform, ...]) -> tuple[Transform, ...]:
        """Transforms with the fields that differ from those of `before`; a transform that is not there is added."""
        names = [field.name for field in fields(ShortFlags)]
        changed = {name for name in names if getattr(self, name) != getattr(before, name)}
        if "copy_paste" in changed:
            transforms = _replaced(transforms, (CopyPaste,), CopyPaste(self.copy_paste) if self.copy_paste else None, 0)
        if "flip" in changed:
            transforms = _replaced(transforms, (Flip,), Flip(self.flip), 0)
        if changed & {"scale_jitter", "shortest_edges", "longest_edge"}:
            transforms = _replaced(transforms, (Resize, ScaleJitter), self._sizing(), len(transforms))
        if "color_jitter" in changed:
            jitter = ColorJitter(self.color_jitter) if self.color_jitter else None
            transforms = _replaced(transforms, (ColorJitter,), jitter, len(transforms))
        return transforms

    def _sizing(self) -> Transform:
        if self.scale_jitter is None:
            return Resize(self.shortest_edges, self.longest_edge)
        return ScaleJitter(*self.scale_jitter)


def _replaced(
    transforms: tuple[Transform, ...], kinds: tuple[type[Transform], ...], new: Transform | None, otherwise: int
) -> tuple[Transform, ...]:
    """The transforms with `new` in place of the first of these kinds, or at `otherwise` if there is none."""
    at = next((i for i, transform in enumerate(transforms) if isinstance(transform, kinds)), None)
    kept = [transform for transform in transforms if not isinstance(transform, kinds)]
    if new is not None:
        kept.insert(otherwise if at is None else at, new)
    return tuple(kept)
