"""What a prepared data set holds, counted, and the next command to type."""

import shlex
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from maskrcnn_jax.data.prepare.annotated import Annotations
from maskrcnn_jax.messages.counts import pluralize

WIDTH = 118


class SplitSummary(NamedTuple):
    """What one split holds."""

    name: str
    images: int
    empty: int
    """Images without objects, crowds not counted."""
    objects: tuple[int, ...]
    """Objects of each class that are no crowds, in the order of the labels."""
    crowds: int
    boxes_alone: int
    """Annotations that are boxes without masks."""
    dropped: dict[str, int]
    """Annotations that were left out, by reason."""

    @classmethod
    def of(cls, name: str, annotations: Annotations) -> "SplitSummary":
        """Counts a split."""
        images = annotations.images
        return cls(
            name,
            len(images),
            sum(bool(image.is_crowd.all()) for image in images),
            tuple(annotations.num_objects.tolist()),
            int(annotations.num_crowds.sum()),
            len(annotations.box_only),
            {reason: len(ids) for reason, ids in annotations.dropped.items()},
        )

    def lines(self, class_names: tuple[str, ...]) -> Iterator[str]:
        """The text for a terminal."""
        by_class = ", ".join(f"{name} {count}" for name, count in zip(class_names, self.objects, strict=True))
        found = [
            f"{pluralize(self.images, 'image')} ({self.empty} without objects)",
            f"{pluralize(sum(self.objects), 'object')}: {by_class}",
            pluralize(self.crowds, "crowd"),
        ]
        if self.boxes_alone:
            found.append(f"{pluralize(self.boxes_alone, 'annotation')} with a box alone, filled as its mask")
        found += [f"{pluralize(count, 'annotation')} left out: {reason}" for reason, count in self.dropped.items()]
        yield f"{self.name}: {found[0]}"
        for line in found[1:]:
            yield from textwrap.wrap(line, WIDTH, initial_indent="  ", subsequent_indent="    ")


class Summary(NamedTuple):
    """What was prepared."""

    out: Path
    kind: str
    """The format that was read."""
    class_names: tuple[str, ...]
    """In the order of the labels."""
    splits: tuple[SplitSummary, ...]
    dropped: dict[str, int]
    """What was left out before the splits were told apart, by reason."""

    @classmethod
    def of(cls, out: Path, kind: str, contents: Mapping[str, Annotations], dropped: Mapping[str, int]) -> "Summary":
        """Counts a data set."""
        splits = tuple(SplitSummary.of(name, annotations) for name, annotations in contents.items())
        class_names = next(iter(contents.values())).class_names
        return cls(out, kind, class_names, splits, dict(dropped))

    @property
    def counts(self) -> dict[str, int]:
        """Images of each split."""
        return {split.name: split.images for split in self.splits}

    def lines(self) -> Iterator[str]:
        """The text for a terminal."""
        names = f"{pluralize(len(self.class_names), 'class')}, in the order of labels: {', '.join(self.class_names)}"
        yield f"{self.out}: prepared from {self.kind}"
        yield from textwrap.wrap(names, WIDTH, subsequent_indent="    ")
        for split in self.splits:
            yield from split.lines(self.class_names)
        for reason, count in self.dropped.items():
            yield from textwrap.wrap(
                f"{pluralize(count, 'annotation')} left out: {reason}", WIDTH, subsequent_indent="    "
            )
        if len(self.splits) == 1:
            yield "an only split, which the next command also validates on; --validation-share 0.2 keeps a part"
        yield f"next: {self.next_command()}"
        yield "  (a recipe for GPUs; coco_mini in its place is a small Mask R-CNN for two CPU cores)"

    def next_command(self) -> str:
        """How to train on it."""
        names = list(self.counts)
        train = "train" if "train" in names else names[0]
        validation = next((name for name in ("val", *names) if name in names and name != train), train)
        boxes = sum(split.boxes_alone for split in self.splits)
        everything = sum(sum(split.objects) + split.crowds for split in self.splits)
        config = "faster_rcnn_r50_fpn_1x" if boxes and boxes == everything else "mask_rcnn_r50_fpn_1x"
        out = shlex.quote(str(self.out))
        return (
            f"maskrcnn-jax train {config} --model.num-classes {len(self.class_names)} "
            f"--data.train.folder {out} --data.train.split {train} "
            f"--data.validation.folder {out} --data.validation.split {validation}"
        )
