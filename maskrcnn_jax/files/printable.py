"""Makes text from files safe to print: names may hold control codes of terminals."""

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


def one_line(text: str, most: int = 300) -> str:
    """The printable text in one line: line breaks and tabs are escapes, too, and the middle of a long text is left out.

    Args:
        text: Such as a name from a file, which may be of any length.
        most: Characters that are shown.
    """
    if len(text) > most:
        text = f"{text[: most // 2]} … {text[-most // 2 :]}"
    return printable(text).replace("\n", r"\n").replace("\t", r"\t")


class PrintableFormatter(logging.Formatter):
    """Formats log records as `logging.Formatter` does, the whole text made printable."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the record's text."""
        return printable(super().format(record))
