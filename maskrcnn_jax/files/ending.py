"""Checks the ending of a file to be written."""

import errno
import os
from collections.abc import Sequence
from pathlib import Path


class WrongEnding(ValueError):
    """A path whose ending does not match the kind of file; the message names the right one and a path."""


def require_ending(path: Path, endings: Sequence[str], content: str) -> None:
    """Checks that a path has an ending of its kind of file, in upper or lower case.

    Args:
        path: The file to write.
        endings: Those that fit, with their dots; the first is suggested.
        content: What is written, for the message.

    Raises:
        WrongEnding: The path has another ending, or none.
        IsADirectoryError: The path is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.suffix.lower() not in endings:
        name = path.with_suffix(endings[0]) if path.suffix else path.with_name(f"{path.name}{endings[0]}")
        wrong = f", not {path.suffix}" if path.suffix else ""
        raise WrongEnding(f"{path}: what is written is {content} ({' or '.join(endings)}){wrong}; name it {name}")
