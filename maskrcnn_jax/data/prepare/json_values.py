"""Values of parsed JSON as exporters write them: numbers as text, booleans as numbers, and so on."""

import math
import re
import reprlib
from typing import Any

WHOLE = re.compile(r"\s*([+-]?[0-9]{1,19})(?:\.0*)?\s*")
LARGEST = 2**63
"""Whole numbers are stored in 64 bits: from -LARGEST to below LARGEST."""

TRUTHS = {"": False, "0": False, "false": False, "0.0": False, "1": True, "true": True, "1.0": True}

SHORT = reprlib.Repr()
SHORT.maxstring, SHORT.maxlevel, SHORT.maxlist, SHORT.maxdict = 60, 2, 5, 3


def whole(value: Any) -> int | None:
    """The whole number of 64 bits that a value is: 7, 7.0 and "7" are 7; None for anything else, `true` too."""
    if isinstance(value, str):
        match = WHOLE.fullmatch(value)
        value = int(match[1]) if match else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if -LARGEST <= value < LARGEST else None


def truth(value: Any) -> bool | None:
    """Whether a flag is set: 1, 1.0, "1", "true" and `true` are, 0, "0", "false", "" and null are not; else None."""
    if value is None:
        return False
    if isinstance(value, str):
        return TRUTHS.get(value.strip().lower())
    return bool(value) if isinstance(value, bool | int | float) and value in (0, 1) else None


def text(value: Any) -> str | None:
    """Text that can name something: not blank, without NUL, and Unicode that can be written; else None."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        return None
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:  # Half of a surrogate pair.
        return None
    return value


def finite(value: Any) -> float | None:
    """A finite number as float; None for anything else, text and booleans too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # Of more than 308 digits.
        return None
    return number if math.isfinite(number) else None


def shown(value: Any) -> str:
    """A value in a message, shortened: text in quotes, and JSON's words for null, true and false."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**40:
        return f"a number of {value.bit_length()} bits"
    return SHORT.repr(value)
