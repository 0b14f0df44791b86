"""Counts in words."""

import pytest

from maskrcnn_jax.plural import counted


@pytest.mark.parametrize(
    ("number", "noun", "words"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (2, "image", "2 images"),
        (1, "box", "1 box"),
        (3, "box", "3 boxes"),
        (3, "class", "3 classes"),
    ],
)
def test_one_is_single(number: int, noun: str, words: str):
    assert counted(number, noun) == words
