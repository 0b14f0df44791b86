"""How an input may end: which errors a user may see, and what their messages must be like."""

import re
from pathlib import Path

from maskrcnn_jax.checkpoints.checkpoint import CheckpointError
from maskrcnn_jax.checkpoints.convert.rules import ConversionError
from maskrcnn_jax.checkpoints.formats.stored import WeightFileError
from maskrcnn_jax.config import ConfigError
from maskrcnn_jax.data.images.broken import BrokenImage
from maskrcnn_jax.data.prepare.problems import DatasetError
from maskrcnn_jax.files.json_text import JsonError
from maskrcnn_jax.messages.system_errors import format_error
from maskrcnn_jax.training.metrics import RecordError

NAMED = (
    BrokenImage,
    CheckpointError,
    ConfigError,
    ConversionError,
    DatasetError,
    JsonError,
    RecordError,
    WeightFileError,
    OSError,
)
"""The errors that bad input may raise; all others are faults of the program."""

LONGEST_LINE = 3000
"""Characters. A list of ten paths fits; the whole content of a file does not."""

FIELD = re.compile(r"[\w.\[\]/-]+( = |: )|\"[\w ]+\"|--[\w-]+")
"""A field and its value, a JSON key, or an option."""


INSIDE = re.compile(
    r"\b(Type|Attribute|Key|Index|Value|Recursion|Overflow|Runtime|Memory|Assertion)Error\b|unhashable type"
    r"|object has no attribute|indices must be|not subscriptable|not iterable|unsupported operand|positional argument"
    r"|invalid literal for|could not convert|out of range for|unpack \("
)
"""Words of Python for programmers, not for users."""


def is_named(error: BaseException) -> bool:
    """Whether the command line shows this error as one message: an error of this list, or one that the system raised
    for a path."""
    if isinstance(error, OSError) and type(error).__module__ == "builtins":
        return error.filename is not None or ": " in str(error)
    return isinstance(error, NAMED)


def complaint(error: BaseException, folder: Path) -> str | None:
    """What is wrong with the message of an error, None if nothing is.

    Args:
        error: One that is named.
        folder: Where the input lies.
    """
    message = format_error(error) if isinstance(error, OSError | ValueError) else str(error)
    first, *others = message.split("\n")
    if "Traceback" in message:
        return "the message holds a traceback"
    if found := INSIDE.search(message):
        return f"the message speaks of the program's inside: {found[0]}"
    if not first.strip():
        return "the message is empty or begins with an empty line"
    if any(not line.startswith("  ") for line in others):
        return f"the message has lines that are no list: {others[0]!r}"
    if (longest := max(len(line) for line in (first, *others))) > LONGEST_LINE:
        return f"a line of the message is too long: {longest} characters"
    if str(folder) not in message and not FIELD.search(message):
        return "the message names neither a file nor a field"
    return None
