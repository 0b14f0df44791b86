"""Writing files whole or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_whole(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A file beside `path` to write to, which takes its place when the block ends without an error.

    Each call has a file of its own, so two processes that write the same path do not harm each other: one of the two
    files is there in the end, whole. Its ending is that of `path`, for libraries that look at it.

    Args:
        path: The file in the end; its folder must exist.
        overwrite: Whether an existing file may be replaced.

    Yields:
        The path to write to.

    Raises:
        FileExistsError: `path` exists and may not be replaced; also if it came to exist during the block.
        OSError: As writing the file; what was there before is unchanged.
    """
    if not overwrite and os.path.lexists(path):
        raise _exists(path)
    partial = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield partial
        _to_disk(partial)
        if overwrite:
            os.replace(partial, path)
        else:
            _move_if_free(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Writes text in UTF-8 whole or not at all; see `written_whole`."""
    with written_whole(path, overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8")


def write_bytes(path: Path, data: bytes, *, overwrite: bool = True) -> None:
    """Writes bytes whole or not at all; see `written_whole`."""
    with written_whole(path, overwrite=overwrite) as partial:
        partial.write_bytes(data)


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
    return FileExistsError(f"{path}: exists and is not overwritten; remove it, or name another path")
