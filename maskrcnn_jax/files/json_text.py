"""Parsing JSON of unknown origin."""

import json
from typing import Any


class JsonError(ValueError):
    """Content that is not JSON, or not of a kind that is read; the message says what it is and the remedy."""


def parse_json(data: bytes) -> Any:
    """Parses JSON in UTF-8, UTF-16 or UTF-32, with or without byte order mark.

    Args:
        data: The content of a file.

    Raises:
        JsonError: It is no JSON; the message begins with what it is and names no file.
    """
    if data.startswith(b"PK\x03\x04"):
        raise JsonError("a ZIP archive, not JSON; unpack it and give the JSON file inside")
    if data.startswith(b"\x1f\x8b"):
        raise JsonError("compressed with gzip, not JSON; unpack it (gunzip)")
    try:
        text = data.decode(json.detect_encoding(data))
    except UnicodeDecodeError as error:
        raise JsonError(
            f"its text is not UTF-8 (byte {error.start} is 0x{data[error.start]:02x}); convert it, such as with "
            "`iconv -f gb18030 -t utf-8` if it comes from a Chinese Windows, or -f with its own encoding"
        ) from error
    text = text.removeprefix("\ufeff")
    if not text.strip(" \t\r\n\0"):
        raise JsonError(f"is empty ({len(data)} bytes, no text); export or fetch the file again")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise JsonError("its lists or objects are nested too deeply; no format that is read needs that") from error
    except json.JSONDecodeError as error:
        if error.msg == "Extra data" and _has_json_lines(text):
            raise JsonError(
                "JSON Lines, one document per line, not one JSON document; export it as one document, such as COCO's"
            ) from error
        raise JsonError(f"not valid JSON ({error}); export or fetch the file again") from error
    except ValueError as error:  # A number of more digits than Python converts.
        raise JsonError(f"not valid JSON ({error}); export or fetch the file again") from error


def _has_json_lines(text: str) -> bool:
    """Whether the first two lines with text are JSON documents of their own."""
    lines = [line for line in text.split("\n") if line.strip()][:2]
    try:
        return len(lines) == 2 and all(isinstance(json.loads(line), dict | list) for line in lines)
    except (ValueError, RecursionError):
        return False
