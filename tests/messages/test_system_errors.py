"""What the operating system refuses is said with what helps."""

import errno
import os

import pytest

from maskrcnn_jax.messages.system_errors import format_error


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOENT, "No such file or directory; check the path"),
        (errno.EACCES, "Permission denied; change who may use it, or name another path"),
        (errno.ENOSPC, "No space left on device; free space on that disk, or name a path on another"),
        (
            errno.EFBIG,
            "File too large; above the largest size of a file; raise the limit (ulimit -f), or use another file system",
        ),
        (errno.EIO, "Input/output error; the disk reports errors; check it, and the system's log"),
    ],
)
def test_an_error_of_the_system_names_the_path_and_the_remedy(code: int, remedy: str):
    assert format_error(OSError(code, os.strerror(code), "a.txt")) == f"a.txt: {remedy}"


def test_other_errors_are_their_message():
    assert format_error(ValueError("a.txt: odd")) == "a.txt: odd"
    assert format_error(FileNotFoundError("a.txt: not there; correct it")) == "a.txt: not there; correct it"
