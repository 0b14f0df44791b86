"""A file that is written is whole in the end, or as it was."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from maskrcnn_jax.files.reading import NotAFile
from maskrcnn_jax.files.writing import require_writable, write_text, written_whole
from maskrcnn_jax.messages.system_errors import format_error


def test_a_path_for_a_new_file_stays_empty(tmp_path: Path):
    require_writable(tmp_path / "plan.json")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_may_be_replaced_stays_as_it_is(tmp_path: Path):
    (tmp_path / "plan.json").write_text("{}")
    require_writable(tmp_path / "plan.json")
    assert (tmp_path / "plan.json").read_text() == "{}"


@pytest.mark.parametrize("check", [require_writable, lambda path: write_text(path, "new")])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no/plan.json", "no/plan.json: No such file or directory; "),
        ("folder", "folder: Is a directory; name a file"),
        ("file/plan.json", "file/plan.json: Not a directory; name a path through folders alone"),
    ],
)
def test_what_cannot_be_written_is_said_with_its_own_name(name: str, message: str, check, tmp_path: Path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as refused:
        check(tmp_path / name)
    assert format_error(refused.value).startswith(f"{tmp_path}/{message}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_device_or_pipe_is_not_replaced(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(NotAFile, match="pipe: is a named pipe, not a regular file"):
        write_text(tmp_path / "pipe", "new")
    assert (tmp_path / "pipe").is_fifo()
    with pytest.raises(NotAFile, match="null: is a device, not a regular file"):
        require_writable(Path("/dev/null"))


def test_an_existing_file_is_kept_unless_asked(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileExistsError, match=r"a\.txt: exists and is not overwritten"):
        write_text(path, "new", overwrite=False)
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_file_that_comes_to_exist_meanwhile_is_kept(tmp_path: Path):
    path = tmp_path / "a.txt"
    with pytest.raises(FileExistsError), written_whole(path, overwrite=False) as partial:
        partial.write_text("mine")
        path.write_text("another's")
    assert path.read_text() == "another's" and list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), written_whole(path) as partial:
        partial.write_text("half")
        _ = 1 / 0
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_link_stays_a_link(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "file")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text() == "new"


def test_a_long_name_has_room_for_the_partial_file(tmp_path: Path):
    path = tmp_path / ("猫" * 83 + ".txt")  # 253 bytes; file systems allow 255
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_write_that_fails_names_the_file_and_the_remedy(tmp_path: Path):
    """In a process of its own, whose files may have 1,000 bytes."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import resource, sys; from pathlib import Path; from maskrcnn_jax.files.writing import write_text\n"
        "from maskrcnn_jax.messages.system_errors import format_error\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))\n"
        "try:\n    write_text(Path(sys.argv[1]), 'x' * 2000)\n"
        "except OSError as error:\n    print(error.errno, format_error(error))"
    )
    ended = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith(f"{errno.EFBIG} {path}: File too large; above the largest size of a file")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
