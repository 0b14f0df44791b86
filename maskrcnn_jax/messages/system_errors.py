"""Messages for errors of the operating system, memory and devices, with remedies."""

import errno
import os
import re
from collections.abc import Iterator

REMEDIES: dict[int, str] = {
    errno.ENOENT: "check the path",
    errno.EEXIST: "name a folder or a new path",
    errno.EISDIR: "name a file",
    errno.ENOTDIR: "name a path through folders alone",
    errno.EACCES: "change who may use it, or name another path",
    errno.EPERM: "change who may use it, or name another path",
    errno.EROFS: "the file system is mounted for reading only; name a path on another",
    errno.ENOSPC: "free space on that disk, or name a path on another",
    errno.EDQUOT: "the quota is used up; free space, or name a path on another disk",
    errno.EFBIG: "above the largest size of a file; raise the limit (ulimit -f), or use another file system",
    errno.EMFILE: "raise the limit of open files per process (ulimit -n)",
    errno.ENFILE: "the whole machine has too many files open; close other programs",
    errno.ENOMEM: "close other programs, or use a machine with more memory",
    errno.EIO: "the disk reports errors; check it, and the system's log",
    errno.ESTALE: "the network drive has changed; mount it again",
    errno.ETIMEDOUT: "the network drive does not respond; try again",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "links that lead in a circle; correct them",
    errno.ENXIO: "it is a named pipe or a device; name a file",
}
"""Remedies by error number."""


def format_error(error: Exception) -> str:
    """An error's message; for errors of the operating system with a remedy."""
    if isinstance(error, OSError) and error.errno in REMEDIES:
        path = error.filename2 or error.filename
        said = f"{error.strerror}; {REMEDIES[error.errno]}"
        return said if path is None else f"{path}: {said}"
    return str(error)


def external_cause(error: BaseException) -> str | None:
    """The message of the system error that an error is, or was caused by; None if it is none.

    TensorStore gives the number of an error of the system in its message, JAX the name of the status.
    """
    for cause in _causes(error):
        text = str(cause)
        if isinstance(cause, OSError) and cause.errno in REMEDIES:
            return format_error(cause)
        if found := re.search(r"\[os_error_code='(\d+)'\]", text):
            number, path = int(found[1]), re.search(r'"(/[^"]*)"', text)
            said = f"{os.strerror(number)}; {REMEDIES.get(number, 'see the messages of the system')}"
            return said if path is None else f"{path[1]}: {said}"
        if isinstance(cause, MemoryError) or "RESOURCE_EXHAUSTED" in text or "Out of memory" in text:
            return f"not enough memory; {REMEDIES[errno.ENOMEM]}"
        if isinstance(cause, RuntimeError) and "can't start new thread" in text:
            return f"{text}; raise the limit of processes (ulimit -u), or close other programs"
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and its causes."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        parts = current.exceptions if isinstance(current, BaseExceptionGroup) else ()
        waiting += [e for e in (current.__cause__, current.__context__, *parts) if e is not None]
