"""A lock that a process holds as long as it lives."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class Locked(OSError):
    """Another process holds the lock; the message names its file and, where it is known, the process."""


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds a lock file for the time of the block.

    The file stays. The operating system frees the lock of a process that ends, however it ends, so nothing has to be
    cleaned up.

    Args:
        path: The lock file, made where there is none; its folder must exist.

    Raises:
        Locked: Another process, or another block of this one, holds it.
        OSError: The file cannot be opened.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 64).decode("ascii", "replace").strip()
            by = f"process {holder}" if holder.isdigit() else "another process"
            raise Locked(f"{path}: locked by {by}, which is still at work; wait for it, or stop it") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """Waits until no other block of this kind is at work on a folder; for the moment in which files are exchanged.

    Nothing is written. Where a file system knows no locks, the block begins at once.

    Args:
        folder: It must exist.

    Raises:
        OSError: The folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
