"""Text from files, shown in a terminal: names may hold codes that a terminal would obey."""

import logging
import unicodedata

KEPT = "\n\t\u200c\u200d"
"""Line break, tab, and the joiners that some scripts and emoji are written with."""


def printable(text: str) -> str:
    r"""The text with control and format characters as escapes such as `\x1b`; line breaks and tabs stay.

    Unicode categories Cc (control), Cf (format: bidirectional overrides, zero-width characters), Cs (unpaired
    surrogates, as in file names that are not UTF-8), Zl and Zp (line and paragraph separators) are escaped.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character
        if character in KEPT or unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp")
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


class PrintableFormatter(logging.Formatter):
    """Formats log records as `logging.Formatter` does, the whole text made printable."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's text."""
        return printable(super().format(record))
