"""As many colours as are asked for, apart for everyone, with words on them that are read."""

import numpy as np
import pytest

from maskrcnn_jax.draw.colors import PALETTE, contrast, distinct_color

TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])
# What people without red or green cones see, in linear RGB: Machado, Oliveira and Fernandes 2009.
SIGHTS = {
    "usual": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.012, 0.043, 0.969]]),
}


def linear(colors):
    values = np.asarray(colors) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colors, sight):
    """CIELAB 1976 coordinates of colours."""
    shares = np.clip(linear(colors) @ sight.T, 0, 1) @ TO_XYZ.T / WHITE
    x, y, z = np.where(shares > 0.008856, np.cbrt(shares), 7.787 * shares + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def test_colours_by_hand():
    assert [distinct_color(place) for place in range(7)] == list(PALETTE)
    # The eighth is the first two fifths of the way to black, the fifteenth as far to white: 230 + .4 × 25 = 240
    assert distinct_color(7) == (138, 95, 0)
    assert distinct_color(14) == (240, 197, 102)


def test_no_colour_is_given_twice():
    colors = {distinct_color(place) for place in range(255)}
    assert len(colors) == 255 and (0, 0, 0) not in colors
    assert all(0 <= channel <= 255 for color in colors for channel in color)


@pytest.mark.parametrize("sight", SIGHTS)
def test_colours_are_apart(sight):
    """A distance of 2.3 is just noticed: Mahy, Van Eycken and Oosterlinck 1994."""
    seen = lab([distinct_color(place) for place in range(21)], SIGHTS[sight])
    distances = np.linalg.norm(seen[:, None] - seen, axis=2)[~np.eye(21, dtype=bool)]
    assert distances.min() > 3 * 2.3


@pytest.mark.parametrize("place", range(49))
def test_words_are_read_on_every_colour(place):
    """Contrast as the W3C defines it: at least 3 for text."""
    color = distinct_color(place)
    luminances = [float(linear(one) @ TO_XYZ[1]) for one in (color, contrast(color))]
    assert (max(luminances) + 0.05) / (min(luminances) + 0.05) >= 3
