"""Atomic writing: a crash keeps the old file."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from maskrcnn_jax.files.reading import require_regular

LONGEST_ENDING = 32
"""Bytes; longer suffixes are no file types, and a name has 255 bytes at most."""


@contextlib.contextmanager
def written_whole(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A file beside `path` to write to, which replaces it when the block ends without an error.

    Each call has its own file, so two processes may write the same path: in the end one of the two files is there,
    complete. Its ending is that of `path`, for libraries that depend on it.

    Args:
        path: The final file; its folder must exist.
        overwrite: Whether an existing file may be replaced.

    Yields:
        The path to write to.

    Raises:
        FileExistsError: `path` exists and may not be replaced; also if it was created during the block.
        NotAFile: `path` is there and is no regular file, such as a device.
        OSError: As writing the file, or that `path` is a folder; with `path` as its file name. What was there before is
            unchanged.
    """
    require_writable(path, overwrite=overwrite)
    if path.is_symlink():
        path = path.resolve()  # the link stays
    ending = path.suffix if len(os.fsencode(path.suffix)) < LONGEST_ENDING else ""
    partial = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(4)}.partial{ending}")
    try:
        with _naming(path):
            yield partial
            _to_disk(partial)
        if overwrite:
            os.replace(partial, path)
        else:
            _move_if_free(partial, path)
    except OSError as error:
        # A write that fails names no file, and the partial file is not what the user asked for.
        if error.errno is not None and error.filename in (None, str(partial), partial):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            partial.unlink()


def require_writable(path: Path, *, overwrite: bool = True) -> None:
    """Checks in advance that a file can be written; changes nothing.

    Args:
        path: The file.
        overwrite: Whether an existing file may be replaced.

    Raises:
        FileExistsError: `path` exists and may not be replaced.
        NotAFile: `path` is there and is no regular file.
        OSError: As writing the file would, such as that `path` is a folder or its folder is missing.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists():
        require_regular(path)
    if not overwrite and os.path.lexists(path):
        raise _exists(path)
    folder = path.parent
    if not folder.is_dir():
        os.stat(folder / path.name)  # says which of its parts is missing or is a file
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def write_text(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Writes text in UTF-8 atomically; see `written_whole`."""
    with written_whole(path, overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Writes bytes atomically; see `written_whole`."""
    with written_whole(path, overwrite=overwrite) as partial:
        partial.write_bytes(data)


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Adds the missing file name to errors of writing to an open file, such as a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _move_if_free(partial: Path, path: Path) -> None:
    try:
        os.link(partial, path)  # unlike a rename it fails where there is a file
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # file systems without links
        if os.path.lexists(path):
            raise _exists(path) from None
        os.replace(partial, path)


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(
        f"{path}: exists and is not overwritten; remove it, or name another path; some commands have --overwrite"
    )
