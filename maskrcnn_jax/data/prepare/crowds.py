"""Crowds in a data set: regions of many objects, which are not used in training."""

import numpy as np

from maskrcnn_jax.data.prepare.annotated import Annotations

CONSIDERABLE = 0.2
"""Share of the annotations; about one in a hundred of COCO's is a crowd."""


def crowd_warnings(annotations: Annotations) -> list[str]:
    """Warns where a considerable share of the annotations, or all of a class, is marked as crowd (iscrowd = 1).

    Returns:
        One line each; empty without a reason to warn.
    """
    objects, crowds = annotations.num_objects, annotations.num_crowds
    together = int(objects.sum() + crowds.sum())
    lines = []
    if crowds.sum() and crowds.sum() >= CONSIDERABLE * together:
        lines.append(describe(f"{'all' if not objects.sum() else int(crowds.sum())} of {together} annotations"))
    else:
        for label in np.flatnonzero((objects == 0) & (crowds > 0)):
            number = int(crowds[label])
            lines.append(describe(f"all of {number} annotations of class {annotations.class_names[label]!r}"))
    return lines


def describe(which: str) -> str:
    """The consequence of being crowds, and the remedy."""
    return (
        f"{which} are crowds (iscrowd = 1), which are neither trained on nor counted as errors; CVAT marks every brush "
        "mask as one, other tools every object of several parts. If each is one object, use --crowds-as-objects"
    )
