"""Counts in words."""

import pytest

from maskrcnn_jax.messages.counts import listed, pluralize


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
    assert pluralize(number, noun) == words


def test_names_come_after_their_number():
    assert listed(["a"]) == "1: a"
    assert listed(["a", "b"], most=2) == "2: a, b"
    assert listed(["a", "b", "c"], most=2) == "3: a, b and 1 other"
    assert listed([f"n{i}" for i in range(30)], most=1) == "30: n0 and 29 others"
