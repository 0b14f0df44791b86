"""What names hold cannot command a terminal."""

import logging
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskrcnn_jax.files.printable import PrintableFormatter, one_line, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain text, 100 %", "plain text, 100 %"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("日本 ä e\u0301 \U0001f600", "日本 ä e\u0301 \U0001f600"),
        # A family and a Persian word, which need joiners.
        ("\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f468\u200d\U0001f469\u200d\U0001f467"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("over\rwrites", r"over\rwrites"),
        ("back\x08\x7f", r"back\x08\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\x00", r"\x00"),
        ("photo\u202egnp.exe", r"photo\u202egnp.exe"),
        ("\u2066a\u2069\u200f\u061c", r"\u2066a\u2069\u200f\u061c"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("line\u2028paragraph\u2029", r"line\u2028paragraph\u2029"),
        ("not UTF-8: \udcff", r"not UTF-8: \udcff"),
        ("tag \U000e0041", r"tag \U000e0041"),
    ],
)
def test_codes_are_shown_as_escapes(text: str, expected: str):
    assert printable(text) == expected


@given(st.text(st.characters(codec=None), max_size=50))
def test_nothing_that_commands_a_terminal_is_left(text: str):
    shown = printable(text)
    left = {unicodedata.category(character) for character in shown if character not in "\n\t\u200c\u200d"}
    assert not left & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    shown.encode("utf-8")
    assert printable(shown) == shown


def test_logs_are_printable_with_their_arguments():
    record = logging.LogRecord("a", logging.WARNING, "f.py", 1, "%s: missing", ("\x1b[2J\udcff.png",), None)
    assert PrintableFormatter("%(levelname)s: %(message)s").format(record) == r"WARNING: \x1b[2J\udcff.png: missing"


def test_names_are_shown_in_one_line_of_sane_length():
    assert one_line("a\n\tb\x1b") == r"a\n\tb\x1b"
    assert one_line("x" * 300) == "x" * 300
    assert one_line("a" * 200 + "b" * 200, most=10) == "aaaaa … bbbbb"
