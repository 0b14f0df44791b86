"""Colours of boxes, masks and lines in figures."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from maskrcnn_jax.draw.colors import PALETTE, distinct_color

Color = tuple[float, float, float]
"""RGB in [0, 1]."""
Style = Literal["-", "--", ":"]
COLORS: tuple[Color, ...] = tuple((red / 255, green / 255, blue / 255) for red, green, blue in PALETTE)
GRAY: Color = (0.72, 0.72, 0.72)
LEVELS = (0, 4, 2, 6, 5)
"""Indices of the colours of P2 … P6, chosen so that neighbours differ."""


class Ink(NamedTuple):
    """How a line is drawn."""

    color: Color
    style: Style = "-"


def level_color(level: int) -> Color:
    """The colour of a pyramid's level, from 0; after the fifth they repeat."""
    return COLORS[LEVELS[level % len(LEVELS)]]


def distinct_colors(count: int) -> list[Color]:
    """Distinct colours, those of the palette first."""
    return [(red / 255, green / 255, blue / 255) for red, green, blue in map(distinct_color, range(count))]


def class_colors(labels: Iterable[int]) -> dict[int, Color]:
    """A distinct colour for each class: its own of the palette, or else the next one that is free.

    If there are more classes than the palette has colours, the others get shades of them.
    """
    classes = sorted(set(labels))
    colors = distinct_colors(max(len(classes), len(COLORS)))
    chosen: dict[int, Color] = {}
    for label in classes:
        first = label % len(COLORS)
        turn = (*colors[first : len(COLORS)], *colors[:first], *colors[len(COLORS) :])
        chosen[label] = next(color for color in turn if color not in chosen.values())
    return chosen


def label_colors(labels: Int[np.ndarray, " n"]) -> list[Color]:
    """The colour of each label's class."""
    colors = class_colors(labels.tolist())
    return [colors[label] for label in labels.tolist()]
