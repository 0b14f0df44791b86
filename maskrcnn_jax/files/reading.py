"""Reading regular files, and no pipes, devices or sockets."""

import lzma
import os
import stat
import zipfile
import zlib
from pathlib import Path

AnyPath = Path | zipfile.Path
"""Inside and outside of ZIP archives paths are used alike."""

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)

UNREADABLE_MEMBER = (KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What reading a member of an archive raises: there is none, it ends early, is encrypted, or is damaged."""


class NotAFile(OSError):
    """A path that is there but is no regular file, or a file that is larger than is read; the message says which."""


class DamagedArchive(OSError):
    """A member of a ZIP archive that cannot be read; the message says why."""


def read_bytes(path: AnyPath, limit: int | None = None) -> bytes:
    """The content of a regular file, or of a member of a ZIP archive.

    Args:
        path: The file.
        limit: Bytes; a larger file is not read.

    Raises:
        NotAFile: The path is a folder, a named pipe, a socket or a device such as `/dev/zero`, which would never end;
            or the file has more bytes than `limit`.
        DamagedArchive: The archive has no such member, or it is damaged or encrypted.
        OSError: As opening and reading it.
    """
    if isinstance(path, zipfile.Path):
        try:
            require_limit(path.root.getinfo(path.at).file_size, limit, path)
            return path.read_bytes()
        except UNREADABLE_MEMBER as error:
            raise DamagedArchive(
                f"{path}: cannot be read from its archive ({error}); fetch the archive again"
            ) from error
    # Opened first and then checked, so that the file cannot be replaced in between; a named pipe would block.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        require_regular(path)  # a socket cannot even be opened
        raise
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise NotAFile(f"{path}: is {kind_of(status.st_mode)}, not a regular file; give a file")
        require_limit(status.st_size, limit, path)
        with open(descriptor, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(descriptor)


def require_regular(path: Path) -> None:
    """Raises NotAFile if a path is there and is no regular file; for files that a library opens by name."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        raise NotAFile(f"{path}: is {kind_of(mode)}, not a regular file; give a file")


def require_limit(size: int, limit: int | None, path: AnyPath) -> None:
    """Raises NotAFile if `size` is above `limit`, both in bytes."""
    if limit is not None and size > limit:
        raise NotAFile(f"{path}: has {size:,} bytes, more than the {limit:,} that are read; give a smaller file")


def kind_of(mode: int) -> str:
    """What a path is, by its `st_mode`."""
    return next((kind for is_kind, kind in KINDS if is_kind(mode)), "no regular file")
