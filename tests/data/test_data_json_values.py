import math

import pytest

from maskrcnn_jax.data.prepare.json_values import finite, shown, text, truth, whole


@pytest.mark.parametrize("value", [7, 7.0, "7", " 7 ", "+7", "7.0", "7."])
def test_whole_numbers_in_every_spelling(value):
    assert whole(value) == 7 and type(whole(value)) is int


@pytest.mark.parametrize("value", [True, None, 7.5, "7.5", "", "x", "1e3", math.nan, math.inf, [7], {}, "٧", "9" * 20])
def test_what_is_no_whole_number(value):
    assert whole(value) is None


def test_whole_numbers_end_at_64_bits():
    assert whole(2**63 - 1) == 2**63 - 1 and whole(str(-(2**63))) == -(2**63)
    assert whole(2**63) is None and whole(-(2**63) - 1) is None and whole(1e19) is None


@pytest.mark.parametrize(("value", "expected"), [("0", False), ("FALSE", False), ("1", True), ("true", True)])
def test_flags_as_text(value, expected):
    assert truth(value) is expected


def test_flags_as_numbers():
    assert [truth(value) for value in (0, 0.0, None, "", False, 1, 1.0, True)] == [False] * 5 + [True] * 3
    assert [truth(value) for value in (2, -1, 0.5, "yes", [], [1], {}, math.nan)] == [None] * 8


def test_finite_numbers():
    assert finite(3) == 3.0 and finite(-2.5) == -2.5
    assert [finite(value) for value in (True, "3", None, math.nan, math.inf, 10**400, [1])] == [None] * 7


def test_text_that_can_name_a_file():
    assert text("a b.png") == "a b.png" and text("日本.png") == "日本.png"
    # Half of a surrogate pair, which JSON can hold and UTF-8 cannot.
    assert [text(value) for value in ("", "  ", "a\0b", "\ud800", 7, None, ["a"])] == [None] * 7


def test_values_are_shown_in_words_of_json_and_shortened():
    assert [shown(value) for value in (None, True, False, 7, "7")] == ["null", "true", "false", "7", "'7'"]
    assert len(shown("x" * 10_000)) < 80 and len(shown([[0] * 1000] * 1000)) < 200
    # 10^400 lies between 2^1328 and 2^1329.
    assert shown(10**400) == "a number of 1329 bits"
