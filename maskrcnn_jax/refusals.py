"""Paths that the operating system refuses, and what helps."""

from pathlib import Path

REMEDIES: dict[type[OSError], str] = {
    FileNotFoundError: "mend the path",
    FileExistsError: "name a folder or a new path",
    IsADirectoryError: "name a file",
    NotADirectoryError: "name a path through folders alone",
    PermissionError: "change who may use it, or name another path",
}
"""What helps, by what the system says."""


def in_words(error: ValueError | OSError) -> str:
    """An error's message; where the operating system refuses a path, with what helps."""
    if isinstance(error, OSError) and error.filename is not None and type(error) in REMEDIES:
        return f"{error.filename2 or error.filename}: {error.strerror}; {REMEDIES[type(error)]}"
    return str(error)


def require_file(file: Path) -> None:
    """Finds out before minutes of work, not after, that a file cannot be written. Leaves everything as it was.

    Raises:
        OSError: as writing the file would.
    """
    existed = file.exists()
    file.open("ab").close()
    if not existed:
        file.unlink()
